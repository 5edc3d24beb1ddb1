"""filter.py FILE: a header or a document as Doxygen reads it.

Names of udpr.h in comments and documents become links. The chapters of udpr.h become modules, the comments at the heads of
headers the texts of their pages, and front.md, with an index of the functions by chapter, the front page.
"""

import pathlib
import re
import sys

from header import CHAPTER, Header, plain

ROOT = pathlib.Path(__file__).parents[2]
HEADER = Header((ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8"))
FUNCTIONS = {function.name for function in HEADER.functions}
TYPES = {one.name for one in (*HEADER.compounds, *HEADER.callbacks)}
PAGES = {path.name for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md")}


def module(title):
    return "chapter_" + re.sub(r"\W+", "_", title)


def link(name):
    if name in HEADER.constants:
        return f"#{name}"
    return f"{name}()" if name in FUNCTIONS else name


def linked(text):
    """Text in which the names outside of code and quotes are links."""
    return re.sub(r"`[^`\n]*`|\"[^\"\n]*\"|(?<![\w#])(?:udpr|UDPR)_\w+(?!\()", lambda found: link(found[0]), text)


def c_comment(comment):
    comment = comment.replace("::", "\\::")  # in addresses, no scope of C++
    comment = re.sub(r"^( \*|///?)(  E\w+) +(.*)$", r"\1 | \2 | \3 |", comment, flags=re.M)
    comment = re.sub(r"^( \* \|)", r" * | errno | statuses |\n * | - | - |\n\1", comment, count=1, flags=re.M)
    return linked(re.sub(r"^(/\*\*| \*) Returns: ", r"\1 @return ", comment, flags=re.M))


def c_header(text):
    text = re.sub(r"/\*\*.*?\*/", lambda found: c_comment(found[0]), text, flags=re.S)
    text = CHAPTER.sub(lambda found: f"/** @}} */\n/** @defgroup {module(found[1])} {found[1].capitalize()}\n@{{ */", text)
    first, end = text.index("/** Every status."), text.rindex("#ifdef __cplusplus")
    start = "/** @defgroup types Types\nThe types of C, and their numbers.\n@{ */\n"
    text = text[:first] + start + text[first:end] + "/** @} */\n" + text[end:]
    for name, words in {"UDPR_H": "Set once this is included.", "UDPR_API": "Stands before every function."}.items():
        text = re.sub(rf"^#define {name}\b", rf"/** {words} */\n\g<0>", text, flags=re.M)
    return f"/** @file\n{linked(HEADER.head)} */\n{text}"


def cpp_header(head, text):
    text = text.replace("::ffff:", "\\::ffff:")
    # Specializations of the standard library's templates, which Doxygen cannot place.
    text = re.sub(r"^template <> struct std::[^\n]*(?:\{\};|.*?^\};)$", "", text, flags=re.M | re.S)
    head = re.sub(r"^(?! {4})(.*)$", lambda found: found[1].replace("<", "\\<"), plain(head[2:-2]), flags=re.M)
    return f"/** @file\n{linked(head)} */{text}"


def anchor(page, title=""):
    """The label of a page, or of the section that GitHub links to as `title`."""
    return "page_" + re.sub(r"\W", "_", f"{page.removesuffix('.md').lower()}_{title}".rstrip("_"))


def document(page, text):
    """A document, with labels and links of Doxygen."""

    def heading(found):
        title = re.sub(r"[^\w\- ]", "", found[2].lower()).replace(" ", "-")
        return f"{found[1]} {found[2]} {{#{anchor(page, '' if found[1] == '#' else title)}}}"

    def target(found):
        file, _, title = found[2].partition("#")
        if re.match(r"[a-z]+:", found[2]):
            return found[0]
        name = re.sub(r"^(docs|\.\.)/", "", file) or page
        return f"[{found[1]}](@ref {anchor(name, title)})" if name in PAGES else found[1]

    def code(found):
        name = found[1]
        if name.startswith("::"):  # an IPv6 address
            return f"<tt>\\{name}</tt>"
        return f'<tt>@ref {name} "{name}"</tt>' if name in FUNCTIONS | TYPES | HEADER.constants else found[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    for at in range(0, len(parts), 2):
        part = re.sub(r"(?<!!)\[([^]]+)\]\(([^)\s]+)\)", target, parts[at])
        part = re.sub(r"(?<!\[)`([^`\n]+)`(?!\])", code, part)
        part = re.sub(r"\*\*`([^`]+)`\*\*", r"<b><tt>\1</tt></b>", part)
        parts[at] = re.sub(r"^(#+) (.*)$", heading, part, flags=re.M).replace("](docs/performance.svg)", "](performance.svg)")
    for at in range(1, len(parts), 2):
        parts[at] = parts[at].replace("```c fragment", "```c", 1)
    return "".join(parts)


def front(text):
    lines = []
    for title, functions in HEADER.chapters:
        names = ", ".join(f"{function.name}()" for function in functions)
        lines.append(f'- @ref {module(title)} "{title.capitalize()}": {names}')
    return text.replace("@CHAPTERS@", "\n".join(lines))


def main(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "front.md":
        return front(text)
    if path.suffix == ".md":
        return document(path.name, text)
    head = re.match(r"/\*.*?\*/", text, re.S)[0]
    return c_header(text[len(head) :]) if path.suffix == ".h" else cpp_header(head, text[len(head) :])


print(main(pathlib.Path(sys.argv[1])))
