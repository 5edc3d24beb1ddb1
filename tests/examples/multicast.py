"""multicast.py SERVER CLIENT: the multicast server and client on the loopback device, and a Python socket as another client."""

import contextlib
import signal
import socket
import sys

from harness import (
    case,
    end_with_signal,
    equal,
    listening_port,
    main,
    prints_usage,
    read_line_starting,
    run,
    running,
    skip_unless_free,
)

SERVER, CLIENT = sys.argv[1:]
GROUP = ("228.0.0.5", 9999)
PING_FROM = 'received "Client: Ping" from '


@contextlib.contextmanager
def started(*command):
    with running(*command) as program:
        equal(9999, listening_port(program))
        yield program


def sender():
    """Returns a socket that sends to groups on the loopback device, and its port."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    peer.bind(("127.0.0.1", 0))
    return peer, peer.getsockname()[1]


@case
def every_client_receives_every_ping():
    skip_unless_free(9999)
    with started(SERVER, "lo") as server:
        with started(CLIENT, "lo") as first:
            equal("127.0.0.1:9999", read_line_starting(first, PING_FROM))
            equal("127.0.0.1:9999", read_line_starting(server, PING_FROM))
            with started(CLIENT, "lo") as second:
                for program in (server, first, second):
                    equal("127.0.0.1:9999", read_line_starting(program, PING_FROM))
                end_with_signal(second, signal.SIGINT)
            end_with_signal(first, signal.SIGINT)
        end_with_signal(server, signal.SIGTERM)


@case
def the_server_replies_only_to_a_ping():
    skip_unless_free(9999)
    peer, port = sender()
    with peer, started(SERVER, "127.0.0.1") as server:  # an interface by its address
        for message in (b"Client: Pin", b"", b"Client: Ping"):
            peer.sendto(message, GROUP)
        equal((b"Server: Pong", ("127.0.0.1", 9999)), peer.recvfrom(65536))
        equal(f"127.0.0.1:{port}", read_line_starting(server, PING_FROM))
        peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(f"another reply: {peer.recv(65536)}")


@case
def the_client_prints_all_datagrams_of_the_group():
    skip_unless_free(9999)
    peer, port = sender()
    with peer, started(CLIENT, "1") as client:  # the loopback device by its index
        read_line_starting(client, PING_FROM)
        peer.sendto(b"good morning", GROUP)
        equal(f"127.0.0.1:{port}", read_line_starting(client, 'received "good morning" from '))


@case
def wrong_arguments_get_the_usage():
    for program, name in ((SERVER, "multicast_server"), (CLIENT, "multicast_client")):
        prints_usage(program, f"usage: {name} [INTERFACE]   ", (["nosuch0"], [""], ["lo", "lo"], ["192.0.2.1"]))


@case
def a_port_that_is_taken_is_one_clear_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        skip_unless_free(9999)
        other.bind(("0.0.0.0", 9999))
        ended = run(SERVER, "lo")
    equal((1, ""), (ended.returncode, ended.stdout))
    assert "UDPR_E_ADDRESS_IN_USE" in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr


main()
