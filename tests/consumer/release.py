"""The release tarball, and builds without a network."""

import os
import pathlib
import subprocess
import tarfile

from harness import Skip, need, tool
from project import ROOT, VERSION, WORK

NAME = f"udpr-{VERSION}"


def tarball():
    """Makes and unpacks the tarball. Returns its path and the directory."""
    made, unpacked = WORK / "dist" / f"{NAME}.tar.xz", WORK / "unpacked"
    if not unpacked.exists():
        need("git", "git")
        need("xz", "xz-utils")
        if subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
            raise Skip("not a git checkout")
        tool(ROOT / "scripts/dist", made.parent)
        with tarfile.open(made) as archive:
            archive.extractall(unpacked)
    return made, unpacked / NAME


def without_network(*command, path=os.environ["PATH"], variables=()):
    """Runs a command in WORK, in an empty network namespace, with a cargo that has fetched nothing."""
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        raise Skip("unshare --net is not permitted")
    home = WORK / "home"
    home.mkdir(exist_ok=True)
    rustup = os.environ.get("RUSTUP_HOME", pathlib.Path.home() / ".rustup")
    environment = {"PATH": path, "HOME": str(home), "CARGO_HOME": str(home), "RUSTUP_HOME": str(rustup), **dict(variables)}
    return tool("unshare", "--net", *command, cwd=WORK, env=environment)
