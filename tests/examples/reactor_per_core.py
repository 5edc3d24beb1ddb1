"""reactor_per_core.py PROGRAM: a port that is shared by the reactors of several threads."""

import re
import signal
import sys

from harness import bound_socket, case, end_with_signal, equal, listening_port, main, prints_usage, running

PROGRAM = sys.argv[1]
FLOWS, ROUNDS = 64, 5


def talk(port):
    peers = [bound_socket()[0] for _ in range(FLOWS)]
    for round_ in range(ROUNDS):
        for i, peer in enumerate(peers):
            peer.sendto(b"%d %d" % (i, round_), ("127.0.0.1", port))
        for i, peer in enumerate(peers):
            equal((b"%d %d" % (i, round_), ("127.0.0.1", port)), peer.recvfrom(100))
    for peer in peers:
        peer.close()


def counts(out):
    """Returns (datagrams, flows) of each thread."""
    lines = [re.fullmatch(r"thread (\d+): datagrams: (\d+), flows: (\d+)", line) for line in out.splitlines()]
    equal([str(i) for i in range(len(lines))], [line[1] for line in lines])
    return [(int(line[2]), int(line[3])) for line in lines]


@case
def a_flow_stays_with_its_thread():
    with running(PROGRAM, "0", "4") as program:
        talk(listening_port(program))
        threads = counts(end_with_signal(program, signal.SIGINT))
    equal(4, len(threads))
    equal(FLOWS, sum(flows for _, flows in threads))
    for datagrams, flows in threads:
        equal(ROUNDS * flows, datagrams)
    assert max(flows for _, flows in threads) < FLOWS, threads  # the kernel distributed them


@case
def a_thread_for_each_core_by_default():
    with running(PROGRAM, "0") as program:
        talk(listening_port(program))
        threads = counts(end_with_signal(program, signal.SIGTERM))
    equal(FLOWS * ROUNDS, sum(datagrams for datagrams, _ in threads))


@case
def wrong_arguments_get_the_usage():
    wrong = (["65536"], ["x"], ["0", "0"], ["0", "257"], ["0", "1", "2"])
    prints_usage(PROGRAM, "usage: reactor_per_core [PORT [THREADS]]", wrong)


main()
