"""record.py [--break]: records the present ABI, with which tests/abi/stability.py compares later ones; see scripts/abi."""

import pathlib
import re
import shutil
import sys
import tempfile

from abi_dump import HEADER, RECORD, SYMBOLS, breaks, dump, functions


def main(allowed):
    text = HEADER.read_text(encoding="utf-8")
    names = {re.search(r"(udpr_\w+)\(", function)[1] for function in functions(text)}
    symbols = {f"{name}@@UDPR_0.1" for name in names}
    with tempfile.TemporaryDirectory() as directory:
        broken = "" if allowed else broken_by(text, symbols, pathlib.Path(directory))
        if broken:
            sys.exit(broken + "This breaks programs. Nothing was written; see scripts/abi --help.")
        shutil.copyfile(dump(text, pathlib.Path(directory)), RECORD)
    SYMBOLS.write_text("".join(f"{name}\n" for name in sorted(symbols)), encoding="utf-8")


def broken_by(text, symbols, directory):
    if not RECORD.exists():
        return ""
    gone = set(SYMBOLS.read_text(encoding="utf-8").split()) - symbols
    return breaks(RECORD, text, directory) + "".join(f"gone: {name}\n" for name in sorted(gone))


main(sys.argv[1:] == ["--break"])
