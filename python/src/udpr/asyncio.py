"""An event loop for asyncio whose datagram endpoints are udpr's. Everything else is asyncio's, and waits in udpr's loop.

asyncio.run(main(), loop_factory=udpr.asyncio.new_event_loop)    # Python 3.12 and later
with asyncio.Runner(loop_factory=udpr.asyncio.new_event_loop) as runner: ...   # Python 3.11 and later
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import errno
import selectors
import socket
from asyncio import transports, trsock
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from udpr._binding import NEVER, ffi, keep, lib, sized
from udpr.addresses import FromC, ToC, host_text
from udpr.errors import InvalidAddressError, check, error
from udpr.loop import BaseReactor
from udpr.reactor import READABLE, WRITABLE
from udpr.registrations import Watch
from udpr.transport import Port, batch

_QUEUE = 64 * 1024  # bytes that wait in the library for a full socket; asyncio's own high-water mark
_READY = {
    events: (selectors.EVENT_READ if events & ~WRITABLE else 0) | (selectors.EVENT_WRITE if events & ~READABLE else 0)
    for events in range(8)
}  # a hangup is reported to readers and writers, as by epoll

Buffer: TypeAlias = bytes | bytearray | memoryview


def _to_python(addr: Any) -> tuple[Any, ...]:
    """Returns an address as Python's sockets do."""
    if addr.family == lib.UDPR_AF_INET:
        return host_text(addr), addr.port
    host = host_text(addr).partition("%")[0]
    return host, addr.port, socket.ntohl(addr.flow_info), addr.scope_id


class _Destinations(ToC):
    """Destinations as Python's sockets take them: an IPv6 address has its scope in the fourth place."""

    def __missing__(self, destination: Any) -> Any:
        host, port = destination[:2]
        scope = destination[3] if len(destination) > 3 else 0
        address = super().__missing__((f"{host}%{scope}" if scope else host, port))
        self[destination] = address
        return address


_senders: FromC[tuple[Any, ...]] = FromC(_to_python)
_destinations = _Destinations()


class _Reactor(BaseReactor):
    """The library's reactor. Exceptions of callbacks go to the loop's handler."""

    loop: EventLoop

    def report(self, exception: Exception) -> None:
        self.loop.call_exception_handler({"message": "Exception in a callback of udpr", "exception": exception})


class _Selector(selectors.BaseSelector):
    """What asyncio waits with: a turn of the reactor, in which datagrams are delivered."""

    def __init__(self) -> None:
        self.reactor = _Reactor()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._watches: dict[int, Watch] = {}
        self._ready: list[tuple[selectors.SelectorKey, int]] = []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = _fd(fileobj)
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        watch = Watch(self.reactor, lambda ready: self._add_ready(fd, ready))
        reactor = self.reactor.c
        status = lib.udpr_reactor_watch(reactor, fd, events, lib.on_watch, keep(watch), lib.on_free, watch.out_id)
        if status == lib.UDPR_E_NOT_SUPPORTED:
            raise PermissionError(errno.EPERM, "a file cannot be watched")  # as epoll_ctl(2)
        check(status)
        self._watches[fd] = watch
        self._keys[fd] = key = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        fd = _fd(fileobj)
        key = self._keys.pop(fd)
        lib.udpr_reactor_unwatch(self.reactor.c, self._watches.pop(fd).id)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = _fd(fileobj)
        if events != self._keys[fd].events:
            self._watches[fd].change(events)
        self._keys[fd] = key = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def _add_ready(self, fd: int, events: int) -> None:
        key = self._keys[fd]
        if _READY[events] & key.events:
            self._ready.append((key, _READY[events] & key.events))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.reactor.turn(-1 if timeout is None else int(max(0.0, timeout) * 1e9) + (timeout > 0))
        ready, self._ready = self._ready, []
        # What tasks send until the next turn leaves together.
        lib.udpr_reactor_gather(self.reactor.c)
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[_fd(fileobj)]

    def close(self) -> None:
        self._keys.clear()
        self._watches.clear()
        self.reactor.close()


def _fd(fileobj: Any) -> int:
    fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
    if fd < 0:
        raise ValueError(f"invalid file descriptor: {fd}")
    return fd


class EventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, with udpr's datagram endpoints."""

    def __init__(self) -> None:
        selector = _Selector()
        self.reactor = selector.reactor
        self.reactor.loop = self
        super().__init__(selector)

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.DatagramProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):  # AF_UNIX
            make: Callable[..., asyncio.DatagramTransport] = super()._make_datagram_transport  # type: ignore[misc]
            return make(sock, protocol, address, waiter, extra)
        return DatagramTransport(self, sock, protocol, address, waiter, extra)


def new_event_loop() -> EventLoop:
    """Returns a new event loop, for `asyncio.run` and `asyncio.Runner`."""
    return EventLoop()


class _Port(Port):
    """The library's port of an endpoint."""

    __slots__ = ("context", "endpoint")

    def __init__(self, reactor: _Reactor, endpoint: DatagramTransport) -> None:
        super().__init__(reactor)
        self.endpoint = endpoint
        self.context = contextvars.copy_context()

    def datagrams_received(self, datagrams: Any, count: int) -> int:
        self.context.run(self.endpoint._deliver, datagrams, count)
        return count

    def connection_refused(self) -> None:
        self.context.run(self.endpoint._failed, lib.UDPR_E_CONNECTION_REFUSED)

    def error_received(self, report: Any) -> None:
        self.context.run(self.endpoint._failed, report.status)

    def write_ready(self) -> None:
        self.context.run(self.endpoint._write_ready)

    def stop_protocol(self, reason: int) -> None:
        self.endpoint._stopped(reason)


