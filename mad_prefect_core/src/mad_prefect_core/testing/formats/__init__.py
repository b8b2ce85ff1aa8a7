"""The contract of a format, as tests to inherit."""

from __future__ import annotations

from mad_prefect_core.testing.formats.assets import AssetContract
from mad_prefect_core.testing.formats.reading import ReadingContract
from mad_prefect_core.testing.formats.releases import ReleaseContract, write_release
from mad_prefect_core.testing.formats.surface import SurfaceContract
from mad_prefect_core.testing.formats.values import ValueContract
from mad_prefect_core.testing.formats.writing import WritingContract

__all__ = ["FormatContract", "write_release"]


class FormatContract(
    SurfaceContract, ValueContract, WritingContract, ReadingContract, ReleaseContract, AssetContract, contract=True
):
    """Holds a format to its contract::

        class TestToml(FormatContract):
            @pytest.fixture
            def format(self):
                return TomlFormat()

            @pytest.fixture
            def written_before(self):  # optional
                return Path(__file__).parent / "written_before" / "toml"

    `format` gives an object whose class can be imported: memory is measured in a process of its own.
    """
