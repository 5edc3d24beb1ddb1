"""What a reactor has promised to call: calls, watches, look-ups and triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from udpr._binding import Registration, ffi, lib, nanoseconds
from udpr.addresses import Address, to_address
from udpr.errors import Error, check, error

if TYPE_CHECKING:
    from udpr.loop import BaseReactor

PENDING: int = lib.UDPR_PENDING
"""Returned by a before-trigger: the rest of the event waits until `Trigger.finish`."""


class Identified(Registration):
    """A registration that the library knows by an id, which is never reused."""

    __slots__ = ("out_id", "reports")

    def __init__(self, reactor: BaseReactor) -> None:
        self.reports = reactor
        self.out_id: Any = ffi.new("udpr_id *")

    @property
    def id(self) -> int:
        return int(self.out_id[0])


class Call(Identified):
    """A call that a reactor will make: once, or periodically."""

    __slots__ = ("_args", "_fn", "beats")

    def __init__(self, reactor: BaseReactor, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        super().__init__(reactor)
        self._fn: Callable[..., object] | None = fn
        self._args = args
        self.beats = 1
        """Of a periodic call: 1, and how many beats were missed before this one."""

    def called(self, beats: int = 1) -> None:
        self.beats = beats
        if self._fn is not None:
            self._fn(*self._args)

    def freed(self) -> None:
        self._fn, self._args = None, ()

    @property
    def active(self) -> bool:
        """Whether the call is pending."""
        return bool(lib.udpr_reactor_call_time(self.reports.c, self.id, ffi.new("udpr_ns *")) == lib.UDPR_OK)

    @property
    def time(self) -> float:
        """The instant of `Reactor.now` at which the call is due."""
        out = ffi.new("udpr_ns *")
        check(lib.udpr_reactor_call_time(self.reports.c, self.id, out))
        return float(out[0]) / 1e9

    def cancel(self) -> None:
        """Cancels the call. Raises NotFoundError if it was made, or was cancelled before."""
        check(lib.udpr_reactor_cancel_call(self.reports.c, self.id))

    def reset(self, delay: float) -> None:
        """Moves the call to `delay` seconds from now. Inside itself this makes it pending again."""
        check(lib.udpr_reactor_reset_call(self.reports.c, self.id, nanoseconds(delay)))

    def delay(self, seconds: float) -> None:
        """Moves the call by `seconds` from the instant at which it is due; below 0 is earlier."""
        check(lib.udpr_reactor_delay_call(self.reports.c, self.id, round(seconds * 1e9)))


class Watch(Identified):
    """A watched descriptor. End it before the descriptor is closed."""

    __slots__ = ("_fn",)

    def __init__(self, reactor: BaseReactor, fn: Callable[[int], object]) -> None:
        super().__init__(reactor)
        self._fn = fn

    def ready(self, events: int) -> None:
        self._fn(events)

    def change(self, events: int) -> None:
        """Changes the events that are watched."""
        check(lib.udpr_reactor_change_watch(self.reports.c, self.id, events))

    def cancel(self) -> None:
        """Ends the watch."""
        check(lib.udpr_reactor_unwatch(self.reports.c, self.id))


class LookUp(Identified):
    """A look-up of a host name."""

    __slots__ = ("_fn",)

    def __init__(self, reactor: BaseReactor, fn: Callable[[list[Address], Error | None], object]) -> None:
        super().__init__(reactor)
        self._fn = fn

    def resolved(self, status: int, addresses: Any, count: int) -> None:
        failure = None if status == lib.UDPR_OK else error(status)
        self._fn([to_address(addresses + i) for i in range(count)], failure)

    def cancel(self) -> None:
        """Cancels the look-up. Its function is called in a later turn with an exception whose name is "UDPR_E_CANCELLED"."""
        check(lib.udpr_reactor_cancel_resolve(self.reports.c, self.id))


class Trigger(Identified):
    """A function that is called at startup or shutdown."""

    __slots__ = ("_args", "_fn")

    def __init__(self, reactor: BaseReactor, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        super().__init__(reactor)
        self._fn = fn
        self._args = args

    def triggered(self) -> int:
        return PENDING if self._fn(*self._args) is PENDING else lib.UDPR_OK

    def finish(self) -> None:
        """The trigger, which returned PENDING, has finished."""
        check(lib.udpr_reactor_finish_trigger(self.reports.c, self.id))

    def remove(self) -> None:
        """Removes the trigger; if it was pending, it holds nothing back any more."""
        check(lib.udpr_reactor_remove_trigger(self.reports.c, self.id))
