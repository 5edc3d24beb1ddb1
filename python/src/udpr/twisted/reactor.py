"""The reactor: Twisted's system events, threads and TCP, over the library's loop, clock, calls, watches, look-ups and ports."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet import error, posixbase
from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python import log
from zope.interface import implementer

from udpr._binding import Registration, keep, lib
from udpr.errors import check
from udpr.loop import BaseReactor
from udpr.reactor import HANGUP, READABLE, WRITABLE
from udpr.registrations import Call, Watch
from udpr.twisted.port import MulticastPort, UDPPort
from udpr.twisted.resolver import Resolver

_log = Logger(namespace="udpr")
_NEVER = 2**62  # nanoseconds, 146 years: longer delays are as good as never


class _Loop(BaseReactor):
    """The library's reactor. Whatever a callback raises is logged, and the loop goes on, as in Twisted."""

    def callback_failed(self, exception: BaseException) -> None:
        _log.failure("Unexpected error in main loop.", _failure(exception))


def _failure(exception: BaseException) -> Any:
    from twisted.python.failure import Failure

    return Failure(exception)


class _Timer(Registration):
    """The library's delayed call behind a DelayedCall."""

    __slots__ = ("call", "id", "reactor", "reports")

    def __init__(self, reactor: UdprReactor, call: DelayedCall) -> None:
        self.reactor = reactor
        self.reports = reactor.loop
        self.call = call
        self.id = 0

    def called(self) -> None:
        call = self.call
        if call.delayed_time > 0.0:  # it was moved to a later time
            call.activate_delay()
            self.reactor.move(self)
            return
        del self.reactor.calls[call]
        call.called = 1
        with _log.failuresHandled("while handling timed call"):
            call.func(*call.args, **call.kw)


