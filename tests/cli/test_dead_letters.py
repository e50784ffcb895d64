"""`thredfi dead-letters`, as a user runs it, on a real NATS server."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from helpers import BUSINESS
from natsserver import NatsServer
from workerpark import TOPOLOGY, queue

from thredfi_async.cli import main
from thredfi_async.cli.output import Output
from thredfi_async.worker import ArchiveCommand, DeadLetter
from thredfi_async.worker.broker import Broker

T = TypeVar("T")
SECRET = "jane.roe@example.com"


@pytest.fixture(autouse=True)
def _environment(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("THREDFI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("THREDFI_NATS_URL", nats_server.url)


def on(server: NatsServer, work: Callable[[Broker], Awaitable[T]]) -> T:
    """Do something at the broker."""

    async def connect() -> T:
        async with queue(server) as broker:
            return await work(broker)

    return asyncio.run(connect())


def die(server: NatsServer, count: int, *, first: int = 1, code: str = "http_503", cut: bool = False) -> None:
    """Store dead letters."""

    async def work(broker: Broker) -> None:
        for number in range(first, first + count):
            command = ArchiveCommand(BUSINESS, UUID(int=number)).to_json()
            letter = DeadLetter(reason="the API answered 503", code=code, original=command, subject="s", cut=cut)
            await broker.store(
                TOPOLOGY.dead_subject, letter.to_json(), message_id=f"d{number}", stream=TOPOLOGY.dead_stream
            )

    on(server, work)


def counts(server: NatsServer) -> tuple[int, int]:
    """The messages in the queue, and the dead letters."""

    async def work(broker: Broker) -> tuple[int, int]:
        names = (TOPOLOGY.stream, TOPOLOGY.dead_stream)
        first, second = [(await broker.jetstream.stream_info(name)).state.messages for name in names]
        return first, second

    return on(server, work)


def test_list_and_show(nats_server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Each letter is a line with its ids and its reason; one is shown whole, without the body."""
    assert main(["dead-letters", "list"]) == 5  # no worker has made the streams yet
    assert "NATS does not have the stream THREDFI_DEAD" in capsys.readouterr().err
    die(nats_server, 2)
    die(nats_server, 1, first=3, code="not_found")
    assert main(["dead-letters", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "1", "2", "3"]
    assert str(UUID(int=2)) in lines[2]
    assert main(["dead-letters", "list", "--code", "not_found", "--json"]) == 0
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (found["id"], found["code"], found["customer_id"]) == (3, "not_found", str(UUID(int=3)))
    assert main(["dead-letters", "show", "2"]) == 0
    assert "the API answered 503" in capsys.readouterr().out
    assert main(["dead-letters", "show", "2", "--original"]) == 0
    assert json.loads(capsys.readouterr().out)["customer_id"] == str(UUID(int=2))
    assert main(["dead-letters", "show", "9"]) == 2
    assert "There is no dead letter 9 in the stream THREDFI_DEAD." in capsys.readouterr().err


def test_no_personal_data(nats_server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What a dead letter holds of a customer is shown only if it is asked for; what is no letter is named."""

    async def work(broker: Broker) -> None:
        original = b'{"version": 1, "customer": {"email": "%s"}}' % SECRET.encode()
        letter = DeadLetter(reason="why", code="malformed", original=original, subject="s")
        for payload in (letter.to_json(), SECRET.encode()):
            await broker.jetstream.publish(TOPOLOGY.dead_subject, payload)

    on(nats_server, work)
    for words in (["list"], ["list", "--json"], ["show", "1"], ["show", "1", "--json"], ["show", "2"]):
        assert main(["dead-letters", *words]) == 0
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert "cannot be read" in said.out
    assert main(["dead-letters", "show", "1", "--original"]) == 0
    assert SECRET in capsys.readouterr().out


def test_the_original_on_a_terminal(
    nats_server: NatsServer, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file gets the bytes as they are; a terminal, whose state they may change, gets them escaped."""
    original = b"\x1b[2J\xff\r\n"

    async def work(broker: Broker) -> None:
        letter = DeadLetter(reason="why", code="malformed", original=original, subject="s")
        await broker.jetstream.publish(TOPOLOGY.dead_subject, letter.to_json())

    on(nats_server, work)
    assert main(["dead-letters", "show", "1", "--original"]) == 0
    assert capfdbinary.readouterr().out == original
    monkeypatch.setattr(Output, "is_terminal", True)
    assert main(["dead-letters", "show", "1", "--original"]) == 0
    assert capfdbinary.readouterr().out == b"\\x1b[2J\\xff\\r\\n\n"


def test_redrive_and_discard(nats_server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Letters are chosen by id, by code or all together; what is kept shows in the exit code."""
    die(nats_server, 4)
    die(nats_server, 2, first=5, code="not_found")
    die(nats_server, 1, first=7, code="other", cut=True)
    assert main(["dead-letters", "redrive", "1", "3"]) == 0
    said = capsys.readouterr().out
    assert "2 dead letters put into the queue again." in said
    assert "Archive them with: thredfi worker" in said
    assert counts(nats_server) == (2, 5)
    assert main(["dead-letters", "redrive", "--code", "not_found", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["redriven"] == 2
    assert main(["dead-letters", "redrive", "--all"]) == 1
    said = capsys.readouterr().out
    assert "2 dead letters put into the queue again." in said
    assert "1 dead letter kept, without all of the original message" in said
    assert main(["dead-letters", "discard", "7"]) == 2
    assert "This needs a yes" in capsys.readouterr().err
    assert main(["dead-letters", "discard", "7", "8", "--yes"]) == 1
    said = capsys.readouterr().out
    assert "1 dead letter deleted." in said
    assert "1 of the ids: no such dead letter." in said
    assert main(["dead-letters", "redrive", "--all"]) == 0
    assert "No dead letter is one of these." in capsys.readouterr().out
    assert counts(nats_server) == (6, 0)


@pytest.mark.parametrize("words", [[], ["1", "--all"], ["--all", "--code", "x"]])
def test_the_choice_is_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """None at all, or a contradiction, is refused before anything is done."""
    assert main(["dead-letters", "redrive", *words]) == 2
    assert "give ids, --code or --all, and one of these alone" in capsys.readouterr().err


def test_a_redrive_that_is_killed_twice(nats_server: NatsServer) -> None:
    """Of 1,000 dead letters, each is redriven once, though the command was killed twice on the way."""
    die(nats_server, 1_000)
    command = [sys.executable, "-m", "thredfi_async", "dead-letters", "redrive", "--all"]
    for least in (50, 400):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            end = time.monotonic() + 30
            while counts(nats_server)[0] < least and process.poll() is None:
                assert time.monotonic() < end
            process.kill()
    assert counts(nats_server)[1] > 0
    last = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, timeout=60)
    summary = json.loads(last.stdout.splitlines()[-1])
    # Not more exactly: the broker may still have been deleting what it was told before the kill.
    assert 0 < summary["redriven"] < 1_000

    async def work(broker: Broker) -> Counter[str]:
        found = [await broker.jetstream.message(TOPOLOGY.stream, number) for number in range(1, 1_001)]
        ids = [ArchiveCommand.from_json(message.data).customer_id for message in found if message is not None]
        return Counter(map(str, ids))

    assert counts(nats_server) == (1_000, 0)
    assert on(nats_server, work) == Counter({str(UUID(int=number)): 1 for number in range(1, 1_001)})


def test_what_is_no_dead_letter(nats_server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A message that cannot be read has no original, and a number beyond the broker's is none of an id."""
    on(nats_server, lambda broker: broker.jetstream.publish(TOPOLOGY.dead_subject, b"junk"))
    assert main(["dead-letters", "show", "1", "--original"]) == 2
    said = capsys.readouterr()
    assert (said.out, "The message 1 is no dead letter that this release reads." in said.err) == ("", True)
    assert main(["dead-letters", "show", str(10**30)]) == 2
    said = capsys.readouterr()
    assert (said.out, "'ID'" in said.err, str(2**63 - 1) in said.err) == ("", True, True)


def test_no_stream_of_dead_letters(nats_server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream that is not there is told at once, with the option that names it."""
    del nats_server
    for words in (["list"], ["show", "1"]):
        assert main(["dead-letters", *words]) == 5
        said = capsys.readouterr().err
        assert "NATS does not have the stream THREDFI_DEAD: stream not found; check --stream." in said


def test_a_permission_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A login that may not read dead letters is told so, and not that NATS is slow."""
    configuration = tmp_path / "nats.conf"
    configuration.write_text('authorization { users: [{user: a, password: b, permissions: {publish: ["x"]}}] }')
    monkeypatch.setattr("thredfi_async.worker.broker._REQUEST_SECONDS", 0.2)
    for name, value in {"USER": "a", "PASSWORD": "b"}.items():
        monkeypatch.setenv(f"THREDFI_NATS_{name}", value)
    with NatsServer(tmp_path, "--config", str(configuration)) as server:
        for words in (["list"], ["show", "1"], ["redrive", "--all"]):
            assert main(["dead-letters", *words, "--nats", server.url]) == 5
            assert "permissions violation for publish" in capsys.readouterr().err


def test_a_queue_that_is_full(nats_server: NatsServer) -> None:
    """A redrive into a queue that takes no more says what it waits for."""
    die(nats_server, 3)

    async def narrow(broker: Broker) -> None:
        config = (await broker.jetstream.stream_info(TOPOLOGY.stream)).config
        await broker.jetstream.update_stream(replace(config, max_msgs=1))

    on(nats_server, narrow)
    words = [sys.executable, "-m", "thredfi_async", "dead-letters", "redrive", "--all", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = (json.loads(line) for line in process.stdout)
        troubles = next(each["troubles"] for each in found if each.get("troubles"))
        process.kill()
    assert troubles[0].startswith("the stream THREDFI does not store messages: maximum messages exceeded (")


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The group shows what there is."""
    assert main(["dead-letters"]) == 0
    assert re.findall(r"list|show|redrive|discard", capsys.readouterr().out)
