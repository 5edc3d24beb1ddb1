"""compilers.py LIBRARY_DIR: the header compiles with each compiler and each standard of C and C++, without warnings.

A program of two files that include it is linked with the libudpr.so in LIBRARY_DIR, and runs.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import Skip, case, equal, main

LIBRARY_DIR = sys.argv[1]
HERE = pathlib.Path(__file__).parent
INCLUDE = HERE.parents[1] / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wundef", "-Wshadow", "-Werror"]
C_ONLY = ["-Wstrict-prototypes", "-Wc++-compat", "-xc"]
COMPILERS = {"gcc": C_ONLY, "clang": C_ONLY, "g++": ["-xc++"], "clang++": ["-xc++"]}
EDITIONS = {"c": ["c89", "c99", "c11", "c17"], "c++": ["c++11", "c++17", "c++20"]}


def add_cases():
    for compiler, flags in COMPILERS.items():
        for edition in EDITIONS[flags[-1][2:]]:

            def check(compiler=compiler, flags=(*flags[:-1], f"-std={edition}"), language=flags[-1]):
                builds_and_runs(compiler, flags, language)

            check.__name__ = f"{compiler}_{edition}"
            case(check)


def builds_and_runs(compiler, flags, language):
    if not shutil.which(compiler):
        raise Skip(f"no {compiler}")
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/program"
        link = ["-xnone", f"-L{LIBRARY_DIR}", "-ludpr", f"-Wl,-rpath,{LIBRARY_DIR}", "-o", program]
        twice = ["-include", "udpr/udpr.h"]
        compiled(compiler, *flags, f"-I{INCLUDE}", *twice, language, HERE / "main.c", HERE / "second_file.c", *link)
        equal(0, subprocess.run([program], check=False).returncode)


def compiled(*command):
    ended = subprocess.run([command[0], *WARNINGS, *command[1:]], capture_output=True, text=True, check=False)
    equal(("", 0), (ended.stderr, ended.returncode))


@case
def plain_mode_is_nothing_but_c():
    """The header for FFI readers has no preprocessor lines, no attributes, and includes nothing."""
    source = INCLUDE / "udpr/udpr.h"
    text = subprocess.run(["cc", "-E", "-P", "-DUDPR_PLAIN", source], capture_output=True, text=True, check=True).stdout
    for foreign in ("#", "__attribute__", "__extension__", "extern", "size_t;"):
        assert foreign not in text, foreign
    declared = "typedef __SIZE_TYPE__ size_t; typedef __INT32_TYPE__ int32_t; typedef __INT64_TYPE__ int64_t;"
    declared += "".join(f"typedef __UINT{bits}_TYPE__ uint{bits}_t;" for bits in (8, 16, 32, 64))
    command = ["cc", *WARNINGS, "-std=c11", "-fsyntax-only", "-x", "c", "-"]
    ended = subprocess.run(command, input=declared + text, capture_output=True, text=True, check=False)
    equal(("", 0), (ended.stderr, ended.returncode))


add_cases()
main()
