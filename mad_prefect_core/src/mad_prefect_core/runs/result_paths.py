"""Which asset has put a file at a path: a small object for each path, so that the file is read as its run recorded it.

JSON and CSV do not tell all types: an infinity, or the text "01234", is read as something else by who has the file
alone. The object only names the asset. What it says is believed where the asset's manifest has a result at this very
path, and the bytes there are those that the run wrote.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from typing import Literal

from pydantic import BaseModel

from mad_prefect_core.artifacts.files import DataFile
from mad_prefect_core.artifacts.recorded import look_up_with
from mad_prefect_core.errors import ManifestError, PathError
from mad_prefect_core.mounts import Location, default_mount
from mad_prefect_core.paths import relative_key
from mad_prefect_core.runs.manifest import read_manifest
from mad_prefect_core.runs.publish import whole
from mad_prefect_core.runs.results import ResultRecord
from mad_prefect_core.runs.stored import Torn, locate_recorded, parse, reaching, read
from mad_prefect_core.runs.targets import place_of, result_file
from mad_prefect_core.settings import get_settings

__all__ = ["asset_at", "index_paths", "result_at"]

logger = logging.getLogger(__name__)


class _PathRecord(BaseModel):
    path_version: Literal["1"] = "1"
    asset_name: str
    asset_id: str


def index_paths(asset_name: str, asset_id: str, results: Sequence[ResultRecord], known: Collection[str]) -> list[str]:
    """Note whose results are at these paths, unless that is `known` to be noted. Returns the paths that are noted."""
    body = _PathRecord(asset_name=asset_name, asset_id=asset_id).model_dump_json().encode()
    noted = []
    for record in results:
        try:
            if record.path not in known:
                _location(locate_recorded(record.path)).write(body)
        except OSError as problem:
            logger.warning("Asset %r: %s is not noted as its result: %s", asset_name, record.path, problem)
        else:
            noted.append(record.path)
    return noted


def asset_at(path: str) -> str:
    """The name of the asset that is noted to have put a file at a path; "" where none is, or the note can't be read."""
    found = _location(locate_recorded(path))
    try:
        stored = read(found, "")
        named = stored and parse(_PathRecord, stored.data, found, None, "path_version")
    except (ManifestError, OSError) as problem:
        logger.warning("It is not known which asset wrote to %s: %s", path, problem)
        return ""
    return named.asset_name if isinstance(named, _PathRecord) else ""


@look_up_with
def result_at(path: str, location: Location) -> DataFile | None:
    """The result of a current run that is at a path, with what is recorded of it; None where others wrote the file, or
    changed it."""
    found = _location(location)
    stored = read(found, "")
    if stored is None:
        return None
    try:
        named = parse(_PathRecord, stored.data, found, None, "path_version")
        if isinstance(named, Torn):
            return None
        with reaching([path.rpartition("/")[0]]):
            manifest = read_manifest(named.asset_name, named.asset_id).manifest
            for record in manifest.results if manifest else ():
                if place_of(locate_recorded(record.path)) == place_of(location) and whole(record):
                    return result_file(record)
    except (ManifestError, PathError) as problem:
        logger.warning("%s is read as a file of others: %s", location.key, problem)
    return None


def _location(location: Location) -> Location:
    name = hashlib.sha256(place_of(location).encode()).hexdigest()[:32]
    return default_mount().at(relative_key(f"{get_settings().asset_metadata_location}/_paths/{name}.json"))
