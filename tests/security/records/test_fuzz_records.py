"""Any record with anything in it: nothing outside the base is touched, no SQL of it runs, nothing untyped is raised.

`MAD_PREFECT_FAULTS=long pytest tests/security/records/test_fuzz_records.py -s` tries 2,000 records.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from forgery import MARK, SUFFIXES, Canary, Stored
from hypothesis import given, settings
from hypothesis import strategies as st
from test_forged_records import SQL, elsewhere, outcome, uses

from mad_prefect_core.runs.lease import Lease

EXAMPLES = 2000 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 80
KINDS = ("manifest", "metadata", "lease", "history")

odd_text = st.text(st.characters(codec=None), max_size=40)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63), 10**400, 1e308, float("nan"), float("inf")]),
    st.floats(),
    odd_text,
    st.sampled_from([
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", "NaN", "1e400", "-1",
        "\x1b[31m", "\ud800", "a/b", "..", ".", "/", "*", "x" * 300, "'; DROP TABLE x", "{x}", "}", "0" * 32,
        "9" * 5000,
    ]),
    st.lists(odd_text, max_size=3),
    st.dictionaries(odd_text, odd_text, max_size=3),
)  # fmt: skip


def places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a record, as keys and indexes."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from places(value, (*at, key))


def put(data: Any, at: tuple[Any, ...], value: Any) -> None:
    for key in at[:-1]:
        data = data[key]
    data[at[-1]] = value


@st.composite
def forgeries(draw: st.DrawFn) -> Callable[[str, bytes, Stored, Canary, str], bytes]:
    """What a hostile writer makes of a record: other values at some places, or other bytes altogether."""
    how = draw(st.sampled_from(["values", "values", "values", "paths", "paths", "types", "bytes", "shape"]))
    picks = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
    drawn = [draw(values) for _ in picks]
    cut = draw(st.integers(0, 10**4))
    raw = draw(st.one_of(st.binary(max_size=50), st.sampled_from([
        b"", b"{}", b"[]", b"null", b"0", b'"x"', b"[" * 10_000, b'{"a":' * 10_000, b"\xff\xfe",
        b'{"data": 5}', b"\0" * 99,
    ])))  # fmt: skip

    def forge(kind: str, data: bytes, stored: Stored, canary: Canary, suffix: str) -> bytes:
        if how == "bytes":
            return raw
        if how == "shape":
            return data[: cut % (len(data) + 1)] + raw
        record = json.loads(data)
        paths = elsewhere(canary, suffix)
        for pick, value in zip(picks, drawn, strict=True):
            known = list(places(record))
            if how == "values":
                put(record, known[pick % len(known)], value)
            elif how == "paths":
                texts = [at for at in known if any(word in str(at) for word in ("path", "file", "folder", "id", "run"))]
                path = paths[pick % len(paths)]
                put(record, texts[(pick // 7) % len(texts)], [path] if pick % 5 == 0 else path)
            elif columns := [at for at in known if len(at) > 1 and at[-2] in ("columns", "write", "nulls")]:
                put(record, columns[pick % len(columns)], SQL[pick % len(SQL)].format(canary=canary.folder))
            elif known:
                put(record, known[pick % len(known)], SQL[pick % len(SQL)].format(canary=canary.folder))
        return json.dumps(record).encode()

    return forge


@pytest.mark.faults
def test_s49_whatever_a_record_says_nothing_outside_is_touched_and_nothing_in_it_runs(
    stored_runs: Callable[[str], Stored],
    canary: Canary,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A lease that says that somebody far away holds it is waited for: not here.
    monkeypatch.setattr(Lease, "_has_stood_still", lambda *_: True)
    tried = 0

    @settings(max_examples=EXAMPLES)
    @given(
        kind=st.sampled_from(KINDS),
        suffix=st.sampled_from(SUFFIXES),
        forge=forgeries(),
        also=st.none() | forgeries(),
        names=st.lists(
            st.sampled_from(["query", "history", "version", "rollback", "sweep", "prune", "call"]),
            min_size=1, max_size=3, unique=True,
        ),
    )  # fmt: skip
    def attack(kind: str, suffix: str, forge: Any, also: Any, names: list[str]) -> None:
        nonlocal tried
        tried += 1
        stored = stored_runs(suffix)
        # The record of the oldest run, which is history; sometimes that of the current one too.
        for change, run in ((forge, stored.runs[0]), (also, stored.runs[-1])):
            if change is forge or (change is not None and kind == "metadata"):
                path = stored.record(kind, run)
                path.write_bytes(change(kind, path.read_bytes(), stored, canary, suffix))
        with canary.watched():
            for name in names:
                told = outcome(uses(stored)[name])
                assert MARK not in told
                assert "sql-ran" not in told
        printed = "".join(capsys.readouterr())
        assert MARK not in printed
        assert "sql-ran" not in printed

    attack()
    with capsys.disabled():
        print(f"\nforged records: trials={tried} violations=0")
