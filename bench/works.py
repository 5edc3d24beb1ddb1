"""What is measured, on what, and what udpr must reach."""

import dataclasses
from collections.abc import Callable

import measure

HIGHER_IS_BETTER = {"rate", "calls_per_s"}

BY_HAND = "loop_recvfrom", "loop_mmsg", "loop_offload"
LIBUV = "libuv_try", "libuv_queue"
ECHO_SERVERS = "udpr_plain", "udpr_batch", *BY_HAND, *LIBUV, "libevent", "asio"
OFFLOADERS = "udpr_plain", "udpr_batch", "loop_mmsg", "loop_offload", *LIBUV
IN_PYTHON = "udpr_plain", "ctypes_plain.py", "ctypes_batch.py", "twisted_echo.py", "asyncio_echo.py"


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
    """Contenders that need no load: `NAME_udpr` and `NAME_libuv`."""
    return Work(name, title, contenders, figures, lambda programs, contender, _: programs.run(contender, *arguments))


def _instructions(name, title, load):
    def run(programs, contender, _):
        return measure.instructions(programs, contender, load)

    return Work(name, title, ("udpr_plain", *LIBUV), ("instructions",), run, exact=True)


def _memory(programs, contender, _):
    with programs.server(contender) as server:
        pass
    return server.figures


PLAIN, LARGE, GSO = ("-k", 256), ("-k", 256, "-s", 1200), ("-k", 256, "-s", 1200, "-g")

WORKS = (
    _echo("echo-64", "echo, 1 plain client, 64 B, 256 in flight", ECHO_SERVERS, PLAIN),
    _echo("echo-1200", "echo, 1 plain client, 1200 B, 256 in flight", ECHO_SERVERS, LARGE),
    _echo("echo-gso", "echo, 1 client sending GSO, 1200 B, 256 in flight", ECHO_SERVERS, GSO),
    _echo("echo-100", "echo, 100 clients with 8 in flight each, 64 B", ECHO_SERVERS, ("-n", 100, "-k", 8)),
    _echo("echo-1000", "echo, 1000 clients with 1 in flight each, 64 B", ECHO_SERVERS, ("-n", 1000)),
    _echo("latency", "echo, 1 in flight, 64 B", ECHO_SERVERS, (), ("p50_ns", "p99_ns", "cpu_ns")),
    _instructions("instructions-64", "user instructions per echoed datagram, 1 client, 64 B", PLAIN),
    _instructions("instructions-gso", "user instructions per echoed datagram, GSO, 1200 B", GSO),
    _program("timers", "a million delayed calls, each", ("timers_udpr", "timers_libuv"), ("insert_ns", "cancel_ns", "fire_ns")),
    _program("calls-1", "calls from another thread", ("calls_udpr", "calls_libuv"), ("calls_per_s",), 1),
    _program("calls-4", "calls from 4 other threads", ("calls_udpr", "calls_libuv"), ("calls_per_s",), 4),
    Work("memory", "memory of an idle port, of 10,000", ("udpr_idle", "libuv_idle"), ("bytes_per_port",), _memory, exact=True),
    _echo("idle", "echo of a busy port beside 10,000 idle ones, 64 B, 256 in flight", ("udpr_idle", "udpr_plain", "libuv_idle", "libuv_try"), PLAIN),
    Work("size", "the stripped shared library", ("libudpr.so",), ("bytes",), lambda programs, *_: measure.library_bytes(programs), exact=True),
    _echo("ethernet-1200", "echo over veth, MTU 1500, 1 plain client, 1200 B", OFFLOADERS, LARGE, on_ethernet=True),
    _echo("ethernet-gso", "echo over veth, MTU 1500, 1 client sending GSO, 1200 B", OFFLOADERS, GSO, on_ethernet=True),
    _echo("sink-64", "only receiving, from a plain sender, 64 B", OFFLOADERS, (), answers=0),
    _echo("sink-gso", "only receiving, from a sender with GSO, 1200 B", OFFLOADERS, ("-s", 1200, "-g"), answers=0),
    _echo("source-1200", "64 answers to each datagram, 1200 B, receiver with GRO", OFFLOADERS, GSO, answers=64),
    _echo("python", "echo in Python, 64 B, 64 in flight", IN_PYTHON, ("-k", 64)),
    Work("cores", "a reactor and a load on each core, one port", ("1 core", "2 cores"), ("rate",), lambda programs, contender, _: measure.cores(programs, int(contender[0]))),
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
    """The works of these names, all of them for none; a name stands for those that it begins, too."""
    unknown = [name for name in names if not any(work.name.startswith(name) for work in WORKS)]
    if unknown:
        raise SystemExit(f"bench: there is no {unknown[0]}, but: " + " ".join(work.name for work in WORKS))
    return [work for work in WORKS if not names or any(work.name.startswith(name) for name in names)]
