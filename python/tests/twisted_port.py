"""What udpr's reactor does beyond Twisted's own, and what a program sees of it: a child process for each case."""

import sys
import textwrap

import namespace
from harness import case, equal, main, run

HEAD = """
import socket
import udpr, udpr.twisted
udpr.twisted.install()
from twisted.internet import defer, error, protocol, reactor, task
LOCAL = "127.0.0.1"

class Recorder(protocol.DatagramProtocol):
    noisy = False
    def datagramReceived(self, data, addr):
        print("received", data, addr[0])
        reactor.stop()
    def connectionRefused(self):
        print("refused")
    def errorReceived(self, report):
        print(type(report.error).__name__, report.to, report.data)
        reactor.stop()
    def stopProtocol(self):
        print("stopped")

def listen(interface=LOCAL, port=0):
    return reactor.listenUDP(port, Recorder(), interface=interface)

def dead_port():
    dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dead.bind((LOCAL, 0))
    dead.connect(dead.getsockname())
    globals().setdefault("kept", []).append(dead)
    return dead.getsockname()[1]
"""


def prints(expected, program):
    ended = run(sys.executable, "-W", "ignore::ResourceWarning", "-c", HEAD + textwrap.dedent(program), timeout=50)
    equal((0, ""), (ended.returncode, ended.stderr))
    equal(textwrap.dedent(expected).lstrip(), ended.stdout)


@case
def a_connected_port_survives_a_refusal():
    prints(
        """
        refused
        received b'still here' 127.0.0.1
        stopped
        stopped
        """,
        """
        port, other = listen(), listen()
        port.connect(LOCAL, dead_port())
        port.write(b"anyone?")
        def go_on():
            port.disconnect()
            other.write(b"still here", (LOCAL, port.getHost().port))
        reactor.callLater(0.05, go_on)
        reactor.run()
        """,
    )


@case
def error_reports_name_the_destination():
    prints(
        """
        RefusedError True b'anyone?'
        stopped
        """,
        """
        class Reports(Recorder):
            def errorReceived(self, report):
                print(type(report.error).__name__, report.to == (LOCAL, dead), report.data)
                reactor.stop()
        dead = dead_port()
        port = reactor.listenUDP(0, Reports(), interface=LOCAL)
        port.setErrorReports(True)
        port.write(b"anyone?", (LOCAL, dead))
        reactor.run()
        """,
    )


@case
def stop_listening_twice_fires_both_deferreds():
    prints(
        """
        stopped
        one
        two
        the number is free
        """,
        """
        port = listen()
        number = port.getHost().port
        one, two = port.stopListening(), port.stopListening()
        one.addCallback(lambda _: print("one"))
        def last(_):
            print("two")
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind((LOCAL, number))
            print("the number is free")
            reactor.stop()
        two.addCallback(last)
        reactor.run()
        """,
    )


@case
def a_failing_start_protocol_leaves_nothing():
    prints(
        """
        ValueError
        listens
        """,
        """
        class Fails(protocol.DatagramProtocol):
            noisy = False
            failed = False
            def startProtocol(self):
                if not self.failed:
                    self.failed = True
                    raise ValueError
        fails = Fails()
        try:
            reactor.listenUDP(0, fails, interface=LOCAL)
        except ValueError:
            print("ValueError")
        assert reactor.getReaders() == []
        reactor.listenUDP(0, fails, interface=LOCAL)
        print("listens")
        """,
    )


@case
def link_local_addresses_keep_their_zone():
    namespace.enter()
    prints(
        """
        received b'hello' True
        received b'echo' True
        stopped
        stopped
        """,
        """
        index = socket.if_nametoindex("v0")
        zone = "fe80::1%" + str(index)
        class Zone(Recorder):
            def datagramReceived(self, data, addr):
                print("received", data, addr[0] == zone)
                if data == b"echo":
                    reactor.stop()
                else:
                    self.transport.write(b"echo", addr)
        one = reactor.listenUDP(0, Zone(), interface="fe80::1%v0")
        two = reactor.listenUDP(0, Zone(), interface="fe80::1%v0")
        one.write(b"hello", ("fe80::1%v0", two.getHost().port))
        reactor.run()
        """,
    )


@case
def one_source_of_a_group_is_joined():
    namespace.enter()
    prints(
        """
        received b'from the source' 192.168.1.1
        stopped
        """,
        """
        port = reactor.listenMulticast(0, Recorder(), listenMultiple=True)
        def joined(_):
            port.write(b"from the source", ("232.1.1.1", port.getHost().port))
        port.joinGroup("232.1.1.1", "192.168.1.1", source="192.168.1.1").addCallback(joined)
        def wrong(failure):
            failure.trap(error.MulticastJoinError)
        port.joinGroup("192.168.1.1").addErrback(wrong)
        reactor.run()
        """,
    )


@case
def a_producer_is_paused_while_the_socket_is_full():
    namespace.enter()
    prints(
        """
        paused
        BlockingIOError
        resumed
        stopped
        """,
        """
        import subprocess
        subprocess.run("tc qdisc add dev v0 root tbf rate 4mbit burst 8kb limit 4mb".split(), check=True)
        subprocess.run("ip neigh add 192.168.1.2 lladdr 02:00:00:00:00:02 dev v0".split(), check=True)
        port = listen("192.168.1.1")
        port.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        class Producer:
            def pauseProducing(self):
                print("paused")
            def resumeProducing(self):
                print("resumed")
                reactor.stop()
        port.registerProducer(Producer(), True)
        def fill():
            try:
                while True:
                    port.write(bytes(1000), ("192.168.1.2", 9))
            except BlockingIOError:
                print("BlockingIOError")
        reactor.callLater(0, fill)
        reactor.run()
        """,
    )


@case
def a_look_up_can_be_cancelled():
    prints(
        "cancelled\n",
        """
        from zope.interface import implementer
        from twisted.internet.interfaces import IResolutionReceiver
        @implementer(IResolutionReceiver)
        class Receiver:
            def resolutionBegan(self, resolution):
                self.resolution = resolution
            def addressResolved(self, address):
                print(address)
            def resolutionComplete(self):
                print("complete")
        receiver = Receiver()
        reactor.nameResolver.resolveHostName(receiver, "localhost")
        receiver.resolution.cancel()
        reactor.callLater(0.1, lambda: (print("cancelled"), reactor.stop()))
        reactor.run()
        """,
    )


@case
def signals_stop_the_reactor():
    prints(
        """
        stopped
        2
        """,
        """
        import os, signal
        port = listen()
        reactor.callLater(0, os.kill, os.getpid(), signal.SIGINT)
        reactor.run()
        print(reactor._exitSignal)
        """,
    )


main()
