"""An event loop for UDP. `Reactor` is the plain API; `udpr.twisted` and `udpr.asyncio` bring the same loop to those two."""

from udpr._interpreter import refuse_subinterpreters

refuse_subinterpreters()

from udpr._binding import ffi as _ffi
from udpr._binding import lib as _lib
from udpr.addresses import Address
from udpr.errors import (
    ClosedError,
    Error,
    InvalidAddressError,
    InvalidArgumentError,
    NotFoundError,
    NotPermittedError,
    RefusedError,
    StateError,
    TimedOutError,
    WouldBlockError,
)
from udpr.protocol import Datagram, ErrorReport, Protocol
from udpr.reactor import HANGUP, READABLE, WRITABLE, Reactor
from udpr.registrations import PENDING, Call, LookUp, Trigger, Watch
from udpr.transport import Options, Transport

__version__: str = _ffi.string(_lib.udpr_version_string()).decode()

__all__ = [
    "HANGUP",
    "PENDING",
    "READABLE",
    "WRITABLE",
    "Address",
    "Call",
    "ClosedError",
    "Datagram",
    "Error",
    "ErrorReport",
    "InvalidAddressError",
    "InvalidArgumentError",
    "LookUp",
    "NotFoundError",
    "NotPermittedError",
    "Options",
    "Protocol",
    "Reactor",
    "RefusedError",
    "StateError",
    "TimedOutError",
    "Transport",
    "Trigger",
    "Watch",
    "WouldBlockError",
]
