"""What a machine that loses power has of a base afterwards (S51).

The first tests need no rights: they record every fsync, rename and link of a run, and look at each moment at what a
disk may have then. The bytes of a file are certain once it was synced, and a name once its folder was. Until then the
name may be there or not, and the file is empty. The last one takes the power from a real ext4.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataAsset, Retention, asset

# -- the model ---------------------------------------------------------------------------------------------------------

Tree = Mapping[str, bytes]
"""What is below a base, by path."""


def tree_of(base: Path) -> Tree:
    return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}


class Disk:
    """A folder as a disk has it. In the `with` block, `check` is called after each change with what a power cut at
    that moment may leave."""

    def __init__(self, root: Path, check: Callable[[Tree], None]) -> None:
        self.root = root
        self.cuts = 0
        self.broken: list[AssertionError] = []
        self._check = check
        self._bytes: dict[int, bytes] = {}
        """Of the files that were synced, by inode."""
        self._names: dict[int, dict[str, int]] = {root.stat().st_ino: {}}
        """Of the folders that were synced, by inode."""
        self._open = os.open
        self._opened: dict[int, Path] = {}
        self._held: dict[int, int] = {}
        self._chance = random.Random(0)
        self._patches = pytest.MonkeyPatch()

    def __enter__(self) -> Disk:
        for name in ("replace", "rename", "link", "mkdir", "unlink", "remove", "rmdir", "fsync"):
            self._patches.setattr(os, name, self._watched(getattr(os, name), name == "fsync"))
        self._patches.setattr(os, "open", self._watched_open(os.open))
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.undo()
        for descriptor in self._held.values():
            os.close(descriptor)
        if self.broken:
            raise self.broken[0]

    def _watched(self, call: Callable[..., Any], syncs: bool) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if syncs:
                self._note(args[0])
            self.cut()
            return result

        return watched

    def _watched_open(self, call: Callable[..., int]) -> Callable[..., int]:
        def watched(path: Any, *args: Any, **kwargs: Any) -> int:
            descriptor = call(path, *args, **kwargs)
            self._opened[descriptor] = Path(path)
            return descriptor

        return watched

    def _note(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        path = self._opened[descriptor]
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = {name: (path / name).lstat().st_ino for name in os.listdir(path)}
        else:
            self._bytes[found.st_ino] = path.read_bytes()

    def cut(self) -> None:
        """Take the power: with no more than what was synced, with all names there are, and with some of them."""
        now = {Path(folder).stat().st_ino: folder for folder, _, _ in os.walk(self.root)}
        there = {ino: {name: Path(at, name).lstat().st_ino for name in os.listdir(at)} for ino, at in now.items()}
        for at, names in there.items():
            for name, inode in names.items():
                self._hold(os.path.join(now[at], name), inode)
        self.cuts += 1
        for newer in (frozenset(), frozenset(now), frozenset(ino for ino in now if self._chance.random() < 0.5)):
            try:
                self._check(dict(self._left(self.root.stat().st_ino, "", there, newer)))
            except AssertionError as broken:
                self.broken.append(broken)  # the run itself may take what is raised in it for a fault of its own

    def _hold(self, path: str, inode: int) -> None:
        """Keep the number of an inode from being given to another file."""
        if inode not in self._held:
            with contextlib.suppress(FileNotFoundError):
                self._held[inode] = self._open(path, os.O_RDONLY)

    def _left(
        self, folder: int, path: str, there: Mapping[int, dict[str, int]], newer: frozenset[int]
    ) -> Iterator[tuple[str, bytes]]:
        names = there[folder] if folder in newer and folder in there else self._names.get(folder, {})
        for name, child in names.items():
            if child in there or child in self._names:
                yield from self._left(child, f"{path}{name}/", there, newer)
            else:
                yield f"{path}{name}", self._bytes.get(child, b"")


# -- what is promised --------------------------------------------------------------------------------------------------


class Promises:
    """What must be true of the base of one asset after a power cut."""

    def __init__(self, asset_id: str, *, prunes: bool = False) -> None:
        self._prunes = prunes
        self._folder = f"metadata/asset_name=x/asset_id={asset_id}"
        self.published: list[str] = []
        """The runs that a caller was told of."""

    def hold(self, tree: Tree) -> None:
        """Raise `AssertionError` for a promise that is broken."""
        for path, data in tree.items():
            if path.startswith("metadata/") and path.endswith((".json", "_secret_key")):
                assert data, f"{path} is empty"
        manifest = self._read(tree, "manifest.json")
        if manifest is None:
            assert not self.published, "a run was published, and there is no manifest"
            return
        # Of the runs before that one, those that are no history are being swept.
        runs = [manifest["last_run"]["id"], *manifest["superseded"][-1:]]
        history = [run["id"] for run in (self._read(tree, "history.json") or {"runs": []})["runs"]]
        known = (*runs, *manifest["superseded"], *history)
        assert not self.published or self.published[-1] in known, "the last published run is not known any more"
        shown: dict[str, set[str]] = {}
        for run in (*runs, *history):
            self._hold_run(tree, run, shown, pruned=self._prunes and run in history)
        for path, digests in shown.items():
            if self.published:
                assert path in tree, f"{path} is gone"
            if path in tree:
                assert hashlib.sha256(tree[path]).hexdigest() in digests, f"{path} is not whole"

    def _hold_run(self, tree: Tree, run: str, shown: dict[str, set[str]], *, pruned: bool) -> None:
        record = self._read(tree, f"asset_run_id={run}/metadata.json")
        assert record is not None, f"the record of {run} is gone"
        for result in record["data"]["results"]:
            shown.setdefault(result["path"], set()).add(result["sha256"])
        promised = {result["file"]: result["sha256"] for result in record["data"]["results"]}
        if record["data"]["keeps_fragments"]:
            promised |= {each["path"]: each["sha256"] for each in record["data"]["fragments"]}
        for path, digest in promised.items():
            if pruned and path not in tree:
                continue
            assert path in tree, f"{path} of {run} is gone"
            assert hashlib.sha256(tree[path]).hexdigest() == digest, f"{path} of {run} has {len(tree[path])} bytes"

    def _read(self, tree: Tree, name: str) -> Any:
        data = tree.get(f"{self._folder}/{name}")
        return None if data is None else json.loads(data)


def make(path: str, value: Callable[[], int], **options: Any) -> DataAsset[..., Any]:
    @asset(path, name="x", **options)
    def x() -> Iterator[Any]:
        for page in range(3):
            yield [{"n": value(), "page": page}]

    return x


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("deep/er/x.parquet|csv", {}),
        ("deep/er/x.parquet", {"snapshot_artifacts": True}),
        ("x.csv", {"snapshot_artifacts": True, "artifacts_dir": "pages/of/x", "artifact_filetype": "parquet"}),
        ("x.json|csv", {"snapshot_artifacts": True, "retention": Retention(keep_last=2)}),
        ("x.json", {"retention": Retention(keep_last=3)}),
    ],
    ids=["a result", "snapshots", "snapshots elsewhere", "snapshots with retention", "retention"],
)
def test_s51_a_power_cut_at_any_moment_takes_nothing_that_a_record_promises(
    base: Path, monkeypatch: pytest.MonkeyPatch, path: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("ASSET_METADATA_LOCATION", "metadata")
    values = iter(range(100))
    made = make(path, lambda: next(values), **options)
    promises = Promises(made.id, prunes="retention" in options)
    with Disk(base, promises.hold) as disk:
        for _ in range(4):
            promises.published.append(str(made.call_sync().run.id))
            disk.cut()
    assert disk.cuts > 100


async def test_s51_a_pin_and_a_rollback_outlive_a_power_cut(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSET_METADATA_LOCATION", "metadata")
    values = iter(range(100))
    made = make("x.parquet", lambda: next(values), snapshot_artifacts=True)
    promises = Promises(made.id)
    with Disk(base, promises.hold) as disk:
        first = str((await made()).run.id)
        promises.published.append(str((await made()).run.id))
        await made.pin("first", first)
        disk.cut()
        promises.published.append(str((await made.rollback(first)).id))
        disk.cut()


# -- a real disk -------------------------------------------------------------------------------------------------------

WRITER = """
from mad_prefect_core import asset

