"""Changelog fragments keep to their convention, so that a release loses none of them."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "changelog.d"


def test_every_fragment_has_a_kind_that_the_convention_knows_and_says_something() -> None:
    kinds = re.findall(r"^- `(\w+)`:", (FOLDER / "README.md").read_text("utf-8"), re.M)
    fragments = [path for path in FOLDER.iterdir() if path.name != "README.md"]

    assert kinds
    for path in fragments:
        assert re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(kinds)})\.md", path.name), path.name
        assert path.read_text("utf-8").strip().endswith(".")
