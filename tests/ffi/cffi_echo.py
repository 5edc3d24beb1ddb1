"""cffi_echo.py LIBRARY HEADER: the echo program of echo.py with cffi, the batch callback, and the library's signal handlers."""

import gc
import sys
import threading

from cffi import FFI

ffi = FFI()
with open(sys.argv[2], encoding="utf-8") as header:
    ffi.cdef(header.read())
udpr = ffi.dlopen(sys.argv[1])


def name(status):
    return ffi.string(udpr.udpr_status_name(status)).decode()


def ok(status):
    if status < 0:
        raise OSError(udpr.udpr_status_errno(status), name(status))


class Reactor:
    def __init__(self):
        options = ffi.new("udpr_reactor_options *", {"flags": udpr.UDPR_REACTOR_SIGNALS})
        options.size = ffi.sizeof(options[0])
        out = ffi.new("udpr_reactor **")
        ok(udpr.udpr_reactor_new(options, out))
        self.handle, self.error, self.freed = out[0], None, 0
        self.live = set()  # objects that C may still use: Python does not count the `user` pointer as a reference

    def listen(self, address, received):
        """Returns the status and the transport, whose finalizer releases it. `received` is called for each datagram."""

        @ffi.callback("udpr_datagrams_fn")
        def on_datagrams(transport, datagrams, count, _):
            try:
                for i in range(count):
                    received(transport, datagrams[i])
            except BaseException as error:  # an exception must not pass through C: it ends the run, which raises it again
                self.error = error
                udpr.udpr_reactor_stop(self.handle)
            return count

        user = ffi.new_handle((self, on_datagrams))
        self.live.add(user)
        protocol = ffi.new("udpr_protocol *", {"user": user, "free_user": free_user, "datagrams_received": on_datagrams})
        protocol.size = ffi.sizeof(protocol[0])
        out = ffi.new("udpr_transport **")
        status = udpr.udpr_reactor_listen_udp(self.handle, 0, address, protocol, ffi.NULL, out)
        return status, ffi.gc(out[0], release) if status == 0 else None

    def run(self):
        ok(udpr.udpr_reactor_run(self.handle))
        if self.error:
            raise self.error


@ffi.callback("udpr_free_fn")
def free_user(user):
    reactor, _ = ffi.from_handle(user)
    reactor.live.discard(user)
    reactor.freed += 1


def release(transport):  # runs on the thread of the garbage collector
    udpr.udpr_transport_release(transport)
    print("released by a finalizer")


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

    def received(transport, datagram):
        data = ffi.buffer(datagram.data, datagram.len)  # no copy: valid until the callback returns
        if data == b"thread":
            data = name(other_thread(udpr.udpr_reactor_stop, reactor.handle)).encode()
        elif data == b"raise":
            raise ValueError("boom")
        elif data == b"stop":
            ok(udpr.udpr_reactor_stop(reactor.handle))
        ok(udpr.udpr_transport_write(transport, ffi.from_buffer(data), len(data), ffi.addressof(datagram, "sender")))

    status, transport = reactor.listen(b"127.0.0.1", received)
    ok(status)
    host = ffi.new("udpr_addr *")
    ok(udpr.udpr_transport_get_host(transport, host))
    print(f"listening on 127.0.0.1:{host.port}", flush=True)
    try:
        reactor.run()
        print("run: UDPR_OK")
    except ValueError as error:
        print("run: raised", error)
    print("user freed:", reactor.freed)
    print("a stopped transport:", name(udpr.udpr_transport_write(transport, b"x", 1, host)))
    ok(udpr.udpr_reactor_free(reactor.handle))
    print("without its reactor:", name(udpr.udpr_transport_write(transport, b"x", 1, host)))
    del transport
    gc.collect()
    return len(reactor.live)  # 0: nothing is kept that C no longer uses


sys.exit(main())
