"""builds.py: the source as a subdirectory of a consumer's project, with every generator and configuration, and with a
missing or failing cargo. It takes minutes, so only scripts/test --all runs it.
"""

import os
import pathlib
import re
import stat
import subprocess

import harness
from harness import case, equal, main, run, tool
from project import GENERATORS, HERE, ROOT, WORK, build_and_run, configure, runs, snapshot

harness.TIMEOUT = 900  # three optimised builds of the Rust code
RUST = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.M).group(1)


def add_cases():
    for generator, configs in GENERATORS.items():
        for config in configs:

            def check(generator=generator, config=config):
                builds(generator, config)

            check.__name__ = f"{generator}_{config}".replace(" ", "_")
            case(check)


def builds(generator, config):
    """Builds a copy of the source, since this changes the time stamp of a file in it."""
    source = WORK / "source"
    if not source.exists():
        copy_source(source)
    options = (f"-DUDPR_SOURCE={source}", f"-DUDPR_CARGO_TARGET_DIR={WORK}/cargo")
    build, configs = configure(f"{generator} {config}", generator, config, *options)
    for one in configs:
        build_and_run(build, one)
    before = snapshot(build)
    os.utime(source / "src/lib.rs")
    tool("cmake", "--build", build, "--config", configs[0])
    after = snapshot(build)
    equal([], [name for name in before if name not in after])
    assert any(name.endswith("/libudpr.a") for name in after if after[name] != before.get(name)), "touched, but not built again"
    runs(build / configs[0] / "app-static")


def copy_source(to):
    to.mkdir()
    for name in ("src", "include", "cmake", "docs", "Cargo.toml", "Cargo.lock", "CMakeLists.txt"):
        tool("cp", "-R", ROOT / name, to / name)
    for name in ("c_examples", "tests"):
        assert not (to / name).exists()  # a subdirectory needs neither


def error_with_cargo(cargo):
    """Returns CMake's error message for such a cargo. There has to be only one."""
    build = WORK / f"refused-{len(list(WORK.iterdir()))}"
    command = ["cmake", "-S", HERE, "-B", build, f"-DUDPR_SOURCE={ROOT}", f"-DUDPR_CARGO={cargo}"]
    ended = run(*command)
    assert ended.returncode, ended.stdout
    equal(1, ended.stderr.count("CMake Error"))
    return " ".join(ended.stderr.split())


def script(text):
    path = pathlib.Path(WORK / f"cargo-{len(list(WORK.iterdir()))}")
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@case
def an_old_cargo_is_one_clear_message():
    said = error_with_cargo(cargo=script("echo 'cargo 1.70.0 (abc 2023-06-01)'"))
    for part in (f"needs Rust {RUST} or later", "is version 1.70.0", "-DUDPR_CARGO="):
        assert part in said, said


@case
def no_cargo_is_one_clear_message():
    said = error_with_cargo(cargo="")  # the value if find_program finds none
    for part in (f"needs Rust {RUST} or later", "no cargo was found", "-DUDPR_CARGO="):
        assert part in said, said


@case
def a_cargo_that_fails_is_one_clear_message():
    said = error_with_cargo(cargo=script("echo 'no toolchain is installed' >&2; exit 1"))
    for part in (f"needs Rust {RUST} or later", "failed", "no toolchain is installed", "-DUDPR_CARGO="):
        assert part in said, said


@case
def offline_is_passed_to_cargo():
    log = WORK / "arguments"
    cargo = script(f'case $1 in --version) exec cargo "$@" ;; esac; printf "%s\\n" "$@" >{log}; exit 1')
    for option, wanted in (("ON", True), ("OFF", False)):
        options = (f"-DUDPR_SOURCE={ROOT}", f"-DUDPR_CARGO={cargo}", f"-DUDPR_OFFLINE={option}")
        build, _ = configure("offline", "Unix Makefiles", "Debug", *options)
        subprocess.run(["cmake", "--build", build], capture_output=True, check=False)
        equal(wanted, "--offline" in log.read_text(encoding="utf-8").split())


add_cases()
main()
