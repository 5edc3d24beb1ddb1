"""What BUILD_DIR installs (the first argument; the second is the configuration), for the tests that link with it."""

import re
import sys

from project import ROOT, WORK, need, tool

BUILD_DIR, CONFIG = sys.argv[1:]


def install():
    """The installed tree, moved away from where it was installed to. Gives it and its library directory."""
    prefix = WORK / "moved"
    if not prefix.exists():
        tool("cmake", "--install", BUILD_DIR, "--config", CONFIG, "--prefix", WORK / "prefix")
        (WORK / "prefix").rename(prefix)
    return prefix, next(prefix.glob("**/libudpr.so")).parent


def pkg_config(*arguments):
    need("pkg-config", "pkg-config")
    _, libraries = install()
    environment = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    return tool("pkg-config", *arguments, "udpr", env=environment).split()


def system_libraries():
    """As the README names them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"libudpr\.a ((?:-l\w+ )+)-o app", readme).group(1).split()


def static_flags():
    """What links a program with the static library, by hand."""
    prefix, libraries = install()
    return [f"-I{prefix}/include", libraries / "libudpr.a", *system_libraries()]
