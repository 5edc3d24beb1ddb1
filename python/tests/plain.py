"""The plain API: Reactor, Transport, Protocol, Datagram, and the exceptions."""

import array
import contextlib
import errno
import gc
import pickle
import socket
import threading
import time
import weakref

from harness import case, equal, main, refusing_port

import udpr

LOCAL = "127.0.0.1"


class Recorder(udpr.Protocol):
    """Keeps what it receives, and stops its reactor after `wanted` datagrams."""

    def __init__(self, wanted=1):
        self.wanted = wanted
        self.events = []
        self.received = []

    def start_protocol(self):
        self.events.append("start")

    def datagram_received(self, datagram):
        self.received.append((bytes(datagram), datagram.sender))
        if len(self.received) == self.wanted:
            self.transport.reactor.stop()

    def connection_refused(self):
        self.events.append("refused")
        self.transport.reactor.stop()

    def stop_protocol(self, reason):
        self.events.append(("stop", reason))


@contextlib.contextmanager
def raises(kind):
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def echo(transport, datagram):
    transport.write(datagram.data, datagram.sender)


@case
def an_echo_comes_back():
    with udpr.Reactor() as reactor:
        server = reactor.listen_udp(0, echo, LOCAL)
        client = Recorder(3)
        transport = reactor.listen_udp(0, client, LOCAL)
        for data in (b"one", bytearray(b"two"), memoryview(b"three")):
            transport.write(data, server.host)
        host = server.host
        reactor.run()
        equal([(b"one", host), (b"two", host), (b"three", host)], client.received)
        equal(["start", ("stop", None)], client.events)


@case
def a_reply_comes_from_the_address_that_was_asked():
    with udpr.Reactor() as reactor:
        server = reactor.listen_udp(0, lambda transport, datagram: transport.reply(datagram, b"reply"), packet_info=True)
        client = Recorder()
        transport = reactor.listen_udp(0, client, LOCAL)
        asked = ("127.0.0.9", server.host.port)
        transport.write(b"question", asked)
        reactor.run()
        equal([(b"reply", asked)], client.received)


@case
def writes_outside_callbacks_are_gathered():
    with udpr.Reactor(spin=0.001) as reactor:
        client = Recorder(2)
        transport = reactor.listen_udp(0, client, LOCAL)
        reactor.gather()
        transport.write(b"one", transport.host)
        assert transport.queued_bytes > 0
        reactor.flush()
        equal(0, transport.queued_bytes)
        transport.write(b"two", transport.host)
        reactor.run()
        equal([b"one", b"two"], [data for data, _ in client.received])


@case
def a_port_stops_when_everything_is_sent():
    with udpr.Reactor() as reactor:
        client, protocol = Recorder(), Recorder()
        host = reactor.listen_udp(0, client, LOCAL).host
        transport = reactor.listen_udp(0, protocol, LOCAL)
        transport.write(b"farewell", host)
        transport.stop_when_sent()
        with raises(udpr.ClosedError):
            transport.write(b"too late", host)
        reactor.run()
        equal(([b"farewell"], ["start", ("stop", None)]), ([data for data, _ in client.received], protocol.events))


@case
def an_empty_datagram_is_a_datagram():
    with udpr.Reactor() as reactor:
        client = Recorder()
        transport = reactor.listen_udp(0, client, LOCAL)
        transport.write(b"", transport.host)
        reactor.run()
        equal([(b"", client.received[0][1])], client.received)


@case
def pieces_are_one_datagram():
    with udpr.Reactor() as reactor:
        client = Recorder()
        transport = reactor.listen_udp(0, client, LOCAL)
        transport.write_sequence([b"one ", memoryview(b"datagram")], transport.host)
        reactor.run()
        equal(b"one datagram", client.received[0][0])


@case
def data_that_is_not_contiguous_or_not_bytes_is_refused():
    with udpr.Reactor() as reactor:
        transport = reactor.listen_udp(0, echo, LOCAL)
        for data in ("text", 5, None):
            with raises(TypeError):
                transport.write(data, transport.host)
        with raises((ValueError, BufferError, TypeError)):
            transport.write(memoryview(b"abcdef")[::2], transport.host)


