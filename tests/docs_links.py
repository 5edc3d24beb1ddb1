"""docs_links.py: links in README.md and docs lead somewhere, and every page can be reached from the README."""

import pathlib
import re

from harness import case, equal, main

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"


def links(page):
    """What a page links to inside the project: files, and titles in them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, title = target.partition("#")
            yield (page.parent / file).resolve() if file else page, title


def titles(page):
    found = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def reachable():
    seen, to_do = set(), [README]
    while to_do:
        page = to_do.pop()
        if page not in seen and page.suffix == ".md" and page.exists():
            seen.add(page)
            to_do.extend(target for target, _ in links(page))
    return seen


@case
def every_link_leads_somewhere():
    pages = reachable()
    assert len(pages) > 5, pages
    dead = [(page.name, str(target)) for page in pages for target, _ in links(page) if not target.exists()]
    equal([], dead)
    lost = [(page.name, title) for page in pages for target, title in links(page) if title and title not in titles(target)]
    equal([], lost)


@case
def every_page_is_linked_to():
    equal([], sorted(page.name for page in set((ROOT / "docs").glob("*.md")) - reachable()))


main()
