"""Write the page that compares storages, from their capability cards: part of `./dev cards`.

`python .ci/storages_page.py [folder]` takes the cards that the plugins ship, and those of other servers in
`docs/reference/cards/`. With a folder of cards that a run of the contract tests has written, those of the other servers
are taken from there first.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from mad_prefect_core.cards import Card

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "docs" / "reference" / "cards"
PAGE = ROOT / "docs" / "reference" / "storages.md"

SHIPPED = {
    "local": "local disk",
    "s3": "S3 (moto)",
    "gcs": "GCS (its own server for tests)",
    "azure": "Azure (Azurite)",
    "fsspec": "`memory://`",
}
OTHERS = {"s3-ceph": "S3 (Ceph)", "sftp": "SFTP", "webdav": "WebDAV", "ftp": "FTP"}
"""Servers whose plugin ships the card of another one, if a card is there."""
MARKS = {"passed": "✓", "not declared": "–", "failed": "✗", "overridden": "(✓)", "not run": "?"}

HEAD = """# What each storage promises

Each column is a run of [the conformance kit](testing.md) against a server. Written by `./dev cards` from the
[capability cards](cards/README.md), never by hand.

✓ held · – not promised, so not tried · ✗ failed

`memory://`, SFTP, WebDAV and FTP are served by `mad-prefect-fsspec`, which finds out what a server can do: see [any
storage of fsspec](../how-to/any-fsspec-storage.md). What is not promised there is in every run's record.

"""


def cards() -> dict[str, Card]:
    """By the heading of their column."""
    found = {}
    for name, heading in SHIPPED.items():
        package = ROOT / "mad_prefect_storage" / name / "src" / f"mad_prefect_{name}"
        found[heading] = Card.from_json((package / "capability_card.json").read_text("utf-8"))
    for name, heading in OTHERS.items():
        if (card := CARDS / f"{name}.json").exists():
            found[heading] = Card.from_json(card.read_text("utf-8"))
    return found


def page() -> str:
    """All of it."""
    found = cards()
    rows = [["promise", *found], ["---", *("---" for _ in found)]]
    for finding in next(iter(found.values())).findings:
        status = [
            next((f.status for f in card.findings if f.test == finding.test), "not run") for card in found.values()
        ]
        rows.append([finding.promise.replace("|", "\\|"), *(MARKS[each] for each in status)])
    counts = [f"{sum(f.status == 'passed' for f in card.findings)} of {len(card.findings)}" for card in found.values()]
    rows.append(["held", *counts])
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main(folder: str | None = None) -> None:
    for name in OTHERS if folder else ():
        if (made := Path(str(folder)) / f"{name}.json").exists():
            shutil.copyfile(made, CARDS / made.name)
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
