"""The part of udpr that the programs here need, for ctypes. The library is the script's first argument."""

import ctypes
import sys
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

udpr = ctypes.CDLL(sys.argv[1])
Handle = c_void_p

START = ctypes.CFUNCTYPE(c_int32, Handle, Handle)
DATAGRAM = ctypes.CFUNCTYPE(None, Handle, Handle, Handle)
STOPPED = ctypes.CFUNCTYPE(None, Handle, c_int32, Handle)
CALL = ctypes.CFUNCTYPE(None, Handle, Handle)
FREE = ctypes.CFUNCTYPE(None, Handle)


class Addr(ctypes.Structure):
    _fields_ = [
        ("family", c_uint16),
        ("port", c_uint16),
        ("scope_id", c_uint32),
        ("flow_info", c_uint32),
        ("bytes", c_uint8 * 16),
        ("reserved", c_uint32),
    ]


class Datagram(ctypes.Structure):  # the fields that are read here
    _fields_ = [
        ("size", c_size_t),
        ("data", c_void_p),
        ("len", c_size_t),
        ("full_len", c_size_t),
        ("sender", Addr),
    ]


class Protocol(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("user", c_void_p),
        ("free_user", FREE),
        ("start_protocol", START),
        ("datagram_received", DATAGRAM),
        ("datagrams_received", c_void_p),
        ("connection_refused", c_void_p),
        ("error_received", c_void_p),
        ("write_ready", c_void_p),
        ("stop_protocol", STOPPED),
    ]


def declare(name, *arguments, result=c_int32):
    function = getattr(udpr, name)
    function.argtypes, function.restype = arguments, result


# Without these declarations ctypes would pass every argument as a C int, and truncate pointers.
declare("udpr_status_name", c_int32, result=c_char_p)
declare("udpr_status_message", c_int32, result=c_char_p)
declare("udpr_status_errno", c_int32)
declare("udpr_reactor_new", c_void_p, POINTER(Handle))
declare("udpr_reactor_free", Handle)
declare("udpr_reactor_start", Handle)
declare("udpr_reactor_stop", Handle)
declare("udpr_reactor_crash", Handle)
declare("udpr_reactor_is_running", Handle)
declare("udpr_reactor_iterate", Handle, c_int64)
declare("udpr_reactor_backend_fd", Handle, POINTER(c_int32))
declare("udpr_reactor_listen_udp", Handle, c_uint16, c_char_p, POINTER(Protocol), c_void_p, POINTER(Handle))
declare("udpr_reactor_call_later", Handle, c_uint64, CALL, c_void_p, c_void_p, c_void_p)
declare("udpr_reactor_call_from_thread", Handle, CALL, c_void_p, c_void_p)
declare("udpr_transport_write", Handle, c_char_p, c_size_t, POINTER(Addr))
declare("udpr_transport_get_host", Handle, POINTER(Addr))
declare("udpr_transport_release", Handle, result=None)


def name(status):
    return udpr.udpr_status_name(status).decode()
