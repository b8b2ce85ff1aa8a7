"""Links within the repository lead somewhere, and what the reference lists is what there is."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from mad_prefect_core import Settings, errors

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "mad_prefect_*/**/README.md", "examples/**/*.md", "changelog.d/README.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^(`{3,}).*?^\1$", re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            dead.append(link)
    assert dead == []


def test_every_page_is_linked_from_another() -> None:
    linked = set()
    for page in PAGES:
        for link in LINK.findall(page.read_text("utf-8")):
            linked.add((page.parent / link.partition("#")[0]).resolve())
    pages = {path for path in PAGES if path.is_relative_to(ROOT / "docs") and path.name != "index.md"}
    assert pages - linked == set()


def test_the_tree_of_errors_in_the_reference_is_the_one_in_the_code() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    drawn = page.split("```\n")[1]
    assert textwrap.dedent(str(errors.__doc__).split("::\n\n")[1].split("\n\n")[0]).strip() == drawn.strip()
    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith(("Error", "Warning"))]
    leaves = {kind.__name__ for kind in kinds if not kind.__subclasses__()}
    assert {*re.findall(r"^\| `(\w+)` \|", page, re.M)} == leaves | {"StorageConflictError", "StorageError"}


def test_every_setting_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == [field.alias for field in Settings.model_fields.values()]
