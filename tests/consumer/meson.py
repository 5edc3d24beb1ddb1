"""meson.py: udpr as a subproject of a Meson project. static.py has Meson projects with an installed udpr."""

import re

import harness
from harness import case, equal, main, need, tool
from project import HERE, ROOT, WORK, links_shared, links_static

harness.TIMEOUT = 900  # a build of the Rust code
BUILD = WORK / "build"


def project():
    """Makes and configures the project once, with the file of docs/linking.md."""
    need("meson", "meson")
    need("ninja", "ninja-build")
    source = WORK / "project"
    if not source.exists():
        subprojects = source / "subprojects"
        subprojects.mkdir(parents=True)
        for name in ("app.c", "meson.build"):
            (source / name).write_bytes((HERE / name).read_bytes())
        linking = (ROOT / "docs/linking.md").read_text(encoding="utf-8")
        (subprojects / "udpr.wrap").write_text(re.search(r"```ini\n(.*?)```", linking, re.S).group(1), encoding="utf-8")
        (subprojects / "udpr").symlink_to(ROOT)  # Meson fetches nothing that is there
        tool("meson", "setup", BUILD, source)


def compiled():
    tool("meson", "compile", "-C", BUILD)
    return BUILD / "app"


@case
def shared_by_default():
    project()
    links_shared(compiled())


@case
def nothing_is_linked_again_without_a_change():
    project()
    before = compiled().stat().st_mtime_ns
    equal(before, compiled().stat().st_mtime_ns)


@case
def static_if_the_option_says_so():
    project()
    tool("meson", "configure", BUILD, "-Dudpr:default_library=static")
    links_static(compiled())


main()
