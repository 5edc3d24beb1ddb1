"""tftp_server.py PROGRAM: the TFTP server with curl, with tftp-hpa, and with sockets that lose packets."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

from harness import (
    case,
    end_with_signal,
    equal,
    listening_port,
    main,
    need,
    prints_usage,
    read_line_starting,
    run,
    running,
)

PROGRAM = sys.argv[1]
SIZES = (0, 1, 511, 512, 513, 30000)
REQUEST, DATA, ACK, ERROR = 1, 3, 4, 5


@contextlib.contextmanager
def server(*names):
    """Starts the server in a directory with the files of SIZES. Yields the program, its port and the directory."""
    with tempfile.TemporaryDirectory() as directory:
        for size in SIZES:
            pathlib.Path(directory, str(size)).write_bytes((bytes(range(251)) * 120)[:size])
        with running(PROGRAM, "0", directory) as program:
            yield program, listening_port(program), directory


def content(directory, size):
    return pathlib.Path(directory, str(size)).read_bytes()


def client_socket():
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    peer.bind(("127.0.0.1", 0))
    return peer


def request(name, mode="octet", kind=REQUEST):
    return bytes([0, kind]) + name.encode() + b"\0" + mode.encode() + b"\0"


def packet(kind, number):
    return bytes([0, kind]) + number.to_bytes(2, "big")


def receive_block(peer, number):
    """Returns the length of the block. Earlier ones that are sent again are skipped."""
    while (data := peer.recv(600))[:4] != packet(DATA, number):
        pass
    return len(data) - 4


@case
def curl_reads_files_of_all_sizes():
    need("curl", "curl")
    with server() as (program, port, directory):
        for size in SIZES:
            command = ["curl", "--silent", "--show-error", f"tftp://127.0.0.1:{port}/{size}"]
            equal(content(directory, size), subprocess.run(command, capture_output=True, check=True).stdout)
            equal("", read_line_starting(program, f"{size} was sent"))
        end_with_signal(program, signal.SIGINT)


@case
def tftp_hpa_reads_a_file():
    need("tftp", "tftp-hpa")
    with server() as (program, port, directory), tempfile.TemporaryDirectory() as here:
        run("tftp", "-m", "binary", "127.0.0.1", str(port), "-c", "get", "30000", cwd=here)
        equal("", read_line_starting(program, "30000 was sent"))
        equal(content(directory, 30000), content(here, 30000))


@case
def blocks_come_from_another_port_of_the_address_that_was_asked():
    with server() as (program, port, _), client_socket() as peer, client_socket() as stranger:
        peer.sendto(request("513"), ("127.0.0.7", port))
        data, sender = peer.recvfrom(600)
        equal("127.0.0.7", sender[0])
        assert sender[1] != port, sender
        equal((packet(DATA, 1), 516), (data[:4], len(data)))
        stranger.sendto(packet(ACK, 1), sender)  # is not accepted: the port is connected to its client
        peer.sendto(packet(ACK, 1), sender)
        equal(1, receive_block(peer, 2))
        peer.sendto(packet(ACK, 2), sender)
        equal("", read_line_starting(program, "513 was sent"))
        peer.connect(sender)
        with contextlib.suppress(ConnectionRefusedError):
            while True:  # until the port of the transfer is closed
                peer.send(packet(ACK, 2))


@case
def a_lost_block_is_sent_again():
    with server() as (_, port, _), client_socket() as peer:
        peer.sendto(request("512"), ("127.0.0.1", port))
        equal(peer.recvfrom(600), peer.recvfrom(600))


@case
def an_acknowledgement_that_arrives_again_sends_nothing():
    with server() as (program, port, _), client_socket() as peer:
        peer.sendto(request("30000"), ("127.0.0.1", port))
        _, sender = peer.recvfrom(600)
        for _ in range(20):
            peer.sendto(packet(ACK, 1), sender)
        receive_block(peer, 2)
        peer.sendto(packet(ERROR, 0) + b"enough\0", sender)
        read_line_starting(program, "30000 was refused")
        peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:  # on a slow machine the timer has sent again what was not acknowledged
                assert (other := peer.recv(600)[:4]) in (packet(DATA, 1), packet(DATA, 2)), other


@case
def a_silent_client_is_given_up_and_a_client_that_has_gone_at_once():
    with server() as (program, port, _), client_socket() as silent:
        silent.sendto(request("1"), ("127.0.0.1", port))
        with client_socket() as gone:
            gone.sendto(request("512"), ("127.0.0.1", port))
            _, sender = gone.recvfrom(600)
        equal("", read_line_starting(program, "512 was given up: the client has gone"))
        equal("", read_line_starting(program, "1 was given up"))
        equal(5, len([silent.recv(600) for _ in range(5)]))
        end_with_signal(program, signal.SIGTERM)


@case
def a_client_may_refuse_and_ctrl_c_ends_a_transfer():
    with server() as (program, port, _), client_socket() as peer:
        for _ in range(2):
            peer.sendto(request("30000"), ("127.0.0.1", port))
            _, sender = peer.recvfrom(600)
        peer.sendto(packet(ERROR, 3) + b"disk full\0", sender)
        equal("", read_line_starting(program, "30000 was refused by the client"))
        end_with_signal(program, signal.SIGINT)


@case
def wrong_requests_get_an_error_from_the_port_that_was_asked():
    wrong = {
        request("nosuch"): b"no such file",
        request("../etc/passwd"): b"only files of the directory itself are served",
        request("..", "octet"): b"only files of the directory itself are served",
        request("1", "netascii"): b"only the mode octet is supported",
        request("1", kind=2): b"only read requests are served",
        b"": b"only read requests are served",
        b"\0\1": b"only the mode octet is supported",
        b"\0\1" + b"x" * 1000: b"only the mode octet is supported",
    }
    with server() as (program, port, _), client_socket() as peer:
        for data, text in wrong.items():
            peer.sendto(data, ("127.0.0.7", port))
            equal((packet(ERROR, 0) + text + b"\0", ("127.0.0.7", port)), peer.recvfrom(600))
        end_with_signal(program, signal.SIGINT)


@case
def a_broadcast_request_is_ignored():
    with server() as (program, port, _), client_socket() as peer:
        peer.sendto(request("513"), ("127.255.255.255", port))
        peer.sendto(request("nosuch"), ("127.0.0.1", port))
        equal(ERROR, peer.recv(600)[1])
        end_with_signal(program, signal.SIGINT)


@case
def wrong_arguments_get_the_usage():
    prints_usage(PROGRAM, "usage: tftp_server [PORT [DIRECTORY]]   ", (["65536"], ["x"], [""], ["0", ".", "x"]))
    ended = run(PROGRAM, "0", "/nosuch")
    equal((1, "", "tftp_server: /nosuch: No such file or directory\n"), (ended.returncode, ended.stdout, ended.stderr))


main()
