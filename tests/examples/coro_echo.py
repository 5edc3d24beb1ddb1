"""coro_echo.py PROGRAM: the echo server with coroutines, with real sockets and with netcat."""

import signal
import socket
import sys

from harness import (
    bound_socket,
    case,
    end_with_signal,
    equal,
    listening_port,
    main,
    netcat_reply,
    prints_usage,
    run,
    running,
    skip_unless_free,
)

PROGRAM = sys.argv[1]


@case
def replies_to_netcat_on_port_9999():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal(9999, listening_port(program))
        equal("Hello World!\n", netcat_reply(9999))


@case
def echoes_many_datagrams_in_order():
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        sent = [b"", b"abc", bytes(65507), *(str(number).encode() for number in range(20))]
        for data in sent:
            peer.sendto(data, ("127.0.0.1", port))
        equal(sent, [peer.recv(65536) for _ in sent])
        equal(f"stopped; datagrams: {len(sent)}\n", end_with_signal(program, signal.SIGINT))


@case
def stops_on_sigterm_with_a_datagram_in_flight():
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        peer.sendto(b"first", ("127.0.0.1", port))
        equal(b"first", peer.recv(100))
        peer.sendto(b"second", ("127.0.0.1", port))
        # The signal may be handled before the second datagram.
        assert end_with_signal(program, signal.SIGTERM) in ("stopped; datagrams: 1\n", "stopped; datagrams: 2\n")


@case
def port_in_use_is_one_clear_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        ended = run(PROGRAM, str(other.getsockname()[1]))
    equal((1, ""), (ended.returncode, ended.stdout))
    equal("coro_echo: udpr::reactor::listen_udp: another socket", ended.stderr[:52])
    equal(1, ended.stderr.count("\n"))


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: coro_echo [PORT]", (["65536"], ["-1"], [""], ["1", "2"]))


main()
