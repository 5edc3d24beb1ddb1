"""request_timeout.py PROGRAM: a client that repeats requests, with servers that do not reply at once."""

import sys

from harness import bound_socket, case, equal, main, run, running

PROGRAM = sys.argv[1]


def client_of(port, text="Hello World!"):
    return running(PROGRAM, "localhost", str(port), text)


def result(program):
    out, err = program.communicate()
    return program.returncode, out.splitlines(), err


@case
def prints_the_answer():
    server, port = bound_socket()
    with server, client_of(port) as program:
        request, client = server.recvfrom(2000)
        number, text = request.split(b" ", 1)
        equal(b"Hello World!", text)
        server.sendto(number + b" Hello to you", client)
        equal((0, ["try 1", "answer: Hello to you"], ""), result(program))


@case
def repeats_the_request_until_a_reply_arrives():
    server, port = bound_socket()
    with server, client_of(port) as program:
        requests = [server.recvfrom(2000) for _ in range(3)]
        equal(1, len(set(requests)))
        server.sendto(*requests[0])
        equal((0, ["try 1", "try 2", "try 3", "answer: Hello World!"], ""), result(program))


@case
def ignores_other_replies():
    server, port = bound_socket()
    other, _ = bound_socket()
    with server, other, client_of(port) as program:
        request, client = server.recvfrom(2000)
        other.sendto(request, client)  # from another address
        for wrong in (b"", b"1", b"x" + request, request[:3]):
            server.sendto(wrong, client)
        server.sendto(request + b" At last", client)
        equal((0, ["try 1", "answer: Hello World! At last"], ""), result(program))


@case
def times_out():
    server, port = bound_socket()
    with server, client_of(port) as program:
        code, lines, err = result(program)
    equal((1, [f"try {i}" for i in range(1, 5)]), (code, lines))
    start = "request_timeout: no reply: UDPR_E_TIMED_OUT: "
    equal(start, err[: len(start)])


@case
def prints_if_nobody_listens():
    server, port = bound_socket()
    server.close()
    with client_of(port) as program:
        code, lines, _ = result(program)
    equal((1, ["try 1", "nobody listens there", "try 2"]), (code, lines[:3]))


@case
def wrong_arguments_get_the_usage():
    for arguments in ([], ["localhost"], ["localhost", "0", "x"], ["localhost", "5x", "x"], ["localhost", "65536", "x"]):
        ended = run(PROGRAM, *arguments)
        equal((2, "", "usage: request_timeout HOST PORT TEXT\n"), (ended.returncode, ended.stdout, ended.stderr))


main()
