"""python -m udpr.twisted PROGRAM [ARGUMENT...]: runs a program for Twisted, unmodified, on udpr's reactor."""

from __future__ import annotations

import pathlib
import runpy
import sys

from udpr.twisted import install


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    del sys.argv[0]
    sys.path[0] = str(pathlib.Path(sys.argv[0]).resolve().parent)
    install()
    runpy.run_path(sys.argv[0], run_name="__main__")


main()
