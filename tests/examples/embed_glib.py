"""embed_glib.py PROGRAM: an echo server inside a GLib main loop."""

import signal
import sys

from harness import case, ends_cleanly, equal, listening_port, main, running, udp_socket

PROGRAM = sys.argv[1]


@case
def echoes_while_glibs_clock_ticks():
    peer, _ = udp_socket()
    with peer, running(PROGRAM, "0") as program:
        port = listening_port(program)
        for i in range(3):
            data = b"Hello %d" % i
            peer.sendto(data, ("127.0.0.1", port))
            equal((data, ("127.0.0.1", port)), peer.recvfrom(100))
            equal(f"{i + 1} datagrams so far\n", program.stdout.readline())


@case
def signals_stop_it():
    for number in (signal.SIGINT, signal.SIGTERM):
        with running(PROGRAM, "0") as program:
            listening_port(program)
            equal("", ends_cleanly(program, number))


main()
