"""daemon.py PROGRAM: the daemon that sends a quote, which it reads again on SIGHUP."""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

from harness import Skip, bound_socket, case, equal, main, need, prints_usage, run, tool

PROGRAM = sys.argv[1]
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNET, SO_RCVBUFFORCE = 0x40000000, 33
LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def daemon(quote=b"Hello World!\n", stop=True):
    """Yields the process number of a daemon, its port and its file, and sends it SIGTERM. Its exit code has to be 0."""
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
            if stop:
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


@contextlib.contextmanager
def slow_network():
    """Moves this process into a namespace whose device `slow` sends almost nothing, and yields a socket at its other end."""
    need("tc", "iproute2")
    if LIBC.unshare(CLONE_NEWNET):
        raise Skip(f"unshare: {os.strerror(ctypes.get_errno())}")
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b"x")
        other.stdin.flush()
        other.stdout.read(1)  # it is in its namespace now
        inside = ("nsenter", "--net", "--target", str(other.pid))
        tool("ip", "link", "add", "slow", "type", "veth", "peer", "name", "end", "netns", str(other.pid))
        for command, name, address in (((), "slow", "10.0.0.1/24"), (inside, "end", "10.0.0.2/24")):
            tool(*command, "ip", "address", "add", address, "dev", name)
            tool(*command, "ip", "link", "set", name, "up")
        tool("ip", "link", "set", "lo", "up")
        with socket_in(other.pid) as peer:
            peer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)  # it loses nothing on a busy machine
            yield peer
        other.stdin.close()


def socket_in(pid):
    """Returns a socket in the network namespace of a process."""
    here, there = (os.open(f"/proc/{process}/ns/net", os.O_RDONLY) for process in ("self", pid))
    try:
        LIBC.setns(there, CLONE_NEWNET)
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    finally:
        LIBC.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def unread_bytes(port):
    """Returns what waits in the sockets of this port, and how many datagrams the kernel has dropped there."""
    lines = [line.split() for line in pathlib.Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]]
    sockets = [line for line in lines if int(line[1].split(":")[1], 16) == port]
    return sum(int(line[4].split(":")[1], 16) for line in sockets), sum(int(line[12]) for line in sockets)


@case
def replies_that_wait_for_a_full_socket_are_sent_before_it_ends():
    rounds, each = 10, 100  # more than the socket holds, in portions that it does hold
    limit = ("tbf", "burst", "2000", "limit", "10000000", "rate")
    with slow_network() as peer, daemon(b"x" * 512, stop=False) as (pid, port, _):
        peer.sendto(b"", ("10.0.0.1", port))
        equal(512, len(peer.recv(2000)))  # the hosts know each other's hardware address now
        tool("tc", "qdisc", "add", "dev", "slow", "root", *limit, "8bit")
        for _ in range(rounds):
            for _ in range(each):
                peer.sendto(b"", ("10.0.0.1", port))
            while (unread := unread_bytes(port)) != (0, 0):
                equal(0, unread[1])
        os.kill(pid, signal.SIGTERM)
        tool("tc", "qdisc", "change", "dev", "slow", "root", *limit, "100mbit")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
            another.sendto(b"", ("10.0.0.2", 9))  # the new rate counts from the next datagram on
        for _ in range(rounds * each):
            equal(512, len(peer.recv(2000)))


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


LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the daemons become children of this process
main()
