"""asyncio_echo.py LIBRARY: asyncio programs that drive a reactor by its descriptor, with ctypes."""

import asyncio
import ctypes

from harness import case, equal, main
from udpr_ctypes import CALL, DATAGRAM, STOPPED, Addr, Datagram, Handle, Protocol, name, udpr

IN_TIME = 20  # seconds


def ok(status):
    equal("UDPR_OK", name(status))


class Reactor:
    """A reactor that runs a turn whenever asyncio finds its descriptor readable."""

    def __init__(self):
        self.handle, self.callbacks = Handle(), []  # callbacks that C may call must not be collected
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
        """Stops the reactor, and waits until its last turn."""
        ok(udpr.udpr_reactor_stop(self.handle))
        while udpr.udpr_reactor_is_running(self.handle):
            await asyncio.sleep(0)
        asyncio.get_running_loop().remove_reader(self.fd)
        ok(udpr.udpr_reactor_free(self.handle))

    def call_later(self, seconds, function):
        self.callbacks.append(CALL(lambda *_: function()))
        ok(udpr.udpr_reactor_call_later(self.handle, int(seconds * 1e9), self.callbacks[-1], None, None, None))

    def call_from_thread(self, function):
        self.callbacks.append(CALL(lambda *_: function()))
        ok(udpr.udpr_reactor_call_from_thread(self.handle, self.callbacks[-1], None, None))


class Echo:
    """A port on the loopback device that replies to each datagram with its data in upper case."""

    def __init__(self, reactor):
        transport, host = Handle(), Addr()
        reactor.callbacks.append(self)
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
    """A UDP client of asyncio in the same loop."""

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
    """Makes a case of a coroutine that receives a reactor."""

    async def with_reactor():
        async with Reactor() as reactor:
            await program(reactor)

    def run():
        asyncio.run(asyncio.wait_for(with_reactor(), IN_TIME))

    run.__name__ = program.__name__
    return case(run)


@in_asyncio
async def replies_to_asyncio_clients(reactor):
    echo = Echo(reactor)
    clients = [await Client.to(echo.address) for _ in range(10)]
    for i in range(20):
        answers = await asyncio.gather(*(client.ask(b"hello %d" % i) for client in clients))
        equal([b"HELLO %d" % i] * len(clients), answers)
    for client in clients:
        client.transport.close()


@in_asyncio
async def delayed_calls_need_no_asyncio_timers(reactor):
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
async def an_idle_reactor_runs_no_turns(reactor):
    Echo(reactor)
    settled = None
    while settled != reactor.turns:
        settled = reactor.turns
        for _ in range(10):
            await asyncio.sleep(0)  # lets asyncio poll its descriptors
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
