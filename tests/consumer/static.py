"""static.py BUILD_DIR CONFIG: programs that are linked with the static library, some of them completely static."""

import os

import harness
from harness import case, equal, main, need, tool
from installation import BUILD_DIR, CONFIG, install, pkg_config, static_flags
from project import HERE, VERSION, WORK, compiled, configure, links_shared, links_static, needed

harness.TIMEOUT = 120


def links_nothing_shared(program):
    links_static(program)
    equal([], needed(program))


@case
def cc_static():
    links_nothing_shared(compiled("static", "app.c", "-static", *static_flags()))


@case
def cc_static_pie():
    links_nothing_shared(compiled("static-pie", "app.c", "-static-pie", "-fPIE", *static_flags()))


@case
def pkg_config_and_cc_static():
    links_nothing_shared(compiled("pkg-config", "app.c", "-static", *pkg_config("--static", "--cflags", "--libs")))


@case
def no_library_of_the_compiler_is_named():
    """The compiler adds the right one, which is different for static programs."""
    equal([], [flag for flag in [*static_flags(), *pkg_config("--static", "--libs")] if "gcc" in str(flag)])
    prefix, _ = install()
    for path in prefix.rglob("*.cmake"):
        assert "gcc" not in path.read_text(encoding="utf-8"), path


@case
def cmake_static():
    prefix, _ = install()
    options = (f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_EXE_LINKER_FLAGS=-static")
    build, _ = configure("cmake", "Unix Makefiles", CONFIG, *options)
    tool("cmake", "--build", build, "--target", "app-static")
    links_nothing_shared(build / CONFIG / "app-static")


def by_meson(name, *options):
    need("meson", "meson")
    need("ninja", "ninja-build")
    _, libraries = install()
    environment = {**os.environ, "PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    tool("meson", "setup", WORK / name, HERE, *options, env=environment)
    tool("meson", "compile", "-C", WORK / name)
    return WORK / name / "app"


@case
def meson_shared():
    _, libraries = install()
    links_shared(by_meson("meson"), env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})


@case
def meson_static():
    links_static(by_meson("meson-static", "-Dprefer_static=true"))


@case
def meson_with_nothing_shared():
    links_nothing_shared(by_meson("meson-all-static", "-Dprefer_static=true", "-Dc_link_args=-static"))


@case
def unused_code_can_be_left_out():
    """Functions have sections of their own: a program that calls few of them is small, and also runs when stripped."""
    whole = compiled("whole", "app.c", *static_flags())
    less = compiled("less", "app.c", "-Wl,--gc-sections", *static_flags())
    stripped = compiled("stripped", "app.c", "-Wl,--gc-sections", "-s", *static_flags())
    links_static(less)
    links_static(stripped)
    (WORK / "version.c").write_text(
        "#include <stdio.h>\n#include <udpr/udpr.h>\nint main(void) { return puts(udpr_version_string()) < 0; }\n",
        encoding="utf-8",
    )
    one_call = compiled("one-call", WORK / "version.c", "-Wl,--gc-sections", "-s", *static_flags())
    equal(f"{VERSION}\n", tool(one_call))
    sizes = [path.stat().st_size for path in (one_call, stripped, less, whole)]
    equal(sorted(sizes), sizes)
    assert sizes[0] < sizes[1] / 2, sizes


@case
def both_libraries_can_be_stripped():
    prefix, libraries = install()
    archive = WORK / "libudpr.a"
    archive.write_bytes((libraries / "libudpr.a").read_bytes())
    tool("strip", "--strip-unneeded", archive)
    flags = [archive if flag == libraries / "libudpr.a" else flag for flag in static_flags()]
    links_static(compiled("with-stripped", "app.c", *flags))
    tool("cmake", "--install", BUILD_DIR, "--config", CONFIG, "--prefix", WORK / "installed-stripped", "--strip")
    shared = next((WORK / "installed-stripped").glob("**/libudpr.so"))
    assert ".symtab" not in tool("readelf", "-SW", shared)
    flags = (f"-I{prefix}/include", f"-L{shared.parent}", "-ludpr", f"-Wl,-rpath,{shared.parent}")
    links_shared(compiled("with-stripped-shared", "app.c", *flags))


@case
def a_release_is_stripped():
    """The debug information of Rust's standard library would be larger than all the code."""
    _, libraries = install()
    equal(CONFIG in ("Debug", "RelWithDebInfo"), ".symtab" in tool("readelf", "-SW", libraries / "libudpr.so"))
    for name in ("libudpr.so", "libudpr.a"):
        has = ".debug_info" in tool("readelf", "-SW", libraries / name)
        equal(CONFIG in ("Debug", "RelWithDebInfo"), has)


main()
