"""mdns_responder.py PROGRAM: the mDNS responder, in a network namespace with a client for each interface, and with dig.

An interface is one end of a veth pair. The client sends by the same interface: the host's own multicast comes back.
"""

import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys

from harness import Skip, case, end_with_signal, equal, main, need, prints_usage, read_line_starting, run, running, tool

PROGRAM = sys.argv[1]
GROUP, PORT = "224.0.0.251", 5353
A, AAAA, ANY, IN, UNICAST_PLEASE = 1, 28, 255, 1, 0x8000
NAME = b"\4lamp\5local\0"
JOINED = f"listening to {GROUP} on "
CLONE_NEWNET, IP_MULTICAST_ALL = 0x40000000, 49


@contextlib.contextmanager
def network(*names):
    """Moves this process into a network namespace with these interfaces: the first one has 10.0.0.1/24, the next 10.0.1.1/24."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise Skip(f"unshare: {os.strerror(ctypes.get_errno())}")
    need("ip", "iproute2")
    tool("ip", "link", "set", "lo", "up")
    for number, name in enumerate(names):
        add_interface(name, number)
    with running(PROGRAM, "Lamp") as program:
        for name in names:
            equal(name, read_line_starting(program, JOINED))
        yield program


def add_interface(name, number):
    tool("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")
    tool("ip", "address", "add", f"10.0.{number}.1/24", "dev", name)
    for end in (f"{name}-peer", name):
        tool("ip", "link", "set", end, "up")


def client_of(number, port=0):
    """Returns a socket that sends to the group by the interface of 10.0.`number`.1; with port 5353 it joins the group."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = socket.inet_aton(f"10.0.{number}.1")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
    if port:
        peer.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + address)
        peer.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)  # only what the interface receives
        peer.bind((GROUP, port))  # and only what is sent to the group
    else:
        peer.bind((f"10.0.{number}.1", 0))
    return peer


def query(*questions, number=0):
    return struct.pack("!6H", number, 0, len(questions), 0, 0, 0) + b"".join(questions)


def question(name=NAME, kind=A, of=IN):
    return name + struct.pack("!2H", kind, of)


def response(*addresses):
    """The response to the group."""
    answers = [NAME + struct.pack("!2HIH", A, IN | 0x8000, 120, 4) + socket.inet_aton(address) for address in addresses]
    return struct.pack("!6H", 0, 0x8400, 0, len(addresses), 0, 0) + b"".join(answers)


def plain_response(number, address):
    """The response to a client that knows only plain DNS."""
    header = struct.pack("!6H", number, 0x8400, 1, 1, 0, 0)
    return header + question() + NAME + struct.pack("!2HIH", A, IN, 10, 4) + socket.inet_aton(address)


def receive_response(peer):
    """Returns the next response, without queries, which the client receives, too, and its sender."""
    while not (received := peer.recvfrom(2000))[0][2] & 0x80:
        pass
    return received


@case
def a_query_to_the_group_gets_the_addresses_of_its_interface():
    with network("left", "right") as program, client_of(0, PORT) as left, client_of(1, PORT) as right:
        tool("ip", "address", "add", "10.0.7.1/24", "dev", "right")
        right.sendto(query(question()), (GROUP, PORT))
        equal((response("10.0.1.1", "10.0.7.1"), ("10.0.1.1", PORT)), receive_response(right))
        left.sendto(query(question(kind=ANY)), (GROUP, PORT))
        equal((response("10.0.0.1"), ("10.0.0.1", PORT)), receive_response(left))
        end_with_signal(program, signal.SIGINT)


@case
def a_client_that_wants_unicast_gets_it():
    with network("left"), client_of(0, PORT) as peer:
        # Bound to its address: it receives unicast datagrams, before the responder, which is bound to 0.0.0.0.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unicast:
            unicast.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            unicast.bind(("10.0.0.1", PORT))
            unicast.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.0.1"))
            unicast.sendto(query(question(of=IN | UNICAST_PLEASE)), (GROUP, PORT))
            equal((response("10.0.0.1"), ("10.0.0.1", PORT)), receive_response(unicast))
            peer.sendto(query(question()), (GROUP, PORT))
            equal(response("10.0.0.1"), receive_response(peer)[0])  # the first one that the group gets


@case
def a_client_of_plain_dns_gets_a_plain_response():
    with network("left", "right"), client_of(1) as peer:
        peer.sendto(query(question(), number=77), (GROUP, PORT))
        equal((plain_response(77, "10.0.1.1"), ("10.0.1.1", PORT)), peer.recvfrom(2000))


@case
def dig_gets_the_address():
    need("dig", "bind9-dnsutils")
    with network("left"):
        command = ("dig", "@10.0.0.1", "-p", str(PORT), "+short", "+tries=1", "+timeout=30", "lamp.local")
        equal("10.0.0.1\n", tool(*command))


@case
def a_name_may_be_in_capitals_and_end_with_a_pointer():
    pointer = b"\xc0\x0c"  # to the first name of the packet
    names = ([b"\4LAMP\5LoCal\0"], [b"\5other\5local\0", b"\4lamp\xc0\x12"], [b"\5local\0", b"\4lamp" + pointer])
    with network("left"), client_of(0) as peer:
        for number, one in enumerate(names):
            peer.sendto(query(*[question(name) for name in one], number=number), (GROUP, PORT))
            equal(plain_response(number, "10.0.0.1"), peer.recv(2000))


@case
def other_queries_and_malformed_ones_get_no_response():
    others = (question(b"\5other\5local\0"), question(kind=AAAA), question(b"\4lamp\0"), question(b"\4lamp\5local\1x\0"))
    malformed = (b"", NAME, question()[:-1], b"\x3flamp", b"\xc0", question(b"\xc0\x0c"), question(b"\1a\xc0\x0c"), b"\4" * 500)
    packets = [query(other) for other in others] + [query(bad) for bad in malformed] + [b"", b"\0" * 11, response("10.0.0.1")]
    with network("left") as program, client_of(0) as peer:
        for packet in packets:
            peer.sendto(packet, (GROUP, PORT))
        peer.sendto(query(question(), number=1), (GROUP, PORT))
        equal(plain_response(1, "10.0.0.1"), peer.recv(2000))
        end_with_signal(program, signal.SIGTERM)


@case
def a_packet_that_asks_again_and_again_gets_one_response():
    with network("left"), client_of(0) as peer:
        for number in (1, 2):
            peer.sendto(query(*[question()] * 50, number=number), (GROUP, PORT))
        equal([plain_response(number, "10.0.0.1") for number in (1, 2)], [peer.recv(2000) for _ in range(2)])


@case
def interfaces_that_come_and_go_are_followed():
    with network("left") as program:
        for number in (1, 2):
            add_interface("right", number)
            equal("right", read_line_starting(program, JOINED))
            with client_of(number) as peer:
                peer.sendto(query(question(), number=number), (GROUP, PORT))
                equal(plain_response(number, f"10.0.{number}.1"), peer.recv(2000))
            tool("ip", "link", "delete", "right")
        end_with_signal(program, signal.SIGINT)


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: mdns_responder [NAME]   ", ([""], ["a.local"], ["x" * 64], ["a", "b"]))
    equal("It sends to the local networks.", run(PROGRAM, "").stderr.splitlines()[1])


main()
