"""coro_echo.py PROGRAM: the echo server as coroutines, through real sockets and a real nc."""

import signal
import socket
import subprocess
import sys

from harness import (
    bound_socket,
    case,
    end_with_signal,
    equal,
    listening_port,
    main,
    netcat_reply,
    running,
    skip_unless_free,
)

PROGRAM = sys.argv[1]


@case
def answers_nc_on_port_9999():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal(9999, listening_port(program))
        equal("Hello World!\n", netcat_reply(9999))


@case
def answers_many_side_by_side_and_in_order():
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        sent = [b"", b"abc", bytes(65507), *(str(number).encode() for number in range(20))]
        for data in sent:
            peer.sendto(data, ("127.0.0.1", port))
        equal(sent, [peer.recv(65536) for _ in sent])
        equal(f"stopped after {len(sent)} datagrams\n", end_with_signal(program, signal.SIGINT))


@case
def drops_what_waits_on_ctrl_c():
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        peer.sendto(b"first", ("127.0.0.1", port))
        equal(b"first", peer.recv(100))
        peer.sendto(b"second", ("127.0.0.1", port))
        # The signal may be seen before the second datagram.
        assert end_with_signal(program, signal.SIGTERM) in ("stopped after 1 datagrams\n", "stopped after 2 datagrams\n")


@case
def port_in_use_is_one_clear_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        ended = subprocess.run([PROGRAM, str(other.getsockname()[1])], capture_output=True, text=True, check=False)
    equal((1, ""), (ended.returncode, ended.stdout))
    equal("coro_echo: udpr::reactor::listen_udp: another socket", ended.stderr[:52])
    equal(1, ended.stderr.count("\n"))


@case
def wrong_arguments_get_the_usage():
    for arguments in (["65536"], ["-1"], [""], ["1", "2"]):
        ended = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
        equal((2, ""), (ended.returncode, ended.stdout))
        equal("usage: coro_echo [PORT]", ended.stderr[:23])


main()
