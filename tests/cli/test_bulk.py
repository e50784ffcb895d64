"""`thredfi bulk` in this process: what it says, what it sends, and how it ends."""

import csv
import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from open_files import lock_open_files

from thredfi_async.bulk import Journal, read_journal
from thredfi_async.cli import main
from thredfi_async.cli.bulk.app import app
from thredfi_async.mock_server import Fault, FaultKind, MockServer, SeededCustomer

Capture = pytest.CaptureFixture[str]
NO_ONE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no setting but its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)


def write_csv(path: str, customers: Iterable[SeededCustomer], *more: Sequence[str]) -> None:
    """A file with the ids and the bodies of customers, and further lines."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        for number, each in enumerate(customers):
            if number == 0:
                lines.writerow(["business_id", "customer_id", *each.body])
            body = [value if isinstance(value, str | int) else json.dumps(value) for value in each.body.values()]
            cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in body]
            lines.writerow([each.business_id, each.customer_id, *cells])
        lines.writerows(more)


def write_ids(path: str, ids: Iterable[tuple[object, object]]) -> None:
    """A file with ids alone."""
    Path(path).write_text("business_id,customer_id\n" + "".join(f"{a},{b}\n" for a, b in ids), "utf-8")


@pytest.fixture
def ten(server: MockServer) -> list[SeededCustomer]:
    """Ten customers, listed with their bodies in `ten.csv`."""
    customers = list(server.customers[:10])
    write_csv("ten.csv", customers)
    return customers


def unknown_first(server: MockServer, customer: SeededCustomer) -> None:
    """Let a customer be archived without an answer, for one run."""
    server.queue_faults(
        customer.customer_id, Fault(FaultKind.NOT_JSON), *[Fault(FaultKind.SERVER_ERROR, status=501, on="get")]
    )


def totals(journal: str) -> dict[str, int]:
    """What a journal counts."""
    with read_journal(journal) as view:
        return dict(view.totals())


def events(out: str) -> list[dict[str, Any]]:
    """The events that a machine read."""
    return [json.loads(line) for line in out.splitlines()]


# -- archive


def test_archive_a_file(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """Every customer is archived with the body of its line, and the start and the end of the run are shown."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Done: every customer is archived.\n  10 archived; in ")
    assert "To archive 10 customers at 127.0.0.1:" in err
    assert all(text in err for text in ("ten.csv (csv, ", "the file says", "run.db (new)", "at most 100 at a time"))
    assert all(server.is_archived(each.customer_id) for each in ten)
    assert server.requests.totals.total() == 11  # and a token
    assert not any(str(each.body["email"]) in out + err for each in ten)


def test_archive_without_bodies(server: MockServer, capsys: Capture) -> None:
    """Ids alone are enough; one business can be named for all, and the server's own records are sent."""
    customer = server.customers[0]
    Path("ids.jsonl").write_text(json.dumps({"customer_id": str(customer.customer_id)}), "utf-8")
    argv = ["bulk", "archive", "ids.jsonl", "--journal", "run.db", "--business-id", str(customer.business_id)]
    assert main(argv) == 0
    assert "each customer's record as the server has it" in capsys.readouterr().err
    assert server.is_archived(customer.customer_id)


