"""`thredfi bulk publish` and `collect`, as a user runs them: on a real NATS server, with a real worker between them."""

import asyncio
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from nats.js.api import DiscardPolicy
from nats.js.api import StreamConfig as JetStreamConfig
from natsserver import NatsServer

from thredfi_async.bulk.journal import Journal
from thredfi_async.cli import main
from thredfi_async.mock_server import MockServer, SeededCustomer
from thredfi_async.mock_server.thread import in_thread
from thredfi_async.worker.broker import connected
from thredfi_async.worker.settings import NatsSettings

NO_ONE = UUID(int=0)


@pytest.fixture(scope="module")
def server() -> Generator[MockServer]:
    """A mock server that all tests share."""
    with in_thread(MockServer(customers=300)) as mock_server:
        yield mock_server


@pytest.fixture
def nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: MockServer) -> Generator[NatsServer]:
    """A NATS server, an environment that names it, and an empty folder to be in."""
    for name in [name for name in os.environ if name.startswith("THREDFI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nats").mkdir()
    with NatsServer(tmp_path / "nats") as started:
        monkeypatch.setenv("THREDFI_NATS_URL", started.url)
        monkeypatch.setenv("THREDFI_BASE_URL", server.url)
        monkeypatch.setenv("THREDFI_TOKEN", server.token)
        yield started


def until(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def write(customers: list[SeededCustomer], *more: str, name: str = "c.csv") -> None:
    """Write a file that lists these customers."""
    lines = [f"{each.business_id},{each.customer_id}" for each in customers]
    Path(name).write_text("\n".join(["business_id,customer_id", *lines, *more]) + "\n")


def events(out: str) -> dict[str, dict[str, Any]]:
    """The last event of each name that was written with --json."""
    return {each["event"]: each for each in map(json.loads, out.splitlines())}


def states(journal: str = "run.db") -> dict[str, int]:
    """A journal's items by state; none while it is being made."""
    if not Path(journal).exists():
        return {}
    with closing(sqlite3.connect(journal)) as connection, suppress(sqlite3.OperationalError):
        return dict(connection.execute("SELECT state, count(*) FROM items GROUP BY state"))
    return {}


@contextmanager
def command(*argv: str, **options: Any) -> Generator[subprocess.Popen[str]]:
    """Start the command as a process, and see to it that it is gone in the end."""
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    process: subprocess.Popen[str] = subprocess.Popen([sys.executable, "-m", "thredfi_async", *argv], **settings)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_goes_out_to_workers_and_comes_back(
    nats: NatsServer, server: MockServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file is published, a worker archives, and status and report show the run."""
    customers = list(server.customers[:50])
    write(customers, f"{customers[0].business_id},{NO_ONE}")
    assert main(["bulk", "publish", "c.csv", "--journal", "run.db"]) == 0
    said = capsys.readouterr().out
    assert "Published: 51 customers" in said
    assert "thredfi worker" in said
    assert "thredfi bulk collect --journal run.db --until-done" in said
    assert states() == {"pending": 51}
    assert main(["bulk", "collect", "--journal", "run.db"]) == 0
    assert "51 customers: 0 archived, 51 pending; in the queue 51 waiting and 0 with workers" in capsys.readouterr().out
    assert main(["bulk", "status", "run.db"]) == 0
    said = capsys.readouterr().out
    assert "over the queue THREDFI" in said
    assert "Not finished; left: 51 without an outcome yet." in said
    assert "Collect the outcomes with: thredfi bulk collect --journal run.db --until-done --stream THREDFI\n" in said
    with command("worker", "--no-health", stderr=subprocess.DEVNULL) as worker:
        assert main(["bulk", "collect", "--journal", "run.db", "--until-done", "--json"]) == 0
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    summary = events(capsys.readouterr().out)["summary"]
    assert (summary["states"], summary["done"], summary["collected"]) == ({"archived": 50, "rejected": 1}, True, 51)
    assert summary["queue"] == {"waiting": 0, "in_flight": 0}
    assert all(server.is_archived(each.customer_id) for each in customers)
    assert main(["bulk", "status", "run.db"]) == 0
    said = capsys.readouterr().out
    assert "Done, and not everything is archived: 1 rejected." in said
    assert "51 of 51: 50 archived, 1 rejected" in said
    assert main(["bulk", "report", "run.db"]) == 0
    assert "not_found" in capsys.readouterr().out


def printed(out: str) -> list[str]:
    """The commands that were printed to go on with."""
    return [line.partition(": thredfi ")[2] for line in out.splitlines() if ": thredfi " in line]


def test_the_commands_that_are_printed_lead_to_the_end(
    nats: NatsServer, server: MockServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the queue was purged, each command, typed as `status` printed it, leads on until all are archived."""
    monkeypatch.delenv("THREDFI_NATS_URL")
    write(list(server.customers[60:70]))
    queue = ["--nats", nats.url, "--stream", "MINE", "--subject", "mine.archive"]
    assert main(["bulk", "publish", "c.csv", "--journal", "run.db", "--dedup-key", "k", *queue]) == 0
    capsys.readouterr()

    async def purge() -> None:
        async with connected(NatsSettings(url=nats.url), name="test") as broker:
            await broker.jetstream.purge_stream("MINE")

    asyncio.run(purge())
    wanted = ["collect --journal run.db --until-done", "publish", "collect --journal run.db --until-done"]
    for words in wanted:
        assert main(["bulk", "status", "run.db"]) == 0
        (line,) = printed(capsys.readouterr().out)
        assert line.startswith(f"bulk {words}")
        assert "--stream MINE --subject mine.archive" in line
        assert main(shlex.split(line)) == 0
        if words == "publish":
            with command("worker", "--no-health", *queue, stderr=subprocess.DEVNULL):
                until(lambda: all(server.is_archived(each.customer_id) for each in server.customers[60:70]))
                until(lambda: main(["bulk", "collect", "--journal", "other.db", "--until-done", *queue]) == 0)
        capsys.readouterr()
    assert main(["bulk", "status", "run.db"]) == 0
    out = capsys.readouterr().out
    assert "Done: every customer is archived." in out
    assert printed(out) == ["bulk report run.db --html report.html"]


def test_publishing_after_a_purge(nats: NatsServer, server: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Customers whom the broker knows, and who are not in the queue any more, are told with the option for it."""
    write(list(server.customers[20:25]))
    queue = ["--nats", nats.url, "--stream", "PURGED", "--subject", "purged.archive"]
    for _ in range(2):
        assert main(["bulk", "publish", "c.csv", *queue]) == 0
        assert "purged" not in capsys.readouterr().out.replace("purged.archive", "")

    async def purge() -> None:
        async with connected(NatsSettings(url=nats.url), name="test") as broker:
            await broker.jetstream.purge_stream("PURGED")

    asyncio.run(purge())
    for others in (0, 10):
        write(list(server.customers[40 : 40 + others]), name="others.csv")
        if others:
            assert main(["bulk", "publish", "others.csv", *queue]) == 0
            capsys.readouterr()
        assert main(["bulk", "publish", "c.csv", *queue]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "5 customers published before" in said
        assert "5 of them have left the queue: workers are done with them, unless it was purged." in said
        assert "--dedup-key again" in said
    assert main(["bulk", "publish", "c.csv", "--dedup-key", "again", "--json", *queue]) == 0
    summary = events(capsys.readouterr().out)["summary"]
    assert (summary["new"], summary["queued"]) == (5, 15)


def test_publishing_twice_sends_once(nats: NatsServer, server: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What the queue has is not stored again, with a journal or without; another batch is."""
    write(list(server.customers[:20]))
    told: list[tuple[int, int]] = []
    for more in ([], [], ["--journal", "run.db"], ["--journal", "run.db"], ["--dedup-key", "again"]):
        assert main(["bulk", "publish", "c.csv", "--json", *more]) == 0
        summary = events(capsys.readouterr().out)["summary"]
        told.append((summary["new"], summary["there_already"]))
    assert told == [(20, 0), (0, 20), (0, 20), (0, 20), (20, 0)]


def test_invalid_lines_are_left_out_and_told(
    nats: NatsServer, server: MockServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An invalid line is named before anything is published and in the end; --strict allows none."""
    write(list(server.customers[:3]), "Ann,Ann")
    assert main(["bulk", "publish", "c.csv", "--strict"]) == 2
    assert "c.csv has 1 invalid line, and --strict takes none" in capsys.readouterr().err
    assert main(["bulk", "publish", "c.csv", "--journal", "run.db", "--invalid-lines", "bad.csv"]) == 1
    said = capsys.readouterr()
    assert "c.csv, line 5, column business_id" in said.err
    assert "Published: 3 customers" in said.out
    assert "Ann" not in said.out + said.err
    assert "Ann,Ann" in Path("bad.csv").read_text()
    assert states() == {"pending": 3}


def test_a_body_that_is_too_large_is_rejected(
    nats: NatsServer, server: MockServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A customer whose message the queue cannot take is named by its id, in the journal too."""
    first, second = server.customers[:2]
    lines = [
        {"business_id": str(each.business_id), "customer_id": str(each.customer_id), **each.body, "notes": notes}
        for each, notes in ((first, "short"), (second, "long" * 150_000))
    ]
    Path("c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["bulk", "publish", "c.jsonl", "--journal", "run.db"]) == 1
    said = capsys.readouterr().out
    assert f"customer {second.customer_id} of business {second.business_id}: its message would have 60" in said
    assert states() == {"pending": 1, "rejected": 1}


def test_interrupted_publishing_says_how_far_it_came(nats: NatsServer, server: MockServer) -> None:
    """Ctrl-C ends what is in flight, and the journal has exactly what is published."""
    write(list(server.customers[:100]))
    source = Path("c.csv").read_text()
    argv = ["bulk", "publish", "-", "--format", "csv", "--journal", "run.db"]
    with command(*argv, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(source)
        process.stdin.flush()  # and nothing more, for as long as it runs
        until(lambda: states().get("pending", 0) >= 90)
        process.send_signal(signal.SIGINT)
        process.wait(20)  # not `communicate`, which would end the source
        out, err = process.communicate()
    assert process.returncode == 130, err
    told = re.search(r"Interrupted. Published by now: (\d+) customers?\.", out)
    assert told is not None
    assert int(told[1]) == states().get("pending", 0), out
    assert "Running the same again is safe: what the queue has is not stored again within 1 h 0 min" in out
    assert "Traceback" not in err


def test_a_queue_that_is_full_is_told_and_ends_with_ctrl_c(nats: NatsServer, server: MockServer) -> None:
    """A stream that takes no more is named with the broker's reason, and the first Ctrl-C ends the command."""
    write(list(server.customers[:50]))

    async def narrow() -> None:
        async with connected(NatsSettings(url=nats.url), name="test") as broker:
            full = JetStreamConfig(name="THREDFI", subjects=["thredfi.archive"], max_msgs=20, discard=DiscardPolicy.NEW)
            await broker.jetstream.add_stream(full)

    asyncio.run(narrow())
    with command("bulk", "publish", "c.csv", "--json") as publishing:
        assert publishing.stdout is not None
        moments = map(json.loads, publishing.stdout)
        moment = next(each for each in moments if "maximum messages" in str(each.get("troubles")))
        assert (moment["new"], moment["connected"]) == (20, True)
        assert moment["troubles"][0].startswith(
            "the stream THREDFI does not store messages: maximum messages exceeded ("
        )
        publishing.send_signal(signal.SIGINT)
        said, _ = publishing.communicate(timeout=15)
    summary = events(said)["summary"]
    assert (summary["new"], summary["complete"], summary["interrupted"]) == (20, False, "SIGINT")
    assert publishing.returncode == 130


def test_two_collectors_at_once_are_refused(nats: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal has one writer: the second one is told so in a sentence."""
    write([], f"{NO_ONE},{NO_ONE}")
    assert main(["bulk", "publish", "c.csv", "--journal", "run.db"]) == 0
    with Journal.open("run.db"):
        assert main(["bulk", "collect", "--journal", "run.db"]) == 2
    said = capsys.readouterr().err
    assert "journal run.db is being written by another run" in said
    assert "Traceback" not in said


def test_following_ends_well_with_ctrl_c(nats: NatsServer) -> None:
    """Following is ended by Ctrl-C, which is no failure."""
    write([], f"{NO_ONE},{NO_ONE}")
    assert main(["bulk", "publish", "c.csv"]) == 0
    with command("bulk", "collect", "--journal", "run.db", "--follow", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "progress"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert events(out)["summary"]["interrupted"] == "SIGINT"


@pytest.mark.parametrize("argv", [["publish", "c.csv"], ["collect", "--journal", "run.db"]], ids=["publish", "collect"])
def test_a_broker_that_is_not_there_is_one_sentence(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing broker is a sentence with the address, and no journal is left behind."""
    monkeypatch.chdir(tmp_path)
    given: Any = connected
    monkeypatch.setitem(given.__wrapped__.__kwdefaults__, "within", 0.3)
    write([], f"{NO_ONE},{NO_ONE}")
    assert main(["bulk", *argv, "--nats", "nats://127.0.0.1:1"]) == 5
    said = capsys.readouterr().err
    assert "127.0.0.1:1" in said
    assert "Traceback" not in said
    assert not Path("run.db").exists()


def test_an_empty_broker_has_nothing_to_collect(nats: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the streams, collecting says which are missing, and what makes them."""
    assert main(["bulk", "collect", "--journal", "run.db"]) == 5
    assert "NATS has no streams THREDFI and THREDFI_OUTCOMES" in capsys.readouterr().err


def test_a_password_in_argv_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Every user of the machine can read argv."""
    assert main(["bulk", "collect", "--journal", "run.db", "--nats", "nats://me:secret@127.0.0.1"]) == 2
    said = capsys.readouterr().err
    assert "--nats must not hold a password" in said
    assert "secret" not in said


def test_a_broker_elsewhere_takes_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything goes to another machine's queue there is a question, which a script answers with --yes."""
    monkeypatch.chdir(tmp_path)
    write([], f"{NO_ONE},{NO_ONE}")
    assert main(["bulk", "publish", "c.csv", "--nats", "nats://broker.example:4222"]) == 2
    assert "needs a yes" in capsys.readouterr().err
