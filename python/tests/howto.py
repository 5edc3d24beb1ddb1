"""The programs of Twisted's UDP howto run unmodified on udpr, in a network namespace of their own."""

import contextlib
import pathlib
import socket
import sys
import tempfile
import textwrap

import namespace
from harness import case, equal, first_echo, main, read_line_starting, run, running, tool

HOWTO = pathlib.Path(__file__).parent / "howto"
UDPR = [sys.executable, "-u", "-m", "udpr.twisted"]


def program(name):
    namespace.enter()
    return running(*UDPR, str(HOWTO / name))


def echoes(name, host="127.0.0.1", family=socket.AF_INET):
    with program(name) as echo:
        equal(b"Hello World!\n", first_echo(echo, b"Hello World!\n"))
        said = read_line_starting(echo, "received ")
        assert said.startswith("b'Hello World!\\n' from ('"), said
        with socket.socket(family, socket.SOCK_DGRAM) as peer:
            peer.connect((host, 9999))
            peer.send(b"again")
            equal(b"again", peer.recv(100))
            equal(f"b'again' from {peer.getsockname()[:2]!r}", read_line_starting(echo, "received "))


@case
def basic_example():
    echoes("basic_example.py")


@case
def adopt_datagram_port():
    echoes("adopt_datagram_port.py")


@case
def ipv6_listen():
    with program("ipv6_listen.py") as echo:
        equal(b"over IPv4", first_echo(echo, b"over IPv4"))
        assert read_line_starting(echo, "received ").startswith("b'over IPv4' from ('::ffff:127.0.0.1', ")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
            peer.connect(("::1", 9999))
            peer.send(b"over IPv6")
            equal(b"over IPv6", peer.recv(100))
            equal(f"b'over IPv6' from {peer.getsockname()[:2]!r}", read_line_starting(echo, "received "))


@case
def getting_ip():
    namespace.enter()
    equal("IP of 'localhost' is 127.0.0.1\n", tool(*UDPR, str(HOWTO / "getting_ip.py")))


@case
def connected_udp():
    namespace.enter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("192.168.1.1", 1234))
        with program("connected_udp.py") as helloer:
            equal("to host 192.168.1.1 port 1234", read_line_starting(helloer, "now we can only send "))
            data, address = server.recvfrom(100)
            equal(b"hello", data)
            server.sendto(b"hello yourself", address)
            equal("b'hello yourself' from ('192.168.1.1', 1234)", read_line_starting(helloer, "received "))


@case
def connected_udp_where_no_one_listens():
    """One datagram is enough. Twisted's own reactor, with epoll, closes the port here."""
    with program("connected_udp.py") as helloer:
        equal("", read_line_starting(helloer, "No one listening"))
        assert helloer.poll() is None


@case
def multicast():
    """Both clients see both pings, and each its answer."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(program("MulticastServer.py"))
        wait_until_joined(1)
        one = stack.enter_context(program("MulticastClient.py"))
        ping = read_line_starting(one, "Datagram ")
        assert ping.startswith("b'Client: Ping' received from ('192.168.1.1', 9999)"), ping
        assert read_line_starting(server, "Datagram ").startswith("b'Client: Ping' received from ")
        wait_until_joined(2)
        other = stack.enter_context(program("MulticastClient.py"))
        for client in (one, other):
            while "Client: Ping" not in read_line_starting(client, "Datagram "):
                pass


def wait_until_joined(count):
    """Waits until so many sockets are in the group."""
    group = socket.inet_aton("228.0.0.5")[::-1].hex().upper()
    while True:
        lines = pathlib.Path("/proc/net/igmp").read_text(encoding="ascii").splitlines()
        if any(line.split()[:2] == [group, str(count)] for line in lines):
            return


@case
def twistd_takes_the_reactor_by_its_name():
    """A program for twistd, as udpbroadcast.py of Twisted's examples is."""
    application = textwrap.dedent("""
        from twisted.application import internet, service
        from twisted.internet import protocol, reactor

        class Pong(protocol.DatagramProtocol):
            def startProtocol(self):
                self.transport.setBroadcastAllowed(True)
                self.transport.write(b"PING", ("<broadcast>", 8555))

            def datagramReceived(self, datagram, addr):
                print("RECEIVED", datagram, type(reactor).__name__, flush=True)

        application = service.Application("broadcast")
        internet.UDPServer(8555, Pong()).setServiceParent(application)
    """)
    with tempfile.NamedTemporaryFile("w", suffix=".tac") as file:
        namespace.enter()
        file.write(application)
        file.flush()
        twistd = pathlib.Path(sys.executable).parent / "twistd"
        options = ["--reactor=udpr", "--nodaemon", "--pidfile=", "--no_save", "--logfile=-", "--python", file.name]
        with running(sys.executable, "-u", str(twistd), *options) as program:
            for line in program.stdout:
                if "RECEIVED b'PING' UdprReactor" in line:
                    return
    raise AssertionError("it did not receive its broadcast")


@case
def trial_takes_the_reactor_by_its_name():
    tests = textwrap.dedent("""
        from twisted.internet import reactor
        from twisted.trial import unittest

        class ReactorTests(unittest.TestCase):
            def test_name(self):
                self.assertEqual("UdprReactor", type(reactor).__name__)
    """)
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "test_reactor.py").write_text(tests, encoding="ascii")
        ended = run(sys.executable, "-m", "twisted.trial", "--reactor=udpr", "test_reactor", cwd=directory)
    assert ended.returncode == 0 and "successes=1" in ended.stdout, ended.stdout


main()
