"""Every command that a bulk run prints to go on with, typed as it was printed: it does what it says it does."""

import shlex
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bulk_cli import Bulk, file_of, ids_of, lost

from thredfi_async.bulk import ArchiveItem, Journal, archive_many
from thredfi_async.bulk.settling import Settlement
from thredfi_async.cli.bulk.commands import Commands
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata
from thredfi_async.client import ThredfiClient
from thredfi_async.mock_server import Fault, FaultKind, MockServer, SeededCustomer

NO_ONE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def five(server: MockServer) -> list[SeededCustomer]:
    """Five customers, listed with their bodies in `five.csv`."""
    customers = list(server.customers[:5])
    file_of("five.csv", customers)
    return customers


def test_what_is_unknown_is_retried(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """Run, status, settle and report name the same command, and it settles what is unknown."""
    lost(server, five[1], five[2])
    told = bulk("archive", "five.csv", "--journal", "run.db")
    assert told.code == 3
    (command,) = told.commands
    for argv in (["status", "run.db"], ["report", "run.db"], ["status", "run.db", "--json"]):
        assert bulk(*argv).commands == [command]
    assert told.type(command).code == 0
    assert bulk("status", "run.db").commands == ["thredfi bulk report run.db --html report.html"]
    assert bulk("settle", "run.db").commands == ["thredfi bulk report run.db --html report.html"]


def test_settling_is_not_followed_by_settling(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """A customer that is still active after it was asked about is to be resumed, not to be settled again."""
    server.queue_faults(five[0].customer_id, Fault(FaultKind.SERVER_ERROR, status=422))
    assert bulk("archive", "five.csv", "--journal", "run.db").code == 1
    with closing(sqlite3.connect("run.db")) as connection, connection:
        connection.execute("UPDATE items SET state = 'unknown', code = 'connection_lost' WHERE state = 'rejected'")
    for told in (bulk("settle", "run.db"), bulk("settle", "run.db")):
        assert told.code == 3
        assert "1 of 1 asked about: 0 archived, 1 still active" in told.out
        assert told.commands == ["thredfi bulk resume run.db"]
    (reason,) = bulk("report", "run.db", "--json").json[-1]["reasons"]
    assert (reason["code"], "ettle" in reason["advice"]) == ("still_active", False)
    assert bulk("status", "run.db").type("thredfi bulk resume run.db").code == 0


def test_who_is_rejected_is_listed_and_sent_again(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """The first command lists exactly the rejected ones, the second sends exactly them, and says how many they are."""
    server.queue_faults(five[2].customer_id, Fault(FaultKind.SERVER_ERROR, status=422))
    told = bulk("archive", "five.csv", "--journal", "run.db")
    assert told.code == 1
    see, again = told.commands
    assert told.type(see).code == 0
    assert str(five[2].customer_id) in Path("run.not-archived.csv").read_text()
    assert len(Path("run.not-archived.csv").read_text().splitlines()) == 2
    assert again not in see
    sent = told.type(again)
    assert sent.code == 0
    assert "To archive 1 customer at " in sent.err
    assert "5 archived; 1 of them now, in " in sent.out


def test_a_report_does_not_name_itself(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """Who has the list, or has seen the invalid lines, is told what comes after that, and how to fix the source."""
    Path("five.csv").write_text("\n".join([*ids_of("five.csv", five), "a,b"]) + "\n")
    told = bulk("archive", "five.csv", "--journal", "run.db", "--rate", "600/s", "--concurrency", "3")
    assert told.code == 1
    (see,) = told.commands
    seen = told.type(see)
    assert see not in seen.commands
    (fixed,) = seen.commands
    ids_of("five.csv", list(server.customers[:6]))
    done = told.type(fixed)
    assert done.code == 0
    assert "at most 3 at a time, at most 600 a second" in done.err
    assert server.requests.applied == 6
    assert "run.fixed-2.db" in told.type(see).commands[0]


@pytest.mark.parametrize("name", ["bad.csv", "bad.txt"])
def test_the_copy_of_invalid_lines(name: str, bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """The command names the file that was really written, with what it takes to read it, and archives the rest."""
    Path(name).write_text("something else\n")
    business = str(five[0].business_id)
    Path("ids.csv").write_text("customer_id\n" + "".join(f"{each.customer_id}\n" for each in five) + "x\n")
    told = bulk("archive", "ids.csv", "--journal", "run.db", "--business-id", business, "--invalid-lines", name)
    assert told.code == 1
    (fix,) = told.commands
    copy = Path(shlex.split(fix)[3])
    assert copy.name != name
    assert Path(name).read_text() == "something else\n"
    copy.write_text(copy.read_text().replace(",x\n", f",{server.customers[5].customer_id}\n"))
    assert told.type(fix).code == 0
    assert server.requests.applied == 6
    assert bulk("status", "run.db").commands[0].startswith(fix.partition(" --journal")[0])


def test_a_run_that_stopped_goes_on(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """After an outage the command does the rest, at the pace that the run had, and says so."""
    server.set_down(True, status=503)
    options = ["--rate", "500/s", "--concurrency", "7", "--outage-timeout", "0.1s", "--timeout", "2s"]
    told = bulk("archive", "five.csv", "--journal", "run.db", *options, "--json")
    assert told.code == 4
    summary = told.json[-1]
    assert summary["not_started"] + sum(summary["states"].values()) == 5
    server.set_down(False)
    (command,) = told.commands
    assert bulk("status", "run.db").commands == [command]
    resumed = told.type(command, "--json")
    plan = resumed.json[0]
    assert plan.items() >= {"rate": 500.0, "concurrency": 7, "outage_timeout": 0.1}.items()
    assert resumed.code == 0
    assert bulk("status", "run.db", "--json").json[-1]["run"]["settings"]["timeouts"] == {"deadline": 2.0}


def test_another_pace_may_be_told(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """What is given goes before what was kept, is kept itself, and a rate can be taken away."""
    server.queue_faults(five[1].customer_id, Fault(FaultKind.SERVER_ERROR, status=422))
    assert bulk("archive", "five.csv", "--journal", "run.db", "--rate", "900/s", "--concurrency", "7").code == 1
    again = bulk("archive", "five.csv", "--journal", "run.db")
    assert "at most 7 at a time, at most 900 a second, as before" in again.err
    other = bulk("resume", "run.db", "--include-rejected", "--rate", "none", "--json")
    assert other.code == 0
    assert other.json[0].items() >= {"rate": None, "concurrency": 7}.items()
    kept = bulk("status", "run.db", "--json").json[-1]["run"]["settings"]
    assert kept.items() >= {"rate": None, "concurrency": 7}.items()


def test_settling_goes_at_the_runs_pace(
    bulk: Bulk, server: MockServer, five: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions go at the pace of the run, and wait as long as it for an API that is down, unless told otherwise."""
    given: list[dict[str, Any]] = []

    async def settled(client: object, journal: object, **settings: Any) -> Settlement:
        given.append(settings)
        return Settlement()

    monkeypatch.setattr("thredfi_async.cli.bulk.settle.settle", settled)
    options = ["--rate", "500/s", "--concurrency", "7", "--outage-timeout", "90s"]
    assert bulk("archive", "five.csv", "--journal", "run.db", *options).code == 0
    for argv in ([], ["--rate", "none", "--concurrency", "3", "--outage-timeout", "5s"]):
        assert bulk("settle", "run.db", *argv).code == 0
    found = [(each["rate"], each["concurrency"], each["stop"].outage_timeout) for each in given]
    assert found == [(500.0, 7, 90.0), (None, 3, 5.0)]


def test_settling_gives_up_an_api_that_is_down(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """It waits for the outage timeout, says why it stopped, and leaves what is unknown as it is."""
    for each in five:
        lost(server, each)
    assert bulk("archive", "five.csv", "--journal", "run.db").code == 3
    server.set_down(True, status=503)
    told = bulk("settle", "run.db", "--outage-timeout", "0.1s", "--timeout", "100ms", "--json")
    assert told.code == bulk("status", "run.db", "--json").json[-1]["exit_code"] == 3
    assert "unavailable" in told.json[-1]["stopped"]
    assert told.json[-1]["unknown"] == 5


def test_stdin_is_to_be_saved(
    bulk: Bulk, server: MockServer, five: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on stdin can only be named by the user, and the sentence before the command says so."""
    lost(server, five[0])
    with Path("five.csv").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        told = bulk("archive", "-", "--format", "csv", "--journal", "run.db")
    assert told.code == 3
    assert "Save to FILE what was on stdin, then retry what is unknown or failed with: " in told.out
    (command,) = told.commands
    Path("five.csv").rename("FILE")
    assert told.type(command).code == 0
    assert bulk("status", "run.db").commands == ["thredfi bulk report run.db --html report.html"]


def test_how_the_api_was_reached_is_repeated(
    bulk: Bulk, server: MockServer, five: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An env file and an address that were given stand in the commands, of `status` too; a strange name is quoted."""
    values = {"BASE_URL": server.url, "PARTNER_UUID": server.partner_uuid, "API_KEY": server.api_key}
    Path("api.env").write_text("".join(f"THREDFI_{name}={value}\n" for name, value in values.items()))
    for name in values:
        monkeypatch.delenv(f"THREDFI_{name}")
    lost(server, five[0])
    assert bulk("archive", "five.csv", "--journal", "./-my run.db", "--env-file", "api.env").code == 3
    told = bulk("status", "./-my run.db")
    (command,) = told.commands
    assert f"--env-file {Path('api.env').absolute()}" in command
    assert told.type(command).code == 0


def test_a_journal_of_another_user_does_not_say_where_credentials_go(tmp_path: Path) -> None:
    """Where others can write the journal, no command takes the API's address from it."""
    path = tmp_path / "run.db"
    path.touch(mode=0o600)
    metadata = JournalMetadata({"option_base_url": "https://evil.example", "source_path": "c.csv", "queue": ""})
    path.chmod(0o666)
    assert Commands(path, metadata)._connection.base_url is None
    path.chmod(0o600)
    assert Commands(path, metadata)._connection.base_url == "https://evil.example"


async def test_a_run_of_a_program(bulk: Bulk, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that Python began is said to be at the API, and by a program; no command is named that would be refused."""
    async with ThredfiClient.from_env() as client:
        each = server.customers[0]
        async for _ in archive_many(client, [ArchiveItem(each.business_id, NO_ONE)], journal="run.db"):
            pass
    told = bulk("status", "run.db")
    assert f", at {urlsplit(server.url).netloc}, by a program on " in told.out.splitlines()[0]
    assert told.commands == ["thredfi bulk report run.db --not-archived run.not-archived.csv"]
    assert told.type(told.commands[0]).code == 0
    with Journal.open("run.db") as journal:
        journal.begin()
    with closing(sqlite3.connect("run.db")) as connection, connection:
        connection.execute("DELETE FROM samples")  # it is running as long as they are fresh
    assert "Run the program that began this run again, with the same journal.\n" in bulk("status", "run.db").out


def test_a_run_over_a_queue_is_not_resumed_here(bulk: Bulk, server: MockServer, five: object) -> None:
    """Workers have its customers: `resume` says so, and what it names leads on."""
    with Journal.open("run.db") as journal:
        journal.describe(queue="THREDFI", source_path="five.csv", queue_listed=1)
    told = bulk("resume", "run.db")
    assert told.code == 2
    assert "over the queue THREDFI, whose workers archive" in told.err
    assert "thredfi bulk status run.db" in told.err


def test_numbers_are_numbers(bulk: Bulk, server: MockServer, five: list[SeededCustomer]) -> None:
    """`status --json` and `report --json` give counts as numbers, and a run at its end is not resumable."""
    file_of("more.csv", [*five, five[0]])
    assert bulk("archive", "more.csv", "--journal", "run.db").code == 0
    for argv in (["status", "run.db", "--json"], ["report", "run.db", "--json"]):
        found: dict[str, Any] = bulk(*argv).json[-1]
        run = found["run"]
        assert (run["source_records"], run["duplicates"], run["sessions"]) == (6, 1, 1)
        assert run["allow_missing_fields"] is False
        assert found.items() >= {"resumable": False, "complete": True, "duplicates": 1, "not_started": 0}.items()
        assert found.items() >= {"outcome": "archived", "colour": "green", "exit_code": 0, "next": []}.items()
