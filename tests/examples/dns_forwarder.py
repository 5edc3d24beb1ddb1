"""dns_forwarder.py PROGRAM: the DNS forwarder, with dig and sockets as clients, and a socket as the name server."""

import contextlib
import signal
import socket
import subprocess
import sys

from harness import (
    bound_socket,
    case,
    end_with_signal,
    equal,
    listening_port,
    main,
    need,
    prints_usage,
    refusing_port,
    running,
)

PROGRAM = sys.argv[1]
QUESTION = b"\7example\3org\0\0\1\0\1"  # the addresses of example.org


@contextlib.contextmanager
def forwarder():
    """Yields the program, its port, and the socket of the name server."""
    server, port = bound_socket()
    with server, running(PROGRAM, f"127.0.0.1:{port}", "0") as program:
        yield program, listening_port(program), server


def client_of(port, host="127.0.0.1"):
    peer, _ = bound_socket()
    peer.connect((host, port))  # so that it receives only from this address
    return peer


def receive_query(server, known=()):
    """Returns a query that is not in `known`: those may be sent again on a slow machine. Also returns its sender."""
    while (received := server.recvfrom(2000))[0] in known:
        pass
    return received


def query(number, question=QUESTION):
    return bytes([0, number, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + question


def response(data, last=80):
    """Returns the response to a query: its address is 192.0.2.`last`."""
    end = data.index(0, 12) + 5  # without what the client has added behind the question
    header = data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
    return header + data[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, last])


def dig(port, *options):
    need("dig", "bind9-dnsutils")
    command = ["dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+timeout=30", *options, "example.org"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@case
def dig_gets_the_response():
    with forwarder() as (program, port, server), dig(port, "+short") as client:
        data, sender = server.recvfrom(2000)
        server.sendto(response(data), sender)
        equal(("192.0.2.80\n", 0), (client.communicate()[0], client.returncode))
        end_with_signal(program, signal.SIGINT)


@case
def a_query_is_sent_three_times_and_then_dig_gets_servfail():
    with forwarder() as (_, port, server), dig(port) as client:
        first = server.recvfrom(2000)
        equal([first, first], [server.recvfrom(2000) for _ in range(2)])
        out = client.communicate()[0]
        assert "status: SERVFAIL" in out and "example.org" in out, out


@case
def dig_gets_servfail_if_no_server_listens():
    with running(PROGRAM, f"127.0.0.1:{refusing_port()}", "0") as program, dig(listening_port(program)) as client:
        out = client.communicate()[0]
        assert "status: SERVFAIL" in out, out
        end_with_signal(program, signal.SIGINT)


@case
def clients_with_the_same_id_get_their_own_responses():
    with forwarder() as (_, port, server), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client_of(port)) for _ in range(50)]
        queries = {}
        for i, client in enumerate(clients):
            client.send(query(7))
            data, sender = receive_query(server, queries)
            queries[data] = i, sender
        equal(50, len({data[:2] for data in queries}))
        for data, (i, sender) in reversed(queries.items()):
            server.sendto(response(data, i), sender)
        for i, client in enumerate(clients):
            equal(response(query(7), i), client.recv(2000))


@case
def the_response_comes_from_the_address_that_was_asked():
    with forwarder() as (_, port, server), client_of(port, "127.0.0.7") as client:
        client.send(query(1))
        data, sender = server.recvfrom(2000)
        server.sendto(response(data), sender)
        equal(response(query(1)), client.recv(2000))


@case
def other_responses_are_ignored():
    with forwarder() as (_, port, server), client_of(port) as client, bound_socket()[0] as stranger:
        client.send(query(1))
        data, sender = server.recvfrom(2000)
        stranger.sendto(response(data, 1), sender)
        other_id = bytes([data[0] ^ 1]) + data[1:]
        other_question = data.replace(b"org", b"com")
        for wrong in (b"", data, response(data)[:20], response(other_id, 2), response(other_question, 3)):
            server.sendto(wrong, sender)
        server.sendto(response(data, 4), sender)
        server.sendto(response(data, 5), sender)  # a second one
        client.send(query(2))
        second, sender = receive_query(server, (data,))
        equal(response(query(1), 4), client.recv(2000))
        server.sendto(response(second, 6), sender)
        equal(response(query(2), 6), client.recv(2000))


@case
def what_is_not_a_query_is_ignored():
    with forwarder() as (_, port, server), client_of(port) as client:
        for wrong in (b"", query(1)[:-1], query(1)[:12], response(query(1)), b"\xff" * 17):
            client.send(wrong)
        client.send(query(3))
        equal(query(3)[2:], server.recvfrom(2000)[0][2:])


@case
def ctrl_c_ends_it_while_a_query_waits():
    with forwarder() as (program, port, server), client_of(port) as client:
        client.send(query(1))
        server.recvfrom(2000)
        end_with_signal(program, signal.SIGINT)


@case
def wrong_arguments_get_the_usage():
    wrong = ([], ["localhost"], ["127.0.0.1", "65536"], ["127.0.0.1", ""], ["127.0.0.1", "x"], ["127.0.0.1", "0", "x"])
    prints_usage(PROGRAM, "usage: dns_forwarder SERVER [PORT]   ", wrong)


main()
