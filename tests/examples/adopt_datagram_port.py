"""adopt_datagram_port.py PROGRAM: the echo server on a socket that the program has created itself."""

import signal
import sys

from harness import (
    bound_socket,
    case,
    end_with_signal,
    equal,
    main,
    netcat_reply,
    prints_usage,
    read_line_starting,
    run,
    running,
    skip_unless_free,
)

PROGRAM = sys.argv[1]
LISTENING = "listening on 127.0.0.1:"


@case
def replies_to_netcat_on_port_9999():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal("9999", read_line_starting(program, LISTENING))
        equal("Hello World!\n", netcat_reply(9999))
        equal("", end_with_signal(program, signal.SIGINT))


@case
def echoes_several_datagrams():
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        host = ("127.0.0.1", int(read_line_starting(program, LISTENING)))
        for data in (b"", b"one", bytes(65507)):
            peer.sendto(data, host)
            equal((data, host), peer.recvfrom(65536))
        equal("", end_with_signal(program, signal.SIGTERM))


@case
def port_in_use_is_one_clear_line():
    other, port = bound_socket()
    with other:
        ended = run(PROGRAM, str(port))
    equal((1, ""), (ended.returncode, ended.stdout))
    equal("adopt_datagram_port: cannot bind a socket: Address already in use\n", ended.stderr)


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: adopt_datagram_port [PORT]", (["65536"], ["-1"], [""], ["5x"], ["1", "2"]))


main()
