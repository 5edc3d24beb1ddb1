"""The benchmarks, the programs that each of them compares, and the targets that udpr has to reach."""

import dataclasses
import os
import resource
from collections.abc import Callable

import runner

HIGHER_IS_BETTER = {"rate", "cpu_rate", "query_rate", "calls_per_s", "bytes_per_s"}

LABELS = {  # what reports show for contenders whose program names are not clear enough
    "udpr_plain": "udpr",
    "udpr_batch": "udpr, batch callback",
    "udpr_portable": "udpr, the backend of other systems",
    "loop_recvfrom": "recvfrom and sendto by hand",
    "loop_mmsg": "recvmmsg and sendmmsg by hand",
    "loop_mmsg_epoll": "recvmmsg and sendmmsg by hand, behind epoll",
    "loop_offload": "GRO and gathered GSO by hand",
    "loop_offload_copy": "GRO and gathered GSO by hand, with a copy of each datagram",
    "loop_offload_epoll": "GRO and gathered GSO by hand, behind epoll",
    "udpr_spin": "udpr, spin for the whole wait",
    "udpr_spin_50us": "udpr, spin for 50 us",
    "udpr_iterate": "udpr, a loop of iterate(0) by hand",
    "libuv_try": "libuv, uv_udp_try_send",
    "libuv_queue": "libuv, uv_udp_send",
    "dns_udpr": "udpr",
    "dns_libuv": "libuv, uv_udp_try_send",
    "dns_mmsg": "recvmmsg and sendmmsg by hand, behind epoll",
    "udpr_idle": "udpr, 10,000 idle ports",
    "libuv_idle": "libuv, 10,000 idle ports",
    "timers_udpr": "udpr",
    "timers_libuv": "libuv",
    "calls_udpr": "udpr",
    "calls_libuv": "libuv",
    "writes_udpr gathered": "udpr, udpr_reactor_gather",
    "writes_udpr singly": "udpr",
    "writes_libuv try": "libuv, uv_udp_try_send",
    "writes_libuv queue": "libuv, uv_udp_send",
    "quic_udpr": "udpr",
    "quic_epoll": "epoll, GRO and GSO by hand",
    "ctypes_plain.py": "udpr by ctypes",
    "ctypes_batch.py": "udpr by ctypes, batch callback",
    "twisted_echo.py": "Twisted",
    "udpr_twisted_echo.py": "Twisted on udpr",
    "udpr_asyncio_echo.py": "asyncio on udpr",
    "uvloop_echo.py": "uvloop",
    "asyncio_echo.py": "asyncio",
}

BY_HAND = (
    "loop_recvfrom",
    "loop_mmsg",
    "loop_mmsg_epoll",
    "loop_offload",
    "loop_offload_copy",
    "loop_offload_epoll",
)
LIBUV = "libuv_try", "libuv_queue"
ECHO_SERVERS = "udpr_plain", "udpr_batch", "udpr_portable", *BY_HAND, *LIBUV, "libevent", "asio"
GSO_SERVERS = "udpr_plain", "udpr_batch", "loop_mmsg", "loop_offload", "loop_offload_epoll", *LIBUV
DNS = "dns_udpr", "dns_libuv", "dns_mmsg"
SPINNING = "udpr_spin", "udpr_spin_50us", "udpr_iterate"
PYTHON_SERVERS = (
    "udpr_twisted_echo.py",
    "twisted_echo.py",
    "udpr_asyncio_echo.py",
    "asyncio_echo.py",
    "uvloop_echo.py",
    "ctypes_plain.py",
    "ctypes_batch.py",
)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """`run(programs, contender, network)` returns metrics by name; those in `metrics` are reported. With `on_veth` the
    network is the veth pair, otherwise loopback. A `deterministic` benchmark runs for one round only. With `unit` the
    contenders are sizes in this unit, and the metrics are plotted.
    """

    name: str
    title: str
    contenders: tuple
    metrics: tuple
    run: Callable
    on_veth: bool = False
    deterministic: bool = False
    unit: str = ""

    @property
    def svg(self):
        return f"{self.name}.svg" if self.unit else None


