"""What a program writes: a protocol, which receives datagrams; and what it receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from udpr._binding import ffi, lib
from udpr.addresses import Address, to_address
from udpr.errors import Error

if TYPE_CHECKING:
    from udpr.transport import Transport


class Datagram:
    """A received datagram. Its `data` is a view of the library's memory, which is valid only during the callback.

    Afterwards every use of it raises ValueError. `bytes(datagram)` copies the data; `datagram.copy()` copies everything. A
    slice of `data` must not be used after the callback either.
    """

    __slots__ = ("_c", "_kept", "_view")

    def __init__(self, c: Any) -> None:
        self._c = c
        self._kept: Any = None
        self._view: memoryview | None = None

    def _get(self) -> Any:
        if self._c is None:
            raise ValueError("the datagram is valid during its callback only; copy() keeps it")
        return self._c

    def expire(self) -> None:
        """The callback has returned."""
        self._c = None
        if self._view is not None:
            self._view.release()

    def copy(self) -> Datagram:
        """Returns a copy that stays valid."""
        c = self._get()
        data = ffi.new("uint8_t[]", ffi.buffer(c.data, c.len)[:] or b"\0")
        struct = ffi.new("udpr_datagram *", c[0])
        struct.data = data
        datagram = Datagram(struct)
        datagram._kept = data
        return datagram

    @property
    def data(self) -> memoryview:
        """The payload, read-only and not copied."""
        c = self._get()
        if self._view is None:
            self._view = memoryview(ffi.buffer(c.data, c.len)).toreadonly()
        return self._view

    def __bytes__(self) -> bytes:
        c = self._get()
        return bytes(ffi.buffer(c.data, c.len)[:])

    def __len__(self) -> int:
        return int(self._get().len)

    @property
    def sender(self) -> Address:
        return to_address(ffi.addressof(self._get(), "sender"))

    @property
    def destination(self) -> Address | None:
        """The address that it was sent to, which may be a group. None without the option `packet_info`."""
        c = self._get()
        return to_address(ffi.addressof(c, "destination")) if c.destination.family else None

    @property
    def interface_index(self) -> int:
        """The interface that received it; 0 without the option `packet_info`."""
        return int(self._get().interface_index)

    @property
    def full_length(self) -> int:
        """The length as it was sent; more than `len` if it was truncated to `max_packet_size`."""
        return int(self._get().full_len)

    @property
    def timestamp(self) -> float:
        """When the kernel received it, in seconds since 1970; 0 without the option `timestamps`."""
        return float(self._get().timestamp) / 1e9

    @property
    def tos(self) -> int:
        """The TOS byte or traffic class; -1 without the option `tos`."""
        return int(self._get().tos)

    @property
    def ttl(self) -> int:
        """The TTL or hop limit; -1 without the option `ttl`."""
        return int(self._get().ttl)

    @property
    def c(self) -> Any:
        """The struct of C."""
        return self._get()


class ErrorReport(NamedTuple):
    """An error about datagrams that were sent."""

    error: Error
    to: Address | None
    reporter: Address | None
    """The sender of the ICMP message, if there is one."""
    icmp: bool
    """Whether the network has reported it, by ICMP or ICMPv6; otherwise this host's kernel has."""
    icmp_type: int
    icmp_code: int
    mtu: int
    """The MTU of the path in bytes, for a datagram that was too long; 0 if it is not known."""
    data: bytes
    """The part of the datagram that was returned."""


def to_report(report: Any, error: Error) -> ErrorReport:
    def address(name: str) -> Address | None:
        addr = ffi.addressof(report, name)
        return to_address(addr) if addr.family else None

    return ErrorReport(
        error=error,
        to=address("to"),
        reporter=address("reporter"),
        icmp=report.origin != lib.UDPR_ORIGIN_LOCAL,
        icmp_type=report.icmp_type,
        icmp_code=report.icmp_code,
        mtu=report.mtu,
        data=ffi.buffer(report.data, report.len)[:],
    )


class Protocol:
    """The callbacks of a port. Derive a class from it, and override those that you need."""

    transport: Transport | None = None
    """The port, from `start_protocol` on."""

    def start_protocol(self) -> None:
        """The port is bound. An exception makes listen_udp raise it."""

    def datagram_received(self, datagram: Datagram) -> None:
        """A datagram was received."""

    def connection_refused(self) -> None:
        """The peer of a connected port has refused an earlier datagram. The port stays open."""

    def error_received(self, report: ErrorReport) -> None:
        """A write has failed after it was accepted, or, with the option `error_reports`, the network has reported an error."""

    def write_ready(self) -> None:
        """The send queue is empty again after a write raised WouldBlockError."""

    def stop_protocol(self, reason: Error | None) -> None:
        """The port has stopped: the last callback. `reason` is None if the program stopped it."""


AnyProtocol: TypeAlias = "Protocol | Callable[[Transport, Datagram], object]"
