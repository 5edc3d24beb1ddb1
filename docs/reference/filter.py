"""filter.py HEADER: a header as Doxygen reads it: its head as the page's text; the chapters of udpr.h as groups of functions."""

import re
import sys


def page(head):
    """The comment at the head of a file, in which Doxygen interprets nothing."""
    first, *rules = head.removesuffix(" */").removesuffix("*/").splitlines()
    text = [f"/** @file\n{first.removeprefix('/* ')}"]
    if rules:
        text += ["@verbatim", *(line.removeprefix(" *") for line in rules), "@endverbatim"]
    return "\n".join(text) + " */"


def c_header(text):
    text = text.replace("::", "\\::")  # in addresses, no scope of C++
    chapters = re.compile(r"^/\* ---- (.*) ---- \*/$", re.M)
    text = chapters.sub(r"/** @} */\n/** @name \1\n@{ */", text)
    text = text.replace("/** @} */\n", "", 1)
    end = text.rfind("#ifdef __cplusplus")
    text = text[:end] + "/** @} */\n" + text[end:]
    for name, words in {"UDPR_H": "Set once this is included.", "UDPR_API": "Stands before every function."}.items():
        text = re.sub(rf"^#define {name}\b", rf"/** {words} */\n\g<0>", text, flags=re.M)
    return text


def cpp_header(text):
    text = text.replace("::ffff:", "\\::ffff:")
    # Specializations of the standard library's templates, which Doxygen cannot place.
    return re.sub(r"^template <> struct std::[^\n]*(?:\{\};|.*?^\};)$", "", text, flags=re.M | re.S)


with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
head = re.match(r"/\*.*?\*/", text, re.S)[0]
rest = text[len(head) :]
print(page(head) + (c_header(rest) if sys.argv[1].endswith(".h") else cpp_header(rest)))
