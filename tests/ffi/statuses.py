"""statuses.py LIBRARY DOCUMENT [--write]: the table of statuses in docs/ffi.md agrees with the library.

With --write the table is updated.
"""

import ctypes
import errno
import pathlib
import re
import sys

from harness import case, equal, main

udpr = ctypes.CDLL(sys.argv[1])
DOCUMENT = pathlib.Path(sys.argv[2])
HEADER = pathlib.Path(__file__).parents[2] / "include" / "udpr" / "udpr.h"
TABLE = re.compile(r"^\| number \|.*\n(?:\|.*\n)+", re.M)

udpr.udpr_status_name.restype = udpr.udpr_status_message.restype = ctypes.c_char_p


def declared():
    """Returns the name and the number of each status in the header."""
    enum = re.search(r"enum udpr_status_code \{(.*?)\n\}", HEADER.read_text(encoding="utf-8"), re.S).group(1)
    return [(name, int(number)) for name, number in re.findall(r"^  (UDPR_\w+) = (-?\d+),?$", enum, re.M)]


def errno_name(code):
    """Returns the name that the header uses, since the system may have two names for one number."""
    spellings = [name for name, number in vars(errno).items() if number == code and name.startswith("E")]
    return next((name for name in spellings if re.search(rf"\b{name}\b", HEADER.read_text(encoding="utf-8"))), "")


def row(name, number):
    meaning = udpr.udpr_status_message(number).decode()
    return f"| {number} | `{name}` | {errno_name(udpr.udpr_status_errno(number))} | {meaning} |\n"


def table():
    head = "| number | name | errno | message |\n|---:|---|---|---|\n"
    return head + "".join(row(name, number) for name, number in declared())


@case
def the_library_knows_every_status_by_the_headers_name():
    assert len(declared()) > 30
    for name, number in declared():
        equal(name, udpr.udpr_status_name(number).decode())


@case
def the_document_has_the_table():
    found = TABLE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found and found.group() == table(), f"not current: python3 {' '.join(sys.argv)} --write"


if sys.argv[3:] == ["--write"]:
    written, count = TABLE.subn(lambda _: table(), DOCUMENT.read_text(encoding="utf-8"))
    equal(1, count)
    DOCUMENT.write_text(written, encoding="utf-8")
else:
    main()
