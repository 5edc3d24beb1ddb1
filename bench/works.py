"""What is measured, on what, and what udpr must reach."""

import dataclasses
from collections.abc import Callable

import measure

HIGHER_IS_BETTER = {"rate", "calls_per_s"}

LABELS = {  # of the contenders whose names do not say it
    "udpr_plain": "udpr",
    "udpr_batch": "udpr, batch callback",
    "loop_recvfrom": "recvfrom and sendto by hand",
    "loop_mmsg": "recvmmsg and sendmmsg by hand",
    "loop_mmsg_epoll": "the same behind epoll",
    "loop_offload": "GRO and gathered GSO by hand",
    "loop_offload_copy": "the same with a copy of each datagram",
    "loop_offload_epoll": "the same behind epoll",
    "libuv_try": "libuv, uv_udp_try_send",
    "libuv_queue": "libuv, uv_udp_send",
    "udpr_idle": "udpr, 10,000 idle ports",
    "libuv_idle": "libuv, 10,000 idle ports",
    "timers_udpr": "udpr",
    "timers_libuv": "libuv",
    "calls_udpr": "udpr",
    "calls_libuv": "libuv",
    "ctypes_plain.py": "udpr by ctypes",
    "ctypes_batch.py": "udpr by ctypes, batch callback",
    "twisted_echo.py": "Twisted",
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
ECHO_SERVERS = "udpr_plain", "udpr_batch", *BY_HAND, *LIBUV, "libevent", "asio"
OFFLOADERS = "udpr_plain", "udpr_batch", "loop_mmsg", "loop_offload", *LIBUV
IN_PYTHON = "ctypes_plain.py", "ctypes_batch.py", "twisted_echo.py", "asyncio_echo.py"


@dataclasses.dataclass(frozen=True)
class Work:
    """`run(programs, contender, network)` gives figures, of which `figures` are shown. A work `on_ethernet` gets the
    veth pair as its network. `exact`: one round tells all.
    """

    name: str
    title: str
    contenders: tuple
    figures: tuple
    run: Callable
    on_ethernet: bool = False
    exact: bool = False


@dataclasses.dataclass(frozen=True)
class Target:
    """A line of the table: udpr's best figure over the best of `theirs`, or as it is where there are none."""

    work: str
    figure: str
    ours: str
    theirs: tuple
    limit: float

    @property
    def at_least(self):
        return self.figure in HIGHER_IS_BETTER


def _echo(name, title, contenders, load, figures=("cpu_ns", "rate"), answers=1, on_ethernet=False):
    def run(programs, contender, network):
        return measure.echo(programs, contender, load, answers, network)

    return Work(name, title, contenders, figures, run, on_ethernet)


def _program(name, title, contenders, figures, *arguments):
    def run(programs, contender, _):
        return programs.run(contender, *arguments)

    return Work(name, title, contenders, figures, run)


def _instructions(name, title, load):
    def run(programs, contender, _):
        return measure.instructions(programs, contender, load)

    return Work(name, title, ("udpr_plain", "udpr_batch", *LIBUV), ("instructions",), run, exact=True)


def _memory(programs, contender, _):
    with programs.server(contender) as server:
        pass
    return server.figures


def _cores(programs, contender, _):
    return measure.cores(programs, int(contender.split()[0]))


def _size(programs, *_):
    return measure.library_bytes(programs)


PLAIN, LARGE, GSO = ("-k", 256), ("-k", 256, "-s", 1200), ("-k", 256, "-s", 1200, "-g")
THOUSAND = "-n", 1000
TIMERS, CALLS = ("timers_udpr", "timers_libuv"), ("calls_udpr", "calls_libuv")
IDLE = "udpr_idle", "udpr_plain", "libuv_idle", "libuv_try"

WORKS = (
    _echo("echo-64", "Echo, 1 plain client, 64 B, 256 in flight", ECHO_SERVERS, PLAIN),
    _echo("echo-1200", "Echo, 1 plain client, 1200 B, 256 in flight", ECHO_SERVERS, LARGE),
    _echo("echo-gso", "Echo, 1 client sending GSO, 1200 B, 256 in flight", ECHO_SERVERS, GSO),
    _echo("echo-100", "Echo, 100 clients with 8 in flight each, 64 B", ECHO_SERVERS, ("-n", 100, "-k", 8)),
    _echo("echo-1000", "Echo, 1000 clients with 1 in flight each, 64 B", ECHO_SERVERS, THOUSAND),
    _echo("latency", "Echo, 1 in flight, 64 B", ECHO_SERVERS, (), ("p50_ns", "p99_ns", "cpu_ns")),
    _instructions("instructions-64", "User instructions per echoed datagram, 1 client, 64 B", PLAIN),
    _instructions("instructions-gso", "User instructions per echoed datagram, 1 client sending GSO, 1200 B", GSO),
    _instructions("instructions-1000", "User instructions per echoed datagram, 1000 clients, 64 B", THOUSAND),
    _program("timers", "A million delayed calls, each", TIMERS, ("insert_ns", "cancel_ns", "fire_ns")),
    _program("calls-1", "Calls from another thread", CALLS, ("calls_per_s",), 1),
    _program("calls-4", "Calls from 4 other threads", CALLS, ("calls_per_s",), 4),
    Work("memory", "Memory of an idle port, of 10,000", IDLE[::2], ("bytes_per_port",), _memory, exact=True),
    _echo("idle", "Echo beside 10,000 idle ports, 1 plain client, 64 B, 256 in flight", IDLE, PLAIN),
    Work("size", "The stripped shared library", ("libudpr.so",), ("bytes",), _size, exact=True),
    _echo("ethernet-1200", "Echo over veth, 1 plain client, 1200 B", OFFLOADERS, LARGE, on_ethernet=True),
    _echo("ethernet-gso", "Echo over veth, 1 client sending GSO, 1200 B", OFFLOADERS, GSO, on_ethernet=True),
    _echo("sink-64", "Receiving only, from a plain sender, 64 B", OFFLOADERS, (), answers=0),
    _echo("sink-gso", "Receiving only, from a sender with GSO, 1200 B", OFFLOADERS, ("-s", 1200, "-g"), answers=0),
    _echo("source-1200", "Sending 64 answers to each datagram, 1200 B, to GRO", OFFLOADERS, GSO, answers=64),
    _echo("python", "Echo in Python, 64 B, 64 in flight", IN_PYTHON, ("-k", 64)),
    Work("cores", "Echo, a reactor and a load on each core, all on one port", ("1 core", "2 cores"), ("rate",), _cores),
)

TARGETS = (
    Target("echo-64", "cpu_ns", "udpr_plain", ("loop_offload",), 1.05),
    Target("echo-64", "cpu_ns", "udpr_plain", LIBUV, 0.75),
    Target("echo-1200", "cpu_ns", "udpr_plain", ("loop_offload",), 1.05),
    Target("echo-1200", "cpu_ns", "udpr_plain", LIBUV, 0.75),
    Target("echo-gso", "rate", "udpr_plain", LIBUV, 4),
    Target("echo-gso", "cpu_ns", "udpr_plain", ("loop_offload",), 1.10),
    Target("echo-100", "cpu_ns", "udpr_plain", ("loop_offload",), 1.05),
    Target("echo-100", "cpu_ns", "udpr_plain", LIBUV, 0.85),
    Target("echo-1000", "cpu_ns", "udpr_plain", ("loop_mmsg",), 1.02),
    Target("latency", "p50_ns", "udpr_plain", ("loop_recvfrom",), 1.03),
    Target("latency", "p99_ns", "udpr_plain", ("loop_recvfrom",), 1.03),
    Target("instructions-64", "instructions", "udpr_plain", (), 160),
    Target("instructions-gso", "instructions", "udpr_plain", (), 260),
    Target("timers", "insert_ns", "timers_udpr", ("timers_libuv",), 0.3),
    Target("timers", "cancel_ns", "timers_udpr", ("timers_libuv",), 0.15),
    Target("timers", "fire_ns", "timers_udpr", ("timers_libuv",), 0.5),
    Target("calls-1", "calls_per_s", "calls_udpr", ("calls_libuv",), 1),
    Target("calls-4", "calls_per_s", "calls_udpr", ("calls_libuv",), 1),
    Target("memory", "bytes_per_port", "udpr_idle", (), 400),
    Target("idle", "cpu_ns", "udpr_idle", ("udpr_plain",), 1.02),
    Target("size", "bytes", "libudpr.so", (), 600 * 1024),
)


def named(names):
    """The works of these names, all of them for none; `echo` stands for each echo-*, and so on."""
    unknown = [name for name in names if not any(_means(name, work) for work in WORKS)]
    if unknown:
        raise SystemExit(f"bench: there is no {unknown[0]}, but: " + " ".join(work.name for work in WORKS))
    return [work for work in WORKS if not names or any(_means(name, work) for name in names)]


def _means(name, work):
    return work.name == name or work.name.startswith(name + "-")
