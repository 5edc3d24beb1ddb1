"""ctypes_echo.py LIBRARY: the echo program of echo.py with Python's ctypes and Python's own signal handlers."""

import ctypes
import gc
import itertools
import signal
import sys
import threading

from udpr_ctypes import DATAGRAM, FREE, Addr, Datagram, Handle, Protocol, name, udpr

SIGNAL_CHECK_NS = 100_000_000  # the longest wait, since a signal just before a wait does not end it
_live = {}  # callbacks that C may still call: if Python collected one, C would have a dangling pointer
_numbers = itertools.count(1)


def ok(status):
    if status < 0:
        raise OSError(udpr.udpr_status_errno(status), name(status))


class Transport:
    def __init__(self, handle):
        self.handle = handle

    def write(self, data, to):
        return udpr.udpr_transport_write(self.handle, data, len(data), to)

    def __del__(self):  # runs on the thread of the garbage collector
        udpr.udpr_transport_release(self.handle)
        print("released by a finalizer")


class Reactor:
    def __init__(self):
        self.handle, self.error, self.freed = Handle(), None, 0
        ok(udpr.udpr_reactor_new(None, self.handle))

    def listen(self, address, received):
        """Returns the status and the transport. `received` is called with the borrowed transport, the data and the sender."""

        def on_datagram(handle, datagram, _):
            got = Datagram.from_address(datagram)
            self.guarded(received, handle, ctypes.string_at(got.data, got.len), got.sender)

        protocol = Protocol(size=ctypes.sizeof(Protocol), user=next(_numbers), free_user=free_user)
        protocol.datagram_received = DATAGRAM(on_datagram)
        _live[protocol.user] = self, protocol
        out = Handle()
        status = udpr.udpr_reactor_listen_udp(self.handle, 0, address, protocol, None, out)
        return status, Transport(out) if status == 0 else None

    def guarded(self, function, *arguments):
        """Calls a function. An exception must not pass through C (ctypes would print and ignore it): it ends the run, which
        raises it again."""
        try:
            function(*arguments)
        except BaseException as error:
            self.error = error
            udpr.udpr_reactor_stop(self.handle)

    def run(self):
        """Runs turns, between which Python calls its signal handlers."""
        ok(udpr.udpr_reactor_start(self.handle))
        while udpr.udpr_reactor_is_running(self.handle):
            ok(udpr.udpr_reactor_iterate(self.handle, SIGNAL_CHECK_NS))
        if self.error:
            raise self.error


@FREE
def free_user(user):
    reactor, _ = _live.pop(user)
    reactor.freed += 1


def other_thread(function, *arguments):
    answer = []
    thread = threading.Thread(target=lambda: answer.append(function(*arguments)))
    thread.start()
    thread.join()
    return answer[0]


def main():
    reactor = Reactor()
    status, _ = reactor.listen(b"no address", None)
    print(f"a failed listen: {name(status)}, user freed: {reactor.freed}")
    reactor.freed = 0

    def received(handle, data, sender):
        if data == b"thread":
            data = name(other_thread(udpr.udpr_reactor_stop, reactor.handle)).encode()
        elif data == b"raise":
            raise ValueError("boom")
        elif data == b"stop":
            ok(udpr.udpr_reactor_stop(reactor.handle))
        ok(udpr.udpr_transport_write(handle, data, len(data), sender))

    status, transport = reactor.listen(b"127.0.0.1", received)
    ok(status)
    host = Addr()
    ok(udpr.udpr_transport_get_host(transport.handle, host))
    signal.signal(signal.SIGINT, lambda *_: ok(udpr.udpr_reactor_stop(reactor.handle)))
    print(f"listening on 127.0.0.1:{host.port}", flush=True)
    try:
        reactor.run()
        print("run: UDPR_OK")
    except ValueError as error:
        print("run: raised", error)
    print("user freed:", reactor.freed)
    print("a stopped transport:", name(transport.write(b"x", host)))
    ok(udpr.udpr_reactor_free(reactor.handle))
    print("without its reactor:", name(transport.write(b"x", host)))
    del transport
    gc.collect()
    return len(_live)  # 0: nothing is kept that C no longer calls


sys.exit(main())
