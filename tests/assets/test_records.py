"""What is kept: run records and manifests at the places and with the fields of 2.x, snapshots, several results."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_csv import ReadCSVOptions

RUN_FIELDS = {
    "id",
    "runtime",
    "materialized",
    "duration_miliseconds",
    "asset_id",
    "asset_name",
    "asset_path",
    "parameters",
}
MANIFEST_FIELDS = {
    "manifest_version", "asset_name", "asset_id", "asset_signature", "last_materialized", "last_run", "last_status",
    "last_error", "last_artifacts", "updated_at",
}  # fmt: skip


def _data(path: Path) -> dict[str, Any]:
    read = json.loads(path.read_text())
    return read.get("data", read)


async def test_records_and_manifests_are_at_the_places_and_have_the_fields_of_2x(base: Path) -> None:
    @asset("bronze/x.json|csv", name="x y")
    def x(n: int, when: dt.date) -> Any:
        return [{"n": n}]

    bound = x.with_arguments(3, dt.date(2020, 1, 1))
    await bound()
    folder = base / f"_asset_metadata/asset_name=x_y/asset_id={bound.id}"
    manifest = _data(folder / "manifest.json")
    assert manifest.keys() >= MANIFEST_FIELDS
    assert (manifest["asset_name"], manifest["asset_id"], manifest["last_status"]) == ("x_y", bound.id, "success")
    assert manifest["last_artifacts"] == ["bronze/x.json", "bronze/x.csv"]
    run_id = manifest["last_run"]["id"]
    record_path = folder / f"asset_run_id={run_id}/metadata.json"
    assert manifest["last_run"]["metadata_path"] == str(record_path.relative_to(base))
    record = _data(record_path)
    assert record.keys() >= RUN_FIELDS
    assert (record["id"], record["asset_id"], record["asset_name"]) == (run_id, bound.id, "x_y")
    assert record["asset_path"] == "bronze/x.json"
    assert json.loads(record["parameters"]).keys() == {"n", "when"}
    assert (record["status"], record["rows"]) == ("success", 1)
    started, ended = (dt.datetime.fromisoformat(record[key]) for key in ("runtime", "materialized"))
    assert started.tzinfo is not None
    assert started <= ended
    assert record["duration_miliseconds"] == pytest.approx((ended - started).total_seconds() * 1000, abs=2)


async def test_the_metadata_location_is_what_the_environment_says(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSET_METADATA_LOCATION", "meta/data")

    @asset("x.json")
    def x() -> Any:
        return [{"n": 1}]

    await x()
    assert list((base / "meta/data").glob("asset_name=*/asset_id=*/manifest.json"))
    assert not (base / "_asset_metadata").exists()


async def test_the_several_results_of_a_run_are_one_runs_rows(base: Path) -> None:
    n = 0

    @asset("x.json|parquet|csv")
    def x() -> Any:
        nonlocal n
        n += 1
        return [{"n": n, "i": i} for i in range(3)]

    for _ in range(3):
        await x()
        assert [
            (await DataArtifact(f"x.{s}").query("SELECT DISTINCT n FROM data")).fetchall()
            for s in ("json", "parquet", "csv")
        ] == [[(n,)]] * 3
    [manifest] = base.rglob("manifest.json")
    assert [result["path"] for result in _data(manifest)["results"]] == ["x.json", "x.parquet", "x.csv"]


async def test_snapshots_keep_the_fragments_of_every_run_and_no_snapshots_only_those_of_the_last(base: Path) -> None:
    for keep in (True, False):

        @asset("x.parquet", name=f"x{keep}", artifacts_dir=f"raw{keep}", snapshot_artifacts=keep)
        def x(n: int) -> Any:
            yield [{"n": n}]
            yield [{"n": n}]

        for n in range(3):
            await x(n)
        x_again = x.with_arguments(2)
        for _ in range(2):
            await x_again()
        fragments = sorted((base / f"raw{keep}").rglob("fragment=*.json"))
        assert len(fragments) == (10 if keep else 6)  # without snapshots: the last run's of each argument
    history = duckdb.sql(
        f"SELECT DISTINCT year, month, day FROM read_json('{base}/rawTrue/**/*.json', hive_partitioning=true)"
    )
    now = dt.datetime.now(dt.UTC)
    assert history.fetchall() == [(now.year, now.month, now.day)]


async def test_a_result_of_other_code_at_the_path_is_replaced_whole(base: Path) -> None:
    (base / "x.json").write_text('[{"old": 1}]')

    @asset("x.json")
    def x() -> Any:
        return [{"new": 1}]

    await x()
    assert (base / "x.json").read_text() == '{"new":1}\n'


async def test_an_unreadable_manifest_costs_a_run_and_nothing_else(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @asset("x.json")
    def x() -> Any:
        return [{"n": 1}]

    await x()
    [manifest] = base.rglob("manifest.json")
    whole = manifest.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        manifest.write_bytes(whole[:length])
        assert (await x.cache_first().query()).fetchall() == [(1,)]
        assert str(manifest.relative_to(base)) in caplog.text
        assert _data(manifest)["last_status"] == "success"


async def test_real_files_that_nobody_here_wrote_read_as_duckdb_reads_them(
    base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{corpus}")
    for name in ("userdata", "csv", "parquet"):
        for path in sorted((corpus / name).iterdir()):
            if path.suffix not in (".csv", ".parquet") or path.name.startswith("large_string_map"):
                continue  # two rows of a gigabyte each are another test's
            try:
                # Of CSV the text is compared: its types are found by a rule of our own.
                source = (
                    f"read_csv('{path}', all_varchar = true, allow_quoted_nulls = false)"
                    if path.suffix == ".csv"
                    else f"'{path}'"
                )
                expected = duckdb.connect().sql(f"FROM {source}").fetchall()
            except (duckdb.Error, ValueError):
                expected = None  # the file is one of those that are broken
            try:
                relation = await DataArtifact(
                    str(path.relative_to(corpus)), read_csv_options=ReadCSVOptions(all_varchar=True)
                ).query()
                assert relation is not None
                rows = relation.fetchall()
            except MadPrefectError as error:
                assert path.name in str(error)  # noqa: PT017  both outcomes are right
                continue
            assert rows == expected or repr(rows) == repr(expected), path.name  # nan is not equal to itself


async def test_files_that_are_not_what_their_suffix_says_are_errors_that_name_them(base: Path, corpus: Path) -> None:
    for path in sorted((corpus / "parquet-bad").iterdir()):
        if path.suffix != ".parquet":
            continue
        (base / path.name).write_bytes(path.read_bytes())
        try:
            relation = await DataArtifact(path.name).query()
            assert relation is not None
            relation.fetchall()
        except MadPrefectError as error:
            assert path.name in str(error)  # noqa: PT017  both outcomes are right
    for name in ("x.json", "x.parquet", "x.csv.gz"):
        (base / name).write_bytes(b"\x00\x01{not a file of any kind")
        with pytest.raises(MadPrefectError, match=name.replace(".", r"\.")):
            (await DataArtifact(name).query()).fetchall()
        assert (base / name).read_bytes() == b"\x00\x01{not a file of any kind"


async def test_a_record_tells_of_every_file_and_column_and_of_who_wrote_them(base: Path) -> None:
    @asset("x.parquet|csv", artifact_filetype="json")
    def x(token: SecretStr) -> Any:
        yield [{"n": 1, "t": "a"}, {"n": None, "t": None}]
        yield [{"n": 3, "t": "b"}]

    artifact = await x(SecretStr("hunter2 hunter2"))
    [path] = base.rglob("asset_run_id=*/metadata.json")
    record = _data(path)
    for fragment in record["fragments"]:
        stored = (base / fragment["path"]).read_bytes()
        assert (fragment["size"], fragment["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
        assert fragment["columns"] == {"n": "BIGINT", "t": "VARCHAR"}
    for result in record["results"]:
        stored = (base / result["path"]).read_bytes()
        assert (result["size"], result["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
        assert result["nulls"] == {"n": 1, "t": 1}
        assert result["columns"] == {"n": "BIGINT", "t": "VARCHAR"}
    wrote = {"mad-prefect-core", "mad-prefect-csv", "mad-prefect-json", "mad-prefect-local", "mad-prefect-parquet"}
    assert record["versions"].keys() == wrote
    assert "hunter2" not in path.read_text()
    digest = json.loads(record["parameters"])["token"]
    assert re.fullmatch(r"\*{10} [0-9a-f]{16}", digest)
    await x(SecretStr("hunter2 hunter2"))
    await x(SecretStr("another"))
    told = [json.loads(_data(path)["parameters"])["token"] for path in base.rglob("asset_run_id=*/metadata.json")]
    assert sorted(told.count(each) for each in set(told)) == [1, 2], "equal secrets are known to be equal"
    assert artifact.run.retries is None, "a disk has no requests"
