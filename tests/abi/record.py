"""note.py [--break]: writes what tests/abi/promise.py compares with; see scripts/abi."""

import pathlib
import re
import shutil
import sys
import tempfile

from surface import HEADER, PROMISED, SYMBOLS, breaks, dump, functions


def main(allowed):
    text = HEADER.read_text(encoding="utf-8")
    names = {re.search(r"(udpr_\w+)\(", function)[1] for function in functions(text)}
    symbols = {f"{name}@@UDPR_0.1" for name in names}
    with tempfile.TemporaryDirectory() as directory:
        broken = "" if allowed else broken_by(text, symbols, pathlib.Path(directory))
        if broken:
            sys.exit(broken + "This breaks programs. Nothing was written; see scripts/abi --help.")
        shutil.copyfile(dump(text, pathlib.Path(directory)), PROMISED)
    SYMBOLS.write_text("".join(f"{name}\n" for name in sorted(symbols)), encoding="utf-8")


def broken_by(text, symbols, directory):
    if not PROMISED.exists():
        return ""
    gone = set(SYMBOLS.read_text(encoding="utf-8").split()) - symbols
    return breaks(PROMISED, text, directory) + "".join(f"gone: {name}\n" for name in sorted(gone))


main(sys.argv[1:] == ["--break"])
