"""The machine under the bench: its cores, its network, its name."""

import contextlib
import os
import pathlib
import platform
import shutil
import subprocess


def client_and_server_cores():
    """Two cores for the two sides, which share no execution units where there is a choice."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench: it needs two cores, one for the clients and one for the server")
    client, *others = cores
    siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{client}/topology/thread_siblings_list")
    beside = siblings.read_text().strip().replace("-", ",").split(",") if siblings.exists() else []
    return client, next((core for core in others if str(core) not in beside), others[0])


def description():
    """In one line, without names that tell one such machine from another."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    kind = "virtual machine" if " hypervisor" in info else "machine"
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{kind} with {os.cpu_count()} cores ({models[0] if models else platform.machine()}), Linux {release}"


class Network:
    """Where client and server meet: words before each one's command, and the server's address."""

    def __init__(self, client=(), server=(), address="127.0.0.1"):
        self.client, self.server, self.address = list(client), list(server), address


LOOPBACK = Network()


@contextlib.contextmanager
def ethernet():
    """Two namespaces joined by a veth pair with MTU 1500; None without the rights for that.

    The device does not segment, so each datagram crosses by itself, as on a wire, and GRO at the other end must merge
    them anew (which veth attempts only where TSO is off, too).
    """
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip", "ethtool"))):
        yield None
        return
    with _namespace() as client, _namespace() as server:
        _run("ip", "link", "add", "bench0", "netns", client, "type", "veth", "peer", "bench0", "netns", server)
        for pid, address in (client, "192.0.2.1/24"), (server, "192.0.2.2/24"):
            inside = _inside(pid)
            _run(*inside, "ethtool", "-K", "bench0", "tx-udp-segmentation", "off", "tso", "off", "gro", "on")
            _run(*inside, "ip", "address", "add", address, "dev", "bench0")
            _run(*inside, "ip", "link", "set", "bench0", "mtu", "1500", "up")
        yield Network(_inside(client), _inside(server), "192.0.2.2")


@contextlib.contextmanager
def _namespace():
    """The id of a process that has a network namespace of its own, which lives as long as it does."""
    command = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            holder.stdout.readline()
            yield str(holder.pid)
        finally:
            holder.kill()


def _inside(pid):
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def _run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
