"""echo.py PROGRAM: the echo server in C++, with real sockets and with netcat."""

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
    read_line_starting,
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
        assert 0 < int(read_line_starting(program, "13 bytes from 127.0.0.1:")) < 65536


@case
def counts_until_ctrl_c():
    peer, peer_port = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        for data in (b"", b"abc", bytes(65507)):
            peer.sendto(data, ("127.0.0.1", port))
            equal(data, peer.recv(65536))
            equal(f"{len(data)} bytes from 127.0.0.1:{peer_port}\n", program.stdout.readline())
        equal("stopped; datagrams: 3\n", end_with_signal(program, signal.SIGINT))


@case
def port_in_use_is_one_clear_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        ended = run(PROGRAM, str(other.getsockname()[1]))
    equal((1, ""), (ended.returncode, ended.stdout))
    equal("echo: udpr::reactor::listen_udp: another socket", ended.stderr[:47])
    equal(1, ended.stderr.count("\n"))


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: echo [PORT]", (["65536"], ["-1"], ["+5"], [" 5"], [""], ["5x"], ["1", "2"]))


main()
