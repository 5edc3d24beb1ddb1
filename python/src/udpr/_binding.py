"""The library's functions, and its callbacks, which are forwarded to Python objects.

C keeps a `user` pointer for each registration. It is a handle of a `Registration`, which stays alive until the library calls
`free_user` with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from udpr._udpr import ffi as ffi
from udpr._udpr import lib as lib

NEVER = 2**64 - 1  # UDPR_NEVER
_LONGEST = 2**63 - 1  # nanoseconds; longer delays are as good as never

_alive: set[Any] = set()

F = TypeVar("F", bound=Callable[..., Any])


class Reports(Protocol):
    """A reactor, which receives the exceptions of its callbacks."""

    c: Any

    def callback_failed(self, exception: BaseException) -> None: ...


class Registration:
    """What C knows by a `user` pointer. A subclass has the method that C's callback is forwarded to."""

    __slots__ = ()

    reports: Reports

    def freed(self) -> None:
        """The library has called free_user: no callback follows."""


def keep(registration: Registration) -> Any:
    """Returns the `user` pointer of a registration, which stays alive until on_free is called with it."""
    user = ffi.new_handle(registration)
    _alive.add(user)
    return user


def nanoseconds(seconds: float) -> int:
    """Returns a delay for C. Delays of more than 292 years, such as infinity, are UDPR_NEVER."""
    if not seconds >= 0:
        raise ValueError(f"a delay must not be negative: {seconds}")
    if seconds >= _LONGEST / 1e9:
        return NEVER
    return round(seconds * 1e9)


def sized(kind: str) -> Any:
    """Returns a new struct of C, all zero but for its size."""
    struct = ffi.new(f"{kind} *")
    struct.size = ffi.sizeof(kind)
    return struct


def _failed(_type: type[BaseException], exception: BaseException, traceback: Any) -> None:
    """Reports an exception of a callback, since it cannot pass through C."""
    registration = ffi.from_handle(traceback.tb_frame.f_locals["user"])
    registration.reports.callback_failed(exception)


def _callback(error: Any = None) -> Callable[[F], F]:
    decorate: Callable[[F], F] = ffi.def_extern(error=error, onerror=_failed)
    return decorate


@_callback()
def on_free(user: Any) -> None:
    registration = ffi.from_handle(user)
    _alive.discard(user)
    registration.freed()


@_callback(lib.UDPR_E_CANCELLED)
def on_start_protocol(transport: Any, user: Any) -> int:
    return int(ffi.from_handle(user).start_protocol(transport))


@_callback(0)
def on_datagrams_received(_transport: Any, datagrams: Any, count: int, user: Any) -> int:
    return int(ffi.from_handle(user).datagrams_received(datagrams, count))


@_callback()
def on_connection_refused(_transport: Any, user: Any) -> None:
    ffi.from_handle(user).connection_refused()


@_callback()
def on_error_received(_transport: Any, report: Any, user: Any) -> None:
    ffi.from_handle(user).error_received(report)


@_callback()
def on_write_ready(_transport: Any, user: Any) -> None:
    ffi.from_handle(user).write_ready()


@_callback()
def on_stop_protocol(_transport: Any, reason: int, user: Any) -> None:
    ffi.from_handle(user).stop_protocol(reason)


@_callback()
def on_call(_reactor: Any, user: Any) -> None:
    ffi.from_handle(user).called()


@_callback()
def on_repeat(_reactor: Any, _id: int, beats: int, user: Any) -> None:
    ffi.from_handle(user).called(beats)


@_callback()
def on_watch(_reactor: Any, _id: int, _fd: int, events: int, user: Any) -> None:
    ffi.from_handle(user).ready(events)


@_callback()
def on_resolved(_reactor: Any, _id: int, status: int, addresses: Any, count: int, user: Any) -> None:
    ffi.from_handle(user).resolved(status, addresses, count)


@_callback(lib.UDPR_E_CANCELLED)
def on_trigger(_reactor: Any, _id: int, user: Any) -> int:
    return int(ffi.from_handle(user).triggered())


@_callback()
def on_log(record: Any, user: Any) -> None:
    ffi.from_handle(user).logged(record)
