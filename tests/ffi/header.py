"""header.py BUILD_DIR CONFIG: the installed header for other languages."""

import atexit
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import case, equal, main

BUILD_DIR, CONFIG = sys.argv[1:]
HEADER = pathlib.Path(__file__).parents[2] / "include" / "udpr" / "udpr.h"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="udpr-ffi-"))
atexit.register(shutil.rmtree, WORK)


def installed():
    """Returns the text of the header, found by pkg-config in an installed tree that was moved."""
    prefix = WORK / "moved"
    if not prefix.exists():
        install = ["cmake", "--install", BUILD_DIR, "--config", CONFIG, "--prefix", str(WORK / "prefix")]
        subprocess.run(install, check=True, capture_output=True)
        (WORK / "prefix").rename(prefix)
    environment = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(next(prefix.glob("**/udpr.pc")).parent)}
    command = ["pkg-config", "--variable=ffi_header", "udpr"]
    path = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    equal(str(prefix / "share" / "udpr" / "udpr.ffi.h"), str(pathlib.Path(path).resolve()))
    return pathlib.Path(path).read_text(encoding="utf-8")


def names(text):
    return sorted(set(re.findall(r"\budpr_\w+(?=\()", text)))


@case
def pkg_config_names_it():
    assert "udpr_reactor_run" in installed()


@case
def it_declares_every_function():
    code = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.S)
    assert len(names(code)) > 80
    equal(names(code), names(installed()))


@case
def nothing_in_it_needs_a_preprocessor():
    text = installed()
    for word in ("#", "/*", "UDPR_API", "__attribute__", 'extern "C"'):
        assert word not in text, word


main()
