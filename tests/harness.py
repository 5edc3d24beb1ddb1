"""What the tests of the example programs share: cases, a program to talk to, and nc.

Each case prints `ok NAME`, `not ok NAME: why` or `skip NAME # why`; the last line counts them.
"""

import contextlib
import signal
import socket
import subprocess
import sys

PATIENCE = 60  # seconds a case may take; the build that scripts/run may do is the longest
_cases = []


class Skip(Exception):
    """Raised by a case that cannot run here."""


def case(function):
    _cases.append(function)
    return function


def main():
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    for function in _cases:
        outcome, text = _run(function)
        counts[outcome] += 1
        print(outcome, function.__name__ + text, flush=True)
    print("{} passed, {} failed, {} skipped".format(*counts.values()))
    sys.exit(1 if counts["not ok"] else 0)


def _run(function):
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(PATIENCE)
    try:
        function()
        return "ok", ""
    except Skip as why:
        return "skip", f" # {why}"
    except Exception as error:  # whatever goes wrong is the case's failure
        return "not ok", f": {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def _too_late(*_):
    raise TimeoutError(f"not done after {PATIENCE} s")


def equal(expected, actual):
    if expected != actual:
        raise AssertionError(f"{actual!r}, not {expected!r}")


@contextlib.contextmanager
def running(*command, environment=None):
    """A started program, killed at the end if it still runs then."""
    program = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    with program:
        try:
            yield program
        finally:
            program.kill()


def line_starting(program, start):
    """Reads the program's lines up to the one that starts so, and gives what follows there."""
    for line in program.stdout:
        if line.startswith(start):
            return line[len(start) :].rstrip("\n")
    raise AssertionError(f"ended without the line {start!r}: {program.stderr.read()}")


def listening_port(program):
    return int(line_starting(program, "listening on 0.0.0.0:"))


def ends_cleanly(program, number):
    """The signal ends the program with exit code 0 and without complaint. Gives what it still printed."""
    program.send_signal(number)
    out, err = program.communicate()
    equal("", err)
    equal(0, program.returncode)
    return out


def nc(port):
    """What the seeds' line gets back."""
    line = f'echo "Hello World!" | nc -4u -w1 localhost {port}'
    return subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout


def udp_socket():
    """A socket on a port of its own, and that port."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    return peer, peer.getsockname()[1]


_dead = []


def dead_port(family=socket.AF_INET, host="127.0.0.1"):
    """A port that is nobody's until this process ends: its socket is connected to itself, and so hears nobody else."""
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.bind((host, 0))
    peer.connect(peer.getsockname())
    _dead.append(peer)
    return peer.getsockname()[1]


def need_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            raise Skip(f"port {port}: {error.strerror}") from None
