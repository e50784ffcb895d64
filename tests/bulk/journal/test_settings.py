"""The journal keeps how fast a run goes, and on which line of the source each item stands."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest
from bulk_api import Api, item, refusal
from bulk_journals import write_journal

from thredfi_async.bulk import ArchiveItem, Journal, JournalError, RunSettings, StopPolicy, archive_many, read_journal
from thredfi_async.bulk.readers import open_source
from thredfi_async.bulk.report import write_not_archived_csv

SETTINGS = RunSettings(rate=50.0, concurrency=20, outage_timeout=90, timeouts={"read": 30.0, "deadline": None})


def test_settings_come_back(tmp_path: Path) -> None:
    """What a run keeps, its journal gives back, to its writer and to a reader; a new one has none."""
    with Journal.open(tmp_path / "run.db") as journal:
        assert journal.settings == RunSettings()
        journal.keep(SETTINGS)
        assert journal.settings == SETTINGS
    with read_journal(tmp_path / "run.db") as view:
        assert view.settings == SETTINGS


@pytest.mark.parametrize(
    "fact",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": 3}),
        json.dumps({"rate": "fast", "concurrency": 2, "outage_timeout": 3, "timeouts": {}}),
        json.dumps({"rate": True, "concurrency": 2, "outage_timeout": 3, "timeouts": {}}),
        json.dumps({"rate": 0, "concurrency": 2, "outage_timeout": 3, "timeouts": {}}),
        json.dumps({"rate": 1, "concurrency": 0, "outage_timeout": 3, "timeouts": {}}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": -1, "timeouts": {}}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": 3, "timeouts": {"deadline": 0}}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": 3, "timeouts": {"other": 1}}),
        json.dumps({"rate": -1, "concurrency": 2, "outage_timeout": 3, "timeouts": {}}),
        json.dumps({"rate": 1, "concurrency": 2.5, "outage_timeout": 3, "timeouts": {}}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": float("nan"), "timeouts": {}}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": 3, "timeouts": []}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": 3, "timeouts": {"read": "30"}}),
        json.dumps({"rate": 1, "concurrency": 2, "outage_timeout": 3, "timeouts": {}, "more": 1}),
    ],
)
def test_settings_that_no_run_writes(tmp_path: Path, fact: str) -> None:
    """A journal with other settings is refused in a sentence that names them."""
    path = write_journal(tmp_path / "run.db", [], run={"id": "00000000-0000-0000-0000-000000000001", "settings": fact})
    for opens in (read_journal, Journal.open):
        with pytest.raises(JournalError, match="its fact settings is wrong"):
            opens(path)


async def test_a_run_in_python_keeps_them(tmp_path: Path) -> None:
    """A run whose journal is a path writes its settings at its start."""
    path = tmp_path / "run.db"
    run = archive_many(Api(), [item(1)], journal=path, concurrency=3, stop=StopPolicy(outage_timeout=7.0))
    async for _ in run:
        with read_journal(path) as view:
            assert view.settings == RunSettings(concurrency=3, outage_timeout=7.0)


async def test_lines_of_the_source(tmp_path: Path) -> None:
    """The journal and its CSV name an item's line of the file, past the header, blank and invalid lines."""
    ids = [(str(each.business_id), str(each.customer_id)) for each in (item(1), item(2), item(3))]
    rows = ["business_id,customer_id", ",".join(ids[0]), "", "no,id", ",".join(ids[1]), ",".join(ids[2])]
    source = tmp_path / "customers.csv"
    source.write_text("\n".join(rows), "utf-8")
    refused = Api(lambda _, __: refusal(404, "not_found"))
    results = [each async for each in archive_many(refused, open_source(source), journal=tmp_path / "run.db")]
    assert sorted(each.item.line or 0 for each in results) == [2, 5, 6]
    text = io.StringIO(newline="")
    with read_journal(tmp_path / "run.db") as view:
        assert [(each.line, each.place, each.position) for each in view.not_archived()] == [
            (2, 2, 0),
            (5, 5, 1),
            (6, 6, 2),
        ]
        write_not_archived_csv(view, text)
    assert [row["line"] for row in csv.DictReader(io.StringIO(text.getvalue(), newline=""))] == ["2", "5", "6"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
async def test_lines_and_rows_of_other_formats(tmp_path: Path, suffix: str) -> None:
    """JSON Lines count lines, blank ones too; Parquet counts rows."""
    records = [
        {"business_id": str(each.business_id), "customer_id": str(each.customer_id)} for each in map(item, (1, 2))
    ]
    source = tmp_path / f"customers.{suffix}"
    if suffix == "jsonl":
        source.write_text("\n\n".join(map(json.dumps, records)), "utf-8")
    else:
        pa, pq = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
        pq.write_table(pa.Table.from_pylist(records), source)
    assert [each.line for each in open_source(source)] == ([1, 3] if suffix == "jsonl" else [1, 2])


async def test_items_without_lines_have_places(tmp_path: Path) -> None:
    """Where the source has no lines, an item's place is counted from 1; one that has lost its place has none."""
    path = tmp_path / "run.db"
    refused = Api(lambda _, __: refusal(404, "not_found"))
    async for _ in archive_many(refused, [item(1), item(2)], journal=path):
        pass
    async for _ in archive_many(refused, [item(3)], journal=path):
        pass
    with read_journal(path) as view:
        assert [(each.line, each.position, each.place) for each in view.not_archived()] == [
            (None, -1, None),
            (None, 0, 1),
            (None, 1, 2),
        ]


def test_a_line_is_no_part_of_an_item(tmp_path: Path) -> None:
    """Items are the same wherever they stand, and a line that an item keeps survives a changed input."""
    other = ArchiveItem(item(1).business_id, item(1).customer_id, line=7)
    assert (other, hash(other)) == (item(1), hash(item(1)))
    with Journal.open(tmp_path / "run.db") as journal, journal.transaction() as store:
        store.admit(0, [bytes(32)], [2])
        store.admit(0, [bytes([1]) * 32], [3])
        rows = journal._connection.execute("SELECT position, line FROM items ORDER BY position").fetchall()
    assert rows == [(-1, 3), (0, 2)]


def test_an_sqlite_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made or read, a sentence says which SQLite is needed, which is there, and what to do."""
    path = tmp_path / "run.db"
    Journal.open(path).close()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    for attempt in (lambda: Journal.open(tmp_path / "new.db"), lambda: Journal.open(path), lambda: read_journal(path)):
        with pytest.raises(JournalError, match=r"needs SQLite 3\.37 or newer, and this Python has 3\.34\.1: use a "):
            attempt()
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 0))
    Journal.open(path).close()
