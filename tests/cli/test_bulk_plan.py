"""What a run says before it starts and why it stopped: every figure is one of this source, in the shell's words."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bulk_cli import Bulk, ids_of

from thredfi_async.bulk import Journal
from thredfi_async.cli.bulk import source as counting
from thredfi_async.mock_server import MockServer

pytestmark = pytest.mark.usefixtures("server")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")


@pytest.fixture
def repeated(bulk: Bulk, server: MockServer) -> list[str]:
    """A file that lists five customers, and three of them again."""
    del bulk
    return ids_of("a.csv", [*server.customers[:5], *server.customers[:3]])


@pytest.mark.usefixtures("repeated")
def test_repeated_lines_are_no_customers(bulk: Bulk) -> None:
    """The plan, the question and the progress count customers; repeated lines are told apart, in a dry run too."""
    for more in (["--dry-run"], []):
        told = bulk("archive", "a.csv", "--journal", "run.db", *more)
        assert "To archive 5 customers at" in told.err
        assert ", 5 customers)" in told.err
        assert "repeated   3 lines; each customer is sent once" in told.err
    plan, *_, summary = bulk("archive", "a.csv", "--journal", "two.db", "--json").json
    assert (plan["lines"], plan["duplicates"], summary["duplicates"]) == (8, 3, 3)


@pytest.mark.usefixtures("repeated")
def test_a_long_file_has_at_most_so_many(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where repeated lines were not looked for, the number is an upper bound, and the journal keeps it as one."""
    monkeypatch.setattr(counting, "_CHECKED", 4)
    assert "To archive at most 8 customers" in bulk("archive", "a.csv", "--journal", "run.db", "--dry-run").err
    assert "To archive at most 8 customers" in bulk("archive", "a.csv", "--journal", "run.db").err
    run = bulk("status", "run.db", "--json").json[0]["run"]
    assert (run["source_records"], run["source_checked"], run["duplicates"]) == (8, False, 3)


@pytest.mark.usefixtures("repeated")
def test_a_run_that_was_cut_off_counts_repeated_lines_once(bulk: Bulk) -> None:
    """A kill before the last figures were written leaves no repeated line that counts as not started."""
    assert bulk("archive", "a.csv", "--journal", "run.db").code == 0
    with closing(sqlite3.connect("run.db")) as connection, connection:
        connection.execute("DELETE FROM run WHERE key = 'finished_at'")
        connection.execute("DELETE FROM items WHERE position = 4")
    assert "Not finished; left: 1 line not started." in bulk("status", "run.db").out
    assert bulk("resume", "run.db").code == 0


def test_as_before_is_said_of_what_is_known(bulk: Bulk, repeated: list[str]) -> None:
    """A journal that keeps no settings says nothing of the pace that its run had."""
    del repeated
    assert bulk("archive", "a.csv", "--journal", "run.db", "--dry-run").code == 0
    bulk("archive", "a.csv", "--journal", "run.db")
    assert ", as before" in bulk("archive", "a.csv", "--journal", "run.db").err
    with closing(sqlite3.connect("run.db")) as connection, connection:
        connection.execute("DELETE FROM run WHERE key = 'settings'")
    assert "as before" not in bulk("archive", "a.csv", "--journal", "run.db").err


def test_too_many_failures_in_the_shells_words(bulk: Bulk, thredfi_mock_server: MockServer) -> None:
    """The limit is named as the option that it is, and contradicts no count; no Python name is shown."""
    (business, *_) = thredfi_mock_server.business_ids
    rows = [f"{business},00000000-0000-4000-8000-{number:012d}" for number in range(12)]
    Path("a.csv").write_text("\n".join(["business_id,customer_id", *rows]) + "\n", "utf-8")
    told = bulk("archive", "a.csv", "--journal", "run.db", "--max-failures", "2", "--concurrency", "6")
    assert told.code == 4
    assert told.out.startswith(
        "Stopped: as many customers were rejected or have failed as --max-failures allows (2); the last one: 404"
    )
    for argv in (["status", "run.db"], ["report", "run.db"]):
        assert told.out.splitlines()[0] in bulk(*argv).out
    assert "StopPolicy" not in told.out + told.err


