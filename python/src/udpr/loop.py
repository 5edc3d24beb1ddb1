"""What the plain API, Twisted and asyncio have in common: a reactor of the library, and what becomes of exceptions."""

from __future__ import annotations

import atexit
import contextlib
import logging
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from udpr._binding import Registration, ffi, keep, lib, sized
from udpr.errors import check
from udpr.registrations import Call

_PATIENCE = 5.0  # seconds that the interpreter waits at its end for a run on another thread

_log = logging.getLogger("udpr")
_reactors: weakref.WeakSet[BaseReactor] = weakref.WeakSet()


class BaseReactor:
    """A reactor of the library."""

    def __init__(self, flags: int = 0, **options: int) -> None:
        self.c: Any = ffi.NULL
        self._remote: Any = ffi.NULL
        self._interruption: BaseException | None = None
        self._idle = threading.Event()
        self._idle.set()
        struct = sized("udpr_reactor_options")
        struct.flags = flags
        for name, value in options.items():
            setattr(struct, name, value)
        out = ffi.new("udpr_reactor **")
        check(lib.udpr_reactor_new(struct, out))
        self.c = out[0]
        out = ffi.new("udpr_remote **")
        check(lib.udpr_reactor_remote(self.c, out))
        self._remote = out[0]
        _reactors.add(self)

    def close(self) -> None:
        """Closes the ports and frees the reactor. Closing it again has no effect."""
        if not self.c:
            return
        check(lib.udpr_reactor_free(self.c))
        self.c = ffi.NULL
        _reactors.discard(self)

    @property
    def closed(self) -> bool:
        return not self.c

    def __del__(self) -> None:
        if self.c:
            self.close()
        if self._remote:
            lib.udpr_remote_release(self._remote)

    def callback_failed(self, exception: BaseException) -> None:
        """Reports an exception of a callback. KeyboardInterrupt and SystemExit end the run, which raises them again."""
        if isinstance(exception, Exception):
            self.report(exception)
        else:
            self._interruption = self._interruption or exception
            lib.udpr_reactor_crash(self.c)

    def report(self, exception: Exception) -> None:
        """Reports an exception that a callback has raised; the loop goes on."""
        _log.error("exception in a callback", exc_info=exception)

    def turn(self, timeout_ns: int) -> None:
        """Runs one turn, and raises the exception that has interrupted it."""
        status = lib.udpr_reactor_iterate(self.c, timeout_ns)
        self.raise_interruption()
        check(status)

    def raise_interruption(self) -> None:
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            raise interruption

    def wake(self) -> None:
        """Ends the present wait, or the next one. It may be called from any thread, and from a signal handler."""
        lib.udpr_remote_wake(self._remote)

    def schedule(self, registration: Registration, delay_ns: int = 0) -> int:
        """Calls `registration.called` after a delay. Returns the id of the call."""
        out = ffi.new("udpr_id *")
        check(lib.udpr_reactor_call_later(self.c, delay_ns, lib.on_call, keep(registration), lib.on_free, out))
        return int(out[0])

    def call_from_thread(self, fn: Callable[..., object], *args: Any) -> None:
        """Calls `fn` with `args` in the next turn. It may be called from any thread."""
        check(lib.udpr_remote_call(self._remote, lib.on_call, keep(Call(self, fn, args)), lib.on_free))

    def end_run(self) -> None:
        """Ends a run on another thread, and waits until it has returned."""
        if not self._idle.is_set() and lib.udpr_remote_stop(self._remote) == lib.UDPR_OK:
            self._idle.wait(timeout=_PATIENCE)

    def after_fork(self) -> None:
        """Makes the reactor usable in a forked child. Until then everything raises ClosedError there."""
        check(lib.udpr_reactor_after_fork(self.c))

    def run_until_stopped(self) -> None:
        """Runs the loop until it is stopped. Python's signal handlers are called meanwhile, if this is the main thread."""
        with _wakes_for_signals(self):
            self._idle.clear()
            try:
                status = lib.udpr_reactor_run(self.c)
            finally:
                self._idle.set()
        self.raise_interruption()
        check(status)


class _SignalWatch(Registration):
    """Reads the bytes that Python's C signal handler writes. Python calls its handlers while this runs."""

    __slots__ = ("_reader", "reports")

    def __init__(self, reactor: BaseReactor, reader: socket.socket) -> None:
        self.reports = reactor
        self._reader = reader

    def ready(self, _events: int) -> None:
        self._reader.recv(4096)


@contextlib.contextmanager
def _wakes_for_signals(reactor: BaseReactor) -> Iterator[None]:
    """Makes a signal that Python handles end the wait in the kernel, since its handler runs in Python code only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        out = ffi.new("udpr_id *")
        user = keep(_SignalWatch(reactor, reader))
        try:
            check(
                lib.udpr_reactor_watch(
                    reactor.c, reader.fileno(), lib.UDPR_WATCH_READABLE, lib.on_watch, user, lib.on_free, out
                )
            )
            try:
                yield
            finally:
                lib.udpr_reactor_unwatch(reactor.c, out[0])
        finally:
            signal.set_wakeup_fd(former)


@atexit.register
def _stop_all() -> None:
    """Ends the runs of other threads: a callback must not begin while the interpreter ends."""
    for reactor in list(_reactors):
        reactor.end_run()
