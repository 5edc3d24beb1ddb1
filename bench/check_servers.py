"""check_servers.py BUILD: each server echoes, counts and stops, and the load generator counts replies."""

import collections
import socket
import subprocess
import sys

import benchmarks
import environment
import runner
from harness import case, equal, main

PROGRAMS = runner.Programs(sys.argv[1], seconds=0.1)
SERVERS = {"udpr_ports 3"} | {
    name
    for benchmark in benchmarks.BENCHMARKS
    if "cpu_ns" in benchmark.metrics and not benchmark.unit
    for name in benchmark.contenders
}
SIZES = 1, 64, 1200, 1199, 1200, 1200, 1200, 0, 7, 7  # runs of one size, which GSO can merge, and others between them
NO_EMPTY_DATAGRAMS = "asyncio_echo.py", "uvloop_echo.py"  # asyncio before Python 3.13 sends none
ROUNDS = 5  # 50 datagrams of these sizes fit into any receive buffer


def datagrams(client, server):
    for number in range(ROUNDS):
        for size in SIZES:
            if size > 0 or server not in NO_EMPTY_DATAGRAMS:
                yield bytes([client, number] * size)[:size]


def connected_sockets(port, count):
    for _ in range(count):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        yield client


def echoes_in_order(name):
    """Three clients send in turn, so that the replies to one alternate with those to the others."""
    with PROGRAMS.server(name) as server:
        clients = list(connected_sockets(server.port, 3))
        sent = [list(datagrams(number, name)) for number in range(len(clients))]
        for turn in zip(*sent):
            for client, data in zip(clients, turn):
                client.send(data)
        for client, expected in zip(clients, sent):
            with client:
                equal(expected, [client.recv(65536) for _ in expected])
    equal(sum(map(len, sent)), server.metrics["served"])
    assert server.metrics["cpu_ns"] > 0, server.metrics


def sends_the_given_number_of_replies(name):
    with PROGRAMS.server(name, 3) as server, next(connected_sockets(server.port, 1)) as client:
        sent = [b"one", b"two!", b"three"]
        for data in sent:
            client.send(data)
        equal(dict.fromkeys(sent, 3), dict(collections.Counter(client.recv(65536) for _ in range(9))))


def loses_nothing_under_load(name):
    with PROGRAMS.server(name) as server:
        got = PROGRAMS.load(server.port, ["-n", 3, "-k", 4, "-s", 100, "-c", 3000, "-t", 30])
        equal(0, got["lost"])
        assert 3000 <= got["received"] <= got["sent"] <= got["received"] + 12, got
        offloaded = PROGRAMS.load(server.port, ["-k", 256, "-s", 1200, "-g", "-c", 3000, "-t", 30])
        assert offloaded["received"] >= 3000, offloaded


for _server in sorted(SERVERS):
    for _test in echoes_in_order, sends_the_given_number_of_replies, loses_nothing_under_load:

        def _case(server=_server, test=_test):
            test(server)

        _case.__name__ = f"{_server}_{_test.__name__}"
        case(_case)


@case
def dns_servers_answer_queries():
    question = b"\x04host\x07example\x03com\x00\x00\x01\x00\x01"
    record = b"\xc0\x0c\x00\x01\x00\x01" + bytes([0, 0, 1, 44, 0, 4, 192, 0, 2, 1])
    extension = b"\x00\x00\x29\x10\x00" + bytes(6)  # EDNS, which the answer omits
    for name in benchmarks.DNS:
        with PROGRAMS.server(name) as server, next(connected_sockets(server.port, 1)) as client:
            for garbage in b"", b"short", b"\x00\x09\x80\x00\x00\x01" + bytes(6) + question, bytes(1000):
                client.send(garbage)
            client.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + question + extension)
            answer = client.recv(65536)
        equal(b"\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00" + question + record, answer)


@case
def load_continues_after_a_loss():
    """The server replies to every second datagram only: the load generator counts the others as lost."""
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
            got = runner.parse_metrics(load.stdout.read())
    assert got["lost"] >= 3 and got["received"] >= 2, got


@case
def load_uses_many_ports_and_addresses():
    with PROGRAMS.server("udpr_ports 3") as server:
        got = PROGRAMS.load(server.port, ["-P", 3, "-A", 5, "-k", 16, "-c", 3000, "-t", 30])
        equal(0, got["lost"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.4", server.port))  # the address after those of the server
            other.settimeout(10)
            with subprocess.Popen(PROGRAMS.command("load") + [str(server.port), "-P", "4", "-A", "5", "-k", "16"]) as load:
                senders = {other.recvfrom(65536)[1][0] for _ in range(4)}
                load.kill()
    equal({"127.1.0.3", "127.1.0.2", "127.1.0.1", "127.1.0.0"}, senders)


@case
def a_sink_sends_no_replies():
    got = runner.run_echo(PROGRAMS, "loop_mmsg", ("-s", 64), replies=0)
    equal(0, got["received"])
    assert got["sent"] > 0 and got["rate"] > 0, got


@case
def quic_transfers_the_whole_stream():
    for name in benchmarks.QUIC:
        assert runner.run_quic(PROGRAMS, name, environment.LOOPBACK)["bytes_per_s"] > 0


@case
def reactors_on_each_core_share_a_port():
    assert runner.run_on_cores(PROGRAMS, 2)["rate"] > 0


main()
