"""adopt_datagram_port.py PROGRAM: the echo server on a socket that the program made itself."""

import signal
import subprocess
import sys

from harness import case, ends_cleanly, equal, line_starting, main, nc, need_free, running, udp_socket

PROGRAM = sys.argv[1]
LISTENING = "listening on 127.0.0.1:"


@case
def answers_nc_on_port_9999():
    need_free(9999)
    with running(PROGRAM) as program:
        equal("9999", line_starting(program, LISTENING))
        equal("Hello World!\n", nc(9999))
        equal("", ends_cleanly(program, signal.SIGINT))


@case
def echoes_again_and_again():
    peer, _ = udp_socket()
    with peer, running(PROGRAM, "0") as program:
        host = ("127.0.0.1", int(line_starting(program, LISTENING)))
        for data in (b"", b"one", bytes(65507)):
            peer.sendto(data, host)
            equal((data, host), peer.recvfrom(65536))
        equal("", ends_cleanly(program, signal.SIGTERM))


@case
def port_in_use_is_one_clear_line():
    other, port = udp_socket()
    with other:
        ended = subprocess.run([PROGRAM, str(port)], capture_output=True, text=True, check=False)
    equal((1, ""), (ended.returncode, ended.stdout))
    equal("adopt_datagram_port: cannot bind a socket: Address already in use\n", ended.stderr)


@case
def wrong_arguments_get_the_usage():
    for arguments in (["65536"], ["-1"], [""], ["5x"], ["1", "2"]):
        ended = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
        equal((2, ""), (ended.returncode, ended.stdout))
        equal("usage: adopt_datagram_port [PORT]", ended.stderr[:33])


main()
