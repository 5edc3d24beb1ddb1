"""consumer.py BUILD_DIR CONFIG: a stranger's project against what BUILD_DIR installs, and against the source."""

import atexit
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import case, equal, main

BUILD_DIR, CONFIG = sys.argv[1:]
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.M).group(1)
WORK = pathlib.Path(tempfile.mkdtemp(prefix="udpr-consumer-"))
atexit.register(shutil.rmtree, WORK)


def tool(*command, **options):
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if ended.returncode:
        raise AssertionError(f"{command}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def install():
    """The installed tree, moved away from where it was installed to. Gives it and its library directory."""
    prefix = WORK / "moved"
    if not prefix.exists():
        tool("cmake", "--install", BUILD_DIR, "--config", CONFIG, "--prefix", WORK / "prefix")
        (WORK / "prefix").rename(prefix)
    return prefix, next(prefix.glob("**/libudpr.so")).parent


def runs(program):
    equal(f"{VERSION} UDPR_OK\n", tool(program))


def cmake_project(name, *options):
    build = WORK / name
    tool("cmake", "-S", HERE, "-B", build, f"-DCMAKE_BUILD_TYPE={CONFIG}", *options)
    tool("cmake", "--build", build)
    for library in ("shared", "static", "udpr"):
        runs(build / f"app-{library}")


@case
def find_package():
    prefix, _ = install()
    cmake_project("package", f"-DCMAKE_PREFIX_PATH={prefix}")


@case
def add_subdirectory():
    cmake_project("subdirectory", f"-DUDPR_SOURCE={ROOT}")


@case
def pkg_config():
    _, libraries = install()
    environment = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    flags = tool("pkg-config", "--cflags", "--libs", "udpr", env=environment).split()
    tool("cc", HERE / "app.c", *flags, f"-Wl,-rpath,{libraries}", "-o", WORK / "by-pkg-config")
    runs(WORK / "by-pkg-config")


@case
def plain_cc_with_the_static_library():
    prefix, libraries = install()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    system = re.search(r"libudpr\.a ((?:-l\w+ )+)-o app", readme).group(1).split()
    tool("cc", HERE / "app.c", f"-I{prefix}/include", libraries / "libudpr.a", *system, "-o", WORK / "static")
    runs(WORK / "static")


main()