class DatagramTransport(transports._FlowControlMixin, asyncio.DatagramTransport):
    """A datagram endpoint. asyncio has made the socket, bound and connected it."""

    _extra: dict[str, Any]  # of asyncio.BaseTransport
    _high_water: int  # these are of asyncio's _FlowControlMixin
    _maybe_pause_protocol: Callable[[], None]
    _maybe_resume_protocol: Callable[[], None]

    def __init__(
        self,
        loop: EventLoop,
        sock: socket.socket,
        protocol: asyncio.DatagramProtocol,
        address: Any,
        waiter: asyncio.Future[None] | None,
        extra: dict[str, Any] | None,
    ) -> None:
        super().__init__(extra, loop)
        self._loop = loop
        self._sock = sock
        self._protocol = protocol
        self._address = address
        self._buffer: collections.deque[tuple[bytes, Any]] = collections.deque()
        self._buffer_size = 0
        self._closing = False
        self._lost = False
        self._error: Exception | None = None
        self._extra["socket"] = trsock.TransportSocket(sock)
        self._extra["sockname"] = _name_of(sock.getsockname)
        self._extra.setdefault("peername", _name_of(sock.getpeername))
        self._connected = self._extra["peername"] is not None
        self._port = _Port(loop.reactor, self)
        options = sized("udpr_udp_options")
        options.flags = lib.UDPR_UDP_OFFLOAD
        options.send_queue_bytes = _QUEUE
        self._port.open(lib.udpr_reactor_adopt_datagram_port, sock.fileno(), lib.UDPR_AF_UNSPEC, options=options)
        loop.call_soon(protocol.connection_made, self)
        if waiter is not None:
            loop.call_soon(_finish, waiter)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<{type(self).__name__} fd={self._sock.fileno()} {state}>"

    # ---- receiving ----

    def _deliver(self, datagrams: Any, count: int) -> None:
        received = self._protocol.datagram_received
        for data, sender in batch(datagrams, count):
            try:
                received(data, _senders[sender])
            except BaseException as exception:
                self._loop.reactor.callback_failed(exception)
            if self._closing:
                break

    def _failed(self, status: int) -> None:
        if not self._closing:
            self._protocol.error_received(error(status))

    def pause_reading(self) -> None:
        check(lib.udpr_transport_pause_reading(self._port.c))

    def resume_reading(self) -> None:
        check(lib.udpr_transport_resume_reading(self._port.c))

    # ---- sending ----

    def sendto(self, data: Buffer, addr: Any = None) -> None:
        if type(data) is not bytes and not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._address is not None:
            if addr is not None and addr != self._address:
                raise ValueError(f"Invalid address: must be None or {self._address}")
            addr = self._address
        if self._closing:
            return
        if self._buffer or not self._send(data, addr):
            self._buffer.append((bytes(data), addr))
            self._buffer_size += len(data)
            self._maybe_pause_protocol()
        elif self._high_water < _QUEUE:
            self._maybe_pause_protocol()

    def _send(self, data: Buffer, addr: Any) -> bool:
        """Sends a datagram. Returns False if the socket and the library's queue are full."""
        try:
            destination = ffi.NULL if self._connected else _destinations[addr]
        except InvalidAddressError:  # a host name; asyncio's own transport looks it up here, too
            self._send_to_name(data, addr)
            return True
        status = lib.udpr_transport_write(
            self._port.c, data if type(data) is bytes else ffi.from_buffer(data), len(data), destination
        )
        if status == lib.UDPR_OK:
            return True
        if status == lib.UDPR_E_WOULD_BLOCK:
            return False
        self._protocol.error_received(error(status))
        return True

    def _send_to_name(self, data: Buffer, addr: Any) -> None:
        try:
            self._sock.sendto(data, addr)
        except OSError as exception:
            self._protocol.error_received(exception)

    def _write_ready(self) -> None:
        while self._buffer and self._send(*self._buffer[0]):
            data, _ = self._buffer.popleft()
            self._buffer_size -= len(data)
        self._maybe_resume_protocol()
        if self._closing and not self._buffer:
            self._stop()

    def get_write_buffer_size(self) -> int:
        out = ffi.new("size_t *")
        if lib.udpr_transport_get_queued_bytes(self._port.c, out) != lib.UDPR_OK:
            return self._buffer_size
        return self._buffer_size + int(out[0])

    # ---- life ----

    def is_closing(self) -> bool:
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def close(self) -> None:
        """Closes the transport once everything was sent."""
        if not self._closing:
            self._closing = True
            if not self._buffer:
                self._stop()

    def _stop(self) -> None:
        lib.udpr_transport_stop_when_sent(self._port.c, NEVER)

    def abort(self) -> None:
        """Closes the transport at once."""
        self._closing = True
        self._buffer.clear()
        self._buffer_size = 0
        lib.udpr_transport_close(self._port.c)

    def _stopped(self, reason: int) -> None:
        self._closing = True
        self._error = error(reason) if reason not in (lib.UDPR_OK, lib.UDPR_E_TIMED_OUT) else None
        if not self._loop.is_closed():
            self._loop.call_soon(self._lose_connection)
        else:
            self._sock.close()

    def _lose_connection(self) -> None:
        self._lost = True
        try:
            self._protocol.connection_lost(self._error)
        finally:
            self._sock.close()


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _name_of(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except OSError:
        return None
