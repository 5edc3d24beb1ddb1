"""tables.py: tables of docs whose last column names the tests of each row: `c/watch.c tcp, null_is_told`."""

import pathlib
import re

TESTS = pathlib.Path(__file__).parent
DOCS = TESTS.parent / "docs"


def rows(page):
    """The cells of each line of the tables that have a column "test"."""
    text, found = (DOCS / page).read_text(encoding="utf-8"), []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        if head[-1] == "test":
            assert all(len(line) == len(head) for line in lines), (page, head)
            found += lines
    return found


def tests(row):
    """File and name of each test that a row names."""
    return [(file, name) for file, names in re.findall(r"`([\w/]+\.\w+) ([\w, ]+)`", row[-1]) for name in names.split(", ")]


def exists(program, name):
    """C and C++: TEST(name); Python: a case; Rust: a test."""
    file = TESTS / program
    if not file.is_file():
        return False
    patterns = {".py": rf"@case\ndef {name}\(", ".rs": rf"#\[test\]\s+fn {name}\("}
    return bool(re.search(patterns.get(file.suffix, rf"^(?:TEST|CASE)\({name}\)"), file.read_text(encoding="utf-8"), re.M))
