"""bench.py BUILD [--quick] [NAME...]: measures udpr and its peers; scripts/bench calls it.

BUILD is the directory of the built programs. NAME is a benchmark of benchmarks.py; without NAME all benchmarks run, and
docs/performance.md, its chart and its plots are written. With `growth` as NAME, only the plots are written. --quick runs
one short round, which only shows that everything works: its metrics mean nothing. With `report` as NAME, the page is
written again from the metrics of the last complete run.
"""

import contextlib
import json
import pathlib
import signal
import sys
import time

import benchmarks
import environment
import report
import runner

ROUNDS, SECONDS = 5, 1.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.1
TIMEOUT = 40 * 60  # seconds, for the whole run


class Progress:
    """On a terminal one line that is updated, otherwise one line for each benchmark."""

    def __init__(self):
        self.start = time.monotonic()

    def show(self, text, last=False):
        elapsed = int(time.monotonic() - self.start)
        line = f"{elapsed // 60:3}:{elapsed % 60:02}  {text}"
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + line + ("\n" if last else ""))
        elif last:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def measure_benchmark(programs, benchmark, network, rounds, progress):
    """Runs rounds of all contenders. Each round begins with the next contender."""
    samples = {contender: [] for contender in benchmark.contenders}
    for number in range(1 if benchmark.deterministic else rounds):
        first = number % len(benchmark.contenders)
        for contender in benchmark.contenders[first:] + benchmark.contenders[:first]:
            progress.show(f"{benchmark.name}: round {number + 1}, {contender}")
            samples[contender].append(benchmark.run(programs, contender, network))
    progress.show(benchmark.name, last=True)
    return samples


def measure_all(programs, chosen, rounds):
    samples, progress = {}, Progress()
    with contextlib.ExitStack() as stack:
        veth = None
        if any(benchmark.on_veth for benchmark in chosen):
            veth = stack.enter_context(environment.veth_pair())
        for benchmark in chosen:
            if benchmark.on_veth and veth is None:
                progress.show(f"{benchmark.name}: skipped: needs root, ip and ethtool", last=True)
                continue
            network = veth if benchmark.on_veth else environment.LOOPBACK
            samples[benchmark.name] = measure_benchmark(programs, benchmark, network, rounds, progress)
    return samples


def show(results, chosen):
    for benchmark in chosen:
        if benchmark.name in results.samples:
            print(f"\n{benchmark.title}\n{report.plain_text(report.benchmark_table(results, benchmark))}")
            print(report.loss_line(results, benchmark), end="")
    print(f"\nTargets\n{report.plain_text(report.targets_table(results))}")


def _time_out(*_):
    raise TimeoutError(f"not done after {TIMEOUT} s")


def main(build, *arguments):
    signal.signal(signal.SIGALRM, _time_out)
    signal.alarm(TIMEOUT)
    names = [argument for argument in arguments if argument != "--quick"]
    quick = "--quick" in arguments
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    results_file = pathlib.Path(build) / "results.json"
    if names == ["report"]:
        results = report.Results(json.loads(results_file.read_text()))
        report.write_page(results, environment.description(), rounds, seconds)
        return
    chosen = benchmarks.select(names)
    results = report.Results(measure_all(runner.Programs(build, seconds), chosen, rounds))
    show(results, chosen)
    if not names and not quick:
        results_file.write_text(json.dumps(results.samples))
        report.write_page(results, environment.description(), rounds, seconds)
    elif names == ["growth"] and not quick:
        report.write_plots(results)


main(*sys.argv[1:])
