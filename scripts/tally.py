"""tally.py NAME STATUS RESULTS: counts the tests that a run reports, for scripts/test.

NAME is the run's, STATUS its exit code; RESULTS is the output of cargo test (the run "cargo"), that of a program, or a
JUnit file of ctest (.xml) whose tests are programs. A program prints `ok NAME`, `not ok NAME: why`, `skip NAME # why` and
`N passed, N failed, N skipped`. Prints the numbers of passed, failed and skipped tests in one line, then a line for each
that failed or was skipped.
"""

import re
import sys
import xml.etree.ElementTree as xml


class Tally:
    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = 0, [], []

    def count(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def print(self):
        print(self.passed, len(self.failed), len(self.skipped))
        for line in self.failed:
            print(f"failed: {self.name}: {line}")
        for line in self.skipped:
            print(f"skipped: {self.name}: {line}")


def tally_cargo(text, tally):
    for passed in re.findall(r"^test result: \S+ (\d+) passed", text, re.M):
        tally.count(int(passed), [], [])
    failed = re.findall(r"^test (.+) \.\.\. FAILED$", text, re.M)
    skipped = re.findall(r"^test (.+) \.\.\. ignored(?:, )?(.*)$", text, re.M)
    tally.count(0, failed, [f"{name} # {why}" for name, why in skipped])


def tally_ctest(path, tally):
    for test in xml.parse(path).iter("testcase"):
        failure = test.find("failure")
        why = None if failure is None else failure.get("message") or test.get("status")
        tally.count(*tally_program(test.get("name") + ": ", why, test.findtext("system-out") or ""))


def tally_program(prefix, why, output):
    """A program that fails without naming a case, or whose last line does not fit its others, counts as one failure."""
    passed = len(re.findall(r"^ok ", output, re.M))
    failed = [prefix + line for line in re.findall(r"^not ok (.*)", output, re.M)]
    skipped = [prefix + line for line in re.findall(r"^skip (.*)", output, re.M)]
    said = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", output, re.M)
    if why and not failed:
        failed.append(f"{prefix}{why}, see its output")
    elif said[-1:] != [(str(passed), str(len(failed)), str(len(skipped)))]:
        failed.append(f"{prefix}its last line does not count the cases above")
    return passed, failed, skipped


def main(name, status, results):
    tally = Tally(name)
    try:
        if results.endswith(".xml"):
            tally_ctest(results, tally)
        else:
            with open(results, encoding="utf-8", errors="replace") as file:
                text = file.read()
            if name == "cargo":
                tally_cargo(text, tally)
            else:
                tally.count(*tally_program("", None if status == "0" else f"exit code {status}", text))
    except (OSError, xml.ParseError) as error:
        tally.failed.append(str(error))
    if status != "0" and not tally.failed:
        tally.failed.append(f"exit code {status}")
    tally.print()


main(*sys.argv[1:])
