"""consumer.py BUILD_DIR CONFIG: a consumer's project with the installation of BUILD_DIR, and with the source."""

import os
import re

import harness
from harness import case, equal, main, need, run, tool
from installation import BUILD_DIR, CONFIG, install, pkg_config, static_flags, system_libraries
from project import GENERATORS, HERE, ROOT, SERIES, VERSION, WORK, build_and_run, compiled, configure, links_shared
from project import links_static

harness.TIMEOUT = 300  # a build of the Rust code
# What BUILD_DIR has built is not built again.
SHARED_CARGO = f"-DUDPR_CARGO_TARGET_DIR={BUILD_DIR}"
FROM_SOURCE = (f"-DUDPR_SOURCE={ROOT}", SHARED_CARGO)


@case
def find_package():
    prefix, _ = install()
    for generator, configs in GENERATORS.items():
        for config in configs:
            build, built = configure(f"{generator} {config}", generator, config, f"-DCMAKE_PREFIX_PATH={prefix}")
            for one in built:
                build_and_run(build, one)


@case
def find_package_can_mean_the_static_library():
    prefix, _ = install()
    options = (f"-DCMAKE_PREFIX_PATH={prefix}", "-DUDPR_LINK_STATIC=ON")
    build, _ = configure("package-static", "Unix Makefiles", CONFIG, *options)
    tool("cmake", "--build", build)
    links_static(build / CONFIG / "app-udpr")


def configure_with(components):
    """Returns the build directory and CMake's error output for a project that requires these components."""
    prefix, _ = install()
    source = WORK / f"components-{components.replace(' ', '-')}"
    source.mkdir()
    text = (HERE / "CMakeLists.txt").read_text(encoding="utf-8")
    text = text.replace("CONFIG REQUIRED", f"CONFIG REQUIRED {components}").replace("app.c", f"{HERE}/app.c")
    (source / "CMakeLists.txt").write_text(text, encoding="utf-8")
    command = ["cmake", "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_BUILD_TYPE={CONFIG}"]
    ended = run(*command)
    equal(ended.returncode != 0, "CMake Error" in ended.stderr)
    return source / "build", " ".join(ended.stderr.split())


@case
def find_package_knows_its_components():
    for components in ("COMPONENTS shared", "COMPONENTS static", "COMPONENTS shared static", "OPTIONAL_COMPONENTS no_such"):
        build, said = configure_with(components)
        equal("", said)
        build_and_run(build, CONFIG)


@case
def find_package_says_why_it_refuses_a_component():
    _, said = configure_with("COMPONENTS static no_such")
    assert 'udpr has no component "no_such": its components are shared and static.' in said, said


@case
def find_package_refuses_another_minor_version():
    prefix, _ = install()
    text = (HERE / "CMakeLists.txt").read_text(encoding="utf-8").replace("udpr 0.1 CONFIG", "udpr 0.2 CONFIG")
    (WORK / "later").mkdir()
    (WORK / "later/CMakeLists.txt").write_text(text, encoding="utf-8")
    command = ["cmake", "-S", WORK / "later", "-B", WORK / "later/build", f"-DCMAKE_PREFIX_PATH={prefix}"]
    ended = run(*command)
    assert ended.returncode and "0.2" in ended.stderr, ended.stderr


@case
def add_subdirectory():
    build, _ = configure("subdirectory", "Unix Makefiles", CONFIG, *FROM_SOURCE)
    build_and_run(build, CONFIG)
    to = WORK / "installed-with-it"
    tool("cmake", "--install", build, "--prefix", to)
    links_shared(to / "bin/app-udpr")
    equal([f"libudpr.so.{SERIES}", f"libudpr.so.{VERSION}"], sorted(path.name for path in to.rglob("libudpr*")))


@case
def add_subdirectory_installs_no_library_that_is_not_used():
    for option in ("-DUDPR_LINK_STATIC=ON", "-DUDPR_INSTALL_RUNTIME=OFF"):
        build, _ = configure(f"without {option}", "Unix Makefiles", CONFIG, *FROM_SOURCE, option)
        assert "libudpr" not in (build / "udpr/cmake_install.cmake").read_text(encoding="utf-8")


@case
def fetch_content():
    build, _ = configure("fetched", "Unix Makefiles", CONFIG, *FROM_SOURCE, "-DUDPR_FETCH=ON")
    build_and_run(build, CONFIG)


@case
def the_debug_information_can_have_a_file_of_its_own():
    """The program finds it next to the library, in an installation that was moved."""
    need("addr2line", "binutils")
    build, prefix = WORK / "debug-file", WORK / "with-debug-file"
    options = ("-DUDPR_DEBUG_FILE=ON", "-DUDPR_BUILD_TESTS=OFF", "-DUDPR_BUILD_EXAMPLES=OFF", SHARED_CARGO)
    tool("cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", *options)
    tool("cmake", "--build", build)
    tool("cmake", "--install", build, "--prefix", WORK / "before-the-move")
    (WORK / "before-the-move").rename(prefix)
    library = next(prefix.glob(f"lib*/**/libudpr.so.{VERSION}"))
    equal([], [name for name in (".symtab", ".debug_info") if name in tool("readelf", "-SW", library)])
    address = re.search(r"(\w+) T udpr_version@", tool("nm", "--dynamic", library))[1]
    assert "/src/capi/library.rs:" in tool("addr2line", "-e", library, address)
    library.with_name(library.name + ".debug").unlink()
    equal("??", tool("addr2line", "-e", library, address).split(":")[0])


