"""daemon.py PROGRAM: the daemon that sends a quote, which it reads again on SIGHUP."""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import sys
import tempfile

from harness import bound_socket, case, equal, main, prints_usage, run

PROGRAM = sys.argv[1]
PR_SET_CHILD_SUBREAPER = 36


@contextlib.contextmanager
def daemon(quote=b"Hello World!\n"):
    """Yields the process number of a daemon, its port and its file. It has to end with exit code 0 on SIGTERM."""
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "quote")
        file.write_bytes(quote)
        ended = run(PROGRAM, "quote", "0", cwd=directory)
        equal((0, ""), (ended.returncode, ended.stderr))
        line = re.fullmatch(r"listening on 0\.0\.0\.0:(\d+) as process (\d+)\n", ended.stdout)
        pid = int(line[2])
        try:
            quote_of(int(line[1]))  # it runs, and handles signals
            yield pid, int(line[1]), file
            os.kill(pid, signal.SIGTERM)
            equal((pid, 0), os.waitpid(pid, 0))
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise


def quote_of(port, host="127.0.0.1"):
    """Returns the quote that a new client gets. The kernel chooses the thread that sends it."""
    with bound_socket()[0] as peer:
        peer.connect((host, port))  # so that it receives only from this address
        peer.send(b"")
        return peer.recv(2000)


@case
def each_client_gets_the_quote_from_the_address_that_it_asked():
    with daemon() as (_, port, _):
        equal({b"Hello World!\n"}, {quote_of(port) for _ in range(100)})
        equal(b"Hello World!\n", quote_of(port, "127.0.0.7"))


@case
def every_thread_reads_the_file_again_on_sighup():
    with daemon() as (pid, port, file):
        for quote in (b"Good bye!\n", b"", b"x" * 512):
            file.write_bytes(quote)
            os.kill(pid, signal.SIGHUP)
            while {quote_of(port) for _ in range(50)} != {quote}:
                pass


@case
def the_former_quote_stays_if_the_file_is_gone():
    with daemon() as (pid, port, file):
        file.rename(file.with_suffix(".old"))
        os.kill(pid, signal.SIGHUP)
        equal({b"Hello World!\n"}, {quote_of(port) for _ in range(50)})
        file.write_bytes(b"back")
        os.kill(pid, signal.SIGHUP)
        while quote_of(port) != b"back":
            pass


@case
def it_leaves_the_terminal_and_has_a_thread_for_each_core():
    with daemon() as (pid, port, _):
        equal((pid, "/"), (os.getsid(pid), os.readlink(f"/proc/{pid}/cwd")))
        equal(["/dev/null"] * 3, [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)])
        equal(os.sysconf("SC_NPROCESSORS_ONLN") + 1, len(os.listdir(f"/proc/{pid}/task")))


@case
def errors_that_come_before_the_fork_are_printed():
    other, port = bound_socket()
    with other, tempfile.NamedTemporaryFile() as file:
        ended = run(PROGRAM, file.name, str(port))
        equal((1, ""), (ended.returncode, ended.stdout))
        assert ended.stderr.startswith("daemon: cannot listen: UDPR_E_ADDRESS_IN_USE: "), ended.stderr
        equal(1, ended.stderr.count("\n"))
    ended = run(PROGRAM, "/nosuch")
    equal((1, ""), (ended.returncode, ended.stdout))
    assert ended.stderr.startswith("daemon: /nosuch: UDPR_E_SYSTEM: "), ended.stderr


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: daemon FILE [PORT]   ", ([], ["file", "65536"], ["file", ""], ["file", "x"], ["file", "0", "x"]))


ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the daemons become children of this process
main()
