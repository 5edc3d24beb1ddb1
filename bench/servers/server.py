"""The common part of the servers in Python: the same interface as server.h."""

import os
import resource
import socket
import sys

served = 0
PORT = int(sys.argv[1])
REPLIES = int(sys.argv[2]) if len(sys.argv) > 2 else 1
_cpu_when_ready = 0


def _cpu_ns():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def ready(sock):
    """Reports that `sock`, a socket or a descriptor, is bound, and begins to count CPU time."""
    global _cpu_when_ready
    if isinstance(sock, int):
        sock = socket.socket(fileno=os.dup(sock))
    try:
        sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    print(f"listening on 0.0.0.0:{sock.getsockname()[1]}", flush=True)
    _cpu_when_ready = _cpu_ns()


def report():
    print(f"served {served} cpu_ns {_cpu_ns() - _cpu_when_ready}", flush=True)
