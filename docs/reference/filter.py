"""filter.py HEADER: the header as Doxygen reads it: its head as the page's text, its chapters as groups of functions."""

import re
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()

text = text.replace("::", "\\::")  # in addresses, no scope of C++
head = re.match(r"/\* (.*?)\n(.*?)\*/", text, re.S)
rules = "\n".join(line[2:] if line.startswith(" *") else line for line in head[2].splitlines())
page = f"/** @file\n{head[1]}\n@verbatim{rules}\n@endverbatim */"
text = page + text[head.end() :]

chapters = re.compile(r"^/\* ---- (.*) ---- \*/$", re.M)
text = chapters.sub(r"/** @} */\n/** @name \1\n@{ */", text)
text = text.replace("/** @} */\n", "", 1)
end = text.rfind("#ifdef __cplusplus")
text = text[:end] + "/** @} */\n" + text[end:]

for name, words in {"UDPR_H": "Set once this is included.", "UDPR_API": "Stands before every function."}.items():
    text = re.sub(rf"^#define {name}\b", rf"/** {words} */\n\g<0>", text, flags=re.M)
print(text)
