"""Files opened in Python by what DuckDB knows them by: how a format whose reader is not DuckDB's gets at its bytes."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.mounts import Mount, locate
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.session import DuckSession
from mad_prefect_local.storage import LocalStorage, LocalStore


class Elsewhere(LocalStore):
    """A store that DuckDB reaches by names which nobody else could make sense of."""

    def duckdb_files(self, session, paths):
        return [f"private+{id(self)}://{path}" for path in paths]


@pytest.mark.parametrize("name", ["plain.bin", "a b.bin", "[ab].bin", "*?.bin", "[*].bin", "k=v;'q'.bin"])
def test_a_local_file_of_any_name_is_opened(name, tmp_path):
    (tmp_path / name).write_bytes(b"bytes")
    with DuckSession() as session, session.opener(escape_glob(str(tmp_path / name)))() as file:
        assert file.read() == b"bytes"


def test_files_below_the_base_and_of_other_storages_are_opened(base):
    (base / "x.bin").write_bytes(b"below the base")
    with DuckSession() as session:
        [native] = session.files([locate("x.bin")])
        for file in (native, "mad://x.bin", f"file://{base}/x.bin"):
            with session.opener(file)() as opened:
                assert opened.read() == b"below the base"


def test_a_file_that_only_duckdb_has_a_name_for_is_opened_on_its_own_filesystem():
    fs = MemoryFileSystem()
    fs.pipe_file("/openers/x.bin", b"elsewhere")
    with DuckSession() as session:
        [file] = session.files([Mount(LocalStorage(), Elsewhere(fs), "/openers").at("x.bin")])
        assert file.startswith("private+")
        with session.opener(file)() as opened:
            assert opened.read() == b"elsewhere"


def test_an_opener_outlives_its_session_and_works_in_any_thread(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"bytes")
    session = DuckSession()
    opener = session.opener(str(tmp_path / "x.bin"))
    gone = weakref.ref(session)
    session.close()
    del session
    gc.collect()
    assert gone() is None
    found = []

    def read():
        with opener() as file:
            found.append(file.read())

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"bytes", b"bytes"]


def test_a_file_that_is_not_there_is_an_os_error_when_opened(tmp_path):
    with DuckSession() as session, pytest.raises(FileNotFoundError):
        session.opener(str(tmp_path / "none.bin"))()
