"""The part of udpr.h that the ctypes servers need. UDPR_LIBRARY is the path of libudpr.so."""

import ctypes as c
import os

import server

udpr = c.CDLL(os.environ["UDPR_LIBRARY"])

SIGNALS = 1  # UDPR_REACTOR_SIGNALS


class Addr(c.Structure):
    _fields_ = [
        ("family", c.c_uint16),
        ("port", c.c_uint16),
        ("scope_id", c.c_uint32),
        ("flow_info", c.c_uint32),
        ("bytes", c.c_uint8 * 16),
        ("reserved", c.c_uint32),
    ]


class Datagram(c.Structure):  # the fields up to the sender; udpr passes pointers, so the others may be left out
    _fields_ = [
        ("size", c.c_size_t),
        ("data", c.c_void_p),
        ("len", c.c_size_t),
        ("full_len", c.c_size_t),
        ("sender", Addr),
    ]


class Message(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("data", c.c_char_p),
        ("len", c.c_size_t),
        ("to", c.c_void_p),
        ("source", c.c_void_p),
        ("interface_index", c.c_uint32),
        ("flags", c.c_uint32),
        ("tos", c.c_uint32),
        ("segment_size", c.c_uint32),
    ]


# Pointers are passed as plain numbers, which is the fastest way into Python.
DatagramFn = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_void_p)
DatagramsFn = c.CFUNCTYPE(c.c_size_t, c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p)


class Protocol(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("user", c.c_void_p),
        ("free_user", c.c_void_p),
        ("start_protocol", c.c_void_p),
        ("datagram_received", DatagramFn),
        ("datagrams_received", DatagramsFn),
        ("connection_refused", c.c_void_p),
        ("error_received", c.c_void_p),
        ("write_ready", c.c_void_p),
        ("stop_protocol", c.c_void_p),
    ]


class ReactorOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("flags", c.c_uint32), ("thread_pool_size", c.c_uint32)]


udpr.udpr_transport_write.argtypes = [c.c_void_p, c.c_char_p, c.c_size_t, c.c_void_p]
udpr.udpr_transport_write_messages.argtypes = [c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p]
udpr.udpr_transport_fileno.argtypes = [c.c_void_p]
udpr.udpr_reactor_listen_udp.argtypes = [c.c_void_p, c.c_uint16] + [c.c_void_p] * 4
udpr.udpr_reactor_run.argtypes = udpr.udpr_reactor_free.argtypes = [c.c_void_p]


def require(status):
    if status < 0:
        raise OSError(f"udpr returned {status}")


def serve(**callbacks):
    """Listens with these callbacks and runs the reactor until SIGTERM."""
    options = ReactorOptions(size=c.sizeof(ReactorOptions), flags=SIGNALS)
    protocol = Protocol(size=c.sizeof(Protocol), **callbacks)
    reactor, transport = c.c_void_p(), c.c_void_p()
    require(udpr.udpr_reactor_new(c.byref(options), c.byref(reactor)))
    require(udpr.udpr_reactor_listen_udp(reactor, server.PORT, None, c.byref(protocol), None, c.byref(transport)))
    server.ready(udpr.udpr_transport_fileno(transport))
    require(udpr.udpr_reactor_run(reactor))
    server.report()
    udpr.udpr_transport_release(transport)
    require(udpr.udpr_reactor_free(reactor))
