"""Reads the tables of docs whose last column names the tests of each row, as `c/watch.c tcp, null_is_rejected`."""

import pathlib
import re

TESTS = pathlib.Path(__file__).parent
DOCS = TESTS.parent / "docs"


def rows(page):
    """Returns the cells of each row of the tables with a column "test"."""
    text, found = (DOCS / page).read_text(encoding="utf-8"), []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        if head[-1] == "test":
            assert all(len(line) == len(head) for line in lines), (page, head)
            found += lines
    return found


def tests(row):
    """Returns the file and the name of each test in a row."""
    return [(file, name) for file, names in re.findall(r"`([\w/]+\.\w+) ([\w, ]+)`", row[-1]) for name in names.split(", ")]


def exists(program, name):
    """Whether the file has that test: TEST(name) in C and C++, a case in Python, a test in Rust."""
    file = TESTS / program
    if not file.is_file():
        return False
    patterns = {".py": rf"@case\ndef {name}\(", ".rs": rf"#\[test\]\s+fn {name}\("}
    return bool(re.search(patterns.get(file.suffix, rf"^(?:TEST|CASE)\({name}\)"), file.read_text(encoding="utf-8"), re.M))
