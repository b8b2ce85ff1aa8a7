"""What every format promises, and what is this one's own."""

from pathlib import Path

import pyarrow.feather
import pytest
from mad_prefect_ipc import IpcFormat, WriteIpcOptions

from mad_prefect_core import Settings, asset, use_settings
from mad_prefect_core.testing import FormatContract


class TestIpcFormat(FormatContract):
    @pytest.fixture
    def format(self) -> IpcFormat:
        return IpcFormat()


@pytest.fixture(autouse=True)
def base(tmp_path: Path):
    with use_settings(Settings(filesystem_url=f"file://{tmp_path}")):
        yield tmp_path


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_other_tools_read_a_result_as_feather(base: Path, compression: str) -> None:
    @asset("teas.feather", write_options=WriteIpcOptions(compression=compression))
    def teas():
        yield [{"tea": "Assam", "grams": 50}]
        yield [{"tea": "Ceylon", "grams": 100}]

    teas.call_sync()

    assert pyarrow.feather.read_table(base / "teas.feather").to_pydict() == {
        "tea": ["Assam", "Ceylon"],
        "grams": [50, 100],
    }


def test_a_result_of_the_suffix_arrows_is_a_stream(base: Path) -> None:
    @asset("teas.arrows", artifact_filetype="ipc")
    def teas():
        return [{"tea": "Assam"}]

    assert teas.query_sync().fetchall() == [("Assam",)]
    assert pyarrow.ipc.open_stream((base / "teas.arrows").read_bytes()).read_all().num_rows == 1