@dataclasses.dataclass(frozen=True)
class Target:
    """A row of the table of targets. With `theirs` it limits the ratio of udpr's best value to the best value of those,
    otherwise udpr's best value itself. Without `limit` the row only shows the ratio.
    """

    benchmark: str
    metric: str
    ours: str
    theirs: tuple
    limit: float | None = None

    @property
    def at_least(self):
        return self.metric in HIGHER_IS_BETTER


def _echo(name, title, contenders, load, metrics=("cpu_ns", "rate"), replies=1, on_veth=False):
    def run(programs, contender, network):
        return runner.run_echo(programs, contender, load, replies, network)

    return Benchmark(name, title, contenders, metrics, run, on_veth)


def _spin(programs, contender, network):
    got = runner.run_echo(programs, contender, ("-b",), network=network)
    return got | runner.run_idle(programs, contender)


def _dns(name, title, *rest):
    def run(programs, contender, _):
        return runner.run_dns(programs, contender, *rest)

    return Benchmark(name, title, DNS, ("query_cpu_ns", "query_rate"), run)


def _program(name, title, contenders, metrics, *arguments):
    def run(programs, contender, _):
        return programs.run(contender, *arguments)

    return Benchmark(name, title, contenders, metrics, run)


def _instructions(name, title, load):
    def run(programs, contender, _):
        return runner.count_instructions(programs, contender, load)

    return Benchmark(name, title, ("udpr_plain", "udpr_batch", *LIBUV), ("instructions",), run, deterministic=True)


def _memory(programs, contender, _):
    with programs.server(contender) as server:
        pass
    return server.metrics


def _growth(name, title, unit, sizes, metrics, run_size):
    def run(programs, contender, _):
        return run_size(programs, size_of(contender))

    return Benchmark(f"growth-{name}", title, tuple(f"{size:,}" for size in sizes), metrics, run, unit=unit)


def size_of(contender):
    return int(contender.replace(",", ""))


def _ports(programs, count):
    return runner.run_echo(programs, f"udpr_ports {count}", ("-k", 256, "-P", count))


def _addresses(programs, count):
    return runner.run_echo(programs, "udpr_plain", ("-k", 256, "-A", count))


def _delayed_calls(programs, count):
    return programs.run("timers_udpr", count)


def _port_counts():
    """Up to 20,000, if the process may open so many files."""
    most = min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    return *(count for count in (10, 100, 1000, 10000) if count < most), most


def _core_counts():
    cores = len(os.sched_getaffinity(0))
    return *(1 << i for i in range(cores.bit_length()) if 1 << i < cores), cores


def _quic(name, title, on_veth=False):
    return Benchmark(name, title, QUIC, ("sender_cpu_ns", "receiver_cpu_ns", "bytes_per_s"), runner.run_quic, on_veth)


def _size(programs, *_):
    return runner.library_size(programs)


PLAIN, LARGE, GSO = ("-k", 256), ("-k", 256, "-s", 1200), ("-k", 256, "-s", 1200, "-g")
THOUSAND = "-n", 1000
TIMERS, CALLS = ("timers_udpr", "timers_libuv"), ("calls_udpr", "calls_libuv")
TIMER_METRICS = "insert_ns", "cancel_ns", "fire_ns"
ADDRESS_COUNTS = 1, 10, 100, 1000, 10000, 100000
CALL_COUNTS = 1000, 10000, 100000, 1000000, 10000000
WRITES_LIBUV = "writes_libuv try", "writes_libuv queue"
WRITES = "writes_udpr gathered", "writes_udpr singly", *WRITES_LIBUV
QUIC = "quic_udpr", "quic_epoll"
IDLE = "udpr_idle", "udpr_plain", "libuv_idle", "libuv_try"

