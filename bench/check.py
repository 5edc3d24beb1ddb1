"""check.py BUILD: every server of the bench echoes, counts and stops, and the load generator counts what it gets."""

import collections
import socket
import subprocess
import sys

import measure
import works
from harness import case, equal, main

PROGRAMS = measure.Programs(sys.argv[1], seconds=0.1)
SERVERS = {name for work in works.WORKS if work.figures[:1] == ("cpu_ns",) for name in work.contenders}
SIZES = 1, 64, 1200, 1199, 1200, 1200, 1200, 0, 7, 7  # runs of one size, which can be gathered, and breaks in them
ROUNDS = 5  # what 50 datagrams take fits into any receive buffer


def datagrams(client, server):
    for number in range(ROUNDS):
        for size in SIZES:
            if size > 0 or server != "asyncio_echo.py":  # asyncio before Python 3.13 sends no empty datagram
                yield bytes([client, number] * size)[:size]


def peers(port, count):
    for _ in range(count):
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", port))
        yield peer


def echoes_in_order(name):
    """Three clients in turn, so that answers to each lie between those to the others."""
    with PROGRAMS.server(name) as server:
        clients = list(peers(server.port, 3))
        sent = [list(datagrams(number, name)) for number in range(len(clients))]
        for turn in zip(*sent):
            for client, data in zip(clients, turn):
                client.send(data)
        for client, expected in zip(clients, sent):
            with client:
                equal(expected, [client.recv(65536) for _ in expected])
    equal(sum(map(len, sent)), server.figures["served"])
    assert server.figures["cpu_ns"] > 0, server.figures


def answers_as_often_as_told(name):
    with PROGRAMS.server(name, answers=3) as server, next(peers(server.port, 1)) as client:
        sent = [b"one", b"two!", b"three"]
        for data in sent:
            client.send(data)
        equal(dict.fromkeys(sent, 3), dict(collections.Counter(client.recv(65536) for _ in range(9))))


def is_a_good_partner_of_load(name):
    with PROGRAMS.server(name) as server:
        got = PROGRAMS.load(server.port, ["-n", 3, "-k", 4, "-s", 100, "-c", 3000, "-t", 30])
        equal(0, got["lost"])
        assert 3000 <= got["received"] <= got["sent"] <= got["received"] + 12, got
        offloaded = PROGRAMS.load(server.port, ["-k", 256, "-s", 1200, "-g", "-c", 3000, "-t", 30])
        assert offloaded["received"] >= 3000, offloaded


for _server in sorted(SERVERS):
    for _test in echoes_in_order, answers_as_often_as_told, is_a_good_partner_of_load:

        def _case(server=_server, test=_test):
            test(server)

        _case.__name__ = f"{_server}_{_test.__name__}"
        case(_case)


@case
def load_goes_on_after_a_loss():
    """A server that answers to every second datagram alone: the rest is lost, and told so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.01)
        command = PROGRAMS.command("load") + [str(server.getsockname()[1]), "-t", "1.5"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            number = 0
            while load.poll() is None:
                try:
                    data, sender = server.recvfrom(65536)
                except TimeoutError:
                    continue
                number += 1
                if number % 2 == 0:
                    server.sendto(data, sender)
            got = measure.figures(load.stdout.read())
    assert got["lost"] >= 3 and got["received"] >= 2, got


@case
def a_sink_takes_and_says_nothing():
    got = measure.echo(PROGRAMS, "loop_mmsg", ("-s", 64), answers=0)
    equal(0, got["received"])
    assert got["sent"] > 0 and got["rate"] > 0, got


@case
def reactors_on_each_core_share_a_port():
    assert measure.cores(PROGRAMS, 2)["rate"] > 0


main()
