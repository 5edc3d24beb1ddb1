"""run_command.py: scripts/run, and the command that it prints for another shell."""

import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from harness import case, equal, listening_port, main, read_line_starting, run, running, skip_unless_free

RUN = pathlib.Path(__file__).parents[2] / "scripts" / "run"


@case
def runs_basic_example_and_prints_a_command():
    skip_unless_free(9999)
    with running(RUN) as program:
        line = read_line_starting(program, "Try it in another shell:  ")
        equal(9999, listening_port(program))
        equal("Hello World!\n", run_with_coreutils_only(line))
        assert re.fullmatch(r"[1-9][0-9]*", read_line_starting(program, 'received "Hello World!\\n" from 127.0.0.1:'))
        program.send_signal(signal.SIGINT)
        out, err = program.communicate()
        equal(("stopped\n", 0), (out, program.returncode))
        # On a busy machine the build may be slow, even if there is nothing to build.
        assert re.fullmatch(r"(run: building udpr, .*\n)?", err), err


def run_with_coreutils_only(line):
    """Runs the command with only a shell and coreutils in PATH. Returns its output."""
    with tempfile.TemporaryDirectory() as path:
        for name in ("bash", "sh", "head"):
            pathlib.Path(path, name).symlink_to(shutil.which(name))
        return subprocess.run(line, shell=True, env={"PATH": path}, capture_output=True, text=True, check=True).stdout


@case
def passes_arguments_on():
    with running(RUN, "basic_example", "0") as program:
        assert listening_port(program) not in (0, 9999)


@case
def lists_the_examples_for_an_unknown_name():
    ended = run(RUN, "no_such")
    equal(2, ended.returncode)
    assert "  basic_example\n" in ended.stderr, ended.stderr


main()
