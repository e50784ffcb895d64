"""Journals that are not simply ours, as a user meets them: warned of, refused, or told which files belong together."""

import contextlib
import functools
import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest
from bulk_journals import RUN, write_journal

from thredfi_async.bulk import Journal
from thredfi_async.cli import main
from thredfi_async.mock_server import MockServer

Capture = pytest.CaptureFixture[str]
ENDLESS = (
    "DROP TABLE items; CREATE VIEW items AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n"
)
NO_ONE = "11111111-1111-4111-8111-111111111111"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no modes there")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no setting but its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("TOKEN", "PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)


@pytest.fixture
def server(thredfi_mock_server: MockServer, monkeypatch: pytest.MonkeyPatch) -> MockServer:
    """A mock server that the environment points at."""
    monkeypatch.setenv("THREDFI_BASE_URL", thredfi_mock_server.url)
    monkeypatch.setenv("THREDFI_PARTNER_UUID", thredfi_mock_server.partner_uuid)
    monkeypatch.setenv("THREDFI_API_KEY", thredfi_mock_server.api_key)
    return thredfi_mock_server


def source(path: Path, server: MockServer, *more: str) -> Path:
    """Write a file that lists two customers, and lines that are none."""
    lines = ["business_id,customer_id", *(f"{each.business_id},{each.customer_id}" for each in server.customers[:2])]
    path.write_text("\n".join([*lines, *more]) + "\n", "utf-8")
    return path


def begun(path: str, **facts: str) -> Path:
    """Write the journal of a run that was interrupted."""
    run = {name: fact for name, fact in RUN.items() if name not in {"finished_at", "source_path"}}
    return write_journal(Path(path), [], run={**run, **facts})


# -- other users


