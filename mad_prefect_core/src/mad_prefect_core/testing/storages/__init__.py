"""The contract of a storage, as tests to inherit."""

from __future__ import annotations

from mad_prefect_core.testing.storages.assets import AssetContract
from mad_prefect_core.testing.storages.failures import FailureContract
from mad_prefect_core.testing.storages.names import NameContract
from mad_prefect_core.testing.storages.objects import ObjectContract
from mad_prefect_core.testing.storages.place import Place
from mad_prefect_core.testing.storages.races import RaceContract
from mad_prefect_core.testing.storages.reading import ReadingContract
from mad_prefect_core.testing.storages.secrets import SecretContract

__all__ = ["Place", "StorageContract"]


class StorageContract(
    ObjectContract, NameContract, FailureContract, RaceContract, SecretContract, ReadingContract, AssetContract,
    contract=True,
):  # fmt: skip
    """Holds a storage to its contract::

        class TestZip(StorageContract):
            @pytest.fixture
            def storage(self):
                return ZipStorage()

            @pytest.fixture
            def url(self, tmp_path):  # a place of this test alone, with nothing in it; may yield
                return f"zip://{tmp_path}/lake.zip"

            @pytest.fixture
            def options(self):  # optional, secrets as plain text
                return {}

    `shared_between_processes = False` says that the storage lives in one process, such as in memory. `fault_targets`
    says where storage operations can be made to fail, if that is neither the fsspec filesystem nor, for a
    `LocalFileSystem`, the system's calls below the place. `secrets` are more strings that must not be shown.
    """
