"""docs_links.py: the targets of links in README.md and docs exist, and every page can be reached from the README."""

import pathlib
import re

from harness import case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"


def links(page):
    """Yields the link targets of a page inside the project: files, and titles in them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, title = target.partition("#")
            yield (page.parent / file).resolve() if file else page, title


def titles(page):
    found = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def reachable():
    seen, pending = set(), [README]
    while pending:
        page = pending.pop()
        if page not in seen and page.suffix == ".md" and page.exists():
            seen.add(page)
            pending.extend(target for target, _ in links(page))
    return seen


@case
def every_link_has_a_target():
    pages = reachable()
    assert len(pages) > 5, pages
    dead = [(page.name, str(target)) for page in pages for target, _ in links(page) if not target.exists()]
    equal([], dead)
    missing = [(page.name, title) for page in pages for target, title in links(page) if title and title not in titles(target)]
    equal([], missing)


@case
def every_page_is_linked_to():
    equal([], sorted(page.name for page in set((ROOT / "docs").glob("*.md")) - reachable()))


main()
