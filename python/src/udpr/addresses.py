"""Addresses as Python has them, and their translation from and to udpr_addr."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from udpr._binding import ffi, lib
from udpr.errors import check

_CACHED = 4096  # addresses; a server with more peers formats some of them again

T = TypeVar("T")


class Address(NamedTuple):
    """An IP address and a UDP port. The zone of a link-local IPv6 address is part of the host: "fe80::1%2"."""

    host: str
    port: int


def parse(host: str, port: int) -> Any:
    """Returns a new udpr_addr. Raises InvalidAddressError if the host is not an IP address."""
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is 0 to 65535, not {port}")
    out = ffi.new("udpr_addr *")
    check(lib.udpr_addr_parse_host(host.encode("utf-8", "surrogateescape"), port, out), repr(host))
    return out


def to_address(addr: Any) -> Address:
    """Returns the address in a udpr_addr, which is not UDPR_AF_UNSPEC."""
    return Address(host_text(addr), addr.port)


def host_text(addr: Any) -> str:
    """Returns the text of a udpr_addr without its port."""
    buffer = ffi.new("char[]", lib.UDPR_ADDR_TEXT_MAX)
    copy = ffi.new("udpr_addr *", addr[0])
    copy.port = 0
    check(lib.udpr_addr_format(copy, buffer, lib.UDPR_ADDR_TEXT_MAX, ffi.NULL))
    return str(ffi.string(buffer), "ascii")


class FromC(dict[bytes, T]):
    """Maps the bytes of a udpr_addr to what `convert` makes of it: senders repeat, so most look-ups hit."""

    def __init__(self, convert: Callable[[Any], T]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, key: bytes) -> T:
        if len(self) >= _CACHED:
            self.clear()
        address = self[key] = self._convert(ffi.from_buffer("udpr_addr *", key))
        return address


class ToC(dict[Any, Any]):
    """Maps destinations, (host, port) tuples, to udpr_addr."""

    def __missing__(self, destination: Any) -> Any:
        if len(self) >= _CACHED:
            self.clear()
        host, port = destination[:2]
        address = parse(host, port)
        if "%" not in host:  # an interface's name can get another index
            self[destination] = address
        return address


addresses: FromC[Address] = FromC(to_address)
destinations = ToC()
