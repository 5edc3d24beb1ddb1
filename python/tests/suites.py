"""suites.py [--all]: the test suites of others, on udpr: Twisted's, and CPython's and aioquic's for asyncio.

Each case is a suite. It passes if no test fails but those of excused.py, and if the suite ran as many tests as it has.
"""

import importlib.util
import os
import pathlib
import re
import shutil
import sys
import tempfile

import harness
from excused import MAY_FAIL
from harness import Skip, case, equal, main, run, tool

HERE = pathlib.Path(__file__).parent

UDP_AND_REACTOR = [
    "twisted.test.test_udp",
    "twisted.internet.test.test_udp",
    "twisted.internet.test.test_udp_internals",
    "twisted.internet.test.test_socket",
    "twisted.internet.test.test_core",
    "twisted.internet.test.test_time",
    "twisted.internet.test.test_threads",
    "twisted.internet.test.test_fdset",
    "twisted.internet.test.test_base",
    "twisted.internet.test.test_resolver",
    "twisted.test.test_internet",
]

EVERYTHING_ELSE = [
    "twisted.test.test_tcp",
    "twisted.internet.test.test_tcp",
    "twisted.internet.test.test_process",
    "twisted.test.test_process",
    "twisted.internet.test.test_unix",
    "twisted.test.test_unix",
    "twisted.internet.test.test_stdio",
    "twisted.internet.test.test_sigchld",
    "twisted.internet.test.test_posixbase",
    "twisted.internet.test.test_endpoints",
    "twisted.names",
    "twisted.test.test_threads",
    "twisted.test.test_threadable",
    "twisted.test.test_task",
]

AIOQUIC = "aioquic==1.7.2"


def trial(modules, at_least):
    """Runs tests with trial on udpr's reactor."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(HERE / "trial_on_udpr.py"), f"--temp-directory={directory}/trial", *modules]
        ended = run(*command, cwd=directory)
    out = ended.stdout + ended.stderr
    counted = re.search(r"^Ran (\d+) tests? in", out, re.M)
    if not counted:
        raise AssertionError(out[-2000:])
    reports = re.findall(r"^=+\n\[(?:FAIL|ERROR)\]\n(.*?)(?=^[=-]{70,}$)", out, re.M | re.S)
    failed = {name for report in reports for name in re.findall(r"^twisted\.[\w.]+\.(\w+)$", report, re.M)}
    assert bool(reports) == bool(failed), out[-2000:]
    equal(set(), failed - set(MAY_FAIL))
    assert int(counted[1]) >= at_least, f"only {counted[1]} tests ran"


@case
def twisted_udp_and_reactor():
    trial(UDP_AND_REACTOR, at_least=200)


if "--all" in sys.argv:

    @case
    def twisted_tcp_processes_unix_threads_names():
        trial(EVERYTHING_ELSE, at_least=1300)


if "--all" in sys.argv:

    @case
    def aioquic():
        """aioquic's tests of its asyncio part: QUIC over datagram endpoints. They are in its source package only."""
        with tempfile.TemporaryDirectory() as directory:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
            tool(*pip, "install", AIOQUIC)
            tool(*pip, "download", "--no-deps", "--no-binary=:all:", f"--dest={directory}", AIOQUIC)
            archive = next(pathlib.Path(directory).glob("*.tar.gz"))
            shutil.unpack_archive(archive, directory)
            source = archive.with_name(archive.name.removesuffix(".tar.gz"))
            program = str(HERE / "unittest_on_udpr.py")
            ended = run(
                sys.executable, program, "tests.test_asyncio", cwd=source, env={**os.environ, "PYTHONPATH": str(source)}
            )
        equal(0, ended.returncode)
        assert int(re.search(r"^Ran (\d+) tests", ended.stderr, re.M)[1]) >= 27, ended.stderr[-500:]


@case
def cpython_asyncio():
    """The tests of asyncio that this Python has: datagram endpoints, the loop, streams, sockets, processes, tasks."""
    if importlib.util.find_spec("test.test_asyncio") is None:
        raise Skip("this Python has no test package")
    ended = run(sys.executable, str(HERE / "cpython_on_udpr.py"))
    counted = re.search(r"^Ran (\d+) tests", ended.stderr, re.M)
    equal((0, True), (ended.returncode, bool(counted)))
    assert int(counted[1]) > 100, ended.stderr[-500:]


os.environ["PYTHONWARNINGS"] = "ignore"
harness.TIMEOUT = 600  # seconds; a suite has more than a thousand tests
main()
