"""The event loop for asyncio: datagram endpoints, and what goes on beside them."""

import asyncio
import contextvars
import gc
import os
import signal
import socket
import sys
import textwrap
import threading
import weakref

import namespace
from harness import case, equal, main, refusing_port, run

import udpr.asyncio

LOCAL = "127.0.0.1"


class Recorder(asyncio.DatagramProtocol):
    """Keeps what happens, and what is received in a queue."""

    def __init__(self):
        self.events = []
        self.received = asyncio.Queue()
        self.errors = asyncio.Queue()
        self.resumed = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def datagram_received(self, data, addr):
        self.received.put_nowait((data, addr))

    def error_received(self, exc):
        self.errors.put_nowait(exc)

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.resumed.set()

    def connection_lost(self, exc):
        self.events.append("lost")
        self.lost.set_result(exc)


def on_udpr(function):
    """Makes a case of a coroutine function."""

    def test():
        loop = udpr.asyncio.new_event_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(function(loop), 50))
        finally:
            loop.close()

    test.__name__ = function.__name__
    return case(test)


async def endpoint(loop, **options):
    options = options or {"local_addr": (LOCAL, 0)}
    return await loop.create_datagram_endpoint(Recorder, **options)


@on_udpr
async def an_echo_comes_back(loop):
    one, sent = await endpoint(loop)
    two, got = await endpoint(loop)
    one.sendto(b"hello", two.get_extra_info("sockname"))
    data, sender = await got.received.get()
    equal((b"hello", one.get_extra_info("sockname")), (data, sender))
    two.sendto(b"", sender)
    two.sendto(bytearray(b"back"), sender)
    equal(b"", (await sent.received.get())[0])
    equal(b"back", (await sent.received.get())[0])
    equal(["made"], sent.events)


@on_udpr
async def ipv6_addresses_have_four_parts(loop):
    one, got = await endpoint(loop, local_addr=("::1", 0))
    name = one.get_extra_info("sockname")
    one.sendto(b"to itself", name)
    equal((b"to itself", name), await got.received.get())


@on_udpr
async def a_connected_endpoint_needs_no_address(loop):
    server, got = await endpoint(loop)
    client, answered = await endpoint(loop, remote_addr=server.get_extra_info("sockname"))
    equal(server.get_extra_info("sockname"), client.get_extra_info("peername"))
    client.sendto(b"hello")
    _, sender = await got.received.get()
    server.sendto(b"hello yourself", sender)
    equal(b"hello yourself", (await answered.received.get())[0])
    try:
        client.sendto(b"elsewhere", (LOCAL, 9))
    except ValueError:
        return
    raise AssertionError("it sends elsewhere")


@on_udpr
async def a_refusal_is_an_error_and_the_endpoint_stays_open(loop):
    transport, protocol = await endpoint(loop, remote_addr=(LOCAL, refusing_port()))
    transport.sendto(b"anyone?")
    assert isinstance(await protocol.errors.get(), ConnectionRefusedError)
    assert not transport.is_closing()


@on_udpr
async def what_cannot_be_sent_is_an_error(loop):
    transport, protocol = await endpoint(loop)
    transport.sendto(bytes(70000), (LOCAL, 9))
    assert isinstance(await protocol.errors.get(), OSError)
    try:
        transport.sendto("text", (LOCAL, 9))
    except TypeError:
        return
    raise AssertionError("it sends text")


@on_udpr
async def close_sends_first_and_abort_does_not(loop):
    one, protocol = await endpoint(loop)
    two, got = await endpoint(loop)
    one.sendto(b"farewell", two.get_extra_info("sockname"))
    one.close()
    one.close()
    assert one.is_closing()
    equal(None, await protocol.lost)
    equal(b"farewell", (await got.received.get())[0])
    one.sendto(b"too late", two.get_extra_info("sockname"))
    two.abort()
    equal(None, await got.lost)
    equal((["made", "lost"], ["made", "lost"]), (protocol.events, got.events))


@on_udpr
async def the_port_is_free_when_the_connection_is_lost(loop):
    transport, protocol = await endpoint(loop)
    name = transport.get_extra_info("sockname")
    transport.close()
    await protocol.lost
    await asyncio.sleep(0)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(name)


