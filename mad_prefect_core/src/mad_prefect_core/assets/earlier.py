"""What was stored of an asset under another name of its module, before names went by files, or by 2.x and was adopted:
it is found and goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

from mad_prefect_core.assets.modules import is_earlier_name
from mad_prefect_core.assets.plan import Plan
from mad_prefect_core.mounts import default_mount
from mad_prefect_core.paths import relative_key
from mad_prefect_core.runs.catalogue import names_in
from mad_prefect_core.runs.manifest import StoredManifest, read_manifest
from mad_prefect_core.settings import get_settings

__all__ = ["as_stored", "earlier_names"]

_MANY = 10_000
_known: dict[tuple[object, ...], tuple[str, str]] = {}
"""Of assets by base, name and id: the name and id that their records are stored by."""


def as_stored(plan: Plan) -> tuple[Plan, StoredManifest | None]:
    """The plan with the name and id that its records are stored by: its own, or the newest of earlier ones; and its
    manifest, where that was read to find out."""
    key = (*default_mount().key, get_settings().asset_metadata_location, plan.name, plan.id)
    stored: StoredManifest | None = None
    if key not in _known:
        if len(_known) >= _MANY:
            _known.clear()
        name, asset_id, stored = _stored_as(plan)
        _known[key] = name, asset_id
    name, asset_id = _known[key]
    return plan if (name, asset_id) == (plan.name, plan.id) else replace(plan, name=name, id=asset_id), stored


def _stored_as(plan: Plan) -> tuple[str, str, StoredManifest]:
    own = read_manifest(plan.name, plan.id)
    if own.manifest is not None:
        return plan.name, plan.id, own
    newest, found = dt.datetime.min.replace(tzinfo=dt.UTC), (plan.name, plan.id, own)
    for name, asset_id in _other_places(plan):
        stored = read_manifest(name, asset_id)
        manifest = stored.manifest
        if manifest is None or manifest.asset_signature == asset_id:  # as 2.x has it: it is not adopted
            continue
        if manifest.last_materialized and manifest.last_materialized > newest:
            newest, found = manifest.last_materialized, (name, asset_id, stored)
    return found


def _other_places(plan: Plan) -> Iterator[tuple[str, str]]:
    for name in (plan.name, *earlier_names(plan)):
        if plan.earlier is not None and name != plan.name:
            yield name, plan.earlier(name.rpartition(".")[0])
        if (in_2x := plan.in_2x(name)) is not None:
            yield name, in_2x


def earlier_names(plan: Plan) -> Iterator[str]:
    """The names under which the base has records that may be of the asset."""
    if plan.earlier is None:
        return
    module, _, function = plan.name.rpartition(".")
    for folder in names_in(default_mount().at(relative_key(get_settings().asset_metadata_location))):
        name = folder.removeprefix("asset_name=")
        before, _, called = name.rpartition(".")
        if name not in (folder, plan.name) and called == function and is_earlier_name(before, module):
            yield name
