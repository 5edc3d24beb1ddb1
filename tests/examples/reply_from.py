"""reply_from.py PROGRAM: replies have the destination of the request as their source, if it can be a source address."""

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
    read_line_starting,
    run,
    running,
    skip_unless_free,
)

PROGRAM = sys.argv[1]
LOOPBACK = socket.if_nametoindex("lo")


@case
def replies_come_from_the_address_of_the_request():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal(9999, listening_port(program))
        for address in ("127.0.0.1", "127.0.0.7", "127.1.2.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.settimeout(30)
                peer.connect((address, 9999))  # so that it receives only from this address
                peer.send(b"hello")
                equal(b"hello", peer.recv(65536))
                sender = "{}:{}".format(*peer.getsockname())
                equal(f"{address}:9999 on interface {LOOPBACK}", read_line_starting(program, f"{sender} has asked "))
        end_with_signal(program, signal.SIGINT)


@case
def netcat_receives_the_reply():
    skip_unless_free(9999)
    with running(PROGRAM) as program:
        equal(9999, listening_port(program))
        line = 'echo "Hello World!" | nc -4u -w1 127.0.0.7 9999'
        equal("Hello World!\n", subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout)


@case
def a_group_and_a_broadcast_address_are_not_used_as_source():
    skip_unless_free(9999)
    peer, port = bound_socket()
    peer.settimeout(30)
    peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    with peer, running(PROGRAM, "228.0.0.5", "lo") as program:
        equal(9999, listening_port(program))
        for asked in ("228.0.0.5", "127.255.255.255"):
            peer.sendto(b"who is there", (asked, 9999))
            equal((b"who is there", ("127.0.0.1", 9999)), peer.recvfrom(65536))
            destination = read_line_starting(program, f"127.0.0.1:{port} has asked ")
            equal(f"{asked}:9999 on interface {LOOPBACK}", destination)
        equal("", end_with_signal(program, signal.SIGTERM))


@case
def a_group_that_cannot_be_joined_is_one_clear_line():
    skip_unless_free(9999)
    wrong = {("127.0.0.1", "lo"): "UDPR_E_NOT_MULTICAST", ("228.0.0.5", "nosuch0"): "UDPR_E_NO_INTERFACE"}
    for arguments, status in wrong.items():
        ended = run(PROGRAM, *arguments)
        equal((1, ""), (ended.returncode, ended.stdout))
        assert status in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr
    ended = run(PROGRAM, "228.0.0.5", "lo", "x")
    equal((2, "usage: reply_from [GROUP [INTERFACE]]"), (ended.returncode, ended.stderr.split("   ")[0]))


main()