BENCHMARKS = (
    _echo("echo-64", "Echo, 1 plain client, 64 B, 256 in flight", ECHO_SERVERS, PLAIN),
    _echo("echo-1200", "Echo, 1 plain client, 1200 B, 256 in flight", ECHO_SERVERS, LARGE),
    _echo("echo-gso", "Echo, 1 client sending GSO, 1200 B, 256 in flight", ECHO_SERVERS, GSO),
    _echo("echo-100", "Echo, 100 clients with 8 in flight each, 64 B", ECHO_SERVERS, ("-n", 100, "-k", 8)),
    _echo("echo-1000", "Echo, 1000 clients with 1 in flight each, 64 B", ECHO_SERVERS, THOUSAND),
    _echo("latency", "Echo, 1 in flight, 64 B", ECHO_SERVERS, (), ("p50_ns", "p99_ns", "cpu_ns")),
    Benchmark(
        "spin",
        "Busy polling: echo, 1 in flight, 64 B",
        ("loop_recvfrom", "udpr_plain", *SPINNING),
        ("p50_ns", "p99_ns", "cpu_ns", "idle_cpu"),
        _spin,
    ),
    _instructions("instructions-64", "User instructions per echoed datagram, 1 client, 64 B", PLAIN),
    _instructions("instructions-gso", "User instructions per echoed datagram, 1 client sending GSO, 1200 B", GSO),
    _instructions("instructions-1000", "User instructions per echoed datagram, 1000 clients, 64 B", THOUSAND),
    _dns("dns-free", "DNS server, 4 clients with 500 queries in flight, on any core", False),
    _dns("dns-pinned", "DNS server, 4 clients with 500 queries in flight, on a core of its own", True),
    _program("timers", "A million delayed calls, each", TIMERS, TIMER_METRICS, 1000000),
    _program("calls-1", "Calls from another thread", CALLS, ("calls_per_s",), 1),
    _program("calls-4", "Calls from 4 other threads", CALLS, ("calls_per_s",), 4),
    _program("writes", "Writes outside callbacks, 64 B, received by the same loop", WRITES, ("cpu_rate",)),
    Benchmark(
        "memory",
        "Memory of an idle port, of 10,000",
        ("udpr_idle", "libuv_idle"),
        ("bytes_per_port",),
        _memory,
        deterministic=True,
    ),
    _echo("idle", "Echo with 10,000 idle ports, 1 plain client, 64 B, 256 in flight", IDLE, PLAIN),
    Benchmark("size", "The stripped shared library", ("libudpr.so",), ("bytes",), _size, deterministic=True),
    _echo("ethernet-1200", "Echo over veth, 1 plain client, 1200 B", GSO_SERVERS, LARGE, on_veth=True),
    _echo("ethernet-gso", "Echo over veth, 1 client sending GSO, 1200 B", GSO_SERVERS, GSO, on_veth=True),
    _echo("sink-64", "Receiving only, from a plain sender, 64 B", GSO_SERVERS, (), replies=0),
    _echo("sink-gso", "Receiving only, from a sender with GSO, 1200 B", GSO_SERVERS, ("-s", 1200, "-g"), replies=0),
    _echo("source-1200", "Sending 64 replies to each datagram, 1200 B, to GRO", GSO_SERVERS, GSO, replies=64),
    _quic("quic-loopback", "QUIC (ngtcp2, GnuTLS), 200 MB on one stream, CPU for each megabyte"),
    _quic("quic-veth", "QUIC over veth, the same", on_veth=True),
    _echo("python", "Echo in Python, 64 B, 64 in flight", PYTHON_SERVERS, ("-k", 64)),
    _echo("python_clients", "Echo in Python, 64 B, 100 clients with 8 in flight", PYTHON_SERVERS, ("-n", 100, "-k", 8)),
    _growth("ports", "Echo at many ports, 64 B, 256 in flight", "ports", _port_counts(), ("cpu_ns",), _ports),
    _growth("clients", "Echo to many addresses, 64 B, 256 in flight", "addresses", ADDRESS_COUNTS, ("cpu_ns",), _addresses),
    _growth("calls", "Many delayed calls, each", "calls", CALL_COUNTS, TIMER_METRICS, _delayed_calls),
    _growth(
        "reactors",
        "Echo, reactors on a core each, with their clients",
        "reactors",
        _core_counts(),
        ("rate",),
        runner.run_on_cores,
    ),
)

BLOCKING, BEHIND_EPOLL = ("loop_offload",), ("loop_offload_epoll",)


