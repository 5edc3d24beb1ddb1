"""errors.py PROGRAM: the replies and errors of several peers."""

import signal
import socket
import sys

from harness import bound_socket, case, end_with_signal, equal, main, refusing_port, run, running

PROGRAM = sys.argv[1]


@case
def each_address_gets_its_own_line():
    v4, v6 = refusing_port(), refusing_port(socket.AF_INET6, "::1")
    peer, port = bound_socket()
    with peer, running(PROGRAM, f"127.0.0.1:{v4}", f"127.0.0.1:{port}", f"[::1]:{v6}") as program:
        data, sender = peer.recvfrom(100)
        equal(b"hello", data)
        lines = {program.stdout.readline(), program.stdout.readline()}
        refused = "UDPR_E_CONNECTION_REFUSED, reported by"
        expected = {
            f'127.0.0.1:{v4}: {refused} 127.0.0.1 (ICMP type 3 code 3) for "hello"\n',
            f'[::1]:{v6}: {refused} ::1 (ICMPv6 type 1 code 4) for "hello"\n',
        }
        equal(expected, lines)
        peer.sendto(b"here I am", ("127.0.0.1", sender[1]))
        equal(f'127.0.0.1:{port}: replied "here I am"\n', program.stdout.readline())
        equal("", end_with_signal(program, signal.SIGINT))


@case
def invalid_addresses_are_reported_at_once():
    peer, port = bound_socket()
    with peer, running(PROGRAM, "nowhere", "127.0.0.1:0", f"127.0.0.1:{port}") as program:
        for start in ("errors: nowhere: UDPR_E_INVALID_ADDRESS: ", "errors: 127.0.0.1:0: UDPR_E_INVALID_ARGUMENT: "):
            equal(start, program.stderr.readline()[: len(start)])
        # A reply shows that udpr_reactor_run has begun, which handles the signal.
        peer.sendto(b"now", ("127.0.0.1", peer.recvfrom(100)[1][1]))
        equal(f'127.0.0.1:{port}: replied "now"\n', program.stdout.readline())
        program.send_signal(signal.SIGINT)
        equal(0, program.wait())


@case
def without_arguments_it_prints_the_usage():
    ended = run(PROGRAM)
    equal((2, ""), (ended.returncode, ended.stdout))
    equal("usage: errors ADDRESS:PORT...", ended.stderr[:29])


main()
