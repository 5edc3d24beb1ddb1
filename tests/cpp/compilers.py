"""compilers.py LIBRARY_DIR: what C++ compilers, standards and flags of users make of udpr.hpp, and echo.cpp with each."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import Skip, case, equal, line_starting, main, running, udp_socket

LIBRARY_DIR = sys.argv[1]
ROOT = pathlib.Path(__file__).parents[2]
HEADERS = sorted((ROOT / "include/udpr").glob("**/*.hpp"))
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", f"-I{ROOT}/include"]
SMALL = """
#include <udpr/udpr.hpp>
int main() {
  udpr::reactor reactor;
  reactor.call_later(std::chrono::nanoseconds(0), [](udpr::reactor_ref at) { at.stop(); });
  std::error_code error;
  reactor.run(error);
  return error ? 1 : 0;
}
"""


def compiled(*command, source=None):
    ended = subprocess.run(command, input=source, text=True, stderr=subprocess.PIPE)
    equal(("", 0), (ended.stderr, ended.returncode))


def link():
    return [f"-L{LIBRARY_DIR}", "-ludpr", "-lpthread", f"-Wl,-rpath,{LIBRARY_DIR}"]


def each_header_alone(compiler, standard):
    for header in HEADERS:
        compiled(compiler, f"-std={standard}", *FLAGS, "-fsyntax-only", "-x", "c++", "-", source=f'#include "{header}"\n')


def without_exceptions_and_rtti(compiler, standard):
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/program"
        flags = [f"-std={standard}", "-fno-exceptions", "-fno-rtti", *FLAGS]
        compiled(compiler, *flags, "-x", "c++", "-", "-o", program, *link(), source=SMALL)
        compiled(program)


def echoes(compiler, standard):
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/echo"
        compiled(compiler, f"-std={standard}", *FLAGS, str(ROOT / "c_examples/echo.cpp"), "-o", program, *link())
        peer, _ = udp_socket()
        with peer, running(program, "0") as echo:
            peer.sendto(b"hello", ("127.0.0.1", int(line_starting(echo, "listening on 0.0.0.0:"))))
            equal(b"hello", peer.recv(100))


def a_protocol_with_wrong_parameters_is_told(compiler, standard):
    source = SMALL.replace(
        "int main() {",
        "struct wrong { void datagram_received(int) {} };\nint main() { udpr::reactor().listen_udp(0, wrong());",
    )
    command = [compiler, f"-std={standard}", f"-I{ROOT}/include", "-fsyntax-only", "-x", "c++", "-"]
    ended = subprocess.run(command, input=source, text=True, stderr=subprocess.PIPE)
    assert ended.returncode != 0 and "the protocol's datagram_received cannot be called" in ended.stderr, ended.stderr


def add(check, compiler, standard):
    def run():
        if not shutil.which(compiler):
            raise Skip(f"no {compiler}")
        check(compiler, standard)

    run.__name__ = f"{check.__name__}, {compiler} {standard}"
    case(run)


for each_compiler in ("g++", "clang++"):
    for each_standard in ("c++17", "c++20"):
        add(each_header_alone, each_compiler, each_standard)
        add(echoes, each_compiler, each_standard)
    add(without_exceptions_and_rtti, each_compiler, "c++17")
    add(a_protocol_with_wrong_parameters_is_told, each_compiler, "c++17")
main()
