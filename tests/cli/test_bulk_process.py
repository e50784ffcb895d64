"""`thredfi bulk` as a process: signals, a kill, and a stdout that fails."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from thredfi_async.bulk import read_journal
from thredfi_async.cli import main
from thredfi_async.mock_server import MockServer

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("THREDFI_")}
ITEMS = 200


def environment(server: MockServer) -> dict[str, str]:
    """The variables that point at a mock server."""
    return {
        "THREDFI_BASE_URL": server.url,
        "THREDFI_PARTNER_UUID": server.partner_uuid,
        "THREDFI_API_KEY": server.api_key,
    }


@pytest.fixture
def folder(thredfi_mock_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of ids, where commands of this process run too; each request takes a moment."""
    thredfi_mock_server.latency = 0.02
    monkeypatch.chdir(tmp_path)
    for name, value in environment(thredfi_mock_server).items():
        monkeypatch.setenv(name, value)
    lines = [f"{each.business_id},{each.customer_id}\n" for each in thredfi_mock_server.customers[:ITEMS]]
    (tmp_path / "ids.csv").write_text("business_id,customer_id\n" + "".join(lines), "utf-8")
    return tmp_path


@contextmanager
def bulk(*argv: str, server: MockServer, cwd: Path, **options: object) -> Generator[subprocess.Popen[str]]:
    """Start `thredfi bulk` as a user would, and see to it that it is gone in the end."""
    env = CLEAN | environment(server)
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": env, "cwd": cwd, **options}
    process = subprocess.Popen([sys.executable, "-m", "thredfi_async", "bulk", *argv], **settings)  # type: ignore[call-overload] # options of Popen
    with process:
        try:
            yield process
        finally:
            process.kill()


def until_done(process: subprocess.Popen[str], count: int) -> dict[str, Any]:
    """Read events until so many customers are done."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "progress" and event["done"] >= count:
            return event
    raise AssertionError("the run has ended")


# Ten seconds' worth of customers, so that a run is interrupted long before its end; what is left goes fast.
SLOWLY = ["archive", "ids.csv", "--journal", "run.db", "--concurrency", "2", "--rate", "20", "--json"]
FAST = ["--rate", "2000", "--concurrency", "20"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains(
    number: signal.Signals, thredfi_mock_server: MockServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and SIGTERM end what is in flight, record it, end in 130, and name a command that does the rest."""
    with bulk(*SLOWLY, server=thredfi_mock_server, cwd=folder) as process:
        until_done(process, 1)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    told, *_, last = map(json.loads, out.splitlines())
    assert told.items() >= {"event": "draining", "signal": number.name}.items()
    assert last.items() >= {"event": "summary", "interrupted": number.name, "complete": False}.items()
    assert set(last["states"]) == {"archived"}
    assert 0 < last["states"]["archived"] == thredfi_mock_server.requests.applied < ITEMS
    assert main([*last["next"][0]["command"].split()[1:], *FAST]) == 0
    assert f"{ITEMS} archived" in capsys.readouterr().out
    assert thredfi_mock_server.requests.applied == ITEMS


def test_a_second_signal_ends_it_at_once(thredfi_mock_server: MockServer, folder: Path) -> None:
    """What is in flight is cut off, the journal has what each call did, and a resumed run goes on."""
    with bulk(*SLOWLY, server=thredfi_mock_server, cwd=folder) as process:
        until_done(process, 1)
        thredfi_mock_server.latency = 30.0
        until_done(process, 1)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["event"] != "draining":
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    last = json.loads(out.splitlines()[-1])
    assert last.items() >= {"event": "summary", "interrupted": "SIGINT"}.items()
    with read_journal(folder / "run.db") as view:
        assert view.totals() == last["states"]
        assert last["states"]["failed"] + last["states"].get("unknown", 0) > 0
    thredfi_mock_server.latency = 0.0
    assert main(["bulk", "resume", "run.db", *FAST]) == 0
    assert thredfi_mock_server.requests.applied >= ITEMS


def test_a_run_that_is_killed(
    thredfi_mock_server: MockServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can be looked at while it goes on; after a kill it is resumed, and what was committed is not sent again."""
    with bulk(*SLOWLY, server=thredfi_mock_server, cwd=folder) as process:
        until_done(process, 1)
        thredfi_mock_server.latency = 30.0
        assert main(["bulk", "status", "run.db"]) == 0
        assert "  running: " in capsys.readouterr().out
        process.kill()
    thredfi_mock_server.latency = 0.0
    with read_journal("run.db") as view:
        done = view.totals()["archived"]
    assert main(["bulk", "resume", "run.db", "--json", *FAST]) == 0
    plan, *_, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert plan["before"]["archived"] == done >= 1
    assert last["states"] == {"archived": ITEMS}
    assert thredfi_mock_server.requests.totals["archive"] <= ITEMS + 2  # those that were in flight


def test_a_reader_that_has_gone(thredfi_mock_server: MockServer, folder: Path) -> None:
    """When the reader of events has gone, the run ends in order, and the way to go on is on stderr."""
    with bulk(*SLOWLY, server=thredfi_mock_server, cwd=folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait() == 4
    assert err.startswith("The output cannot be written: its reader has closed it.\n")
    assert "thredfi bulk resume run.db" in err
    assert "Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_stdout_that_is_full(thredfi_mock_server: MockServer, folder: Path) -> None:
    """A run's exit code is that of its outcomes, whether or not its summary can be written."""
    argv = ["archive", "ids.csv", "--journal", "run.db"]
    with (
        Path("/dev/full").open("w") as full,
        bulk(*argv, server=thredfi_mock_server, cwd=folder, stdout=full) as process,
    ):
        err = process.communicate()[1]
    assert process.returncode == 0
    assert "The output cannot be written: No space left on device." in err
    assert f"{ITEMS} archived" in err
