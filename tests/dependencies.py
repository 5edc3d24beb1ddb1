"""dependencies.py: the crates in Cargo.lock are those of docs/dependencies.md, and follow its rules."""

import json
import pathlib
import re
import subprocess

from harness import case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
LICENCES = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unlicense", "Unicode-3.0"}
FOR_DEVELOPMENT = {"MPL-2.0"}


def metadata(*options):
    """Returns all packages by id, their dependencies by id, and the id of the root package."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", *options]
    known = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    nodes = {node["id"]: node["deps"] for node in known["resolve"]["nodes"]}
    return {package["id"]: package for package in known["packages"]}, nodes, known["resolve"]["root"]


def runtime(*options):
    """Returns the crates in the library, by name, and their number: all dependencies that are not for development."""
    packages, nodes, root = metadata(*options)
    seen, pending = set(), [root]
    while pending:
        for needed in nodes[pending.pop()]:
            if needed["pkg"] not in seen and any(kind["kind"] != "dev" for kind in needed["dep_kinds"]):
                seen.add(needed["pkg"])
                pending.append(needed["pkg"])
    return {packages[one]["name"]: packages[one] for one in seen}, len(seen)


def section(title):
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def table():
    """Returns the page's first table: version, licence and build script by crate."""
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| (.+?) \| (yes|no) \|", section("In the library on Linux"), re.M)
    return {row[0]: row[1:] for row in rows}


def has(package, kind):
    return any(kind in target["kind"] for target in package["targets"])


@case
def the_library_holds_these_crates_and_no_others():
    crates, count = runtime("--filter-platform", "x86_64-unknown-linux-gnu")
    equal(count, len(crates))  # one version of each
    found = {
        name: (one["version"], one["license"], "yes" if has(one, "custom-build") else "no") for name, one in crates.items()
    }
    equal(table(), found)
    equal([], [name for name, one in crates.items() if has(one, "proc-macro")])


@case
def for_other_systems_there_are_these():
    crates, _ = runtime()
    others = {name: one["version"] for name, one in crates.items() if name not in table()}
    equal(dict(re.findall(r"`(\w[\w-]*)`\s(\d+\.\d+\.\d+)", section("For other systems"))), others)


@case
def what_runs_while_it_is_built_is_named():
    packages, _, _ = metadata()
    crates, _ = runtime()
    runs = {one["name"] for one in packages.values() if has(one, "custom-build") or has(one, "proc-macro")}
    _, named = section("For development").split("Of these crates")
    equal(set(re.findall(r"`([\w-]+)`", named)), runs - set(crates))


@case
def what_udpr_does_itself_is_there():
    rows = re.findall(r"^\| (`.*?) \|", section("What udpr does itself"), re.M)
    parts = [part for row in rows for part in re.findall(r"`(.*?)`", row)]
    assert len(parts) > len(rows) > 0, rows
    equal([], [part for part in parts if not (ROOT / "src" / part).exists()])


def locked(directory="."):
    """Returns the fields of each package in a Cargo.lock."""
    text = (ROOT / directory / "Cargo.lock").read_text(encoding="utf-8")
    return [dict(re.findall(r'^(\w+) = "(.*)"$', package, re.M)) for package in text.split("[[package]]")[1:]]


@case
def every_crate_comes_from_the_registry_with_a_checksum():
    for directory, own in ((".", ["udpr"]), ("fuzz", ["udpr", "udpr-fuzz"])):
        packages = locked(directory)
        assert len(packages) > len(table()), packages
        equal(own, [one["name"] for one in packages if "source" not in one])
        foreign = [one for one in packages if "source" in one]
        equal([], [one["name"] for one in foreign if one["source"] != REGISTRY])
        equal([], [one["name"] for one in foreign if not re.fullmatch("[0-9a-f]{64}", one.get("checksum", ""))])


@case
def what_is_fuzzed_is_the_library_and_these_crates_beside_it():
    def versions(directory):
        return {(one["name"], one["version"]) for one in locked(directory) if "source" in one}

    named = re.findall(r"`(\w[\w-]*)`\s(\d+\.\d+\.\d+)", section("For fuzzing"))
    equal(set(named), versions("fuzz") - versions("."))


def allowed(expression, licences):
    """Whether one alternative of each part of an SPDX expression (without nested parentheses) is in `licences`."""
    parts = [part.strip("() ") for part in re.split(r" AND ", expression)]
    return all(any(one.strip() in licences for one in re.split(r" OR |/", part)) for part in parts)


@case
def licences_are_among_those_allowed():
    packages, _, _ = metadata()
    crates, _ = runtime()
    for one in packages.values():
        licences = LICENCES if one["name"] in crates else LICENCES | FOR_DEVELOPMENT
        assert allowed(one["license"] or "", licences), (one["name"], one["license"])
    assert not allowed("GPL-3.0-only", LICENCES) and not allowed("MIT AND GPL-3.0-only", LICENCES)
    assert not allowed("", LICENCES) and not allowed("MPL-2.0", LICENCES)


main()
