"""Rows that spill to the temporary disk are nobody else's, and do not stay there."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_SPILL = """
import os, sys
from mad_prefect_core.session import DuckSession
session = DuckSession()
session.execute("SET memory_limit = '16MB'")
session.execute("SET threads = 1")
session.execute("CREATE TEMP TABLE t AS SELECT range AS a, md5(range::VARCHAR) AS b FROM range(800000)")
"""


def run(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, text=True
    )


def finish(code: str, folder: Path) -> str:
    process = run(code, folder)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def killed_after_spilling(folder: Path) -> None:
    process = run(_SPILL + "print('spilt', flush=True)\nsys.stdin.read() if False else os.kill(os.getpid(), 9)", folder)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_rows_that_spill_are_in_a_folder_that_nobody_else_can_enter(tmp_path: Path) -> None:
    killed_after_spilling(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert files(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_or_link_that_somebody_else_made_is_not_taken(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    plant = f"import os\nos.symlink({str(theirs)!r}, os.path.join({str(temporary)!r}, f'mad_prefect_{{os.getpid()}}'))"
    process = run(plant + _SPILL + "\nos.kill(os.getpid(), 9)", temporary)
    process.communicate(timeout=60)
    assert files(theirs) == []


def test_the_rows_of_a_killed_process_are_deleted_by_the_next_one(tmp_path: Path) -> None:
    killed_after_spilling(tmp_path)
    assert files(tmp_path)
    finish("from mad_prefect_core.session import DuckSession; DuckSession()", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_after_a_process_that_ends_normally(tmp_path: Path) -> None:
    finish(_SPILL, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_that_ends_leaves_its_parent_the_folder(tmp_path: Path) -> None:
    code = """
import os, sys
from mad_prefect_core.temporary_folders import process_folder
folder = process_folder()
if (child := os.fork()) == 0:
    assert process_folder() != folder
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert folder.is_dir() and len(list(folder.parent.iterdir())) == 1
"""
    finish(code, tmp_path)
    assert list(tmp_path.iterdir()) == []


def _looks_like_ours(folder: Path) -> str:
    """The name of a folder of a process that is gone."""
    code = "import os\nfrom mad_prefect_core.temporary_folders import process_folder\nprint(process_folder().name)"
    return finish(code, folder).strip()


@pytest.mark.parametrize("kind", ["link", "file", "open to others", "other name"])
def test_what_only_looks_like_our_folder_is_never_deleted(tmp_path: Path, kind: str) -> None:
    temporary, theirs = tmp_path / "tmp", tmp_path / "theirs"
    temporary.mkdir()
    theirs.mkdir(mode=0o700)
    (theirs / "rows").write_text("only copy")
    planted = temporary / _looks_like_ours(temporary)
    if kind == "link":
        planted.symlink_to(theirs)
    elif kind == "file":
        planted.write_text("only copy")
    elif kind == "open to others":
        planted.mkdir()
        planted.chmod(0o755)
    else:
        planted = temporary / f"{planted.name}.kept"
        planted.mkdir(mode=0o700)
    finish("from mad_prefect_core.session import DuckSession; DuckSession()", temporary)
    assert os.path.lexists(planted)
    assert (theirs / "rows").read_text() == "only copy"


def test_a_link_in_a_killed_processs_folder_is_not_followed(tmp_path: Path) -> None:
    temporary, theirs = tmp_path / "tmp", tmp_path / "theirs"
    temporary.mkdir()
    theirs.mkdir()
    (theirs / "rows").write_text("only copy")
    planted = temporary / _looks_like_ours(temporary)
    planted.mkdir(mode=0o700)
    (planted / "link").symlink_to(theirs)
    finish("from mad_prefect_core.session import DuckSession; DuckSession()", temporary)
    assert not planted.exists()
    assert (theirs / "rows").read_text() == "only copy"


def test_the_folder_of_a_process_that_lives_is_kept(tmp_path: Path) -> None:
    code = """
import sys
from mad_prefect_core.session import DuckSession
from mad_prefect_core.temporary_folders import process_folder
DuckSession()
print(process_folder(), flush=True)
sys.stdin.readline()
"""
    alive = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert alive.stdout is not None
    folder = Path(alive.stdout.readline().strip())
    finish("from mad_prefect_core.session import DuckSession; DuckSession()", tmp_path)
    assert folder.is_dir()
    alive.communicate("\n", timeout=60)
    assert not folder.exists()


def test_two_databases_of_a_process_do_not_spill_into_one_folder() -> None:
    from mad_prefect_core.session import DuckSession

    folders = set()
    for threads in (None, 1):
        with DuckSession(threads) as session:
            (row,) = session.sql("SELECT current_setting('temp_directory')").fetchall()
            folders.add(row[0])
    assert len(folders) == 2
    assert all(Path(folder).is_relative_to(tempfile.gettempdir()) for folder in folders)


@pytest.mark.parametrize("planted", [False, True])
def test_a_process_whose_folder_was_deleted_goes_on_in_one_of_its_own(tmp_path: Path, planted: bool) -> None:
    """As cleaners of old temporary files do it with those of a process that lives for weeks."""
    code = f"""
import os, shutil
from mad_prefect_core.sdk import StagedUpload
from mad_prefect_core.session import DuckSession
from mad_prefect_core.temporary_folders import process_folder
first = process_folder()
for _ in range(2):
    with DuckSession() as session:
        session.execute("SET memory_limit = '16MB'")
        session.execute("CREATE TEMP TABLE t AS SELECT range AS a, md5(range::VARCHAR) AS b FROM range(800000)")
        assert session.sql("FROM t").count("*").fetchall() == [(800000,)]
    with StagedUpload("x", lambda path: None) as file:
        file.write(b"x")
    shutil.rmtree(first, ignore_errors=True)
    if {planted}:
        os.makedirs(first, mode=0o777, exist_ok=True)
        os.chmod(first, 0o777)
assert process_folder() != first
assert os.stat(process_folder()).st_mode & 0o777 == 0o700
assert not os.path.exists(first) or os.listdir(first) == []
"""
    finish(code, tmp_path)
