"""connected_udp.py PROGRAM: a connected port, with a peer that replies and with one that does not exist."""

import re
import signal
import socket
import sys

from harness import (
    bound_socket,
    case,
    end_with_signal,
    equal,
    main,
    prints_usage,
    read_line_starting,
    refusing_port,
    run,
    running,
)

PROGRAM = sys.argv[1]


@case
def one_write_finds_no_one_listening():
    port = refusing_port()
    with running(PROGRAM, "127.0.0.1", str(port)) as program:
        equal(f"we can only send to 127.0.0.1:{port} now\n", program.stdout.readline())
        equal("No one listening\n", program.stdout.readline())
        equal("", end_with_signal(program, signal.SIGINT))


@case
def no_one_listens_over_ipv6():
    port = refusing_port(socket.AF_INET6, "::1")
    with running(PROGRAM, "::1", str(port)) as program:
        equal(f"we can only send to [::1]:{port} now\n", program.stdout.readline())
        equal("No one listening\n", program.stdout.readline())


@case
def exchanges_datagrams_only_with_its_peer():
    (peer, port), (stranger, _) = bound_socket(), bound_socket()
    with peer, stranger, running(PROGRAM, "127.0.0.1", str(port)) as program:
        data, sender = peer.recvfrom(100)
        equal(b"hello", data)
        stranger.sendto(b"not for you", sender)
        peer.sendto(b"hello\n yourself", sender)
        equal("hello. yourself", read_line_starting(program, 'received "').rstrip('"'))
        equal("", end_with_signal(program, signal.SIGINT))


@case
def sends_to_netcat():
    peer, port = bound_socket()
    peer.close()
    with running("nc", "-4", "-u", "-l", "-v", "127.0.0.1", str(port)) as nc:
        line = nc.stderr.readline()  # "Bound on ..." means that it listens
        assert re.search("Bound|Listening", line), line
        with running(PROGRAM, "127.0.0.1", str(port)) as program:
            read_line_starting(program, "we can only send")
            equal("hello", nc.stdout.read(5))


@case
def wrong_arguments_get_the_usage():
    wrong = ([], ["127.0.0.1"], ["127.0.0.1", "0"], ["127.0.0.1", "65536"], ["127.0.0.1", "x"], ["a", "1", "2"])
    prints_usage(PROGRAM, "usage: connected_udp HOST PORT", wrong)


@case
def looks_a_name_up():
    port = refusing_port()
    with running(PROGRAM, "localhost", str(port)) as program:
        line = program.stdout.readline()
        assert line in {f"we can only send to {host}:{port} now\n" for host in ("127.0.0.1", "[::1]")}, line
        end_with_signal(program, signal.SIGINT)


@case
def a_name_that_cannot_exist_is_one_clear_line():
    ended = run(PROGRAM, "a..b", "1234")
    equal((1, ""), (ended.returncode, ended.stdout))
    assert ended.stderr.startswith("connected_udp: a..b: UDPR_E_INVALID_ARGUMENT: "), ended.stderr
    equal(1, ended.stderr.count("\n"))


main()
