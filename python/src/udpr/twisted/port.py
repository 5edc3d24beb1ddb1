"""UDP ports, with Twisted's interfaces."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet import abstract, defer, error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort, IMulticastTransport, IUDPTransport
from twisted.python import log
from zope.interface import implementer

from udpr._binding import ffi, lib, sized
from udpr.addresses import FromC, ToC, host_text, parse
from udpr.errors import Error, check
from udpr.errors import error as to_error
from udpr.protocol import to_report
from udpr.transport import Port, batch

if TYPE_CHECKING:
    from udpr.twisted.reactor import UdprReactor

_BROADCAST = "<broadcast>"
_senders: FromC[tuple[str, int]] = FromC(lambda addr: (host_text(addr), addr.port))


class _Destinations(ToC):
    """Destinations of ports of one family. The messages are Twisted's."""

    def __init__(self, family: int) -> None:
        super().__init__()
        self._family = family

    def __missing__(self, destination: Any) -> Any:
        host, port = destination[:2]
        v4 = host == _BROADCAST or abstract.isIPAddress(host)
        if not v4 and not abstract.isIPv6Address(host):
            raise error.InvalidAddressError(host, "write() only accepts IP addresses, not hostnames")
        if v4 and self._family == lib.UDPR_AF_INET6:
            raise error.InvalidAddressError(host, "IPv6 port write() called with IPv4 or broadcast address")
        if not v4 and self._family == lib.UDPR_AF_INET:
            raise error.InvalidAddressError(host, "IPv4 port write() called with IPv6 address")
        if host == _BROADCAST:
            self[destination] = address = parse("255.255.255.255", port)
            return address
        return super().__missing__(destination)


_destinations = {family: _Destinations(family) for family in (lib.UDPR_AF_INET, lib.UDPR_AF_INET6)}


