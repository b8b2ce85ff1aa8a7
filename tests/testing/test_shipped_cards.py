"""The capability cards that our plugins ship are those that their contract tests give now."""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.cards import Card
from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing import Contract

ROOT = Path(__file__).resolve().parents[2]
TESTED = {
    "avro": ("tests/formats/test_conformance.py", "TestAvro"),
    "csv": ("tests/formats/test_conformance.py", "TestCsv"),
    "json": ("tests/formats/test_conformance.py", "TestJson"),
    "parquet": ("tests/formats/test_conformance.py", "TestParquet"),
    "fsspec": ("tests/fsspec_storage/test_fsspec_contract.py", "TestMemory"),
    "azure": ("tests/object_stores/test_object_store_contract.py", "TestAzurite"),
    "gcs": ("tests/object_stores/test_object_store_contract.py", "TestGCS"),
    "local": ("tests/storage/test_local_contract.py", "TestLocal"),
    "s3": ("tests/object_stores/test_object_store_contract.py", "TestMoto"),
}


@pytest.fixture(params=sorted(TESTED))
def plugin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shipped(plugin: str) -> Card:
    card = files(f"mad_prefect_{plugin}").joinpath("capability_card.json")
    return Card.from_json(card.read_text("utf-8"))


def contract_of(plugin: str) -> type[Contract]:
    path, name = TESTED[plugin]
    spec = importlib.util.spec_from_file_location(f"contract_of_{plugin}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[Contract] = getattr(module, name)
    return found


def subject_of(plugin: str) -> Any:
    if plugin == "fsspec":  # of all that it serves, what promises all
        return get_host().storage_for("memory")
    [subject] = [found for found in (*get_host().formats(), *get_host().storages()) if found.name == plugin]
    return subject


def test_every_plugin_of_ours_is_tested() -> None:
    folders = [*ROOT.glob("mad_prefect_formats/*/pyproject.toml"), *ROOT.glob("mad_prefect_storage/*/pyproject.toml")]
    assert {path.parent.name for path in folders} == TESTED.keys()


def test_a_card_that_is_shipped_is_whole_and_of_this_version_of_its_plugin_and_its_contract(
    plugin: str, shipped: Card
) -> None:
    now = contract_of(plugin).expected_card(subject_of(plugin))
    assert shipped.conforms
    assert shipped.stable() == Card.from_json(now.to_json()), "`./dev cards` makes the cards anew"


def test_the_page_of_a_card_is_what_the_plugin_ships(plugin: str, shipped: Card) -> None:
    page = ROOT / "docs" / "reference" / "cards" / f"{plugin}.md"
    assert page.read_text("utf-8") == shipped.to_markdown(), "`./dev cards` makes the cards anew"


def test_the_page_that_compares_storages_is_what_their_cards_say() -> None:
    spec = importlib.util.spec_from_file_location("storages_page", ROOT / ".ci" / "storages_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    written = (ROOT / "docs" / "reference" / "storages.md").read_text("utf-8")
    assert written == module.page(), "`./dev cards` makes the page anew"
