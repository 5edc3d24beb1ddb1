"""readme.py BUILD_DIR CONFIG: the README's program echoes, after an installation as described in the README.

The installation goes to /usr/local, in a mount namespace whose changes to the system are discarded at the end.
"""

import pathlib
import subprocess
import sys
import tempfile

import harness
from docs_compile import ROOT, blocks
from harness import Skip, case, equal, first_echo, main, run, running, tool

harness.TIMEOUT = 120
OVERLAID = ("/usr/local", "/etc", "/var/cache")
NO_OVERLAY = 77


def readme(language, start):
    """Returns the first block of that language with a line that begins with `start`."""
    found = (block.text for block in blocks(ROOT / "README.md") if block.language == language)
    return next(text for text in found if any(line.startswith(start) for line in text.splitlines()))


def overlay(directory, work):
    """Mounts an overlay, so that writes to the directory go elsewhere."""
    upper, other = work / directory.replace("/", "-"), work / (directory.replace("/", "-") + ".work")
    upper.mkdir()
    other.mkdir()
    options = f"lowerdir={directory},upperdir={upper},workdir={other}"
    if subprocess.run(["mount", "-t", "overlay", "-o", options, "udpr", directory], check=False).returncode:
        sys.exit(NO_OVERLAY)


def install_and_run(build_dir):
    """Runs in namespaces of its own."""
    work = pathlib.Path(tempfile.mkdtemp())
    tool("mount", "-t", "tmpfs", "udpr", work)
    for directory in OVERLAID:
        overlay(directory, work)
    tool("ip", "link", "set", "lo", "up")
    for line in readme("sh", "cmake --install").splitlines():
        if line.startswith(("cmake --install", "ldconfig")):
            tool("sh", "-ec", line.replace("build/install", build_dir), cwd=work)
    (work / "app.c").write_text(readme("c", "#include"), encoding="utf-8")
    for line in readme("sh", "cc app.c").splitlines():
        tool("sh", "-ec", line, cwd=work)
        with running(work / "app") as program:
            equal(b"hello", first_echo(program, b"hello"))


@case
def program_starts_after_the_installation():
    namespaces = ["unshare", "--mount", "--net", "--kill-child"]
    if subprocess.run([*namespaces, "true"], capture_output=True, check=False).returncode:
        raise Skip("unshare --mount --net is not permitted")
    command = [*namespaces, sys.executable, __file__, "--inside", sys.argv[1]]
    ended = run(*command)
    if ended.returncode == NO_OVERLAY:
        raise Skip("no overlayfs here")
    equal((0, ""), (ended.returncode, ended.stderr))


if sys.argv[1] == "--inside":
    install_and_run(sys.argv[2])
else:
    main()
