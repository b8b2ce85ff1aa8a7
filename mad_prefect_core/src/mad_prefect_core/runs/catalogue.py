"""The assets that a base holds, by what is stored of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from mad_prefect_core.errors import ManifestError, PathError, VersionError
from mad_prefect_core.mounts import Location, default_mount
from mad_prefect_core.paths import relative_key
from mad_prefect_core.runs.manifest import AssetManifest, read_manifest
from mad_prefect_core.settings import get_settings

__all__ = ["by_path", "find_asset", "names_in", "stored_assets"]

logger = logging.getLogger(__name__)

_SOME = 4  # of many sets of arguments, as an error lists them


def names_in(folder: Location) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    try:
        with folder.mount.call:
            found = folder.mount.fs.ls(f"{folder.path}/", detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)


def stored_assets(name: str | None = None) -> Iterator[AssetManifest]:
    """The manifests of all assets, or of those with this name, one for each set of arguments: an empty one where no run
    has been published yet, or where it can't be read."""
    base = default_mount().at(relative_key(get_settings().asset_metadata_location))
    for folder in names_in(base):
        asset_name = folder.removeprefix("asset_name=")
        if asset_name == folder or name not in (None, asset_name):
            continue
        for inner in names_in(base.beside(f"{base.key}/{folder}")):
            asset_id = inner.removeprefix("asset_id=")
            if asset_id != inner:
                try:
                    manifest, _ = read_manifest(asset_name, asset_id)
                except PathError:  # a name that no asset of ours has
                    continue
                except ManifestError as problem:
                    logger.warning("%s", problem)
                    manifest = None
                yield manifest or AssetManifest(asset_name=asset_name, asset_id=asset_id)


def find_asset(name: str, asset_id: str | None = None) -> AssetManifest:
    """The manifest of an asset, by its full name or the last part of it, and by the first digits of its id where there
    are several sets of arguments. Raises `VersionError` where that is none or several."""
    stored = list(stored_assets())
    known = [m for m in stored if m.asset_name == name]
    known = known or [m for m in stored if m.asset_name.rpartition(".")[2] == name]
    found = [manifest for manifest in known if manifest.asset_id.startswith(asset_id or "")]
    if len(found) == 1:
        return found[0]
    if not known:
        names = sorted({manifest.asset_name for manifest in stored})
        raise VersionError(f"There is no asset {name!r} on this base", hint=f"There are: {', '.join(names) or 'none'}.")
    sets = sorted(found or known, key=by_path)
    some = [f"{m.asset_id[:8]} ({', '.join([m.asset_name, *m.last_artifacts[:1]])})" for m in sets[:_SOME]]
    more = f" and {len(sets) - _SOME} more" if len(sets) > _SOME else ""
    raise VersionError(
        f"There are {len(found)} assets {name!r} with an id that begins with {asset_id!r}"
        if asset_id
        else f"{name!r} may be {len(found)} assets, or sets of arguments of one",
        hint=f"Say which by the first digits of its id: {', '.join(some)}{more}.",
    )


def by_path(manifest: AssetManifest) -> tuple[str, list[tuple[int, str]]]:
    """A key that sorts assets by name and path, with numbers in the path by their value."""
    parts = re.split(r"(\d+)", ", ".join(manifest.last_artifacts))
    return manifest.asset_name, [(int(part) if part.isdecimal() else 0, part) for part in parts]
