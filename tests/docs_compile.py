"""docs_compile.py LIBRARY_DIR: compiles the code in README.md and docs, and runs it with the libudpr.so in LIBRARY_DIR.

Each ```c and ```cpp block is a whole program; a ```c fragment block has declarations that need only the headers below. If
the block after a program or a ```python block is ```text, the program is run and has to print that text.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import typing

from harness import Skip, case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LIBRARIES = {"glib-unix.h": ("glib-2.0", "libglib2.0-dev"), "uv.h": ("libuv", "libuv1-dev")}
HEADERS = ["stdio.h", "stdlib.h", "string.h", "unistd.h", "udpr/udpr.h"]


class Block(typing.NamedTuple):
    name: str
    language: str
    mark: str
    text: str


def blocks(document):
    text = document.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(f"{document.stem}_line_{line}", found[1], found[2] or "", found[3])


def build(source, directory, library_dir):
    """Compiles `source`, linked as described in the README, and returns the path of the program."""
    program = os.path.join(directory, "program")
    flags = [flag for header, package in LIBRARIES.items() if f"#include <{header}>" in source for flag in pkg_config(*package)]
    link = [f"-L{library_dir}", "-ludpr", "-lpthread", f"-Wl,-rpath,{library_dir}"]
    compile_c(source, ["-x", "c", "-", "-o", program, *link, *flags])
    return program


def compile_c(source, arguments):
    command = [os.environ.get("CC", "cc"), *FLAGS, f"-I{ROOT}/include", *arguments]
    compiled = subprocess.run(command, input=source, text=True, stderr=subprocess.PIPE)
    equal("", compiled.stderr)
    equal(0, compiled.returncode)


def check_cpp_program(block, output, library_dir):
    compiler = os.environ.get("CXX", "c++")
    if not shutil.which(compiler):
        raise Skip("no C++ compiler")
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "program")
        link = [f"-L{library_dir}", "-ludpr", "-lpthread", f"-Wl,-rpath,{library_dir}"]
        standard = "-std=c++20" if "<udpr/coro.hpp>" in block.text else "-std=c++17"
        command = [compiler, standard, *FLAGS[1:], f"-I{ROOT}/include", "-x", "c++", "-", "-o", program, *link]
        compiled = subprocess.run(command, input=block.text, text=True, stderr=subprocess.PIPE)
        equal(("", 0), (compiled.stderr, compiled.returncode))
        if output is not None:
            prints(output, [program])


def pkg_config(name, package):
    try:
        found = subprocess.run(["pkg-config", "--cflags", "--libs", name], capture_output=True, text=True)
    except FileNotFoundError:
        raise Skip("no pkg-config") from None
    if found.returncode:
        raise Skip(f"no {name} to compile with ({package})")
    return shlex.split(found.stdout)


def check_fragment(block):
    includes = [argument for header in HEADERS for argument in ("-include", header)]
    compile_c(block.text, [*includes, "-Wno-unused-function", "-fsyntax-only", "-x", "c", "-"])


def check_program(block, output, library_dir):
    with tempfile.TemporaryDirectory() as directory:
        program = build(block.text, directory, library_dir)
        if output is not None:
            prints(output, [program])


def check_python(block, output, library_dir):
    environment = {**os.environ, "LD_LIBRARY_PATH": library_dir}
    prints(output, [sys.executable, "-c", block.text], environment)


def prints(output, command, environment=None):
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    equal(("", output, 0), (ran.stderr, ran.stdout, ran.returncode))


def checks(document, library_dir):
    """Yields a name and a check for each block of a document that can be checked."""
    found = [*blocks(document), Block("", "", "", "")]
    for block, following in zip(found, found[1:]):
        output = following.text if following.language == "text" else None
        if (block.language, block.mark) == ("c", "fragment"):
            yield block.name, lambda block=block: check_fragment(block)
        elif block.language == "c":
            yield block.name, lambda block=block, output=output: check_program(block, output, library_dir)
        elif block.language == "cpp":
            yield block.name, lambda block=block, output=output: check_cpp_program(block, output, library_dir)
        elif block.language == "python":
            yield block.name, lambda block=block, output=output: check_python(block, output, library_dir)


if __name__ == "__main__":
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name, check in checks(document, sys.argv[1]):
            check.__name__ = name
            case(check)
    main()
