"""Runs the programs of the bench and reads what they print: words and numbers in turn, `served 5 cpu_ns 700`."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

import machine

HERE = pathlib.Path(__file__).parent
PYTHON = "/usr/bin/python3"  # the one that Debian's Twisted is for
PATIENCE = 60  # seconds that a program may take beyond what it was told to


class Programs:
    """The programs under `build`, client and server each on a core of its own."""

    def __init__(self, build, seconds):
        self.build = pathlib.Path(build)
        self.library = self.build / "udpr" / "libudpr.so"
        self.seconds = seconds
        self.client_core, self.server_core = machine.client_and_server_cores()

    def command(self, name):
        if name.endswith(".py"):
            return [PYTHON, "-B", str(HERE / "servers" / name)]
        return [str(self.build / "bin" / name)]

    def run(self, name, *arguments):
        """What a program that needs no other one prints."""
        command = _on({self.client_core, self.server_core}) + self.command(name) + list(map(str, arguments))
        return figures(_output(command))

    def load(self, port, arguments, network=machine.LOOPBACK):
        """What the load generator prints after its run."""
        command = network.client + _on({self.client_core}) + self.command("load")
        return figures(_output(command + [str(port), "-a", network.address, *map(str, arguments)]))

    @contextlib.contextmanager
    def server(self, name, answers=1, network=machine.LOOPBACK, cores=None, under=()):
        """A running server. Once the block has ended, its `figures` hold what it printed."""
        command = network.server + _on(cores or {self.server_core}) + list(under) + self.command(name)
        environment = dict(os.environ, UDPR_LIBRARY=str(self.library))
        with subprocess.Popen(
            command + ["0", str(answers)], stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            try:
                server = Server(process)
                yield server
                server.stop()
            finally:
                process.kill()


class Server:
    def __init__(self, process):
        self.process, self.figures = process, {}
        for line in process.stdout:
            if line.startswith("listening on 0.0.0.0:"):
                self.port = int(line.rsplit(":", 1)[1])
                return
            self.figures.update(figures(line))
        raise RuntimeError(f"{process.args} ended before it listened")

    def stop(self):
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self.figures.update(figures(rest))
        if self.process.returncode != 0:
            raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}")


def echo(programs, name, load, answers=1, network=machine.LOOPBACK):
    """One run of a server under a load, both sides' figures and, per datagram received or sent, `cpu_ns`."""
    with programs.server(name, answers, network) as server:
        got = programs.load(server.port, [*load, "-r", answers, "-t", programs.seconds], network)
    datagrams = server.figures["served"] * max(answers, 1)
    got["cpu_ns"] = server.figures["cpu_ns"] / max(datagrams, 1)
    if answers == 0:
        got["rate"] = server.figures["served"] / got["seconds"]
        got["lost"] = got["sent"] - server.figures["served"]
    return got


def instructions(programs, name, load, fewer=20000, more=60000):
    """User instructions per echoed datagram, by callgrind: what a longer run takes beyond a shorter one."""
    counts = {}
    for datagrams in fewer, more:
        with tempfile.TemporaryDirectory() as directory:
            out = pathlib.Path(directory) / "callgrind"
            valgrind = ["valgrind", "--log-file=/dev/null", "--tool=callgrind", f"--callgrind-out-file={out}"]
            with programs.server(name, under=valgrind) as server:
                programs.load(server.port, [*load, "-c", datagrams, "-t", PATIENCE])
            total = next(line for line in out.read_text().splitlines() if line.startswith(("totals:", "summary:")))
            counts[server.figures["served"]] = int(total.split()[1])
    (served, instructed), (served_more, instructed_more) = sorted(counts.items())
    return {"instructions": (instructed_more - instructed) / (served_more - served)}


def cores(programs, count):
    """Echoes per second of that many cores, each with a reactor and a load, on one port."""
    chosen = sorted(os.sched_getaffinity(0))[:count]
    load = ["-n", 50, "-k", 8, "-t", programs.seconds]
    with programs.server("udpr_cores", cores=set(chosen)) as server:
        commands = [_on({core}) + programs.command("load") + list(map(str, [server.port, *load])) for core in chosen]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in running]
    return {"rate": sum(figures(output)["rate"] for output in outputs)}


def library_bytes(programs):
    """The size of the shared library without its symbol table."""
    with tempfile.TemporaryDirectory() as directory:
        stripped = pathlib.Path(directory) / "libudpr.so"
        subprocess.run(["strip", "-o", stripped, programs.library], check=True)
        return {"bytes": stripped.stat().st_size}


def _on(cores):
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]


def _output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=2 * PATIENCE, check=True)
    return done.stdout


def figures(text):
    words = text.split()
    return dict(zip(words[::2], map(float, words[1::2])))
