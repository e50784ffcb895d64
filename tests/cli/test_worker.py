"""`thredfi worker` as a process: it works, says so, stops when told to, and refuses in words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp
import pytest
from natsserver import NatsServer
from workerpark import commands_for, left, outcomes, publish, queue

from thredfi_async import __version__
from thredfi_async.cli import main
from thredfi_async.mock_server import MockServer

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("THREDFI_")}


@contextmanager
def worker(api: MockServer, nats: NatsServer, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start the command as a user would, and see to it that it is gone in the end."""
    env = CLEAN | {"THREDFI_TOKEN": api.token, "THREDFI_BASE_URL": api.url, "THREDFI_NATS_URL": nats.url}
    command = [sys.executable, "-m", "thredfi_async", "worker", "--health-port", "0", *arguments]
    with subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_it_works_until_it_is_told_to_stop(thredfi_mock_server: MockServer, nats_server: NatsServer) -> None:
    """It says where it works, serves its health, archives what comes, and ends with 0 on SIGTERM."""
    with worker(thredfi_mock_server, nats_server) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        health = re.search(r"Health and metrics are at (\S+)\. Ctrl-C or SIGTERM stops it\.$", line)
        assert health, line
        async with queue(nats_server) as broker:
            await publish(broker, commands_for(thredfi_mock_server.customers[:5]))
            until = time.monotonic() + 10
            while await left(broker) and time.monotonic() < until:
                pass
            async with aiohttp.ClientSession() as session, session.get(f"{health[1]}/readyz") as answer:
                assert await answer.text() == "ok\n"
            assert len(await outcomes(broker)) == 5
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Stopped. 5 archived came to an end here" in told


def test_for_machines(thredfi_mock_server: MockServer, nats_server: NatsServer) -> None:
    """With --json, it says the same in lines of JSON."""
    with worker(thredfi_mock_server, nats_server, "--json", "--no-health") as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert (started["event"], started["subject"], "health" in started) == ("starting", "thredfi.archive", False)
        assert (started["version"], started["concurrency"], started["log_level"]) == (__version__, 32, "info")
        assert json.loads(process.stdout.readline()) == {**started, "event": "started"}
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=10)
    assert json.loads(said)["event"] == "stopped"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nats", "nats://jane:s3cret@127.0.0.1"], "--nats must not hold a password"),
        (["--nats", "localhost"], "the URL of NATS must be like nats://host:4222"),
        (["--subject", "a.>"], "StreamConfig.subject must be words joined by dots"),
        (["--concurrency", "0"], "--concurrency"),
    ],
)
def test_refused(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot work is refused in a sentence, without the secret that may be in it."""
    monkeypatch.setenv("THREDFI_TOKEN", "token")
    assert main(["worker", "--no-health", *arguments]) == 2
    told = capsys.readouterr().err
    assert sentence in " ".join(told.split())
    assert "s3cret" not in told


def test_a_port_in_use(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second worker on this machine is told to take another port for its health."""
    monkeypatch.setenv("THREDFI_TOKEN", "token")
    monkeypatch.setenv("THREDFI_BASE_URL", "http://127.0.0.1:9")
    assert main(["worker", "--nats", nats_server.url, "--health-port", str(nats_server.port)]) == 2
    assert "give another port" in capsys.readouterr().err
