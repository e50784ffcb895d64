"""What is shown while a file is read before a run, and at the end of one that had nothing to do."""

import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bulk_cli import Bulk, ids_of

from thredfi_async.cli.bulk import looking as module
from thredfi_async.cli.bulk.looking import looking
from thredfi_async.cli.output import Output
from thredfi_async.cli.session import Session
from thredfi_async.mock_server import MockServer, SeededCustomer


@pytest.fixture
def two(server: MockServer) -> list[SeededCustomer]:
    """Two customers, in a file."""
    found = list(server.customers[:2])
    ids_of("a.csv", found)
    return found


def test_a_person_sees_that_a_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, it is said when it takes long, and the command goes on."""
    said, told = threading.Event(), list[str]()

    def tell(text: str) -> None:
        told.append(text)
        said.set()

    monkeypatch.setattr(module, "tell", tell)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    session = Session(out=Output(json=False))
    with looking(session, "a.csv"):
        assert said.wait(30)
        assert session.interrupted == "Interrupted while the file was read; nothing was sent."
    assert (told, session.interrupted) == (["Reading a.csv ..."], "Interrupted.")


@pytest.mark.parametrize("json", [True, False])
def test_nothing_is_shown_where_no_one_looks(monkeypatch: pytest.MonkeyPatch, json: bool) -> None:
    """Neither a file nor a machine gets it."""
    timers = list[Any]()
    monkeypatch.setattr(threading.Timer, "start", timers.append)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: json, raising=False)
    with looking(Session(out=Output(json=json)), "a.csv", journal=True):
        assert timers == []


def test_other_text_is_not_called_utf_8(bulk: Bulk, two: list[SeededCustomer]) -> None:
    """Where ids alone are taken, the rest may be in any encoding, and `check` says what is true."""
    text = Path("a.csv").read_text("utf-8").splitlines()
    lines = [f"{line},Stra\N{LATIN SMALL LETTER SHARP S}e" for line in text]
    Path("a.csv").write_bytes("\n".join(lines).encode("cp1252"))
    told = bulk("check", "a.csv", "--ids-only")
    assert re.search(r"a\.csv: csv, not UTF-8, .*; other columns are not read", told.out.replace("\n", " "))
    assert bulk("check", "a.csv", "--ids-only", "--json").json[0]["encoding"] is None


@pytest.mark.usefixtures("two")
def test_a_run_that_had_nothing_to_do(bulk: Bulk) -> None:
    """It says so, offers the page, and leaves the end of the run where it was."""
    first = bulk("archive", "a.csv", "--journal", "run.db")
    assert first.commands == ["thredfi bulk report run.db --html report.html"]
    before = bulk("report", "run.db", "--json").json[0]["run"]
    again = bulk("archive", "a.csv", "--journal", "run.db")
    assert "Nothing is left to archive at" in again.err
    assert bulk("report", "run.db", "--json").json[0]["run"].get("finished_at") == before.get("finished_at")
    assert first.type(first.commands[0]).commands == []


@pytest.mark.usefixtures("two")
def test_how_many_a_list_has(bulk: Bulk) -> None:
    """An empty list is told from one that lists customers."""
    bulk("archive", "a.csv", "--journal", "run.db")
    assert "Written: left.csv (0 customers)" in bulk("report", "run.db", "--not-archived", "left.csv").out
