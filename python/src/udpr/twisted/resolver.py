"""Look-ups of host names: the library's, with Twisted's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from udpr._binding import ffi, keep, lib
from udpr.addresses import to_address
from udpr.registrations import Identified

if TYPE_CHECKING:
    from udpr.twisted.reactor import UdprReactor

_TIMEOUT = 60 * 10**9  # nanoseconds
_TRANSPORTS = {"TCP": "TCP", "UDP": "UDP"}


@implementer(IHostResolution)
class _Resolution(Identified):
    """A look-up. Beyond Twisted's own, it can be cancelled."""

    def __init__(self, reactor: UdprReactor, name: str, receiver: Any, transport: str) -> None:
        super().__init__(reactor.loop)
        self._reactor = reactor
        self.name = name
        self._receiver = receiver
        self._transport = transport

    def resolved(self, status: int, addresses: Any, count: int) -> None:
        if self._receiver is None:
            return
        for i in range(count):
            host, port = to_address(addresses + i)
            if addresses[i].family == lib.UDPR_AF_INET:
                address: Any = IPv4Address(self._transport, host, port)
            else:
                address = IPv6Address(self._transport, host, port, 0, addresses[i].scope_id)
            self._receiver.addressResolved(address)
        self._receiver.resolutionComplete()

    def cancel(self) -> None:
        """Ends the look-up: the receiver gets nothing more."""
        self._receiver = None
        lib.udpr_reactor_cancel_resolve(self._reactor.loop.c, self.id)


@implementer(IHostnameResolver)
class Resolver:
    """The reactor's name resolver."""

    def __init__(self, reactor: UdprReactor) -> None:
        self._reactor = reactor

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[Any]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = _Resolution(self._reactor, hostName, resolutionReceiver, _TRANSPORTS[transportSemantics])
        resolutionReceiver.resolutionBegan(resolution)
        status = lib.udpr_reactor_resolve(
            self._reactor.loop.c, _name(hostName), portNumber, _family(addressTypes), _TIMEOUT,
            lib.on_resolved, keep(resolution), lib.on_free, resolution.out_id,
        )  # fmt: skip
        if status != lib.UDPR_OK:  # what cannot be a host name has no address
            self._reactor.callLater(0, resolution.resolved, status, ffi.NULL, 0)
        return resolution


def _name(host: str) -> bytes:
    return host.encode() if host.isascii() else host.encode("idna")


def _family(types: Sequence[type[Any]] | None) -> int:
    if types is None or (IPv4Address in types and IPv6Address in types):
        return int(lib.UDPR_AF_UNSPEC)
    return int(lib.UDPR_AF_INET6 if IPv6Address in types else lib.UDPR_AF_INET)