@case
def items_that_are_larger_than_a_byte_are_sent_whole():
    with udpr.Reactor() as reactor:
        client = Recorder()
        transport = reactor.listen_udp(0, client, LOCAL)
        data = array.array("H", [1, 2, 3])
        transport.write(memoryview(data), transport.host)
        reactor.run()
        equal(data.tobytes(), client.received[0][0])


@case
def a_datagram_is_valid_in_its_callback_only():
    kept = []

    def received(transport, datagram):
        kept.extend([datagram, datagram.data, datagram.copy()])
        transport.reactor.stop()

    with udpr.Reactor() as reactor:
        transport = reactor.listen_udp(0, received, LOCAL)
        transport.write(b"data", transport.host)
        reactor.run()
    datagram, data, copy = kept
    with raises(ValueError):
        _ = datagram.sender
    with raises(ValueError):
        bytes(datagram)
    with raises(ValueError):
        data.tobytes()
    equal(b"data", bytes(copy))
    equal(LOCAL, copy.sender.host)


@case
def options_give_a_datagram_more_fields():
    seen = []

    def received(transport, datagram):
        seen.append((datagram.destination, datagram.interface_index, datagram.ttl, datagram.tos, datagram.timestamp))
        transport.reactor.stop()

    with udpr.Reactor() as reactor:
        transport = reactor.listen_udp(0, received, LOCAL, packet_info=True, ttl=True, tos=True, timestamps=True)
        transport.unicast_ttl = 9
        transport.write(b"", transport.host)
        host = transport.host
        before = time.time()
        reactor.run()
    destination, interface, ttl, tos, timestamp = seen[0]
    equal((host.host, socket.if_nametoindex("lo"), 9, 0), (destination.host, interface, ttl, tos))
    assert abs(timestamp - before) < 60, (timestamp, before)


@case
def a_longer_datagram_is_truncated():
    seen = []

    def received(transport, datagram):
        seen.append((len(datagram), datagram.full_length))
        transport.reactor.stop()

    with udpr.Reactor() as reactor:
        transport = reactor.listen_udp(0, received, LOCAL, max_packet_size=4)
        transport.write(b"123456", transport.host)
        reactor.run()
    equal([(4, 6)], seen)


@case
def a_refusal_reaches_a_connected_port_which_stays_open():
    with udpr.Reactor() as reactor:
        protocol = Recorder()
        transport = reactor.listen_udp(0, protocol, LOCAL)
        port = refusing_port()
        transport.connect(LOCAL, port)
        equal((LOCAL, port), transport.peer)
        transport.write(b"anyone?")
        reactor.run()
        equal(["start", "refused", ("stop", None)], protocol.events)


@case
def error_reports_name_the_destination():
    reports = []

    class Reports(udpr.Protocol):
        def error_received(self, report):
            reports.append(report)
            self.transport.reactor.stop()

    with udpr.Reactor() as reactor:
        transport = reactor.listen_udp(0, Reports(), LOCAL, error_reports=True)
        port = refusing_port()
        transport.write(b"anyone?", (LOCAL, port))
        reactor.run()
    equal((LOCAL, port), reports[0].to)
    assert isinstance(reports[0].error, ConnectionRefusedError)
    equal((True, b"anyone?"), (reports[0].icmp, reports[0].data))


@case
def each_failure_has_the_class_that_python_has_for_it():
    with udpr.Reactor() as reactor:
        transport = reactor.listen_udp(0, echo, LOCAL)
        with raises(ValueError):
            reactor.listen_udp(0, echo, "localhost")
        with raises(ValueError):
            reactor.listen_udp(70000, echo)
        with raises(udpr.InvalidAddressError):
            transport.write(b"", ("::1", 9))
        with raises(PermissionError):
            transport.write(b"", ("255.255.255.255", 9))
        with raises(RuntimeError):
            reactor.stop()
        with raises(LookupError):
            call = reactor.call_later(0, print)
            call.cancel()
            call.cancel()
        try:
            reactor.listen_udp(transport.host.port, echo, LOCAL)
        except udpr.Error as error:
            equal((errno.EADDRINUSE, "UDPR_E_ADDRESS_IN_USE"), (error.errno, error.name))
        else:
            raise AssertionError("the port was bound twice")
        try:
            transport.write(bytes(70000), transport.host)
        except OSError as error:
            equal(errno.EMSGSIZE, error.errno)
    with raises(udpr.ClosedError):
        transport.write(b"", (LOCAL, 9))
    with raises(udpr.ClosedError):
        reactor.call_from_thread(print)


