"""tsan.py BUILD_DIR CONFIG: a consumer's program with ThreadSanitizer, and the installed libraries, built without it."""

import os
import subprocess
import sys

from harness import case, equal, main
from project import HERE, WORK, need, tool

BUILD_DIR, CONFIG = sys.argv[1:]
SYSTEM = ("-lutil", "-lrt", "-lpthread", "-lm", "-ldl")


def install():
    """Installs udpr. Returns the installed tree and its library directory."""
    prefix = WORK / "prefix"
    if not prefix.exists():
        tool("cmake", "--install", BUILD_DIR, "--config", CONFIG, "--prefix", prefix)
    return prefix, next(prefix.glob("**/libudpr.so")).parent


def compiled(kind):
    need("gcc", "gcc")
    prefix, libraries = install()
    linked = {"shared": ("-L", libraries, "-ludpr", f"-Wl,-rpath,{libraries}"), "static": (libraries / "libudpr.a",)}
    flags = ("-std=gnu11", "-g", "-O1", "-fsanitize=thread", f"-I{prefix}/include")
    tool("gcc", *flags, HERE / "thread_handover.c", *linked[kind], *SYSTEM, "-o", WORK / kind)
    return WORK / kind


def run(program, name):
    """Runs without address randomization: ThreadSanitizer fails if the kernel randomizes by 32 bits (Linux 6.6)."""
    prefix = ("setarch", "--addr-no-randomize")
    can = subprocess.run((*prefix, "true"), capture_output=True, check=False).returncode == 0
    command = (*(prefix if can else ()), program, name)
    environment = {**os.environ, "TSAN_OPTIONS": "exitcode=66"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)


def sees_every_hand_over(program):
    names = tool(program).split()
    assert len(names) > 10 and "race" in names, names
    ended = {name: run(program, name) for name in names}
    equal(66, ended["race"].returncode)
    wrong = [f"{name}: {one.stdout}{one.stderr}" for name, one in ended.items() if name != "race" and one.returncode]
    assert not wrong, "\n".join(wrong)


@case
def the_shared_library():
    sees_every_hand_over(compiled("shared"))


@case
def the_static_library():
    sees_every_hand_over(compiled("static"))


main()
