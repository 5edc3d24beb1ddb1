"""embed_glib.py PROGRAM: an echo server in a GLib main loop."""

import signal
import sys

from harness import bound_socket, case, end_with_signal, equal, listening_port, main, running

PROGRAM = sys.argv[1]


@case
def echoes_while_glib_timers_run():
    peer, _ = bound_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        for i in range(3):
            data = b"Hello %d" % i
            peer.sendto(data, ("127.0.0.1", port))
            equal((data, ("127.0.0.1", port)), peer.recvfrom(100))
            equal(f"datagrams so far: {i + 1}\n", program.stdout.readline())


@case
def signals_stop_it():
    for number in (signal.SIGINT, signal.SIGTERM):
        with running(PROGRAM, "0") as program:
            listening_port(program)
            equal("", end_with_signal(program, number))


main()
