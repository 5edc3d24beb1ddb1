"""judge.py [--whole] CARGO_LOG CTEST_XML: the results of scripts/test-portable, compared with the list `excused`.

A test in the list has to fail with a text that contains the one next to it; every other test has to pass. With --whole, when all
tests were run, each line of the list has to apply to a test.
"""

import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import count_tests  # noqa: E402


class Excuse:
    """A line of the list: the program, a pattern of cases, and what their failure contains."""

    def __init__(self, line):
        name, self.text = (part.strip() for part in line.split("|", 1))
        self.program, self.case = name.split()
        self.used = False

    def is_for(self, program, case):
        return self.program == program and fnmatch.fnmatchcase(case, self.case)


def excuses():
    lines = (pathlib.Path(__file__).parent / "excused").read_text(encoding="utf-8").splitlines()
    return [Excuse(line) for line in lines if line.strip() and not line.startswith("#")]


def cargo_runs(text):
    """Yields outcome, program, its name in the list, case and output of each of cargo's tests."""
    outputs = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^----|^failures:)", text, re.M | re.S))
    for outcome, program, case in count_tests.cargo_runs(text):
        short = re.sub(r"^cargo (?:unittests )?(?:tests/|src/)?", "cargo.", program).removesuffix(".rs")
        yield outcome, program, short, case, outputs.get(case, "")


def c_runs(path):
    """The same for the C tests. The text behind the name of a case says why it has failed."""
    for outcome, program, text in count_tests.ctest_runs(path):
        case, _, why = text.partition(": ") if outcome == "not ok" else (text, "", "")
        yield outcome, program, program.removesuffix(".shared"), case, why


def judge(runs, known):
    """Yields outcome and text of each line to print."""
    for outcome, program, short, case, why in runs:
        name = f"portable.{program}: {case}"
        excuse = next((one for one in known if one.is_for(short, case)), None)
        if outcome != "not ok":
            yield outcome, name
        elif excuse and excuse.text in why:
            excuse.used = True
            yield "ok", f"{name} ({excuse.text})"
        else:
            yield "not ok", f"{name}: {'not as excused: ' if excuse else ''}{why.strip()}"


def main(*arguments):
    known = excuses()
    is_whole, (log, results) = "--whole" in arguments, arguments[-2:]
    cargo = list(cargo_runs(pathlib.Path(log).read_text(encoding="utf-8", errors="replace")))
    lines = list(judge([*cargo, *c_runs(results)], known))
    if is_whole:
        stale = [one for one in known if not one.used]
        lines += [("not ok", f"tests/portable/excused: no test needs {one.program} {one.case}") for one in stale]
    for outcome, text in lines:
        print(outcome, text)
    passed, failed, skipped = (sum(line[0] == outcome for line in lines) for outcome in ("ok", "not ok", "skip"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main(*sys.argv[1:]))
