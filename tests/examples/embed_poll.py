"""embed_poll.py PROGRAM: terminal input and UDP in one poll(2) loop."""

import contextlib
import os
import subprocess
import sys

from harness import bound_socket, case, equal, listening_port, main, prints_usage

PROGRAM = sys.argv[1]


@contextlib.contextmanager
def chatting(*arguments):
    """Starts the program with a pipe instead of a terminal."""
    pipe = subprocess.PIPE
    with subprocess.Popen([PROGRAM, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def type_in(program, text):
    os.write(program.stdin.fileno(), text.encode())


@case
def sends_and_receives():
    peer, peer_port = bound_socket()
    with peer, chatting("0") as program:
        port = listening_port(program)
        for i in range(10):
            peer.sendto(b"Hello %d\n" % i, ("127.0.0.1", port))
            equal(f"127.0.0.1:{peer_port} says Hello {i}\n", program.stdout.readline())
            type_in(program, f"you {i}\n")
            equal((b"you %d\n" % i, ("127.0.0.1", port)), peer.recvfrom(100))


@case
def the_end_of_the_input_stops_it():
    with chatting("0") as program:
        listening_port(program)
        type_in(program, "to nobody\n")
        program.stdin.close()
        equal("stopped\n", program.stdout.read())
        equal("", program.stderr.read())
        equal(0, program.wait())


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: embed_poll [PORT]", (["65536"], ["x"], ["1", "2"]))


main()
