"""readme.py LIBRARY_DIR: the README's program, compiled as the README says, against the libudpr.so there."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

from harness import case, ends_cleanly, equal, main, need_free, running

ROOT = pathlib.Path(__file__).parents[2]
LIBRARY_DIR = sys.argv[1]
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@case
def program_compiles_and_echoes():
    need_free(9999)
    source = re.search(r"^```c\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S).group(1)
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "echo")
        command = [os.environ.get("CC", "cc"), *FLAGS, f"-I{ROOT}/include", "-x", "c", "-", "-o", program]
        link = [f"-L{LIBRARY_DIR}", "-ludpr", f"-Wl,-rpath,{LIBRARY_DIR}"]
        subprocess.run(command + link, input=source, text=True, check=True)
        with running(program) as echo:
            equal(b"hello", first_answer(echo, b"hello"))
            ends_cleanly(echo, signal.SIGINT)


def first_answer(program, data):
    """It says nothing when it starts: until then the kernel refuses what is sent."""
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
