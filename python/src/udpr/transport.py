"""A UDP port."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from udpr._binding import NEVER, Registration, ffi, keep, lib, nanoseconds, sized
from udpr.addresses import Address, destinations, parse, to_address
from udpr.errors import check, error
from udpr.protocol import AnyProtocol, Datagram, Protocol, to_report

if TYPE_CHECKING:
    from udpr.reactor import Reactor

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a port."""

    listen_multiple: bool = False
    """Several sockets share the port number, and each receives the datagrams of its groups."""
    reuse_address: bool = False
    reuse_port: bool = False
    """The kernel distributes the senders among the sockets that share the port number."""
    v6_only: bool = False
    broadcast: bool = False
    packet_info: bool = False
    """Sets `destination` and `interface_index` of received datagrams."""
    timestamps: bool = False
    tos: bool = False
    ttl: bool = False
    error_reports: bool = False
    """error_received is called with what the kernel reports about each failed datagram."""
    dont_fragment: bool = False
    no_queue: bool = False
    """If the socket is full, datagrams are dropped and counted instead of queued."""
    unbatched: bool = False
    """Each write is one system call, made at once."""
    no_offload: bool = False
    offload: bool = False
    max_packet_size: int = 0
    """Longer datagrams are truncated. 0 means 65535, the maximum."""
    receive_buffer: int = 0
    send_buffer: int = 0
    send_queue_bytes: int = 0
    """How many bytes wait for a full socket before writes raise WouldBlockError. 0 means 1 MiB."""
    write_ready_bytes: int = 0
    """write_ready is called when at most so many bytes wait."""
    bind_device: str = ""
    """The name of the interface that the port receives and sends by."""

    def to_c(self) -> tuple[Any, Any]:
        """Returns the struct, and what must stay alive with it."""
        struct = sized("udpr_udp_options")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                struct.flags |= value * getattr(lib, f"UDPR_UDP_{field.name.upper()}")
            elif field.name != "bind_device":
                setattr(struct, field.name, value)
        device = ffi.new("char[]", self.bind_device.encode()) if self.bind_device else ffi.NULL
        struct.bind_device = device
        return struct, device


class Port(Registration):
    """A port of the library. A subclass has the callbacks."""

    __slots__ = ("__weakref__", "c", "reports")

    def __init__(self, reactor: Any) -> None:
        self.reports = reactor
        self.c: Any = ffi.NULL

    def open(self, function: Any, *where: Any, options: Any) -> None:
        """Listens by `function`, one of udpr_reactor_listen_* or udpr_reactor_adopt_datagram_port."""
        protocol = sized("udpr_protocol")
        protocol.start_protocol = lib.on_start_protocol
        protocol.datagrams_received = lib.on_datagrams_received
        protocol.connection_refused = lib.on_connection_refused
        protocol.error_received = lib.on_error_received
        protocol.write_ready = lib.on_write_ready
        protocol.stop_protocol = lib.on_stop_protocol
        protocol.free_user = lib.on_free
        protocol.user = keep(self)
        check(function(self.reports.c, *where, protocol, options, ffi.NULL))

    def start_protocol(self, transport: Any) -> int:
        self.c = ffi.gc(lib.udpr_transport_retain(transport), lib.udpr_transport_release)
        return int(lib.UDPR_OK)

    def datagrams_received(self, datagrams: Any, count: int) -> int:
        raise NotImplementedError

    def connection_refused(self) -> None: ...

    def error_received(self, report: Any) -> None: ...

    def write_ready(self) -> None: ...

    def stop_protocol(self, reason: int) -> None: ...

    def host_address(self) -> Any:
        """Returns the local address as a new udpr_addr."""
        out = ffi.new("udpr_addr *")
        check(lib.udpr_transport_get_host(self.c, out))
        return out

    def peer_address(self) -> Any:
        """Returns the peer's address as a new udpr_addr."""
        out = ffi.new("udpr_addr *")
        check(lib.udpr_transport_get_peer(self.c, out))
        return out


_ROOM = 128 * 1024  # bytes; the largest datagram and its sender need 65,535 + 32
_SENDER: int = ffi.sizeof("udpr_addr")


class _Scratch(threading.local):
    """Memory for `copy_batch`, for each thread."""

    def __init__(self) -> None:
        self.memory = ffi.new("char[]", _ROOM)
        self.lengths = ffi.new("uint32_t[]", 256)
        self.bytes = ffi.buffer(self.memory)


_scratch = _Scratch()


