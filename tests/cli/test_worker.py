"""`thredfi worker` as a process: it works, says so, stops when told to, and refuses in words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

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


def test_its_stdout_is_closed(thredfi_mock_server: MockServer, tmp_path: Path) -> None:
    """A worker whose reader goes away before it is ready ends in order, and not with a bug."""
    nats = NatsServer(tmp_path)
    with worker(thredfi_mock_server, nats, "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        with nats:
            _, told = process.communicate(timeout=20)
    assert (process.returncode, "unexpected" in told, "Exception" in told) == (0, False, False)


def test_an_address_of_version_6(thredfi_mock_server: MockServer, nats_server: NatsServer) -> None:
    """The address of health is a URL that can be pasted."""
    with worker(thredfi_mock_server, nats_server, "--json", "--health-host", "::1") as process:
        assert process.stdout is not None
        assert re.fullmatch(r"http://\[::1\]:[0-9]+", json.loads(process.stdout.readline())["health"])


@pytest.mark.parametrize(
    ("host", "sentence"),
    [("", "the address for health must not be empty"), ("a.invalid", "cannot listen on a.invalid, port 9464: ")],
)
def test_an_address_that_is_none(
    host: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address that is empty would be every one; one that is not there is named."""
    monkeypatch.setenv("THREDFI_TOKEN", "token")
    assert main(["worker", "--health-host", host]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Errno" not in told


def test_a_port_in_use(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second worker on this machine is told to take another port for its health."""
    monkeypatch.setenv("THREDFI_TOKEN", "token")
    monkeypatch.setenv("THREDFI_BASE_URL", "http://127.0.0.1:9")
    assert main(["worker", "--nats", nats_server.url, "--health-port", str(nats_server.port)]) == 2
    assert "give another address or port" in capsys.readouterr().err


def test_nats_is_not_there_yet(thredfi_mock_server: MockServer, tmp_path: Path) -> None:
    """Without NATS it starts, says on its health port what is missing, and ends with 0 on SIGTERM."""
    with worker(thredfi_mock_server, NatsServer(tmp_path), "--json") as process:
        assert process.stdout is not None
        starting = json.loads(process.stdout.readline())
        assert starting["event"] == "starting"
        until, told = time.monotonic() + 20, ""
        url = f"http://127.0.0.1:{starting['health'].rpartition(':')[2]}/readyz"
        while "Connection refused" not in told and time.monotonic() < until:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    told = answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    told = error.read().decode()
        assert "NATS cannot be reached at nats://127.0.0.1:" in told
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=10)
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["stopped"]
    assert process.returncode == 0


def test_a_signal_before_anything_else(thredfi_mock_server: MockServer, tmp_path: Path) -> None:
    """SIGTERM at any moment of the start is a regular end."""
    with worker(thredfi_mock_server, NatsServer(tmp_path), "--json", "--no-health") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 0


STUB = """
import atexit, os, signal, sys, types
import thredfi_async.cli

def stop():
    os.kill(os.getpid(), signal.SIGTERM)

def run(arguments):
    print("written", end="")
    {inside}
    return {code}

sys.modules["thredfi_async.cli.run"] = types.SimpleNamespace(run=run)
sys.argv = ["thredfi", {command!r}]
{outside}
sys.exit(thredfi_async.cli.main())
"""


@pytest.mark.parametrize(
    ("command", "inside", "outside", "code"),
    [
        ("worker", "stop()", "", 0),
        ("worker", "", "atexit.register(stop)", 0),
        ("worker", "", "atexit.register(stop)", 3),
        ("bulk", "stop()", "", -signal.SIGTERM),
    ],
)
def test_a_signal_while_it_does_not_work(command: str, inside: str, outside: str, code: int) -> None:
    """SIGTERM before a worker has begun is a regular end, and after its end it changes nothing any more."""
    stub = STUB.format(command=command, inside=inside or "pass", outside=outside, code=max(0, code))
    done = subprocess.run(
        [sys.executable, "-c", stub], env=CLEAN | {"PYTHONUNBUFFERED": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == ("written" if command == "worker" else "")
    assert not done.stderr


def test_an_end_to_the_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --connect-timeout, a worker without NATS ends with 5 and the reason: nothing was wrong with the command."""
    monkeypatch.setenv("THREDFI_TOKEN", "token")
    monkeypatch.setenv("THREDFI_BASE_URL", "http://127.0.0.1:9")
    nats = NatsServer(tmp_path)
    assert main(["worker", "--nats", nats.url, "--no-health", "--connect-timeout", "200ms"]) == 5
    told = " ".join(capsys.readouterr().err.split())
    assert "NATS was not ready within 0.2 s: " in told
    assert "Connection refused" in told


def test_a_password_in_clear(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A password is not sent in clear to another machine, unless that is allowed."""
    monkeypatch.setenv("THREDFI_TOKEN", "token")
    monkeypatch.setenv("THREDFI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("THREDFI_NATS_USER", "jane")
    monkeypatch.setenv("THREDFI_NATS_PASSWORD", "s3cret")
    command = ["worker", "--no-health", "--nats", "nats://broker.invalid:4222", "--connect-timeout", "50ms"]
    assert main(command) == 2
    assert "would go to broker.invalid in clear: use tls://, or --allow-plaintext" in " ".join(
        capsys.readouterr().err.split()
    )
    assert main([*command, "--allow-plaintext"]) == 5


async def test_a_line_for_each_message(thredfi_mock_server: MockServer, nats_server: NatsServer) -> None:
    """With --log-level debug there is a line for each message, with no data of a customer; with info there is none."""
    customers = thredfi_mock_server.customers[:2]
    async with queue(nats_server) as broker:
        await publish(broker, commands_for(customers))
        with worker(thredfi_mock_server, nats_server, "--log-level", "debug") as process:
            until = time.monotonic() + 20
            while await left(broker) and time.monotonic() < until:
                pass
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=10)
    lines = [line for line in told.splitlines() if " debug: message THREDFI/" in line]
    assert len(lines) == 2
    assert all("archived" in line for line in lines)
    assert not any(str(customer.customer_id) in told for customer in customers)