def _against_loops(benchmark, limit):
    """The aim is the loop behind epoll. The blocking loop, which only a program with one socket can be, is the bound."""
    return (
        Target(benchmark, "cpu_ns", "udpr_plain", BEHIND_EPOLL, limit),
        Target(benchmark, "cpu_ns", "udpr_plain", BLOCKING),
    )


TARGETS = (
    *_against_loops("echo-64", 1.00),
    Target("echo-64", "cpu_ns", "udpr_plain", LIBUV, 0.75),
    *_against_loops("echo-1200", 1.00),
    Target("echo-1200", "cpu_ns", "udpr_plain", LIBUV, 0.75),
    *_against_loops("echo-gso", 1.05),
    Target("echo-gso", "rate", "udpr_plain", LIBUV, 4),
    *_against_loops("echo-100", 1.00),
    Target("echo-100", "cpu_ns", "udpr_plain", LIBUV, 0.85),
    Target("echo-1000", "cpu_ns", "udpr_plain", ("loop_mmsg_epoll",), 0.97),
    Target("echo-1000", "cpu_ns", "udpr_plain", ("loop_mmsg",)),
    Target("latency", "p50_ns", "udpr_plain", ("loop_mmsg_epoll",), 1.03),
    Target("latency", "p50_ns", "udpr_plain", ("loop_recvfrom",)),
    Target("latency", "p99_ns", "udpr_plain", ("loop_mmsg_epoll",), 1.03),
    Target("latency", "p99_ns", "udpr_plain", ("loop_recvfrom",)),
    Target("spin", "p50_ns", "udpr_spin_50us", ("loop_recvfrom",), 0.4),
    *_against_loops("sink-gso", 1.02),
    *_against_loops("source-1200", 1.05),
    *_against_loops("ethernet-1200", 1.00),
    *_against_loops("ethernet-gso", 1.03),
    Target("quic-loopback", "sender_cpu_ns", "quic_udpr", ("quic_epoll",), 1.02),
    Target("quic-loopback", "receiver_cpu_ns", "quic_udpr", ("quic_epoll",), 1.05),
    Target("quic-veth", "sender_cpu_ns", "quic_udpr", ("quic_epoll",), 1.02),
    Target("quic-veth", "receiver_cpu_ns", "quic_udpr", ("quic_epoll",), 1.05),
    Target("dns-free", "query_cpu_ns", "dns_udpr", ("dns_libuv",), 0.45),
    Target("dns-pinned", "query_cpu_ns", "dns_udpr", ("dns_libuv",), 0.75),
    Target("writes", "cpu_rate", "writes_udpr gathered", WRITES_LIBUV, 3),
    Target("timers", "insert_ns", "timers_udpr", ("timers_libuv",), 0.30),
    Target("timers", "cancel_ns", "timers_udpr", ("timers_libuv",), 0.10),
    Target("timers", "fire_ns", "timers_udpr", ("timers_libuv",), 0.17),
    Target("calls-1", "calls_per_s", "calls_udpr", ("calls_libuv",), 1),
    Target("calls-4", "calls_per_s", "calls_udpr", ("calls_libuv",), 1),
    Target("instructions-64", "instructions", "udpr_plain", (), 143),
    Target("instructions-gso", "instructions", "udpr_plain", (), 101),
    Target("instructions-1000", "instructions", "udpr_plain", (), 300),
    Target("python", "cpu_ns", "udpr_twisted_echo.py", ("twisted_echo.py",), 0.5),
    Target("memory", "bytes_per_port", "udpr_idle", (), 380),
    Target("idle", "cpu_ns", "udpr_idle", ("udpr_plain",), 1.02),
    Target("size", "bytes", "libudpr.so", (), 480 * 1024),
)


def select(names):
    """Returns the benchmarks with these names, or all if there are none. `echo` selects each echo-*, and so on."""
    for name in names:
        if not any(_matches(name, benchmark) for benchmark in BENCHMARKS):
            known = " ".join(benchmark.name for benchmark in BENCHMARKS)
            raise SystemExit(f"bench: no such benchmark: {name}; there are: {known}")
    return [benchmark for benchmark in BENCHMARKS if not names or any(_matches(name, benchmark) for name in names)]


def _matches(name, benchmark):
    return benchmark.name == name or benchmark.name.startswith(name + "-")