def batch(datagrams: Any, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the data and the sender's udpr_addr of each datagram."""
    scratch = _scratch
    memory, lengths, copied = scratch.memory, scratch.lengths, scratch.bytes
    while count:
        fit = lib.copy_batch(datagrams, count, memory, _ROOM, lengths)
        sizes = ffi.unpack(lengths, fit)
        copy = copied[: sum(sizes) + fit * _SENDER]  # a callback may run another reactor, which uses the memory again
        at = 0
        for size in sizes:
            data = at + _SENDER
            end = data + size
            yield copy[data:end], copy[at:data]
            at = end
        datagrams, count = datagrams + fit, count - fit


class _Receiver(Protocol):
    """The protocol of a port that was given a function."""

    def __init__(self, fn: Any) -> None:
        self._fn = fn

    def datagram_received(self, datagram: Datagram) -> None:
        self._fn(self.transport, datagram)


class Transport(Port):
    """A UDP port. `Reactor.listen_udp` makes it. It may be used on the reactor's thread, but `post` on any thread."""

    __slots__ = ("_failure", "_options", "_protocol", "reactor")

    def __init__(self, reactor: Reactor, protocol: AnyProtocol, options: Options) -> None:
        super().__init__(reactor)
        self.reactor = reactor
        self._options = options
        self._protocol: Protocol = protocol if isinstance(protocol, Protocol) else _Receiver(protocol)
        self._failure: BaseException | None = None

    def listen(self, port: int, interface: str) -> Transport:
        return self._open(lib.udpr_reactor_listen_addr, parse(interface or "0.0.0.0", port))

    def adopt(self, fd: int) -> Transport:
        return self._open(lib.udpr_reactor_adopt_datagram_port, fd, lib.UDPR_AF_UNSPEC)

    def _open(self, function: Any, *where: Any) -> Transport:
        options, _device = self._options.to_c()
        try:
            self.open(function, *where, options=options)
        except OSError:
            if self._failure is not None:
                raise self._failure from None
            raise
        return self

    # ---- callbacks ----

    def start_protocol(self, transport: Any) -> int:
        super().start_protocol(transport)
        self._protocol.transport = self
        try:
            self._protocol.start_protocol()
        except BaseException as exception:
            self._failure = exception
            self._protocol.transport = None
            return int(lib.UDPR_E_CANCELLED)
        return int(lib.UDPR_OK)

    def datagrams_received(self, datagrams: Any, count: int) -> int:
        received = self._protocol.datagram_received
        for i in range(count):
            datagram = Datagram(datagrams[i])
            try:
                received(datagram)
            except BaseException as exception:
                self.reactor.callback_failed(exception)
            finally:
                datagram.expire()
        return count

    def connection_refused(self) -> None:
        self._protocol.connection_refused()

    def error_received(self, report: Any) -> None:
        self._protocol.error_received(to_report(report, error(report.status)))

    def write_ready(self) -> None:
        self._protocol.write_ready()

    def stop_protocol(self, reason: int) -> None:
        try:
            self._protocol.stop_protocol(None if reason == lib.UDPR_OK else error(reason))
        finally:
            self._protocol.transport = None

    # ---- sending ----

    def write(self, data: Buffer, to: tuple[str, int] | None = None) -> None:
        """Sends one datagram to (host, port), or on a connected port to its peer.

        Inside a callback writes are gathered, and sent together. Raises WouldBlockError if the socket and the queue are
        full, and other exceptions for an address or data that cannot be sent.
        """
        destination = ffi.NULL if to is None else destinations[to]
        if type(data) is not bytes:
            data = ffi.from_buffer(data)
        status = lib.udpr_transport_write(self.c, data, len(data), destination)
        if status:
            raise error(status)

    def reply(self, datagram: Datagram, data: Buffer) -> None:
        """Sends to the datagram's sender, from the address that it was sent to, which the option `packet_info` makes known.

        A copy of the datagram can be replied to later.
        """
        buffer = ffi.from_buffer(data)
        check(lib.udpr_transport_reply(self.c, datagram.c, buffer, len(buffer)))

    def write_sequence(self, pieces: list[Buffer], to: tuple[str, int] | None = None) -> None:
        """Sends the pieces one after the other as one datagram."""
        self.write(b"".join(pieces), to)

    def post(self, data: Buffer, to: tuple[str, int] | None = None) -> None:
        """As `write`, from any thread: the datagram is sent in the reactor's next turn."""
        buffer = ffi.from_buffer(data)
        check(lib.udpr_transport_post(self.c, buffer, len(buffer), ffi.NULL if to is None else destinations[to]))

    def flush(self) -> None:
        """Sends what was gathered."""
        check(lib.udpr_transport_flush(self.c))

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait to be sent: what is gathered, queued for a full socket, or posted."""
        return self._get(lib.udpr_transport_get_queued_bytes, "size_t *")

    # ---- addresses ----

    def connect(self, host: str, port: int) -> None:
        """Connects the port: writes need no address, and datagrams of others are not delivered. It may be called again."""
        check(lib.udpr_transport_connect(self.c, parse(host, port)))

    def disconnect(self) -> None:
        """Ends the connection. The port keeps its number."""
        check(lib.udpr_transport_disconnect(self.c))

    @property
    def host(self) -> Address:
        """The local address."""
        return to_address(self.host_address())

    @property
    def peer(self) -> Address | None:
        """The peer of a connected port, otherwise None."""
        out = ffi.new("udpr_addr *")
        status = lib.udpr_transport_get_peer(self.c, out)
        if status == lib.UDPR_E_NOT_CONNECTED:
            return None
        check(status)
        return to_address(out)

    def fileno(self) -> int:
        """Returns the socket's descriptor, which belongs to the library; -1 once it is closed."""
        return int(lib.udpr_transport_fileno(self.c))

    # ---- life ----

    def stop_listening(self) -> None:
        """Stops the port. `stop_protocol` is called in a later turn."""
        check(lib.udpr_transport_stop_listening(self.c))

    def stop_when_sent(self, timeout: float | None = None) -> None:
        """Stops the port once everything that was accepted is sent, or after `timeout` seconds; None: however long it takes.

        `stop_protocol` then gets a TimedOutError if something was dropped.
        """
        check(lib.udpr_transport_stop_when_sent(self.c, NEVER if timeout is None else nanoseconds(timeout)))

    def close(self) -> None:
        """Stops the port at once: `stop_protocol` has been called when this returns. Closing it again has no effect."""
        status = lib.udpr_transport_close(self.c)
        if status != lib.UDPR_E_CLOSED:
            check(status)

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pause_reading(self) -> None:
        """Delivers no datagrams until `resume_reading`."""
        check(lib.udpr_transport_pause_reading(self.c))

    def resume_reading(self) -> None:
        """Delivers datagrams again, beginning with those that were kept."""
        check(lib.udpr_transport_resume_reading(self.c))

    # ---- groups and options ----

    def join_group(self, group: str, interface: int = 0, source: str | None = None) -> None:
        """Joins a group on the interface with this index; 0: that of the group's zone, or of the route to the group.

        With `source`, only the datagrams of that sender are received (RFC 4607).
        """
        if source is None:
            check(lib.udpr_transport_join_group(self.c, parse(group, 0), interface))
        else:
            check(lib.udpr_transport_join_source_group(self.c, parse(group, 0), parse(source, 0), interface))

    def leave_group(self, group: str, interface: int = 0, source: str | None = None) -> None:
        """Leaves a group, named as it was joined."""
        if source is None:
            check(lib.udpr_transport_leave_group(self.c, parse(group, 0), interface))
        else:
            check(lib.udpr_transport_leave_source_group(self.c, parse(group, 0), parse(source, 0), interface))

    def _get(self, function: Any, kind: str = "udpr_bool *") -> int:
        out = ffi.new(kind)
        check(function(self.c, out))
        return int(out[0])

    @property
    def multicast_ttl(self) -> int:
        """The TTL or hop limit of datagrams to groups; 1 at first."""
        return self._get(lib.udpr_transport_get_ttl, "uint32_t *")

    @multicast_ttl.setter
    def multicast_ttl(self, ttl: int) -> None:
        check(lib.udpr_transport_set_ttl(self.c, ttl))

    @property
    def unicast_ttl(self) -> int:
        """The TTL or hop limit of other datagrams."""
        return self._get(lib.udpr_transport_get_unicast_ttl, "uint32_t *")

    @unicast_ttl.setter
    def unicast_ttl(self, ttl: int) -> None:
        check(lib.udpr_transport_set_unicast_ttl(self.c, ttl))

    @property
    def loopback_mode(self) -> bool:
        """Whether this host's ports receive what this port sends to groups."""
        return bool(self._get(lib.udpr_transport_get_loopback_mode))

    @loopback_mode.setter
    def loopback_mode(self, on: bool) -> None:
        check(lib.udpr_transport_set_loopback_mode(self.c, on))

    @property
    def broadcast_allowed(self) -> bool:
        return bool(self._get(lib.udpr_transport_get_broadcast_allowed))

    @broadcast_allowed.setter
    def broadcast_allowed(self, allowed: bool) -> None:
        check(lib.udpr_transport_set_broadcast_allowed(self.c, allowed))

    @property
    def outgoing_interface(self) -> int:
        """The index of the interface by which datagrams to groups are sent; 0: the system's choice."""
        return self._get(lib.udpr_transport_get_outgoing_interface, "uint32_t *")

    @outgoing_interface.setter
    def outgoing_interface(self, index: int) -> None:
        check(lib.udpr_transport_set_outgoing_interface(self.c, index))

    def stats(self) -> dict[str, int]:
        """Returns the counters of the port, by the names of udpr_transport_stats."""
        struct = sized("udpr_transport_stats")
        check(lib.udpr_transport_get_stats(self.c, struct))
        return {name: getattr(struct, name) for name, _ in ffi.typeof("udpr_transport_stats").fields if name != "size"}
