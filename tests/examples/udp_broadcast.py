"""udp_broadcast.py PROGRAM: the broadcaster, with the broadcast address of the loopback device, and a Python socket."""

import signal
import sys

from harness import (
    bound_socket,
    case,
    end_with_signal,
    equal,
    listening_port,
    main,
    prints_usage,
    read_line_starting,
    running,
)

PROGRAM = sys.argv[1]


def free_port():
    peer, port = bound_socket()
    peer.close()
    return port


@case
def receives_its_own_pings_and_counts_replies():
    port = free_port()
    peer, peer_port = bound_socket()
    with peer, running(PROGRAM, str(port), "127.255.255.255") as program:
        equal(port, listening_port(program))
        ping = read_line_starting(program, "SEND PING ")
        equal(f"{ping} from 127.0.0.1:{port}", read_line_starting(program, "RECV PING "))
        equal(f"{ping} from 127.0.0.1:{port}: 1 so far", read_line_starting(program, "RECV PONG "))
        peer.sendto(f"PONG {ping}".encode(), ("127.0.0.1", port))
        equal(f"{ping} from 127.0.0.1:{peer_port}: 2 so far", read_line_starting(program, "RECV PONG "))
        process, number = ping.split("-")
        equal(f"{process}-{int(number) + 1}", read_line_starting(program, "SEND PING "))  # a second later
        end_with_signal(program, signal.SIGINT)


@case
def replies_to_a_ping_with_its_id():
    port = free_port()
    peer, peer_port = bound_socket()
    with peer, running(PROGRAM, str(port), "127.255.255.255") as program:
        equal(port, listening_port(program))
        for junk in (b"", b"PING", b"PONG 1-1", b"hello", bytes(range(256))):
            peer.sendto(junk, ("127.0.0.1", port))
        peer.sendto(b"PING 1-77", ("127.0.0.1", port))
        equal((b"PONG 1-77", ("127.0.0.1", port)), peer.recvfrom(65536))
        while (line := read_line_starting(program, "RECV PING ")) != f"1-77 from 127.0.0.1:{peer_port}":
            assert line.endswith(f"from 127.0.0.1:{port}"), line  # its own ping


@case
def wrong_arguments_get_the_usage():
    wrong = (["0"], ["65536"], ["x"], [""], ["8555", "localhost"], ["8555", "127.255.255.255", "x"])
    prints_usage(PROGRAM, "usage: udp_broadcast [PORT [ADDRESS]]   ", wrong)


main()
