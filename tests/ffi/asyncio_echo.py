"""asyncio_echo.py LIBRARY: asyncio programs that serve UDP through udpr's one descriptor, by ctypes."""

import asyncio
import ctypes

from harness import case, equal, main
from udpr_ctypes import CALL, DATAGRAM, STOPPED, Addr, Datagram, Handle, Protocol, name, udpr

IN_TIME = 20  # seconds


def ok(status):
    equal("UDPR_OK", name(status))


class Reactor:
    """A reactor that turns whenever asyncio finds its descriptor readable."""

    def __init__(self):
        self.handle, self.kept = Handle(), []  # what C calls must live on
        ok(udpr.udpr_reactor_new(None, ctypes.byref(self.handle)))

    async def __aenter__(self):
        fd = ctypes.c_int32()
        ok(udpr.udpr_reactor_backend_fd(self.handle, ctypes.byref(fd)))
        ok(udpr.udpr_reactor_start(self.handle))
        self.fd, self.turns = fd.value, 0
        asyncio.get_running_loop().add_reader(self.fd, self.turn)
        return self

    def turn(self):
        self.turns += 1
        ok(udpr.udpr_reactor_iterate(self.handle, 0))

    async def __aexit__(self, *_):
        """Stops it, and waits until asyncio has driven it to its end."""
        ok(udpr.udpr_reactor_stop(self.handle))
        while udpr.udpr_reactor_is_running(self.handle):
            await asyncio.sleep(0)
        asyncio.get_running_loop().remove_reader(self.fd)
        ok(udpr.udpr_reactor_free(self.handle))

    def call_later(self, seconds, function):
        self.kept.append(CALL(lambda *_: function()))
        ok(udpr.udpr_reactor_call_later(self.handle, int(seconds * 1e9), self.kept[-1], None, None, None))

    def call_from_thread(self, function):
        self.kept.append(CALL(lambda *_: function()))
        ok(udpr.udpr_reactor_call_from_thread(self.handle, self.kept[-1], None, None))


class Echo:
    """A port on the loopback that answers each datagram with its bytes in capitals."""

    def __init__(self, reactor):
        transport, host = Handle(), Addr()
        reactor.kept.append(self)
        self.stopped = False
        self.protocol = Protocol(size=ctypes.sizeof(Protocol))
        self.protocol.datagram_received = DATAGRAM(self.received)
        self.protocol.stop_protocol = STOPPED(self.on_stop)
        listen = udpr.udpr_reactor_listen_udp
        ok(listen(reactor.handle, 0, b"127.0.0.1", ctypes.byref(self.protocol), None, ctypes.byref(transport)))
        ok(udpr.udpr_transport_get_host(transport, ctypes.byref(host)))
        udpr.udpr_transport_release(transport)
        self.address = ("127.0.0.1", host.port)

    def received(self, transport, datagram, _):
        got = Datagram.from_address(datagram)
        answer = ctypes.string_at(got.data, got.len).upper()
        ok(udpr.udpr_transport_write(transport, answer, len(answer), ctypes.byref(got.sender)))

    def on_stop(self, _transport, reason, _):
        ok(reason)
        self.stopped = True


class Client(asyncio.DatagramProtocol):
    """asyncio's own UDP, on the same loop."""

    @classmethod
    async def to(cls, address):
        transport, self = await asyncio.get_running_loop().create_datagram_endpoint(cls, remote_addr=address)
        self.transport, self.answers = transport, asyncio.Queue()
        return self

    def datagram_received(self, data, _):
        self.answers.put_nowait(data)

    async def ask(self, data):
        self.transport.sendto(data)
        return await self.answers.get()


def in_asyncio(program):
    """A case that is a coroutine with a reactor of its own."""

    async def with_reactor():
        async with Reactor() as reactor:
            await program(reactor)

    def run():
        asyncio.run(asyncio.wait_for(with_reactor(), IN_TIME))

    run.__name__ = program.__name__
    return case(run)


@in_asyncio
async def answers_asyncio_clients(reactor):
    echo = Echo(reactor)
    clients = [await Client.to(echo.address) for _ in range(10)]
    for i in range(20):
        answers = await asyncio.gather(*(client.ask(b"hello %d" % i) for client in clients))
        equal([b"HELLO %d" % i] * len(clients), answers)
    for client in clients:
        client.transport.close()


@in_asyncio
async def delayed_calls_come_without_asyncios_timers(reactor):
    loop, order, last = asyncio.get_running_loop(), [], asyncio.Event()
    begin = loop.time()
    reactor.call_later(0.05, last.set)
    reactor.call_later(0.02, lambda: order.append("b"))
    reactor.call_later(0, lambda: order.append("a"))
    await last.wait()
    equal(["a", "b"], order)
    assert loop.time() - begin >= 0.05


@in_asyncio
async def a_call_from_another_thread_wakes_asyncio(reactor):
    called = asyncio.Event()
    await asyncio.to_thread(reactor.call_from_thread, called.set)
    await called.wait()


@in_asyncio
async def with_nothing_to_do_it_does_not_turn(reactor):
    Echo(reactor)
    settled = None
    while settled != reactor.turns:
        settled = reactor.turns
        for _ in range(10):
            await asyncio.sleep(0)  # asyncio looks at its descriptors
    await asyncio.sleep(0.1)
    equal(settled, reactor.turns)


@case
def stopping_ends_its_ports():
    async def program():
        async with Reactor() as reactor:
            echo = Echo(reactor)
        equal(True, echo.stopped)

    asyncio.run(asyncio.wait_for(program(), IN_TIME))


main()