@case
def exceptions_can_be_pickled():
    try:
        with udpr.Reactor() as reactor:
            reactor.listen_udp(0, echo, "localhost")
    except udpr.Error as error:
        copy = pickle.loads(pickle.dumps(error))
        equal((type(error), error.status), (type(copy), copy.status))


@case
def what_start_protocol_raises_comes_out_of_listen_udp():
    class Refuses(udpr.Protocol):
        def start_protocol(self):
            raise KeyError("no")

    with udpr.Reactor() as reactor:
        protocol = Refuses()
        with raises(KeyError):
            reactor.listen_udp(0, protocol, LOCAL)
        equal(None, protocol.transport)


@case
def an_exception_in_a_callback_is_reported_and_the_loop_goes_on():
    caught = []
    with udpr.Reactor() as reactor:
        reactor.exception_handler = caught.append

        def fails(transport, datagram):
            if bytes(datagram) == b"last":
                reactor.stop()
            raise ValueError(bytes(datagram))

        transport = reactor.listen_udp(0, fails, LOCAL)
        transport.write(b"first", transport.host)
        transport.write(b"last", transport.host)
        reactor.call_later(0, lambda: 1 / 0)
        reactor.run()
    equal([b"first", b"last"], [error.args[0] for error in caught if isinstance(error, ValueError)])
    equal(1, sum(isinstance(error, ZeroDivisionError) for error in caught))


@case
def system_exit_ends_the_run():
    with udpr.Reactor() as reactor:
        reactor.call_later(0, exit, 3)
        try:
            reactor.run()
        except SystemExit as ended:
            equal(3, ended.code)
        else:
            raise AssertionError("run returned")
        reactor.call_later(0, reactor.stop)
        reactor.run()


@case
def calls_keep_time():
    order = []
    with udpr.Reactor(manual_clock=True) as reactor:
        reactor.call_later(2, order.append, "later")
        reactor.call_at(reactor.now() + 1, order.append, "at")
        beats = reactor.call_every(1, lambda: order.append(beats.beats))
        moved = reactor.call_later(1, order.append, "moved")
        moved.reset(5)
        moved.delay(-1)
        reactor.advance(2)
        equal(["at", 1, "later", 1], order)
        beats.cancel()
        reactor.advance(1.5)
        equal("later", order[2])
        assert moved.active
        reactor.advance(0.5)
        equal("moved", order[-1])
        assert not moved.active
        with raises(ValueError):
            reactor.call_later(-1, print)
        with raises(ValueError):
            reactor.call_later(float("nan"), print)
        never = reactor.call_later(float("inf"), print)
        assert never.active
        never.cancel()


@case
def a_call_can_move_itself():
    times = []
    with udpr.Reactor(manual_clock=True) as reactor:

        def again():
            times.append(reactor.now())
            if len(times) < 3:
                call.reset(1)

        call = reactor.call_later(1, again)
        start = reactor.now()
        reactor.advance(10)
    equal([1.0, 2.0, 3.0], [round(now - start, 6) for now in times])


@case
def other_threads_call_and_stop():
    with udpr.Reactor() as reactor:
        called = []

        def work():
            reactor.call_from_thread(called.append, threading.get_ident())
            reactor.call_from_thread(lambda: called.append(threading.get_ident()))
            with raises(udpr.StateError):
                reactor.call_later(0, print)
            reactor.stop_from_thread()

        thread = threading.Thread(target=work)
        reactor.add_trigger("after", "startup", thread.start)
        reactor.run()
        equal([thread.ident, threading.get_ident()], called)
        thread.join()


