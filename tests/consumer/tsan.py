"""tsan.py BUILD_DIR CONFIG: a consumer's program with ThreadSanitizer, and the installed libraries, built without it."""

import os

from harness import case, equal, main, need, run, tool
from installation import install, system_libraries
from project import HERE, WORK


def compiled(kind):
    need("gcc", "gcc")
    prefix, libraries = install()
    linked = {"shared": ("-L", libraries, "-ludpr", f"-Wl,-rpath,{libraries}"), "static": (libraries / "libudpr.a",)}
    flags = ("-std=gnu11", "-g", "-O1", "-fsanitize=thread", f"-I{prefix}/include")
    tool("gcc", *flags, HERE / "thread_handover.c", *linked[kind], *system_libraries(), "-o", WORK / kind)
    return WORK / kind


def run_case(program, name):
    """Runs without address randomization: ThreadSanitizer fails if the kernel randomizes by 32 bits (Linux 6.6)."""
    prefix = ("setarch", "--addr-no-randomize")
    can = run(*prefix, "true").returncode == 0
    environment = {**os.environ, "TSAN_OPTIONS": "exitcode=66"}
    return run(*(prefix if can else ()), program, name, env=environment, timeout=50)


def sees_every_hand_over(program):
    names = tool(program).split()
    assert len(names) > 10 and "race" in names, names
    ended = {name: run_case(program, name) for name in names}
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