@POSIX
@pytest.mark.parametrize("kept", [True, False])
def test_a_source_that_is_no_file(bulk: Bulk, repeated: list[str], kept: bool) -> None:
    """A pipe or a device that a journal names is not waited for, nor read, whatever else the journal says of it."""
    del repeated
    assert bulk("archive", "a.csv", "--journal", "run.db").code == 0
    os.mkfifo("pipe.csv")
    for path, code in ((Path("pipe.csv").absolute(), 2), (Path("/dev/zero"), 2), (Path("/dev/null"), 2)):
        with closing(sqlite3.connect("run.db")) as connection, connection:
            connection.execute("UPDATE run SET value = ? WHERE key = 'source_path'", (str(path),))
            connection.execute("UPDATE items SET state = 'failed' WHERE position = 0")
            if not kept:
                connection.execute("DELETE FROM run WHERE key IN ('source_size', 'source_sha256')")
        told = bulk("resume", "run.db")
        assert told.code == code
        assert "a pipe or a device" in told.err or "does not say what was in it" in told.err
    # Who names it anew may name a pipe.
    Path("b.csv").write_bytes(Path("a.csv").read_bytes())
    assert bulk("resume", "run.db", "b.csv").code == 0


def test_a_file_that_is_another_is_not_read(bulk: Bulk, repeated: list[str]) -> None:
    """A journal that names some other file learns nothing of it but its size."""
    del repeated
    assert bulk("archive", "a.csv", "--journal", "run.db").code == 0
    Path("secret.csv").write_text("root:x:0:0\n", "utf-8")
    with Journal.open("run.db") as journal:
        journal.describe(source_path=str(Path("secret.csv").absolute()))
    with closing(sqlite3.connect("run.db")) as connection, connection:
        connection.execute("UPDATE items SET state = 'failed' WHERE position = 0")
    told = bulk("resume", "run.db")
    assert (told.code, told.out) == (2, "")
    assert "secret.csv is not the file that this run was begun with: it had " in told.err
    assert "root:" not in told.err


def test_nothing_is_left(bulk: Bulk, repeated: list[str]) -> None:
    """A run at its end is not read again; one that has lost an item since goes on with that."""
    del repeated
    assert bulk("archive", "a.csv", "--journal", "run.db").code == 0
    Path("a.csv").rename("gone.csv")
    assert bulk("resume", "run.db").out.startswith("Done: every customer is archived.")
    Path("gone.csv").rename("a.csv")
    with closing(sqlite3.connect("run.db")) as connection, connection:
        connection.execute("DELETE FROM items WHERE position = 2")
    assert "Not finished; left: 1 line not started." in bulk("status", "run.db").out
    told = bulk("resume", "run.db")
    assert told.code == 0
    assert "1 archived already" in told.out


@POSIX
def test_a_name_that_is_no_text(bulk: Bulk, repeated: list[str]) -> None:
    """A source, a copy of invalid lines and a journal may have a name that is not UTF-8, and are found again."""
    Path("kund\udce4.csv").write_text("\n".join([*repeated, "x,y"]) + "\n", "utf-8")
    told = bulk("archive", "kund\udce4.csv", "--journal", "run.db", "--invalid-lines", "bad\udce4.csv")
    assert (told.code, Path("bad\udce4.csv").exists()) == (1, True)
    # The copy is what a person is sent to, and it is there.
    assert any("bad\\344.csv" in line for line in bulk("report", "run.db").commands)
    assert bulk("resume", "run.db").code == 1
    assert bulk("archive", "a.csv", "--journal", "kund\udce4.db").code == 0
    for argv in (["status"], ["report", "--html", "kund\udce4.html"], ["settle"], ["resume"]):
        assert bulk(argv[0], "kund\udce4.db", *argv[1:]).code == 0


def test_a_copy_of_invalid_lines_under_any_name(bulk: Bulk, repeated: list[str]) -> None:
    """The printed command says the format where the copy's name does not."""
    Path("a.csv").write_text("\n".join([*repeated, "x,y"]) + "\n", "utf-8")
    for copy, said in (("bad.csv", False), ("a.csv.bad", True), ("bad", True)):
        told = bulk("archive", "a.csv", "--journal", f"{copy}.db", "--invalid-lines", copy)
        (line,) = told.commands
        assert ("--format csv" in line) == said
        assert "which format" not in told.type(line).err
