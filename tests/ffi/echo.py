"""echo.py LANGUAGE LIBRARY HEADER: the same echo program in each language, with the shared library.

Each program (NAME_echo.*) listens on a port of 127.0.0.1 and echoes what it receives, except for three words:

  thread   the reply is the status that another thread gets for stopping the reactor
  raise    the callback raises an error of the language, which ends the run, and the run raises it again
  stop     ends the run

SIGINT also ends the run. The program prints a line for each property of the library that a binding depends on; see LINES.
"""

import functools
import importlib.util
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

from harness import Skip, case, equal, main, read_line_starting, running

LANGUAGE, LIBRARY, HEADER = sys.argv[1:]
HERE = pathlib.Path(__file__).parent
WORK = pathlib.Path(LIBRARY).parent / "ffi"
NPM = HERE.parents[1] / "build" / "npm" / "node_modules"
IN_TIME = 20  # seconds
LINES = """\
run: {}
user freed: 1
a stopped transport: UDPR_E_CLOSED
without its reactor: UDPR_E_CLOSED
released by {}
"""


def tool(name):
    found = shutil.which(name)
    if not found:
        raise Skip(f"no {name} here (scripts/setup ffi)")
    return found


def python_ctypes():
    return [sys.executable, HERE / "ctypes_echo.py", LIBRARY]


def python_cffi():
    """Uses this Python, or the system's, for which distributions package cffi."""
    if importlib.util.find_spec("cffi"):
        return [sys.executable, HERE / "cffi_echo.py", LIBRARY, HEADER]
    system = "/usr/bin/python3"
    if subprocess.run([system, "-c", "import cffi"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no cffi for this Python, nor for the system's (scripts/setup ffi)")
    return [system, HERE / "cffi_echo.py", LIBRARY, HEADER]


def luajit():
    return [tool("luajit"), HERE / "luajit_echo.lua", LIBRARY, HEADER]


def ruby():
    return [tool("ruby"), HERE / "ruby_echo.rb", LIBRARY]


def node():
    command = [tool("node"), HERE / "node_echo.js", LIBRARY]
    os.environ.setdefault("NODE_PATH", str(NPM))
    if subprocess.run([command[0], "-e", "require('koffi')"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("node finds no koffi (scripts/setup ffi)")
    return command


@functools.cache
def go():
    program, libraries = WORK / "go_echo", pathlib.Path(LIBRARY).parent
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOTOOLCHAIN": "local",
        "GOPATH": str(WORK / "go"),
        "GOCACHE": str(WORK / "go-cache"),
        "CGO_ENABLED": "1",
        "CGO_CFLAGS": f"-I{HERE.parents[1] / 'include'} -Wall -Werror",
        "CGO_LDFLAGS": f"-L{libraries} -ludpr -Wl,-rpath,{libraries}",
    }
    build = [tool("go"), "build", "-o", str(program), str(HERE / "go_echo.go")]
    ended = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    equal((0, ""), (ended.returncode, ended.stderr))
    return [program]


# By language: the command, and what releases the transport at the end.
PROGRAMS = {
    "ctypes": (python_ctypes, "a finalizer"),
    "cffi": (python_cffi, "a finalizer"),
    "luajit": (luajit, "a finalizer"),
    "node": (node, "another thread"),
    "go": (go, "a finalizer"),
    "ruby": (ruby, "a finalizer"),
}


class Echo:
    """A running program, and a socket that is connected to it."""

    def __enter__(self):
        command, self.releaser = PROGRAMS[LANGUAGE]
        self._running = running(*command())
        self.program = self._running.__enter__()
        equal("UDPR_E_INVALID_ADDRESS, user freed: 1", read_line_starting(self.program, "a failed listen: "))
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.settimeout(IN_TIME)
        self.peer.connect(("127.0.0.1", int(read_line_starting(self.program, "listening on 127.0.0.1:"))))
        return self

    def __exit__(self, *error):
        self.peer.close()
        return self._running.__exit__(*error)

    def ask(self, data):
        self.peer.send(data)
        return self.peer.recv(65536)

    def ends(self, outcome):
        """The program ends by itself, and has printed all lines."""
        out, err = self.program.communicate(timeout=IN_TIME)
        equal("", err)
        equal(LINES.format(outcome, self.releaser), out)
        equal(0, self.program.returncode)


@case
def echoes_and_is_freed_once():
    with Echo() as echo:
        for data in (b"Hello World!\n", b"", bytes(range(256)), b"\0" * 65507, "h\u00e9".encode()):
            equal(data, echo.ask(data))
        echo.peer.send(b"stop")
        echo.ends("UDPR_OK")


@case
def echoes_bursts_in_order():
    with Echo() as echo:
        for first in range(0, 2000, 50):
            burst = [b"%d" % number for number in range(first, first + 50)]
            for data in burst:
                echo.peer.send(data)
            equal(burst, [echo.peer.recv(100) for _ in burst])
        echo.peer.send(b"stop")
        echo.ends("UDPR_OK")


@case
def a_call_on_another_thread_returns_wrong_thread():
    with Echo() as echo:
        equal(b"UDPR_E_WRONG_THREAD", echo.ask(b"thread"))
        equal(b"still there", echo.ask(b"still there"))
        echo.peer.send(b"stop")
        echo.ends("UDPR_OK")


@case
def an_error_in_a_callback_is_raised_by_the_run():
    with Echo() as echo:
        equal(b"before", echo.ask(b"before"))
        echo.peer.send(b"raise")
        echo.ends("raised boom")


@case
def a_signal_ends_it():
    with Echo() as echo:
        equal(b"it runs", echo.ask(b"it runs"))
        echo.program.send_signal(signal.SIGINT)
        echo.ends("UDPR_OK")


WORK.mkdir(exist_ok=True)
main()