@case
def post_sends_from_another_thread():
    with udpr.Reactor() as reactor:
        client = Recorder()
        transport = reactor.listen_udp(0, client, LOCAL)
        host = transport.host
        thread = threading.Thread(target=lambda: transport.post(b"posted", host))
        reactor.add_trigger("after", "startup", thread.start)
        reactor.run()
        thread.join()
        equal(b"posted", client.received[0][0])


@case
def descriptors_are_watched():
    with udpr.Reactor() as reactor:
        one, other = socket.socketpair()
        with one, other:
            events = []

            def ready(what):
                events.append((what, one.recv(10)))
                watch.cancel()
                reactor.stop()

            watch = reactor.watch(one.fileno(), udpr.READABLE, ready)
            other.send(b"data")
            reactor.run()
            equal([(udpr.READABLE, b"data")], events)


@case
def names_are_looked_up():
    found = []
    with udpr.Reactor() as reactor:

        def resolved(addresses, error):
            found.append((addresses, error))
            if len(found) == 2:
                reactor.stop()

        reactor.resolve("localhost", resolved, port=53, family=4)
        reactor.resolve("no-such-name.invalid", resolved).cancel()
        reactor.run()
        with raises(ValueError):
            reactor.resolve("a..b", resolved)
    found.sort(key=lambda result: len(result[0]), reverse=True)
    equal(([("127.0.0.1", 53)], None), found[0])
    equal("UDPR_E_CANCELLED", found[1][1].name)


@case
def a_pending_trigger_holds_the_shutdown_back():
    order = []
    with udpr.Reactor() as reactor:

        def before():
            order.append("before")
            reactor.call_later(0.01, finish)
            return udpr.PENDING

        def finish():
            order.append("finish")
            trigger.finish()

        trigger = reactor.add_trigger("before", "shutdown", before)
        reactor.add_trigger("after", "shutdown", order.append, "after")
        reactor.call_later(0, reactor.stop)
        reactor.run()
    equal(["before", "finish", "after"], order)


@case
def a_socket_is_adopted_and_stays_the_callers():
    with udpr.Reactor() as reactor, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((LOCAL, 0))
        client = Recorder()
        transport = reactor.adopt_datagram_port(own.fileno(), client)
        equal(own.getsockname(), transport.host)
        transport.write(b"to itself", transport.host)
        reactor.run()
        equal(b"to itself", client.received[0][0])
        own.sendto(b"still open", own.getsockname())


@case
def a_group_is_joined_on_loopback():
    with udpr.Reactor() as reactor:
        client = Recorder()
        transport = reactor.listen_multicast(0, client, "", listen_multiple=True)
        index = socket.if_nametoindex("lo")
        transport.join_group("228.0.0.5", index)
        transport.outgoing_interface = index
        equal((1, True), (transport.multicast_ttl, transport.loopback_mode))
        transport.multicast_ttl = 0
        transport.write(b"group", ("228.0.0.5", transport.host.port))
        reactor.run()
        equal(b"group", client.received[0][0])


@case
def counters_have_names():
    with udpr.Reactor() as reactor:
        client = Recorder()
        transport = reactor.listen_udp(0, client, LOCAL)
        transport.write(b"12345", transport.host)
        seen = {}
        reactor.add_trigger("before", "shutdown", lambda: seen.update(transport.stats()))
        reactor.run()
    equal((1, 5, 1, 5), (seen["datagrams_in"], seen["bytes_in"], seen["datagrams_out"], seen["bytes_out"]))


@case
def nothing_keeps_a_closed_reactor_alive():
    reactor = udpr.Reactor()
    transport = reactor.listen_udp(0, Recorder(), LOCAL)
    reactor.call_later(1000, print)
    reactor.close()
    reactor.close()
    references = weakref.ref(reactor), weakref.ref(transport)
    del reactor, transport
    gc.collect()
    equal((None, None), (references[0](), references[1]()))


main()
