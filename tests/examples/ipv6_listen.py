"""ipv6_listen.py PROGRAM: the IPv6 echo server, with netcat and Python, over IPv6 and IPv4."""

import signal
import socket
import subprocess
import sys

from harness import (
    case,
    end_with_signal,
    equal,
    main,
    netcat_reply,
    prints_usage,
    read_line_starting,
    running,
    skip_unless_free,
)

PROGRAM = sys.argv[1]


def exchange(family, address):
    """Sends a datagram to the server, waits for the echo, and returns the sender's port."""
    with socket.socket(family, socket.SOCK_DGRAM) as peer:
        peer.settimeout(30)
        peer.connect((address, 9999))
        peer.send(b"hello")
        equal(b"hello", peer.recv(65536))
        return peer.getsockname()[1]


@case
def replies_to_netcat_over_both_versions():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        read_line_starting(program, "listening on [::]:9999")
        line = 'echo "Hello World!" | nc -6u -w1 ::1 9999'
        equal("Hello World!\n", subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout)
        assert 0 < int(read_line_starting(program, "received 13 bytes from [::1]:")) < 65536
        equal("Hello World!\n", netcat_reply(9999))
        assert read_line_starting(program, "received 13 bytes from 127.0.0.1:").endswith(" by IPv4")
        end_with_signal(program, signal.SIGINT)


@case
def prints_the_sender():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        read_line_starting(program, "listening on [::]:9999")
        port = exchange(socket.AF_INET6, "::1")
        equal(str(port), read_line_starting(program, "received 5 bytes from [::1]:"))
        port = exchange(socket.AF_INET, "127.0.0.1")
        equal(f"{port} by IPv4", read_line_starting(program, "received 5 bytes from 127.0.0.1:"))


@case
def a_specific_ipv6_address_receives_no_ipv4():
    skip_unless_free(9999)
    with running(PROGRAM, "::1") as program:
        read_line_starting(program, "listening on [::1]:9999")
        exchange(socket.AF_INET6, "::1")
        try:
            exchange(socket.AF_INET, "127.0.0.1")
        except ConnectionRefusedError:
            return
        raise AssertionError("there was a reply over IPv4")


@case
def wrong_arguments_get_the_usage():
    wrong = (["127.0.0.1"], ["localhost"], [""], ["fe80::1%nosuch0"], ["::", "::"])
    prints_usage(PROGRAM, "usage: ipv6_listen [ADDRESS]   ", wrong)


main()