@case
def makefile_with_pkg_config():
    _, libraries = install()
    pkg_config()
    environment = {**os.environ, "PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "MAKEFLAGS": ""}
    command = ["make", "-f", HERE / "Makefile", f"SOURCE={HERE}/app.c", f"LDFLAGS=-Wl,-rpath,{libraries}"]
    tool(*command, cwd=WORK, env=environment)
    links_shared(WORK / "app")
    assert "up to date" in tool(*command, cwd=WORK, env=environment)


@case
def pkg_config_static():
    """Links as described in the man page and, without a shared library, with unchanged flags."""
    flags = pkg_config("--static", "--cflags", "--libs")
    static = ["-l:libudpr.a" if flag == "-ludpr" else flag for flag in flags]
    links_static(compiled("by-pkg-config-static", "app.c", *static))
    alone = WORK / "alone"
    alone.mkdir()
    _, libraries = install()
    (alone / "libudpr.a").symlink_to(libraries / "libudpr.a")
    links_static(compiled("alone/app", "app.c", *[f"-L{alone}" if flag[:2] == "-L" else flag for flag in flags]))


@case
def plain_cc():
    prefix, libraries = install()
    flags = [f"-I{prefix}/include", f"-L{libraries}", "-ludpr"]
    program = compiled("plain", "app.c", *flags)
    links_shared(program, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    links_shared(compiled("plain-rpath", "app.c", *flags, f"-Wl,-rpath,{libraries}"))


@case
def plain_cc_with_the_static_library():
    links_static(compiled("static", "app.c", *static_flags()))


@case
def the_static_library_beside_another_rust_archive():
    prefix, libraries = install()
    options = ("--release", "--offline", "--manifest-path", HERE / "other_rust/Cargo.toml", "--target-dir", WORK / "other")
    tool("cargo", "build", *options)
    archives = [WORK / "other/release/libother_rust.a", libraries / "libudpr.a"]
    for name, order in (("beside", archives), ("beside-reversed", archives[::-1])):
        program = compiled(name, "two_rust_libraries.c", f"-I{prefix}/include", *order, *system_libraries())
        equal("UDPR_OK 42", tool(program).split(" ", 1)[1].strip())


@case
def licences_and_headers_are_installed():
    prefix, _ = install()
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        equal((ROOT / name).read_bytes(), (prefix / "share/doc/udpr" / name).read_bytes())
    equal(tree(ROOT / "include"), tree(prefix / "include"))
    configured = [path for path in prefix.rglob("*") if path.suffix in (".pc", ".7", ".3")]
    equal((True, []), (len(configured) > 100, [path for path in configured if b"@" in path.read_bytes()]))


def tree(root):
    """Returns the contents of every file below `root`, by path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@case
def pkg_config_has_the_path_of_the_ffi_header():
    (path,) = pkg_config("--variable=ffi_header")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert "udpr_status udpr_reactor_new(const struct udpr_reactor_options *options" in text, text[-2000:]
    assert "#" not in text and "__attribute__" not in text


@case
def documents_and_examples_are_installed():
    prefix, _ = install()
    for directory, pattern in (("docs", "*.md"), ("c_examples", "*.c*")):
        installed = prefix / "share/doc/udpr" / directory
        equal(sorted(path.name for path in (ROOT / directory).glob(pattern)), sorted(path.name for path in installed.glob(pattern)))


@case
def man_pages_are_installed():
    prefix, _ = install()
    header = (ROOT / "include/udpr/udpr.h").read_text(encoding="utf-8")
    installed = {path.stem for path in (prefix / "share/man/man3").iterdir()}
    equal(set(), set(re.findall(r"^UDPR_API [^;(]*?(\w+)\(", header, re.M)) - installed)
    assert VERSION in (prefix / "share/man/man7/udpr.7").read_text(encoding="utf-8")


@case
def the_man_page_has_a_program_that_compiles():
    _, libraries = install()
    page = (ROOT / "docs/udpr.7.in").read_text(encoding="utf-8")
    source = re.search(r"^\.Bd -literal.*?\n(#include.*?)^\.Ed", page, re.M | re.S).group(1).replace("\\e", "\\")
    (WORK / "man.c").write_text(source, encoding="utf-8")
    flags = pkg_config("--cflags", "--libs")
    tool("cc", "-Wall", "-Wextra", "-Wpedantic", "-Werror", WORK / "man.c", *flags, "-o", WORK / "man")


main()
