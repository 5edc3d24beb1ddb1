"""readme.py LIBRARY_DIR: the README's program, compiled as described there, with the libudpr.so in LIBRARY_DIR."""

import signal
import socket
import sys
import tempfile

from docs_compile import ROOT, blocks, build
from harness import case, end_with_signal, equal, main, running, skip_unless_free

LIBRARY_DIR = sys.argv[1]


@case
def program_compiles_and_echoes():
    skip_unless_free(9999)
    source = next(block.text for block in blocks(ROOT / "README.md") if block.language == "c")
    with tempfile.TemporaryDirectory() as directory:
        with running(build(source, directory, LIBRARY_DIR)) as echo:
            equal(b"hello", first_answer(echo, b"hello"))
            end_with_signal(echo, signal.SIGINT)


def first_answer(program, data):
    """Sends until the program listens; before that, the kernel refuses the datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(("127.0.0.1", 9999))
        while program.poll() is None:
            try:
                peer.send(data)
                return peer.recv(65536)
            except ConnectionRefusedError:
                continue
    raise AssertionError(f"ended: {program.stderr.read()}")


main()