@asset("x.parquet", name="x", snapshot_artifacts=True)
def x():
    for page in range(20):
        yield [{"n": page, "text": "x" * 100} for _ in range(50)]

print(x.id, flush=True)
while True:
    print(x.call_sync().run.id, flush=True)
"""


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An ext4 that keeps what was not synced for five minutes, and the image that it is on."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount an image, on Linux, and mkfs.ext4 must be there")
    memory = Path("/dev/shm")  # an image on a disk would wait for that disk
    image = Path(memory if memory.is_dir() else tmp_path, f"mad-prefect-power-{os.getpid()}.ext4")
    with contextlib.ExitStack() as stack:
        stack.callback(image.unlink, missing_ok=True)
        with image.open("xb") as file:
            file.truncate(48 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        at = tmp_path / "disk"
        stack.enter_context(mounted(image, at, "loop,commit=300"))
        yield image, at


@contextlib.contextmanager
def mounted(image: Path, at: Path, options: str) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    tried = subprocess.run(["mount", "-o", options, str(image), str(at)], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"loop devices can't be mounted here: {tried.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def test_s51_an_ext4_that_loses_power_at_a_random_moment_has_all_that_was_promised(
    ext4: tuple[Path, Path], tmp_path: Path
) -> None:
    image, disk = ext4
    chance = random.Random(0)
    copy = image.with_suffix(".copy")
    environment = {**os.environ, "FILESYSTEM_URL": f"file://{disk}/base", "ASSET_METADATA_LOCATION": "metadata"}
    with contextlib.ExitStack() as stack:
        stack.callback(copy.unlink, missing_ok=True)
        writer = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", WRITER], env=environment, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(writer.kill)
        assert writer.stdout is not None
        promises = Promises(writer.stdout.readline().strip())
        for _ in range(20 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 4):
            promises.published.append(writer.stdout.readline().strip())
            time.sleep(chance.random() / 5)  # the moment
            os.kill(writer.pid, signal.SIGSTOP)
            os.waitpid(writer.pid, os.WUNTRACED)  # a call of the system's that it was in is over, too
            shutil.copyfile(image, copy)
            with mounted(copy, tmp_path / "after", "loop"):
                promises.hold(tree_of(tmp_path / "after" / "base"))
            os.kill(writer.pid, signal.SIGCONT)
