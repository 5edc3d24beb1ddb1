"""The reactor: the loop, its clock, calls, watches, look-ups and ports."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from udpr._binding import NEVER, ffi, keep, lib, nanoseconds
from udpr.addresses import Address
from udpr.errors import Error, check
from udpr.loop import BaseReactor
from udpr.protocol import AnyProtocol
from udpr.registrations import Call, LookUp, Trigger, Watch
from udpr.transport import Options, Transport

READABLE: int = lib.UDPR_WATCH_READABLE
WRITABLE: int = lib.UDPR_WATCH_WRITABLE
HANGUP: int = lib.UDPR_WATCH_HANGUP

_EVENTS = {"startup": lib.UDPR_EVENT_STARTUP, "shutdown": lib.UDPR_EVENT_SHUTDOWN}
_PHASES = {"before": lib.UDPR_PHASE_BEFORE, "during": lib.UDPR_PHASE_DURING, "after": lib.UDPR_PHASE_AFTER}


class Reactor(BaseReactor):
    """An event loop for UDP. One thread at a time may use it: while it runs, the thread that runs it.

    With `signals`, SIGINT and SIGTERM stop the run, as in C; otherwise Python's handlers are called, and Ctrl-C raises
    KeyboardInterrupt out of `run`. With `manual_clock`, only `advance` moves the clock: for tests. `spin` is how many seconds
    the loop looks for work before it waits in the kernel; it costs that much CPU, and saves the time of waking up.
    """

    def __init__(self, *, signals: bool = False, manual_clock: bool = False, spin: float = 0.0) -> None:
        flags = signals * lib.UDPR_REACTOR_SIGNALS | manual_clock * lib.UDPR_REACTOR_MANUAL_CLOCK
        super().__init__(flags, spin=nanoseconds(spin))
        self.exception_handler: Callable[[Exception], None] | None = None
        """Is called with each exception that a callback raises. None: it is logged by the logger "udpr"."""

    def __del__(self) -> None:
        if not self.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        super().__del__()

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report(self, exception: Exception) -> None:
        if self.exception_handler is None:
            super().report(exception)
        else:
            self.exception_handler(exception)

    # ---- the loop ----

    def run(self) -> None:
        """Runs until `stop`. Callbacks are called inside this. It may be called again afterwards."""
        self.run_until_stopped()

    def stop(self) -> None:
        """Ends the run: at the end of this turn the ports stop, and `run` returns. Raises StateError if it does not run."""
        check(lib.udpr_reactor_stop(self.c))

    def crash(self) -> None:
        """Makes `run` return after this turn. The ports stay open."""
        check(lib.udpr_reactor_crash(self.c))

    def iterate(self, timeout: float | None = 0.0) -> None:
        """Runs one turn, which waits at most `timeout` seconds; None: without a bound."""
        self.turn(-1 if timeout is None else min(nanoseconds(timeout), 2**63 - 1))

    @property
    def running(self) -> bool:
        return bool(lib.udpr_reactor_is_running(self.c))

    def stop_from_thread(self) -> None:
        """As `stop`, from any thread: the run ends in its next turn."""
        check(lib.udpr_remote_stop(self._remote))

    def fileno(self) -> int:
        """Returns a descriptor for a foreign loop. It is readable whenever `iterate` has something to do."""
        out = ffi.new("int32_t *")
        check(lib.udpr_reactor_backend_fd(self.c, out))
        return int(out[0])

    def gather(self) -> None:
        """Gathers writes outside callbacks until `flush`, or until the next turn, which sends them before it waits."""
        check(lib.udpr_reactor_gather(self.c))

    def flush(self) -> None:
        """Sends what every port has gathered, and ends `gather`."""
        check(lib.udpr_reactor_flush(self.c))

    # ---- time ----

    def now(self) -> float:
        """Returns the reactor's clock in seconds: CLOCK_MONOTONIC, or the manual clock."""
        return float(lib.udpr_reactor_now(self.c)) / 1e9

    def advance(self, seconds: float) -> None:
        """Moves a manual clock, and makes the calls that fall due."""
        status = lib.udpr_reactor_advance(self.c, nanoseconds(seconds))
        self.raise_interruption()
        check(status)

    def call_later(self, delay: float, fn: Callable[..., object], *args: Any) -> Call:
        """Calls `fn` with `args` once, `delay` seconds from now."""
        call = Call(self, fn, args)
        check(lib.udpr_reactor_call_later(self.c, nanoseconds(delay), lib.on_call, keep(call), lib.on_free, call.out_id))
        return call

    def call_at(self, instant: float, fn: Callable[..., object], *args: Any) -> Call:
        """Calls `fn` with `args` once, at `instant` of `now`."""
        call = Call(self, fn, args)
        check(lib.udpr_reactor_call_at(self.c, nanoseconds(instant), lib.on_call, keep(call), lib.on_free, call.out_id))
        return call

    def call_every(self, interval: float, fn: Callable[..., object], *args: Any) -> Call:
        """Calls `fn` with `args` every `interval` seconds, on a grid that does not drift. See `Call.beats`."""
        call = Call(self, fn, args)
        status = lib.udpr_reactor_call_every(self.c, nanoseconds(interval), lib.on_repeat, keep(call), lib.on_free, call.out_id)
        check(status)
        return call

    # ---- descriptors, names, events ----

    def watch(self, fd: int, events: int, fn: Callable[[int], object]) -> Watch:
        """Calls `fn` with the events whenever one of `events` (READABLE, WRITABLE) is there. HANGUP is always reported."""
        watch = Watch(self, fn)
        check(lib.udpr_reactor_watch(self.c, fd, events, lib.on_watch, keep(watch), lib.on_free, watch.out_id))
        return watch

    def resolve(
        self,
        host: str,
        fn: Callable[[list[Address], Error | None], object],
        *,
        port: int = 0,
        family: int = 0,
        timeout: float | None = 60.0,
    ) -> LookUp:
        """Looks a host name up. `fn` is called once, in a later turn, with the addresses, or with an exception.

        `family` is 4, 6, or 0 for both.
        """
        look_up = LookUp(self, fn)
        limit = NEVER if timeout is None else nanoseconds(timeout)
        status = lib.udpr_reactor_resolve(
            self.c, host.encode("idna") if not host.isascii() else host.encode(), port, family, limit,
            lib.on_resolved, keep(look_up), lib.on_free, look_up.out_id,
        )  # fmt: skip
        check(status, repr(host))
        return look_up

    def add_trigger(self, phase: str, event: str, fn: Callable[..., object], *args: Any) -> Trigger:
        """Calls `fn` with `args` at each "startup" or "shutdown", "before", "during" or "after" it.

        If a before-trigger returns `udpr.PENDING`, the rest of the event waits until `Trigger.finish`.
        """
        trigger = Trigger(self, fn, args)
        status = lib.udpr_reactor_add_trigger(
            self.c, _PHASES[phase], _EVENTS[event], lib.on_trigger, keep(trigger), lib.on_free, trigger.out_id
        )
        check(status)
        return trigger

    # ---- ports ----

    def listen_udp(self, port: int, protocol: AnyProtocol, interface: str = "", **options: Any) -> Transport:
        """Listens on a UDP port of `interface`, an IP address of this host; "" is every IPv4 address, "::" every address.

        `protocol` is a `Protocol`, or a function that is called with the transport and each datagram. `options` are the
        fields of `Options`. Port 0 lets the system choose one: see `Transport.host`.
        """
        return Transport(self, protocol, Options(**options)).listen(port, interface)

    def listen_multicast(self, port: int, protocol: AnyProtocol, interface: str = "", **options: Any) -> Transport:
        """As `listen_udp`, for a port that is meant for groups; any port may join groups."""
        return self.listen_udp(port, protocol, interface, **options)

    def adopt_datagram_port(self, fd: int, protocol: AnyProtocol, **options: Any) -> Transport:
        """Makes a port of a UDP socket that was made elsewhere. The descriptor is duplicated: the caller closes its own."""
        return Transport(self, protocol, Options(**options)).adopt(fd)
