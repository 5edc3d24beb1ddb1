"""basic_example.py PROGRAM: the basic echo server, with real sockets and with netcat."""

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
RECEIVED = 'received "Hello World!\\n" from 127.0.0.1:'


@case
def replies_to_netcat_on_port_9999():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal(9999, listening_port(program))
        equal("Hello World!\n", netcat_reply(9999))
        assert 0 < int(read_line_starting(program, RECEIVED)) < 65536


@case
def prints_data_and_sender():
    escaped = {
        b"Hello World!\n": r"Hello World!\n",
        b"": "",
        b'\t\r"\\%s': r"\t\r\"\\%s",
        bytes([0, 7, 31, 127, 128, 255]): r"\x00\x07\x1f\x7f\x80\xff",
        "h\u00e9".encode(): r"h\xc3\xa9",
    }
    peer, peer_port = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        for data, text in escaped.items():
            peer.sendto(data, ("127.0.0.1", port))
            equal((data, ("127.0.0.1", port)), peer.recvfrom(65536))
            equal(f'received "{text}" from 127.0.0.1:{peer_port}\n', program.stdout.readline())


@case
def echoes_the_longest_datagram():
    data = (bytes(range(256)) * 256)[:65507]
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        peer.sendto(data, ("127.0.0.1", port))
        assert len(program.stdout.readline()) > 65507  # more than a pipe holds, so the program waits for this read
        equal(data, peer.recv(65536))


@case
def ctrl_c_stops_it():
    stops_on(signal.SIGINT)


@case
def sigterm_stops_it():
    stops_on(signal.SIGTERM)


def stops_on(number):
    """Waits for an echo first: the program listens before it runs, and only a running reactor handles signals."""
    peer, peer_port = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        peer.sendto(b"x", ("127.0.0.1", listening_port(program)))
        equal(b"x", peer.recv(65536))
        equal(f'received "x" from 127.0.0.1:{peer_port}\nstopped\n', end_with_signal(program, number))


@case
def port_in_use_is_one_clear_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        port = other.getsockname()[1]
        ended = run(PROGRAM, str(port))
    equal(1, ended.returncode)
    equal("", ended.stdout)
    start = f"basic_example: cannot listen on port {port}: UDPR_E_ADDRESS_IN_USE: "
    equal(start, ended.stderr[: len(start)])
    assert len(ended.stderr) > len(start) + 1 and ended.stderr.count("\n") == 1, ended.stderr


@case
def wrong_arguments_get_the_usage():
    wrong = (["65536"], ["-1"], ["+5"], [" 5"], [""], ["5x"], ["99999999999999999999"], ["1", "2"])
    prints_usage(PROGRAM, "usage: basic_example [PORT]", wrong)


main()
