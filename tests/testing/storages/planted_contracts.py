"""A test class for each contract test, with the storage that is to fail it. Run by `test_planted.py` alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from planted import PLANTED, is_on_disk, storage_of

from mad_prefect_core.testing import StorageContract


class Planted(StorageContract):
    large_megabytes = 10
    planted: type[Any]

    @pytest.fixture
    def storage(self) -> Any:
        return storage_of(self.planted)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        if is_on_disk(self.planted):
            yield f"file://{tmp_path}/lake"
        else:
            folder = uuid.uuid4().hex
            MemoryFileSystem().makedirs(f"/{folder}")
            yield f"memory://{folder}"
            MemoryFileSystem().rm(f"/{folder}", recursive=True)


class PlantedWithOptions(Planted):
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return dict(self.planted.given)


for _test, _wrong in PLANTED.items():
    for _planted in _wrong:
        _name = f"{_planted.__name__}_{_test}"
        _shared = is_on_disk(_planted)
        globals()[f"Test{_name}"] = type(
            f"Test{_name}",
            (PlantedWithOptions if hasattr(_planted, "given") else Planted,),
            {
                "planted": _planted,
                "shared_between_processes": _shared,
                "__module__": __name__,
                **getattr(_planted, "contract", {}),
            },
        )