@implementer(IListeningPort, IUDPTransport)
class UDPPort(Port):
    """A UDP port.

    Beyond Twisted: a connected port survives refusals, IPv6 addresses keep their zone, `errorReceived` of the protocol is
    called with the error reports that `setErrorReports` turns on, and a registered producer is paused while the socket is full.
    """

    def __init__(self, reactor: UdprReactor, port: int, protocol: Any, interface: str, maxPacketSize: int) -> None:
        super().__init__(reactor.loop)
        if interface and not abstract.isIPAddress(interface) and not abstract.isIPv6Address(interface):
            raise error.InvalidAddressError(interface, "not an IPv4 or IPv6 address.")
        if not 0 <= port <= 65535:
            raise OverflowError("listenUDP(): port must be 0-65535.")
        self.reactor = reactor
        self.port = port
        self.protocol = protocol
        self.interface = interface
        self.maxPacketSize = maxPacketSize
        self.connected = False
        self.producer: Any = None
        self._producerPaused = False
        self._options = sized("udpr_udp_options")
        self._options.max_packet_size = maxPacketSize
        self._realPortNumber: int | None = None
        self._connectedAddr: tuple[str, int] | None = None
        self._socket: socket.socket | None = None
        self._stopped: list[defer.Deferred[None]] = []
        self._failure: BaseException | None = None
        self.logstr = f"{self._protocolName()} (UDP)"

    def _protocolName(self) -> str:
        prefix = getattr(self.protocol, "logPrefix", None)
        return str(prefix()) if prefix is not None else type(self.protocol).__name__

    def __repr__(self) -> str:
        where = "not connected" if self._realPortNumber is None else f"on {self._realPortNumber}"
        return f"<{self.protocol.__class__} {where}>"

    def logPrefix(self) -> str:
        return self.logstr

    # ---- life ----

    def startListening(self) -> None:
        try:
            if self.interface:
                self._open(lib.udpr_reactor_listen_addr, parse(self.interface, self.port))
            else:
                self._open(lib.udpr_reactor_listen_udp, self.port, ffi.NULL)
        except Error as failure:
            raise error.CannotListenError(self.interface, self.port, failure) from failure

    def adopt(self, fd: int) -> None:
        self._open(lib.udpr_reactor_adopt_datagram_port, fd, lib.UDPR_AF_UNSPEC)

    def _open(self, function: Any, *where: Any) -> None:
        self._failure = None
        try:
            self.open(function, *where, options=self._options)
        except Error:
            if self._failure is not None:
                raise self._failure from None
            raise

    def start_protocol(self, transport: Any) -> int:
        super().start_protocol(transport)
        host = self.host_address()
        self.addressFamily = socket.AF_INET if host.family == lib.UDPR_AF_INET else socket.AF_INET6
        self._destinations = _destinations[host.family]
        self._realPortNumber = host.port
        log.msg(f"{self._protocolName()} starting on {host.port}")
        self.connected = True
        self.reactor.ports.add(self)
        try:
            self.protocol.makeConnection(self)
        except BaseException as failure:
            self._failure = failure
            self._forget()
            self.protocol.transport = None
            return int(lib.UDPR_E_CANCELLED)
        return int(lib.UDPR_OK)

    def _forget(self) -> None:
        self.reactor.ports.discard(self)
        self.connected = False
        self._realPortNumber = None
        self._connectedAddr = None
        if self._socket is not None:
            self._socket.detach()  # the library closes the descriptor
            self._socket = None

    def stopListening(self) -> defer.Deferred[None] | None:
        """Stops the port. The Deferred fires when its number can be bound again."""
        if not self.connected:
            return None
        stopped: defer.Deferred[None] = defer.Deferred()
        self._stopped.append(stopped)
        check(lib.udpr_transport_stop_listening(self.c))
        return stopped

    def loseConnection(self) -> None:
        warnings.warn("Please use stopListening() to disconnect port", DeprecationWarning, stacklevel=2)
        self.stopListening()

    def connectionLost(self, reason: Any = None) -> None:
        """Stops the port at once."""
        if self.connected:
            check(lib.udpr_transport_close(self.c))

    def stop_protocol(self, reason: int) -> None:
        log.msg(f"(UDP Port {self._realPortNumber} Closed)")
        self._forget()
        stopped, self._stopped = self._stopped, []
        try:
            log.callWithLogger(self, self.protocol.doStop)
        finally:
            for deferred in stopped:
                deferred.callback(None)

    # ---- receiving ----

    def datagrams_received(self, datagrams: Any, count: int) -> int:
        log.callWithLogger(self, self._deliver, datagrams, count)
        return count

    def _deliver(self, datagrams: Any, count: int) -> None:
        received = self.protocol.datagramReceived
        for data, sender in batch(datagrams, count):
            try:
                received(data, _senders[sender])
            except BaseException:
                log.err()

    def connection_refused(self) -> None:
        log.callWithLogger(self, self.protocol.connectionRefused)

    def error_received(self, report: Any) -> None:
        received = getattr(self.protocol, "errorReceived", None)
        if received is not None:
            log.callWithLogger(self, received, to_report(report, to_error(report.status)))

    def setErrorReports(self, enabled: bool) -> None:
        """Beyond Twisted: calls `protocol.errorReceived` with a `udpr.ErrorReport` for each datagram that failed."""
        check(lib.udpr_transport_set_error_reports(self.c, enabled))

    def startReading(self) -> None:
        check(lib.udpr_transport_resume_reading(self.c))

    def stopReading(self) -> None:
        check(lib.udpr_transport_pause_reading(self.c))

    resumeProducing = startReading
    pauseProducing = stopReading

    def stopProducing(self) -> None:
        self.stopListening()

    # ---- sending ----

    def write(self, datagram: bytes, addr: tuple[str, int] | None = None) -> int:
        """Sends a datagram. Raises BlockingIOError if the socket and the library's queue are full."""
        if self._connectedAddr is not None:
            assert addr in (None, self._connectedAddr)
            destination = ffi.NULL
        else:
            assert addr is not None
            destination = self._destinations[addr]
        if not self.connected:
            raise to_error(lib.UDPR_E_CLOSED)
        if type(datagram) is not bytes and not isinstance(datagram, str):
            datagram = bytes(datagram)
        status = lib.udpr_transport_write(self.c, datagram, len(datagram), destination)
        if status:
            self._writeFailed(status)
        return len(datagram)

    def _writeFailed(self, status: int) -> None:
        if status == lib.UDPR_E_MESSAGE_TOO_LONG:
            raise error.MessageLengthError("message too long")
        if status == lib.UDPR_E_WOULD_BLOCK and self.producer is not None and not self._producerPaused:
            self._producerPaused = True
            self.producer.pauseProducing()
        if status != lib.UDPR_E_CONNECTION_REFUSED:
            raise to_error(status)

    def writeSequence(self, seq: Iterable[bytes], addr: tuple[str, int] | None) -> None:
        self.write(b"".join(seq), addr)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Beyond Twisted: the producer is paused when a write does not fit, and resumed when the queue is empty."""
        if self.producer is not None:
            raise RuntimeError("a producer is registered already")
        self.producer = producer
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        self._producerPaused = False

    def write_ready(self) -> None:
        if self.producer is not None and self._producerPaused:
            self._producerPaused = False
            self.producer.resumeProducing()

    # ---- addresses ----

    def connect(self, host: str, port: int) -> None:
        if self._connectedAddr is not None:
            raise RuntimeError("already connected, reconnecting is not currently supported")
        if not abstract.isIPAddress(host) and not abstract.isIPv6Address(host):
            raise error.InvalidAddressError(host, "not an IPv4 or IPv6 address.")
        check(lib.udpr_transport_connect(self.c, parse(host, port)))
        self._connectedAddr = (host, port)

    def disconnect(self) -> None:
        """Beyond Twisted: ends the connection."""
        check(lib.udpr_transport_disconnect(self.c))
        self._connectedAddr = None

    def getHost(self) -> IPv4Address | IPv6Address:
        addr = self.host_address()
        if addr.family == lib.UDPR_AF_INET:
            return IPv4Address("UDP", host_text(addr), addr.port)
        return IPv6Address("UDP", host_text(addr), addr.port)

    def getHandle(self) -> socket.socket:
        """Returns a socket object for options that the library has no method for. It must not be closed."""
        if self._socket is None:
            self._socket = socket.socket(fileno=self.fileno())
        return self._socket

    def fileno(self) -> int:
        return int(lib.udpr_transport_fileno(self.c)) if self.connected else -1

    def setBroadcastAllowed(self, enabled: bool) -> None:
        check(lib.udpr_transport_set_broadcast_allowed(self.c, bool(enabled)))

    def getBroadcastAllowed(self) -> bool:
        out = ffi.new("udpr_bool *")
        check(lib.udpr_transport_get_broadcast_allowed(self.c, out))
        return bool(out[0])


@implementer(IMulticastTransport)
class MulticastPort(UDPPort):
    """A UDP port that joins groups."""

    def __init__(
        self, reactor: UdprReactor, port: int, protocol: Any, interface: str, maxPacketSize: int, listenMultiple: bool
    ) -> None:
        super().__init__(reactor, port, protocol, interface, maxPacketSize)
        self._outgoing = "0.0.0.0"
        if listenMultiple:
            self._options.flags |= lib.UDPR_UDP_LISTEN_MULTIPLE | lib.UDPR_UDP_REUSE_PORT

    def _get(self, function: Any, kind: str) -> int:
        out = ffi.new(kind)
        check(function(self.c, out))
        return int(out[0])

    def getTTL(self) -> int:
        return self._get(lib.udpr_transport_get_ttl, "uint32_t *")

    def setTTL(self, ttl: int) -> None:
        check(lib.udpr_transport_set_ttl(self.c, ttl))

    def getLoopbackMode(self) -> bool:
        return bool(self._get(lib.udpr_transport_get_loopback_mode, "udpr_bool *"))

    def setLoopbackMode(self, mode: bool) -> None:
        check(lib.udpr_transport_set_loopback_mode(self.c, bool(mode)))

    def getOutgoingInterface(self) -> str | int:
        """Returns an IPv4 address or, of an IPv6 port, the index of an interface."""
        if self.addressFamily == socket.AF_INET:
            return self._outgoing
        return self._get(lib.udpr_transport_get_outgoing_interface, "uint32_t *")

    def setOutgoingInterface(self, interface: str | int) -> defer.Deferred[int]:
        """Sets the interface by its IPv4 address or a name of that or, of an IPv6 port, by its index."""
        if self.addressFamily == socket.AF_INET6:
            assert isinstance(interface, int)
            return defer.execute(self._setOutgoing, interface)
        return self._literal(str(interface)).addCallback(self._setOutgoingAddress)

    def _setOutgoingAddress(self, address: str) -> int:
        self._setOutgoing(_index(address))
        self._outgoing = address
        return 1

    def _setOutgoing(self, index: int) -> int:
        check(lib.udpr_transport_set_outgoing_interface(self.c, index))
        return 1

    def joinGroup(self, addr: str, interface: str | int = "", source: str | None = None) -> defer.Deferred[None]:
        """Joins a group. Beyond Twisted: the interface may be an index, and with `source` only its datagrams are received."""
        return self._member(lib.udpr_transport_join_group, lib.udpr_transport_join_source_group, addr, interface, source)

    def leaveGroup(self, addr: str, interface: str | int = "", source: str | None = None) -> defer.Deferred[None]:
        """Leaves a group, named as it was joined."""
        return self._member(lib.udpr_transport_leave_group, lib.udpr_transport_leave_source_group, addr, interface, source)

    def _member(
        self, any_source: Any, one_source: Any, addr: str, interface: str | int, source: str | None
    ) -> defer.Deferred[None]:
        def change(literals: list[str]) -> None:
            group, where = literals
            try:
                if isinstance(where, str) and where and abstract.isIPv6Address(where) != abstract.isIPv6Address(group):
                    raise to_error(lib.UDPR_E_ADDRESS_FAMILY)
                index = where if isinstance(where, int) else _index(where) if where else 0
                if source is None:
                    check(any_source(self.c, parse(group, 0), index))
                else:
                    check(one_source(self.c, parse(group, 0), parse(source, 0), index))
            except Error as failure:
                raise error.MulticastJoinError(addr, interface, failure.errno, failure.strerror) from failure

        where = defer.succeed(interface) if isinstance(interface, int) else self._literal(interface)
        both: Any = defer.gatherResults([self._literal(addr), where], consumeErrors=True)
        both.addErrback(_firstError)
        both.addCallback(change)
        return both

    def _literal(self, host: str) -> defer.Deferred[str]:
        """Returns the address of a host name; an address and "" are returned at once."""
        if not host or abstract.isIPAddress(host) or abstract.isIPv6Address(host):
            return defer.succeed(host)
        return self.reactor.resolve(host)


def _firstError(failure: Any) -> Any:
    failure.trap(defer.FirstError)
    return failure.value.subFailure


def _index(interface: str) -> int:
    """Returns the index of the interface that has this address."""
    out = ffi.new("uint32_t *")
    check(lib.udpr_interface_index(interface.encode(), out))
    return int(out[0])
