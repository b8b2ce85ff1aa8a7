"""The formats of an asset's files, as a call needs them."""

from __future__ import annotations

from contextlib import suppress

from mad_prefect_core.assets.plan import Plan
from mad_prefect_core.errors import MadPrefectError, UnknownFormatError
from mad_prefect_core.plugins import get_host
from mad_prefect_core.runs.manifest import read_manifest
from mad_prefect_core.runs.record import DataAssetRun
from mad_prefect_core.runs.stored import reaching

__all__ = ["require_formats"]


def require_formats(plan: Plan) -> None:
    """Raise `UnknownFormatError` unless there are plugins for all files of the asset; it says who wrote such last."""
    host, filetype = get_host(), plan.options.artifact_filetype
    try:
        for path in plan.paths:
            host.format_of(path)
        if filetype is not None:
            host.format_named(filetype)
    except UnknownFormatError as error:
        if writer := _last_writer(plan, error.path):
            error.message = f"{error.message}, last written by {writer}"
        raise


def _last_writer(plan: Plan, path: str | None) -> str:
    """The distribution that wrote the asset's files of the format, and its version; "" where no record tells."""
    with suppress(MadPrefectError, OSError), reaching(plan.folders()):
        manifest = read_manifest(plan.name, plan.id).manifest
        last = manifest.last_run if manifest else None
        run = DataAssetRun.read(plan.name, plan.id, last.id) if last else None
        if run is not None:
            formats = [result.format for result in run.results if result.path == path]
            return run.writers.get(formats[0] if formats else str(plan.options.artifact_filetype), "")
    return ""
