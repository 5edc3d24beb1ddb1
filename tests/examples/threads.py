"""threads.py PROGRAM: slow requests that are processed in parallel with others."""

import signal
import sys

from harness import bound_socket, case, end_with_signal, equal, listening_port, main, running, skip_unless_free

PROGRAM = sys.argv[1]


def connected_socket(port):
    peer, _ = bound_socket()
    peer.connect(("127.0.0.1", port))
    return peer


@case
def replies_on_port_9999():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal(9999, listening_port(program))
        with connected_socket(9999) as peer:
            peer.send(b"1000000\n")
            equal(b"78498 primes below 1000000\n", peer.recv(100))
        end_with_signal(program, signal.SIGINT)


@case
def a_quick_request_does_not_wait_for_a_slow_one():
    with running(PROGRAM, "0") as program, connected_socket(listening_port(program)) as peer:
        peer.send(b"3000000")
        peer.send(b"10")
        equal(b"4 primes below 10\n", peer.recv(100))
        equal(b"216816 primes below 3000000\n", peer.recv(100))


@case
def many_clients_receive_their_own_replies():
    with running(PROGRAM, "0") as program:
        port = listening_port(program)
        peers = [connected_socket(port) for _ in range(50)]
        for i, peer in enumerate(peers):
            peer.send(b"%d" % (3 + 2 * (i % 2)))
        for i, peer in enumerate(peers):
            with peer:
                equal(b"2 primes below 5\n" if i % 2 else b"1 primes below 3\n", peer.recv(100))


@case
def invalid_numbers_get_no_reply():
    with running(PROGRAM, "0") as program, connected_socket(listening_port(program)) as peer:
        for junk in (b"", b"x", b"-5", b"5x", b"10000001", b"99999999999999999999", b"1" * 500):
            peer.send(junk)
        peer.send(b"2")
        equal(b"0 primes below 2\n", peer.recv(100))


@case
def ctrl_c_stops_it_during_work():
    with running(PROGRAM, "0") as program, connected_socket(listening_port(program)) as peer:
        peer.send(b"3000000")
        peer.send(b"10")
        equal(b"4 primes below 10\n", peer.recv(100))
        end_with_signal(program, signal.SIGINT)


main()
