"""readme.py LIBRARY_DIR: the README's program, compiled as described there, with the libudpr.so in LIBRARY_DIR."""

import signal
import sys
import tempfile

from docs_compile import ROOT, blocks, build
from harness import case, end_with_signal, equal, first_echo, main, running, skip_unless_free

LIBRARY_DIR = sys.argv[1]


@case
def program_compiles_and_echoes():
    skip_unless_free(9999)
    source = next(block.text for block in blocks(ROOT / "README.md") if block.language == "c")
    with tempfile.TemporaryDirectory() as directory:
        with running(build(source, directory, LIBRARY_DIR)) as echo:
            equal(b"hello", first_echo(echo, b"hello"))
            end_with_signal(echo, signal.SIGINT)


main()
