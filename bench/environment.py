"""The environment of a benchmark: the cores and the network that it uses, and a description of the machine."""

import contextlib
import os
import pathlib
import platform
import shutil
import subprocess


def client_and_server_cores():
    """Chooses a core for the client and one for the server, on different physical cores if possible."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench: needs two cores, one for the clients and one for the server")
    client, *others = cores
    file = pathlib.Path(f"/sys/devices/system/cpu/cpu{client}/topology/thread_siblings_list")
    siblings = file.read_text().strip().replace("-", ",").split(",") if file.exists() else []
    return client, next((core for core in others if str(core) not in siblings), others[0])


def description():
    """Describes the machine in one line, without a host name or another identifier."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    kind = "virtual machine" if " hypervisor" in info else "machine"
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{kind} with {os.cpu_count()} cores ({models[0] if models else platform.machine()}), Linux {release}"


class Network:
    """The command prefixes that start the client and the server in this network, and the server's address."""

    def __init__(self, client_prefix=(), server_prefix=(), address="127.0.0.1"):
        self.client_prefix, self.server_prefix, self.address = list(client_prefix), list(server_prefix), address


LOOPBACK = Network()


@contextlib.contextmanager
def veth_pair():
    """Joins two network namespaces by a veth pair with MTU 1500. Yields None without the rights to do so.

    Segmentation offload is off, so each datagram crosses as a packet of its own, as on a wire, and GRO on the other
    side has to merge them again. veth runs GRO only if TSO is off, too.
    """
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip", "ethtool"))):
        yield None
        return
    with _namespace() as client, _namespace() as server:
        _run("ip", "link", "add", "bench0", "netns", client, "type", "veth", "peer", "bench0", "netns", server)
        for pid, address in (client, "192.0.2.1/24"), (server, "192.0.2.2/24"):
            prefix = _enter(pid)
            _run(*prefix, "ethtool", "-K", "bench0", "tx-udp-segmentation", "off", "tso", "off", "gro", "on")
            _run(*prefix, "ip", "address", "add", address, "dev", "bench0")
            _run(*prefix, "ip", "link", "set", "bench0", "mtu", "1500", "up")
        yield Network(_enter(client), _enter(server), "192.0.2.2")


@contextlib.contextmanager
def _namespace():
    """Yields the id of a process in a new network namespace, which exists until that process ends."""
    command = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            holder.stdout.readline()
            yield str(holder.pid)
        finally:
            holder.kill()


def _enter(pid):
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def _run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
