"""The test harness of all tests in Python: cases, programs that are tested, and sockets to talk to them.

Each case prints `ok NAME`, `not ok NAME: why` or `skip NAME # why`; the last line counts them.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys

TIMEOUT = 60  # seconds for each case
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
    signal.signal(signal.SIGALRM, _time_out)
    signal.alarm(TIMEOUT)
    try:
        function()
        return "ok", ""
    except Skip as why:
        return "skip", f" # {why}"
    except Exception as error:
        return "not ok", f": {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def _time_out(*_):
    raise TimeoutError(f"not done after {TIMEOUT} s")


def equal(expected, actual):
    if expected != actual:
        raise AssertionError(f"{actual!r}, not {expected!r}")


def need(name, package):
    if not shutil.which(name):
        raise Skip(f"no {name} ({package})")


def run(*command, **options):
    """Runs a command to its end. Returns its output and exit code."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def tool(*command, **options):
    """Runs a command, which has to succeed, and returns its output."""
    ended = run(*command, **options)
    if ended.returncode:
        raise AssertionError(f"{command}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def prints_usage(program, usage, argument_lists):
    """The program rejects each of these lists of arguments: it prints the usage, which begins so, and exits with 2."""
    for arguments in argument_lists:
        ended = run(program, *arguments)
        equal((2, ""), (ended.returncode, ended.stdout))
        equal(usage, ended.stderr[: len(usage)])


@contextlib.contextmanager
def running(*command, environment=None):
    """Starts a program, and kills it at the end of the block if it still runs."""
    program = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    with program:
        try:
            yield program
        finally:
            program.kill()


def read_line_starting(program, start):
    """Reads lines of the program up to one that begins with `start`, and returns the rest of that line."""
    for line in program.stdout:
        if line.startswith(start):
            return line[len(start) :].rstrip("\n")
    raise AssertionError(f"ended without the line {start!r}: {program.stderr.read()}")


def listening_port(program):
    return int(read_line_starting(program, "listening on 0.0.0.0:"))


def end_with_signal(program, number):
    """Sends a signal, which has to end the program with exit code 0 and no error output. Returns its remaining output."""
    program.send_signal(number)
    out, err = program.communicate()
    equal("", err)
    equal(0, program.returncode)
    return out


def netcat_reply(port):
    """Sends a line with netcat and returns the reply."""
    line = f'echo "Hello World!" | nc -4u -w1 localhost {port}'
    return subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout


def first_echo(program, data):
    """Sends to port 9999 until the program listens; before that, the kernel refuses the datagrams. Returns the reply."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(("127.0.0.1", 9999))
        while program.poll() is None:
            try:
                peer.send(data)
                return peer.recv(65536)
            except ConnectionRefusedError:
                continue
    raise AssertionError(f"ended: {program.stderr.read()}")


def bound_socket():
    """Returns a socket that is bound to a free port, and that port."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    return peer, peer.getsockname()[1]


_sockets_of_refusing_ports = []


def refusing_port(family=socket.AF_INET, host="127.0.0.1"):
    """Returns a port that refuses all datagrams until this process ends: its socket is connected to itself."""
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.bind((host, 0))
    peer.connect(peer.getsockname())
    _sockets_of_refusing_ports.append(peer)
    return peer.getsockname()[1]


def skip_unless_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            raise Skip(f"port {port}: {error.strerror}") from None