def test_a_retry_is_no_first_request(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """Without bodies each customer takes a GET and a POST, which are requests; only what is repeated is a retry."""
    write_ids("ids.csv", [(each.business_id, each.customer_id) for each in server.customers[:3]])
    assert main(["bulk", "archive", "ids.csv", "--journal", "run.db", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["requests"], summary["retries"]) == (6, 0)
    server.queue_faults(ten[4].customer_id, Fault(FaultKind.SERVER_ERROR, status=503))
    assert main(["bulk", "archive", "ten.csv", "--journal", "ten.db", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["requests"] == 10 + summary["retries"]
    assert summary["retries"] > 0


def test_archive_stdin(
    server: MockServer, ten: list[SeededCustomer], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source of `-` is stdin; a resumed run wants it named, and takes only the same bytes."""
    whole = Path("ten.csv").read_bytes()
    unknown_first(server, ten[3])
    with Path("ten.csv").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["bulk", "archive", "-", "--format", "csv", "--journal", "run.db"]) == 3
    assert "resume run.db FILE" in capsys.readouterr().out
    assert main(["bulk", "resume", "run.db"]) == 2
    assert "name a file with the same bytes" in capsys.readouterr().err
    Path("other.csv").write_bytes(whole.replace(b"GB", b"FR"))
    assert main(["bulk", "resume", "run.db", "other.csv"]) == 2
    assert "is not the file that this run was begun with" in capsys.readouterr().err
    assert main(["bulk", "resume", "run.db", "ten.csv"]) == 0
    assert totals("run.db") == {"archived": 10}


def test_a_dry_run(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """It looks at every line and sends nothing; an invalid line makes it end in 1."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db", "--dry-run"]) == 0
    assert "A dry run: nothing was sent" in capsys.readouterr().out
    write_csv("bad.csv", ten, ["a", "b"])
    assert main(["bulk", "archive", "bad.csv", "--journal", "run.db", "--dry-run", "--json"]) == 1
    bad, plan, end = events(capsys.readouterr().out)
    assert bad.items() >= {"event": "invalid_line", "file": "bad.csv", "line": 12}.items()
    assert (
        plan.items() >= {"event": "plan", "lines": 10, "invalid_lines": 1, "bodies": "source", "dry_run": True}.items()
    )
    assert end.items() >= {"event": "summary", "exit_code": 1, "invalid_lines": 1}.items()
    assert not Path("run.db").exists()
    assert server.requests.totals.total() == 0


def test_an_invalid_line(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """It is reported, left out, and copied; the others are archived; the fixed copy is archived as the output says."""
    business, _, *body = list(csv.reader(Path("ten.csv").read_text("utf-8").splitlines()))[1]
    write_csv("bad.csv", ten, [business, "Ada Example", *body])
    assert main(["bulk", "archive", "bad.csv", "--journal", "run.db", "--invalid-lines", "rejected.csv"]) == 1
    out, err = capsys.readouterr()
    assert "bad.csv, line 12, column customer_id: must be a UUID" in err
    assert "1 invalid line, left out" in out
    assert "Ada" not in out + err
    assert server.requests.applied == 10
    with read_journal("run.db") as view:
        assert [(each.line, each.column) for each in view.invalid_lines()] == [(12, "customer_id")]
    (line,) = (line for line in out.splitlines() if line.startswith("Fix the invalid lines in their copy"))
    assert main(["bulk", "report", "run.db"]) == 0
    assert "invalid line 12, column customer_id: must be a UUID" in capsys.readouterr().out
    write_csv("rejected.csv", server.customers[10:11])
    assert main(line.partition(": thredfi ")[2].split()) == 0
    assert server.requests.applied == 11


def test_strict(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """An invalid line keeps the whole run from starting."""
    write_csv("bad.csv", ten, ["a", "b"])
    assert main(["bulk", "archive", "bad.csv", "--journal", "run.db", "--strict"]) == 2
    assert "bad.csv has 1 invalid line, and --strict takes none." in capsys.readouterr().err
    assert (server.requests.totals.total(), Path("run.db").exists()) == (0, False)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["archive", "ten.csv"], "Missing option '--journal'"),
        (["archive", "nope.csv", "--journal", "run.db"], "cannot read nope.csv: No such file"),
        (["archive", "empty.csv", "--journal", "run.db"], "empty.csv is empty"),
        (["archive", "header.csv", "--journal", "run.db"], "header.csv has a header and no records"),
        (["archive", "ten.csv", "--journal", "run.db", "--format", "xml"], "format must be one of csv"),
        (["archive", "ten.csv", "--journal", "run.db", "--rate", "0"], "give a rate above 0"),
        (["archive", "ten.csv", "--journal", "run.db", "--outage-timeout", "soon"], "give a duration"),
        (["archive", "ten.csv", "--journal", "run.db", "--concurrency", "0"], "--concurrency"),
        (["archive", "ten.csv", "--journal", "."], "is a folder"),
        (["archive", "ten.csv", "--journal", "no/run.db"], "no/run.db cannot be written"),
        (["archive", "ten.csv", "--journal", "header.csv"], "is not an SQLite database"),
        (["archive", "ten.csv", "--journal", "foreign.db"], "no journal of a bulk run"),
        (["archive", "ten.csv", "--journal", "run.db", "--environment", "production"], "needs a yes"),
        (["resume", "run.db"], "There is no journal run.db"),
        (["status", "run.db"], "There is no journal run.db"),
        (["settle", "run.db"], "There is no journal run.db"),
        (["report", "header.csv"], "is not an SQLite database"),
    ],
)
def test_what_cannot_start(argv: list[str], words: str, server: MockServer, ten: object, capsys: Capture) -> None:
    """One sentence says why, for people and machines; nothing was sent, and no journal is left behind."""
    Path("empty.csv").touch()
    Path("header.csv").write_text("business_id,customer_id\n", "utf-8")
    sqlite3.connect("foreign.db").execute("CREATE TABLE t (x)").connection.close()
    assert main(["bulk", *argv]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert main(["bulk", *argv, "--json"]) == 2
    error = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert error.items() >= {"exit_code": 2, "effect": "NOT_APPLIED"}.items()
    assert not Path("run.db").exists()
    assert server.requests.totals.total() == 0


def test_events(ten: list[SeededCustomer], capsys: Capture) -> None:
    """A machine reads a plan, how it goes, and a summary, on stdout alone."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db", "--json"]) == 0
    out, err = capsys.readouterr()
    first, *between, last = events(out)
    assert err == ""
    assert {each["version"] for each in events(out)} == {1}
    assert (
        first.items()
        >= {"event": "plan", "kind": "loopback", "lines": 10, "invalid_lines": 0, "dry_run": False}.items()
    )
    assert {each["event"] for each in between} <= {"progress"}
    assert last.items() >= {"event": "summary", "exit_code": 0, "complete": True, "next": []}.items()
    assert last["states"] == {"archived": 10}


# -- outcomes


def test_rejected_and_sent_again(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """A customer that the API rejects ends in 1; it is reported, and sent again only with --include-rejected."""
    server.queue_faults(ten[2].customer_id, Fault(FaultKind.SERVER_ERROR, status=422))
    write_csv("ten.csv", ten)
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 1
    out = capsys.readouterr().out
    assert "9 archived, 1 rejected" in out
    assert "When that is fixed, send them again with: thredfi bulk resume run.db --include-rejected" in out
    assert main(["bulk", "resume", "run.db"]) == 1
    assert server.requests.of(ten[2].customer_id).requests == 1
    assert main(["bulk", "resume", "run.db", "--include-rejected"]) == 0
    assert server.requests.of(ten[2].customer_id).requests == 2
    assert totals("run.db") == {"archived": 10}


def test_failures_as_csv(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """The report counts reasons, and writes who is not archived with ids, state and code; nothing personal."""
    write_ids("ids.csv", [(ten[0].business_id, NO_ONE), *((each.business_id, each.customer_id) for each in ten)])
    assert main(["bulk", "archive", "ids.csv", "--journal", "run.db"]) == 1
    capsys.readouterr()
    assert main(["bulk", "report", "run.db", "--not-archived", "failures.csv", "--html", "report.html"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in ("rejected", "not_found", "Written: failures.csv", "Written: report.html"))
    (row,) = csv.DictReader(Path("failures.csv").read_text("utf-8").splitlines())
    assert (row["customer_id"], row["state"], row["code"]) == (NO_ONE, "rejected", "not_found")
    assert Path("report.html").read_text("utf-8").startswith("<!doctype html>")
    assert main(["bulk", "report", "run.db", "--not-archived", "-"]) == 0
    assert list(csv.DictReader(capsys.readouterr().out.splitlines())) == [row]
    assert main(["bulk", "report", "run.db", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["states"]["archived"] == 10
    assert report["reasons"][0].items() >= {"state": "rejected", "code": "not_found", "count": 1}.items()


def test_a_report_that_cannot_be_written(ten: list[SeededCustomer], capsys: Capture) -> None:
    """It is a sentence, and what was there before stays."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    assert main(["bulk", "report", "run.db", "--html", "no/report.html"]) == 6
    assert "no/report.html cannot be written: No such file or directory." in capsys.readouterr().err
    assert main(["bulk", "report", "run.db", "--not-archived", "-", "--json"]) == 2
    assert not list(Path().glob(".*"))
    for option in ("--not-archived", "--html"):
        assert main(["bulk", "report", "run.db", option, "./run.db"]) == 2
        assert "is the journal itself" in capsys.readouterr().err
    assert totals("run.db") == {"archived": 10}


def test_a_report_is_replaced_where_open_files_stay(
    ten: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """On Windows, too, a report takes the place of the last one; one that another program shows is named."""
    lock_open_files(monkeypatch)
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    Path("report.html").write_text("old", "utf-8")
    assert main(["bulk", "report", "run.db", "--html", "report.html"]) == 0
    assert Path("report.html").read_text("utf-8").startswith("<!doctype html>")
    capsys.readouterr()
    with Path("report.html").open("rb"):
        assert main(["bulk", "report", "run.db", "--html", "report.html"]) == 6
    assert "report.html cannot be written: The process cannot access the file" in capsys.readouterr().err
    assert sorted(each.name for each in Path().iterdir()) == ["report.html", "run.db", "ten.csv"]


def test_an_empty_journal(ten: object, capsys: Capture) -> None:
    """A journal in which nothing stands yet can be looked at, and begun with."""
    Journal.open("run.db").close()
    assert main(["bulk", "status", "run.db"]) == 0
    assert "0: 0 archived" in capsys.readouterr().out
    assert main(["bulk", "report", "run.db", "--html", "report.html"]) == 0
    assert re.search(r"^  archived +0 ", capsys.readouterr().out, re.MULTILINE)
    assert main(["bulk", "resume", "run.db"]) == 2
    assert "was not begun with a file" in capsys.readouterr().err
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0


def test_unknown_and_settled(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """An unknown outcome ends in 3, and `settle` asks for it without sending anything."""
    unknown_first(server, ten[4])
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 3
    out = capsys.readouterr().out
    assert "9 archived, 1 unknown" in out
    assert "Retry what is unknown or failed with: thredfi bulk resume run.db\n" in out
    posts = server.requests.of(ten[4].customer_id).requests
    assert main(["bulk", "settle", "run.db"]) == 0
    out = capsys.readouterr().out
    assert "Settled: 1 of 1 asked about: 1 archived, 0 still active.\nDone: every customer is archived.\n" in out
    assert server.requests.of(ten[4].customer_id).requests == posts
    assert main(["bulk", "settle", "run.db", "--json"]) == 0
    assert events(capsys.readouterr().out)[-1].items() >= {"event": "summary", "unknown": 0, "total": 0}.items()


def test_no_option_takes_a_secret() -> None:
    """No command has an argument or option that could hold a credential."""
    command: Any = typer.main.get_command(app)
    names = [name for each in command.commands.values() for param in each.params for name in [param.name, *param.opts]]
    assert "--journal" in names
    assert [name for name in names if re.search("token|secret|api.?key|password|partner|auth", name)] == []


# -- going on


def test_the_same_again(server: MockServer, ten: list[SeededCustomer], capsys: Capture) -> None:
    """The same file on the same journal goes on, and what is done is not sent again."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    requests = server.requests.totals.total()
    capsys.readouterr()
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    assert "run.db (goes on: 10 archived)" in capsys.readouterr().err
    assert main(["bulk", "resume", "run.db"]) == 0
    assert server.requests.totals.total() == requests


def test_what_does_not_belong_together(
    server: MockServer, ten: list[SeededCustomer], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file, a changed one, one that is gone and another host are refused, each in a sentence with a way out."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    requests = server.requests.totals.total()
    with Journal.open("run.db") as journal, journal.transaction() as store:
        store.admit(10, [ten[0].customer_id.bytes + b"\0" * 16])
    write_csv("other.csv", server.customers[10:12])
    capsys.readouterr()

    def refused(*argv: str) -> str:
        assert main(["bulk", *argv]) == 2
        return capsys.readouterr().err

    assert "is the journal of another run, of " in refused("archive", "other.csv", "--journal", "run.db")
    assert "thredfi bulk resume run.db" in refused("archive", "other.csv", "--journal", "run.db")
    assert "is not the file that this run was begun with" in refused("resume", "run.db", "other.csv")
    Path("ten.csv").rename("moved.csv")
    assert "resume run.db FILE" in refused("resume", "run.db")
    monkeypatch.setenv("THREDFI_BASE_URL", "http://127.0.0.1:9")
    assert "--allow-host-change" in refused("resume", "run.db", "moved.csv")
    assert "--allow-host-change" in refused("settle", "run.db")
    assert server.requests.totals.total() == requests


def test_two_at_once(ten: object, capsys: Capture) -> None:
    """While one process writes a journal, others may look at it, and no more."""
    with Journal.open("run.db"):
        for argv in (["archive", "ten.csv", "--journal", "run.db"], ["resume", "run.db"], ["settle", "run.db"]):
            assert main(["bulk", *argv]) == 2
            assert "run.db is being written by another run" in capsys.readouterr().err
        assert main(["bulk", "status", "run.db"]) == 0


def test_status(ten: object, capsys: Capture) -> None:
    """It shows what a run is, how far it has come, and how to go on, and machines read the same."""
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["bulk", "status", "run.db"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in ("run.db: a run begun ", "10 of 10: 10 archived", "at its end since", "ten.csv"))
    assert main(["bulk", "status", "run.db", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status.items() >= {"running": False, "complete": True, "states": {"archived": 10}, "next": []}.items()


# -- stopping


def test_refused_credentials(ten: object, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stop a run at once with 4 and the way to go on, and are not shown."""
    monkeypatch.setenv("THREDFI_API_KEY", "wrong-secret")
    assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 4
    out, err = capsys.readouterr()
    assert out.startswith("Stopped: ")
    assert "Go on with: thredfi bulk resume run.db\n" in out
    assert "wrong-secret" not in out + err
    assert main(["bulk", "status", "run.db"]) == 0
    assert "Stopped: " in out


def test_impatience(server: MockServer, ten: object, capsys: Capture) -> None:
    """An API that stays down ends the run in 4 after the outage timeout, and a resumed run does the rest."""
    server.set_down(True, status=503)
    argv = [
        "bulk",
        "archive",
        "ten.csv",
        "--journal",
        "run.db",
        "--outage-timeout",
        "0.1s",
        "--timeout",
        "100ms",
        "--json",
    ]
    assert main(argv) == 4
    last = events(capsys.readouterr().out)[-1]
    assert last["stopped"].startswith("the API has been unavailable")
    server.set_down(False)
    # On a slow machine, a call takes longer than these 100 ms.
    assert main(["bulk", *last["next"][0]["command"].split()[2:], "--timeout", "30s", "--outage-timeout", "60s"]) == 0
    assert totals("run.db") == {"archived": 10}


def test_a_bug(ten: object, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a sentence without its text, and the run can go on."""

    def breaks(*_: object, **__: object) -> Callable[[], None]:
        raise LookupError("Ada Example")

    with monkeypatch.context() as patched:
        patched.setattr("thredfi_async.bulk.engine.calls.Calls.make", breaks)
        assert main(["bulk", "archive", "ten.csv", "--journal", "run.db"]) == 4
    out, err = capsys.readouterr()
    assert "an unexpected error; --debug shows where" in out
    assert not any(text in out + err for text in ("Ada", "Traceback"))
    assert main(["bulk", "resume", "run.db"]) == 0
