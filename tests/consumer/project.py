"""The common part of the tests of installing and linking: a temporary directory, tools, and a consumer's project."""

import atexit
import os
import pathlib
import re
import shutil
import tempfile

from harness import equal, need, tool

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.M).group(1)
SERIES = VERSION.rsplit(".", 1)[0]
WORK = pathlib.Path(tempfile.mkdtemp(prefix="udpr-consumer-"))
atexit.register(shutil.rmtree, WORK)
CONFIGS = ("Debug", "Release", "RelWithDebInfo")
GENERATORS = {"Unix Makefiles": CONFIGS, "Ninja": CONFIGS, "Ninja Multi-Config": ("all of them",)}


def runs(program, **options):
    equal(f"{VERSION} UDPR_OK\n", tool(program, **options))


def needed(program):
    """Returns the names of the shared libraries that a program is linked with."""
    return re.findall(r"NEEDED.*\[(.*)\]", tool("readelf", "-dW", program))


def links_shared(program, **options):
    runs(program, **options)
    assert f"libudpr.so.{SERIES}" in needed(program), needed(program)


def links_static(program):
    runs(program)
    assert not any("udpr" in name for name in needed(program)), needed(program)


def compiled(name, source, *flags):
    tool(os.environ.get("CC", "cc"), HERE / source, *flags, "-o", WORK / name)
    return WORK / name


def configure(name, generator, config, *options):
    """Configures the consumer's project. Returns its build directory and its configurations."""
    build = WORK / name
    if generator.startswith("Ninja"):
        need("ninja", "ninja-build")
    tool("cmake", "-S", HERE, "-B", build, "-G", generator, f"-DCMAKE_BUILD_TYPE={config}", *options)
    return build, CONFIGS if generator.endswith("Multi-Config") else (config,)


def build_and_run(build, config):
    """Builds, runs the programs, and builds again, which must not build anything."""
    tool("cmake", "--build", build, "--config", config)
    links_shared(build / config / "app-shared")
    links_shared(build / config / "app-udpr")
    links_static(build / config / "app-static")
    before = snapshot(build)
    again = tool("cmake", "--build", build, "--config", config)
    assert "Building" not in again and "Linking" not in again and "Joining" not in again, again
    equal(before, snapshot(build))


def snapshot(build):
    """Returns the time of the last change of each product."""
    files = [path for path in build.rglob("*") if path.suffix in (".a", ".o", ".so") or path.name.startswith("app-")]
    return {str(path.relative_to(build)): path.stat().st_mtime_ns for path in files if path.is_file()}
