"""Runs the benchmark programs and parses the metrics that they print as names and values: `served 5 cpu_ns 700`."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

import environment

HERE = pathlib.Path(__file__).parent
GRACE_SECONDS = 60  # how much longer than requested a program may run
DNSPERF_STATISTICS = "Queries sent", "Queries lost", "Queries per second"


class Programs:
    """The programs in the directory `build`. Client and server each run on a core of their own."""

    def __init__(self, build, seconds):
        self.build = pathlib.Path(build)
        self.library = self.build / "udpr" / "libudpr.so"
        self.seconds = seconds
        self.client_core, self.server_core = environment.client_and_server_cores()

    def command(self, name):
        """Returns the command of a contender: a program, and arguments after spaces."""
        name, *arguments = name.split()
        if name.endswith(".py"):
            return [str(self.build / "python" / "bin" / "python"), "-B", str(HERE / "servers" / name), *arguments]
        return [str(self.build / "bin" / name), *arguments]

    def run(self, name, *arguments):
        """Runs a program that needs no other one and returns its metrics."""
        command = _pinned({self.client_core, self.server_core}) + self.command(name) + list(map(str, arguments))
        return parse_metrics(_output(command))

    def load(self, port, arguments, network=environment.LOOPBACK):
        """Runs the load generator and returns its metrics."""
        command = network.client_prefix + _pinned({self.client_core}) + self.command("load")
        return parse_metrics(_output(command + [str(port), "-a", network.address, *map(str, arguments)]))

    @contextlib.contextmanager
    def server(self, name, *arguments, network=environment.LOOPBACK, cores=None, under=()):
        """Runs a server during the block. Its `metrics` are complete after the block. `under`: a command prefix."""
        command = network.server_prefix + _pinned(cores or {self.server_core}) + list(under) + self.command(name)
        env = dict(os.environ, UDPR_LIBRARY=str(self.library))
        with subprocess.Popen(command + ["0", *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=env) as process:
            try:
                server = Server(process)
                yield server
                server.stop()
            finally:
                process.kill()


class Server:
    def __init__(self, process):
        self.process, self.metrics = process, {}
        for line in process.stdout:
            if line.startswith("listening on 0.0.0.0:"):
                self.port = int(line.rsplit(":", 1)[1])
                return
            self.metrics.update(parse_metrics(line))
        raise RuntimeError(f"{process.args} ended before it listened")

    def stop(self):
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=GRACE_SECONDS)
        self.metrics.update(parse_metrics(rest))
        if self.process.returncode != 0:
            raise RuntimeError(f"{self.process.args}: exit code {self.process.returncode}")


def run_echo(programs, name, load, replies=1, network=environment.LOOPBACK):
    """Runs a server under load once. Returns the metrics of both sides; `cpu_ns` is per datagram received or sent."""
    with programs.server(name, replies, network=network) as server:
        got = programs.load(server.port, [*load, "-r", replies, "-t", programs.seconds], network)
    datagrams = server.metrics["served"] * max(replies, 1)
    got["cpu_ns"] = server.metrics["cpu_ns"] / max(datagrams, 1)
    if replies == 0:
        got["rate"] = server.metrics["served"] / got["seconds"]
        got["lost"] = got["sent"] - server.metrics["served"]
    return got


def run_dns(programs, name, pinned):
    """Runs a DNS server under dnsperf once. With `pinned`, each of the two has a core for itself."""
    cores = {programs.client_core, programs.server_core}
    with programs.server(name, cores=None if pinned else cores) as server, tempfile.NamedTemporaryFile("w") as queries:
        queries.writelines(f"host{number}.example.com A\n" for number in range(1000))
        queries.flush()
        limit = str(max(1, round(programs.seconds)))  # whole seconds
        command = ["dnsperf", "-p", str(server.port), "-d", queries.name, "-l", limit, "-c", "4", "-q", "500"]
        output = _output(_pinned({programs.client_core} if pinned else cores) + command)
    found = {what: float(re.search(what + r": +([\d.]+)", output)[1]) for what in DNSPERF_STATISTICS}
    return {
        "query_cpu_ns": server.metrics["cpu_ns"] / server.metrics["served"],
        "query_rate": found["Queries per second"],
        "sent": found["Queries sent"],
        "lost": found["Queries lost"],
    }


def run_idle(programs, name):
    """Measures how much of a core a server without work takes."""
    with programs.server(name) as server:
        start = time.monotonic()
        time.sleep(programs.seconds)
        seconds = time.monotonic() - start
    return {"idle_cpu": server.metrics["cpu_ns"] / (seconds * 1e9)}


def run_quic(programs, name, network):
    """Transfers one stream over QUIC. Returns the CPU time of both sides for each megabyte, and the throughput."""
    megabytes = max(2, round(200 * programs.seconds))
    with tempfile.TemporaryDirectory() as directory:
        _make_certificate(directory)
        with programs.server(name, megabytes, directory, network=network) as server:
            command = network.client_prefix + _pinned({programs.client_core}) + programs.command(name)
            got = parse_metrics(_output([*command, network.address, str(server.port)]))
    if got["received"] != megabytes * 1_000_000:
        raise RuntimeError(f"{name}: received {got['received']:.0f} bytes of {megabytes} MB")
    return {
        "sender_cpu_ns": server.metrics["cpu_ns"] / megabytes,
        "receiver_cpu_ns": got["cpu_ns"] / megabytes,
        "bytes_per_s": got["received"] / got["seconds"],
    }


def _make_certificate(directory):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=bench", "-days", "2", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=directory, check=True, stderr=subprocess.DEVNULL)


def count_instructions(programs, name, load, short_run=20000, long_run=60000):
    """Counts user instructions per echoed datagram with callgrind: the difference between a long and a short run."""
    counts = {}
    for datagrams in short_run, long_run:
        with tempfile.TemporaryDirectory() as directory:
            out = pathlib.Path(directory) / "callgrind"
            valgrind = ["valgrind", "--log-file=/dev/null", "--tool=callgrind", f"--callgrind-out-file={out}"]
            with programs.server(name, under=valgrind) as server:
                programs.load(server.port, [*load, "-c", datagrams, "-t", GRACE_SECONDS])
            total = next(line for line in out.read_text().splitlines() if line.startswith(("totals:", "summary:")))
            counts[server.metrics["served"]] = int(total.split()[1])
    (served, instructed), (served_more, instructed_more) = sorted(counts.items())
    return {"instructions": (instructed_more - instructed) / (served_more - served)}


def run_on_cores(programs, count):
    """Measures echoes per second on `count` cores, each with a reactor and a load generator, all on one port."""
    chosen = sorted(os.sched_getaffinity(0))[:count]
    load = ["-n", 50, "-k", 8, "-t", programs.seconds]
    with programs.server("udpr_cores", cores=set(chosen)) as server:
        commands = [_pinned({core}) + programs.command("load") + list(map(str, [server.port, *load])) for core in chosen]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        outputs = [process.communicate(timeout=GRACE_SECONDS)[0] for process in running]
    return {"rate": sum(parse_metrics(output)["rate"] for output in outputs)}


def library_size(programs):
    """Measures the shared library without its symbol table."""
    with tempfile.TemporaryDirectory() as directory:
        stripped = pathlib.Path(directory) / "libudpr.so"
        subprocess.run(["strip", "-o", stripped, programs.library], check=True)
        return {"bytes": stripped.stat().st_size}


def _pinned(cores):
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]


def _output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=2 * GRACE_SECONDS, check=True)
    return done.stdout


def parse_metrics(text):
    words = text.split()
    return dict(zip(words[::2], map(float, words[1::2])))