@POSIX
def test_a_journal_that_others_can_write(server: MockServer, capsys: Capture) -> None:
    """`status` and `report` read it with a line of warning; what would write it refuses it, and sends nothing."""
    source(Path("a.csv"), server)
    begun("run.db", source_path=str(Path("a.csv").absolute()))
    Path("run.db").chmod(0o622)
    for command in ("status", "report"):
        for more in ([], ["--json"]):
            assert main(["bulk", command, "run.db", *more]) == 0
            out, err = capsys.readouterr()
            assert err.startswith("warning: ")
            assert err.endswith(
                "run.db can be written by other users; what this journal says may be somebody else's doing\n"
            )
            assert out
    for argv in (["resume", "run.db"], ["settle", "run.db"], ["archive", "a.csv", "--journal", "run.db"]):
        assert main(["bulk", *argv]) == 2
        assert "run.db can be written by other users" in capsys.readouterr().err
    assert server.requests.totals.total() == 0
    Path("run.db").chmod(0o600)
    assert main(["bulk", "status", "run.db"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["status", "report", "resume", "settle"])
@pytest.mark.parametrize(
    "change",
    [
        ENDLESS,
        "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM items; END",
        "UPDATE run SET value = 'nonsense' WHERE key = 'id'",
        "PRAGMA user_version = 1",
    ],
)
def test_a_journal_that_no_run_has_made(server: MockServer, capsys: Capture, change: str, command: str) -> None:
    """A view that never ends, a trigger, wrong facts and another format end every command in one sentence at once."""
    begun("run.db")
    with contextlib.closing(sqlite3.connect("run.db")) as connection:
        connection.executescript(change)
    for more in ([], ["--json"]):
        assert main(["bulk", command, "run.db", *more]) == 2
        out, err = capsys.readouterr()
        said = json.loads(err)["message"] if more else err.partition("\n")[0]
        assert "run.db" in said
        assert "unexpected" not in said
        assert out == ""
    assert server.requests.totals.total() == 0


# -- paths that a journal brings


def test_invalid_lines_go_nowhere_else(server: MockServer, capsys: Capture, tmp_path: Path) -> None:
    """A file in another folder that a journal names is not written unless it is given again; one beside it is."""
    source(Path("a.csv"), server, f"{NO_ONE},x")
    elsewhere = tmp_path / "elsewhere.csv"
    begun("run.db", source_path=str(Path("a.csv").absolute()), invalid_lines_path=str(elsewhere))
    assert main(["bulk", "resume", "run.db"]) == 1
    err = capsys.readouterr().err
    assert f"Invalid lines are not copied: the journal names {elsewhere}, in another folder than its own." in err
    assert not elsewhere.exists()
    begun("two.db", source_path=str(Path("a.csv").absolute()), invalid_lines_path=str(elsewhere))
    assert main(["bulk", "resume", "two.db", "--invalid-lines", str(elsewhere)]) == 1
    assert "not copied" not in capsys.readouterr().err
    assert elsewhere.read_text("utf-8").count("\n") == 2
    beside = Path("bad.csv").absolute()
    begun("three.db", source_path=str(Path("a.csv").absolute()), invalid_lines_path=str(beside))
    assert main(["bulk", "resume", "three.db"]) == 1
    assert f"Invalid lines are copied to {beside}, as the journal says." in capsys.readouterr().err
    assert beside.exists()


@POSIX
def test_a_path_beside_the_journal_that_leads_elsewhere(server: MockServer, capsys: Capture, tmp_path: Path) -> None:
    """A folder or a file that is a link lies where it leads to."""
    source(Path("a.csv"), server, f"{NO_ONE},x")
    (tmp_path / "victim").mkdir()
    Path("link").symlink_to(tmp_path / "victim")
    for path in ("link/x.csv", "../victim/x.csv", "link"):
        Path("run.db").unlink(missing_ok=True)
        begun("run.db", source_path=str(Path("a.csv").absolute()), invalid_lines_path=str(Path(path).absolute()))
        main(["bulk", "resume", "run.db"])
        assert "Invalid lines are not copied" in capsys.readouterr().err
    assert not list((tmp_path / "victim").iterdir())


def test_a_source_elsewhere_has_to_be_the_very_one(server: MockServer, capsys: Capture, tmp_path: Path) -> None:
    """A file in another folder is read if the journal knows its size and hash; else it has to be named."""
    other = source(tmp_path / "other.csv", server)
    begun("run.db", source_path=str(other))
    assert main(["bulk", "resume", "run.db"]) == 2
    err = capsys.readouterr().err
    assert f"run.db names {other} as its source, in another folder, and does not say what was in it." in err
    assert "thredfi bulk resume run.db FILE" in err
    assert server.requests.totals.total() == 0
    assert main(["bulk", "resume", "run.db", str(other)]) == 0
    assert main(["bulk", "archive", str(other), "--journal", "own.db"]) == 0
    assert main(["bulk", "resume", "own.db"]) == 0


# -- copies


def test_the_last_lines_name_the_files_that_belong_together(
    server: MockServer, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends while a program reads its journal says so at the end, and which files to copy."""
    monkeypatch.setattr(Journal, "open", staticmethod(functools.partial(Journal.open, readers_wait=0.0)))
    source(Path("a.csv"), server)
    Journal.open("run.db").close()
    with contextlib.closing(sqlite3.connect("run.db", isolation_level=None)) as browser:
        browser.execute("PRAGMA journal_mode = WAL")  # as a run that was killed leaves it
        browser.execute("BEGIN")
        browser.execute("SELECT count(*) FROM items").fetchall()
        assert main(["bulk", "archive", "a.csv", "--journal", "run.db"]) == 0
        out, err = capsys.readouterr()
    assert out.startswith("Done")
    last = err.splitlines()[-1]
    real = os.path.realpath("run.db")
    assert f"{real} and {real}-wal belong together" in last
    assert "thredfi bulk settle run.db" in last
    assert main(["bulk", "settle", "run.db"]) == 0
    assert "belong together" not in capsys.readouterr().err
    assert sorted(os.listdir()) == ["a.csv", "run.db"]  # noqa: PTH208 - names