@implementer(IReactorFDSet)
class UdprReactor(posixbase.PosixReactorBase, posixbase._PollLikeMixin):
    """Twisted's reactor on udpr."""

    _POLL_DISCONNECTED = HANGUP
    _POLL_IN = READABLE
    _POLL_OUT = WRITABLE

    def __init__(self) -> None:
        self.loop = _Loop()
        self.calls: dict[DelayedCall, _Timer] = {}
        self.ports: set[UDPPort] = set()
        self._reads: set[int] = set()
        self._writes: set[int] = set()
        self._selectables: dict[int, Any] = {}
        self._watches: dict[int, Watch] = {}
        self._continuousPolling = posixbase._ContinuousPolling(self)
        super().__init__()

    # ---- the loop ----

    def installWaker(self) -> None:
        """The library can be woken up by any thread."""

    def wakeUp(self) -> None:
        self.loop.wake()

    def mainLoop(self) -> None:
        turn, c = lib.udpr_reactor_iterate, self.loop.c
        while self._started:
            status = turn(c, -1)
            if status:
                check(status)
        _log.info("Main loop terminated.")

    def runUntilCurrent(self) -> None:
        """Calls are made by doIteration."""

    def doIteration(self, delay: float | None) -> None:
        self.loop.turn(-1 if delay is None else _nanoseconds(delay))

    def stop(self) -> None:
        super().stop()
        self.loop.schedule(Call(self.loop, self._shutDown, ()))

    def _shutDown(self) -> None:
        if self._justStopped:
            self._justStopped = False
            self.fireSystemEvent("shutdown")

    def crash(self) -> None:
        super().crash()
        self.wakeUp()

    # ---- time and threads ----

    def seconds(self) -> float:
        """The library's clock, CLOCK_MONOTONIC: delayed calls do not follow changes of the wall clock."""
        return float(lib.udpr_reactor_now(self.loop.c)) / 1e9

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> DelayedCall:
        assert delay >= 0, f"{delay} is not greater than or equal to 0 seconds"
        call = DelayedCall(
            self.seconds() + delay, callable, args, kw, self._cancelCallLater, self._moveCallLaterSooner, seconds=self.seconds
        )
        self.calls[call] = timer = _Timer(self, call)
        timer.id = self.loop.schedule(timer, _nanoseconds(delay))
        return call

    def move(self, timer: _Timer) -> None:
        """Moves the library's call to the time of the DelayedCall."""
        delay = _nanoseconds(max(0.0, timer.call.time - self.seconds()))
        check(lib.udpr_reactor_reset_call(self.loop.c, timer.id, delay))

    def _moveCallLaterSooner(self, delayedCall: DelayedCall) -> None:
        self.move(self.calls[delayedCall])

    def _cancelCallLater(self, delayedCall: DelayedCall) -> None:
        lib.udpr_reactor_cancel_call(self.loop.c, self.calls.pop(delayedCall).id)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return list(self.calls)

    def timeout(self) -> float | None:
        if not self.calls:
            return None
        return max(0.0, min(call.getTime() for call in self.calls) - self.seconds())

    def callFromThread(self, f: Callable[..., Any], *args: object, **kwargs: object) -> None:
        assert callable(f), f"{f} is not callable"
        self.loop.call_from_thread(_logged, f, args, kwargs)

    def _initThreads(self) -> None:
        self.installNameResolver(Resolver(self))
        self.usingThreads = True

    # ---- descriptors ----

    def addReader(self, reader: IReadDescriptor) -> None:
        if not self._add(reader, READABLE, self._reads, self._writes):
            self._continuousPolling.addReader(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        if not self._add(writer, WRITABLE, self._writes, self._reads):
            self._continuousPolling.addWriter(writer)

    def _add(self, selectable: Any, event: int, fds: set[int], others: set[int]) -> bool:
        """Returns False for files, which epoll cannot watch: they are always ready."""
        fd = selectable.fileno()
        if fd in fds:
            return True
        if fd in others:
            self._watches[fd].change(READABLE | WRITABLE)
        else:
            watch = Watch(self.loop, lambda events: self._ready(fd, events))
            status = lib.udpr_reactor_watch(self.loop.c, fd, event, lib.on_watch, keep(watch), lib.on_free, watch.out_id)
            if status == lib.UDPR_E_NOT_SUPPORTED:
                return False
            check(status)
            self._watches[fd] = watch
            self._selectables[fd] = selectable
        fds.add(fd)
        return True

    def removeReader(self, reader: IReadDescriptor) -> None:
        if self._continuousPolling.isReading(reader):
            self._continuousPolling.removeReader(reader)
        else:
            self._remove(reader, self._reads, self._writes, WRITABLE)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        if self._continuousPolling.isWriting(writer):
            self._continuousPolling.removeWriter(writer)
        else:
            self._remove(writer, self._writes, self._reads, READABLE)

    def _remove(self, selectable: Any, fds: set[int], others: set[int], other_event: int) -> None:
        fd = selectable.fileno()
        if fd == -1:  # it was closed, but is known by its former number
            fd = next((fd for fd, known in self._selectables.items() if known is selectable), -1)
        if fd not in fds:
            return
        fds.remove(fd)
        if fd in others:
            self._watches[fd].change(other_event)
        else:
            del self._selectables[fd]
            lib.udpr_reactor_unwatch(self.loop.c, self._watches.pop(fd).id)

    def _ready(self, fd: int, events: int) -> None:
        selectable = self._selectables[fd]
        log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, events)

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        removed: list[Any] = self._removeAll(
            [self._selectables[fd] for fd in self._reads], [self._selectables[fd] for fd in self._writes]
        )
        removed += self._continuousPolling.removeAll()
        for port in self.ports:
            port.stopReading()
        removed += self.ports
        self.ports.clear()
        return removed

    def getReaders(self) -> list[IReadDescriptor]:
        readers = [self._selectables[fd] for fd in self._reads]
        return readers + self._continuousPolling.getReaders() + cast("list[IReadDescriptor]", list(self.ports))

    def getWriters(self) -> list[IWriteDescriptor]:
        return [self._selectables[fd] for fd in self._writes] + self._continuousPolling.getWriters()

    # ---- ports ----

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> UDPPort:
        udp = UDPPort(self, port, protocol, interface, maxPacketSize)
        udp.startListening()
        return udp

    def listenMulticast(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192, listenMultiple: bool = False
    ) -> MulticastPort:
        udp = MulticastPort(self, port, protocol, interface, maxPacketSize, listenMultiple)
        udp.startListening()
        return udp

    def adoptDatagramPort(self, fileno: int, addressFamily: int, protocol: Any, maxPacketSize: int = 8192) -> UDPPort:
        if addressFamily not in (socket.AF_INET, socket.AF_INET6):
            raise error.UnsupportedAddressFamily(addressFamily)
        udp = UDPPort(self, 0, protocol, "", maxPacketSize)
        udp.adopt(fileno)
        return udp


def install() -> UdprReactor:
    """Makes a reactor on udpr Twisted's global reactor, and returns it."""
    from twisted.internet.main import installReactor

    reactor = UdprReactor()
    installReactor(reactor)
    return reactor


def _logged(f: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    with _log.failuresHandled("while handling thread call"):
        f(*args, **kwargs)


def _nanoseconds(seconds: float) -> int:
    """Returns a delay for the library, which is never shorter."""
    return min(int(seconds * 1e9) + (seconds > 0), _NEVER)
