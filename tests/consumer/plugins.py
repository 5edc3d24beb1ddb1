"""plugins.py BUILD_DIR CONFIG: plug-ins that use udpr, in a program that also uses it, as described in docs/linking.md."""

import harness
from harness import case, equal, main, tool
from installation import CONFIG, install, static_flags
from project import HERE, ROOT, WORK, compiled, needed

harness.TIMEOUT = 120
OWN = ("-Wl,--exclude-libs,libudpr.a", "-Wl,-z,nodelete")
MODULE = ("-shared", "-fPIC")


def shared_flags():
    prefix, libraries = install()
    return (f"-I{prefix}/include", f"-L{libraries}", "-ludpr", f"-Wl,-rpath,{libraries}")


def host():
    return WORK / "host" if (WORK / "host").exists() else compiled("host", "host.c", *shared_flags(), "-ldl")


def exported(plugin):
    return sorted(line.split()[-1] for line in tool("nm", "-D", "--defined-only", plugin).splitlines())


@case
def with_the_shared_library_there_is_one_copy():
    plugin = compiled("shared.so", "plugin.c", *MODULE, *shared_flags())
    equal(["plugin_runs", "plugin_udpr"], exported(plugin))
    equal("one copy\n", tool(host(), plugin))


@case
def with_the_static_library_it_has_its_own():
    plugin = compiled("static.so", "plugin.c", *MODULE, *static_flags(), *OWN)
    equal(["plugin_runs", "plugin_udpr"], exported(plugin))
    equal("two copies\n", tool(host(), plugin))
    assert "NODELETE" in tool("readelf", "-dW", plugin)


@case
def without_the_option_it_exports_a_copy_and_uses_another():
    """The reason why docs/linking.md requires the option."""
    plugin = compiled("exporting.so", "plugin.c", *MODULE, *static_flags())
    assert "udpr_reactor_new" in exported(plugin)
    equal("one copy\n", tool(host(), plugin))


@case
def by_cmake():
    """Uses the lines of docs/linking.md unchanged."""
    prefix, _ = install()
    page = (ROOT / "docs/linking.md").read_text(encoding="utf-8")
    lines = next(block.split("```")[0] for block in page.split("```cmake\n") if "MODULE" in block)
    source = WORK / "cmake"
    source.mkdir()
    text = f"cmake_minimum_required(VERSION 3.16)\nproject(plugin LANGUAGES C)\nfind_package(udpr 0.1 REQUIRED)\n{lines}"
    (source / "CMakeLists.txt").write_text(text, encoding="utf-8")
    (source / "plugin.c").symlink_to(HERE / "plugin.c")
    tool("cmake", "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_BUILD_TYPE={CONFIG}")
    tool("cmake", "--build", source / "build")
    (plugin,) = (source / "build").glob("*.so")
    equal(["plugin_runs", "plugin_udpr"], exported(plugin))
    equal("two copies\n", tool(host(), plugin))
    assert not any("udpr" in name for name in needed(plugin)), needed(plugin)


main()
