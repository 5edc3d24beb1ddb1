"""A network namespace for a test: a loopback, and the interface v0 with 192.168.1.1, multicast, and a link-local address."""

import ctypes
import os
import shutil

from harness import Skip, tool

CLONE_NEWNET = 0x40000000
_why_not = None


def enter():
    """Moves this process into a namespace of its own, once. Raises Skip if that cannot be done."""
    global _why_not
    if _why_not is None:
        _why_not = _enter()
    if _why_not:
        raise Skip(_why_not)


def _enter():
    if not shutil.which("ip"):
        return "no ip (iproute2)"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:  # os.unshare exists since Python 3.12
        return f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}"
    for command in (
        "link set lo up",
        "link add v0 type veth peer name v1",
        "address add 192.168.1.1/24 dev v0",
        "address add fe80::1/64 dev v0 nodad",
        "link set v0 up",
        "link set v1 up",
        "route add 224.0.0.0/4 dev v0",
        "route add broadcast 255.255.255.255 dev v0",
    ):
        tool("ip", *command.split())
    return ""