@on_udpr
async def an_exception_goes_to_the_loops_handler(loop):
    class Fails(Recorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            raise ValueError(data)

    caught = []
    loop.set_exception_handler(lambda _, context: caught.append(context["exception"]))
    transport, protocol = await loop.create_datagram_endpoint(Fails, local_addr=(LOCAL, 0))
    for data in (b"one", b"two"):
        transport.sendto(data, transport.get_extra_info("sockname"))
        await protocol.received.get()
    await asyncio.sleep(0)
    equal([b"one", b"two"], [error.args[0] for error in caught])


@on_udpr
async def callbacks_have_the_context_of_their_endpoint(loop):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = loop.create_future()

    class Sees(Recorder):
        def datagram_received(self, data, addr):
            seen.set_result(variable.get())

    async def make():
        variable.set("inside")
        return await loop.create_datagram_endpoint(Sees, local_addr=(LOCAL, 0))

    transport, _ = await loop.create_task(make())
    transport.sendto(b"", transport.get_extra_info("sockname"))
    equal("inside", await seen)


@on_udpr
async def a_full_socket_pauses_the_protocol(loop):
    namespace.enter()
    for command in (
        "tc qdisc replace dev v0 root tbf rate 8mbit burst 8kb limit 4mb",
        "ip neigh replace 192.168.1.2 lladdr 02:00:00:00:00:02 dev v0",
    ):
        equal(0, run(*command.split()).returncode)
    transport, protocol = await endpoint(loop, local_addr=("192.168.1.1", 0))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    sent = 0
    while "pause" not in protocol.events:
        transport.sendto(bytes(1000), ("192.168.1.2", 9))
        sent += 1
        if sent % 10 == 0:
            await asyncio.sleep(0)
    assert transport.get_write_buffer_size() > 64 * 1024, transport.get_write_buffer_size()
    await protocol.resumed.wait()
    assert transport.get_write_buffer_size() < 64 * 1024
    transport.close()
    equal(None, await protocol.lost)
    equal(0, transport.get_write_buffer_size())


@on_udpr
async def tcp_subprocesses_and_threads_go_on(loop):
    async def echo(reader, writer):
        writer.write(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(echo, LOCAL, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"over TCP")
    equal(b"over TCP", await reader.read(100))
    writer.close()
    server.close()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(5)", stdout=asyncio.subprocess.PIPE)
    equal(b"5\n", (await process.communicate())[0])
    equal(threading.main_thread().ident, threading.get_ident())
    assert await loop.run_in_executor(None, threading.get_ident) != threading.get_ident()


@on_udpr
async def signals_are_handled(loop):
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await came.wait()
    loop.remove_signal_handler(signal.SIGUSR1)


@on_udpr
async def files_cannot_be_watched(loop):
    with open(__file__, "rb") as file:
        try:
            loop.add_reader(file, print)
        except PermissionError:
            return
    raise AssertionError("a file was watched")


@on_udpr
async def unix_datagrams_are_asyncios_own(loop):
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    transport, protocol = await endpoint(loop, sock=one)
    other.send(b"hello")
    equal(b"hello", (await protocol.received.get())[0])
    transport.close()
    await protocol.lost
    other.close()


@case
def a_closed_loop_with_an_open_endpoint_leaves_nothing():
    loop = udpr.asyncio.new_event_loop()
    transport, protocol = loop.run_until_complete(endpoint(loop))
    name = transport.get_extra_info("sockname")
    references = weakref.ref(transport), weakref.ref(loop)
    loop.close()
    del loop, transport, protocol
    gc.collect()
    equal((None, None), (references[0](), references[1]()))
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(name)


@case
def control_c_cancels_the_main_task():
    program = textwrap.dedent("""
        import asyncio, os, signal
        import udpr.asyncio
        async def main():
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                print("cancelled")
                raise
        try:
            if hasattr(asyncio, "Runner"):
                with asyncio.Runner(loop_factory=udpr.asyncio.new_event_loop) as runner:
                    runner.run(main())
            else:
                udpr.asyncio.new_event_loop().run_until_complete(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
    """)
    ended = run(sys.executable, "-c", program, timeout=30)
    equal("cancelled\nKeyboardInterrupt\n" if hasattr(asyncio, "Runner") else "KeyboardInterrupt\n", ended.stdout)


main()
