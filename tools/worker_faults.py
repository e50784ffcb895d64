"""Runs of workers under faults, each held to the same account: nothing lost, nothing stranded, nothing archived twice.

Four worker processes archive 20,000 customers at an API with faults in 20 % of requests, and meanwhile:

- **deaths**: workers and the broker are killed or stopped at random moments.
- **full**: for 30 seconds, the stream of outcomes stores nothing.
- **hostile**: a stranger publishes garbage among commands and outcomes, and answers requests of the workers with it,
  each one time in twenty; a collector takes the outcomes meanwhile.
- **revoked**: for 20 seconds, the broker refuses the workers' login.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from random import Random
from typing import Any

from messages import GARBAGE
from natsserver import NatsServer, send_raw
from workerpark import TOPOLOGY, Report, Scene, commands_for, dead_letters, left, outcomes, publish, queue, scene

from thredfi_async.bulk.journal import Journal
from thredfi_async.mock_server import Fault, FaultKind, Faults
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.fanout import Collector, DistributedRun, Until

WORKERS = 4
PAUSE = (4.0, 10.0)
FULL_SECONDS, REVOKED_SECONDS = 30.0, 20.0
GARBAGE_SHARE = 0.05
MARGIN = 500
# Not NULL_FIELDS: a record with nulls makes a body with missing fields, which the mock server rightly refuses.
FAULTS = (
    Fault(FaultKind.LATENCY, seconds=0.2),
    Fault(FaultKind.THROTTLE, retry_after=0.05, form="ms"),
    Fault(FaultKind.SERVER_ERROR, status=500),
    Fault(FaultKind.SERVER_ERROR, status=502, html=True),
    Fault(FaultKind.RESET_BEFORE),
    Fault(FaultKind.RESET_AFTER),
    Fault(FaultKind.HANG),
    Fault(FaultKind.TRUNCATED),
    Fault(FaultKind.NOT_JSON),
    Fault(FaultKind.WRONG_ID),
)
# Each costs seconds: silence lasts until the deadline, and a throttled client slows down, as it should.
RARE = (FaultKind.HANG, FaultKind.THROTTLE)
LOGIN = "worker", "invented-password"
say = sys.stdout.write


def tell(*rows: tuple[str, object]) -> None:
    """Print a table of results."""
    for name, value in rows:
        say(f"  {name:<58}{value}\n")


async def deaths(given: argparse.Namespace) -> list[str]:
    """Kill workers and the broker, and check that nothing is lost."""
    dice = Random(given.seed)
    with _under_faults(given) as played:
        killed: Counter[str] = Counter()

        async def disturb(broker: Broker) -> None:
            while True:
                await asyncio.sleep(dice.uniform(*PAUSE))
                if await left(broker) > given.messages // 50:  # the last of them are left to finish
                    await asyncio.to_thread(_strike, dice, played, killed)

        wrong = await _run(given, played, disturb)
        tell(*killed.items())
    return wrong


async def full(given: argparse.Namespace) -> list[str]:
    """Let the stream of outcomes refuse whatever comes, for a while."""
    with _under_faults(given) as played:

        async def disturb(broker: Broker) -> None:
            await _until_left(broker, given.messages * 4 // 5)
            info = await broker.jetstream.stream_info(TOPOLOGY.outcomes_stream)
            config, nearly = info.config, info.state.messages + MARGIN  # a limit below what is there would delete it
            await broker.jetstream.update_stream(config.evolve(max_msgs=nearly, discard="new"))
            while (await broker.jetstream.stream_info(TOPOLOGY.outcomes_stream)).state.messages < nearly:  # noqa: ASYNC110 - other processes do the work
                await asyncio.sleep(0.1)
            before = (await played.api.ask("report")).total
            await asyncio.sleep(FULL_SECONDS)
            after = (await played.api.ask("report")).total
            await broker.jetstream.update_stream(config)
            tell(("customers archived while no outcome could be stored", after - before))

        return await _run(given, played, disturb)


async def hostile(given: argparse.Namespace) -> list[str]:
    """Mix garbage into everything that workers and collector read."""
    dice = Random(given.seed)
    with _under_faults(given) as played, tempfile.TemporaryDirectory() as folder:
        stranger = _Stranger(played.nats, dice)
        with Journal.open(Path(folder) / "run.db") as journal:
            async with queue(played.nats) as broker:
                collector = Collector(broker, TOPOLOGY, DistributedRun(journal, TOPOLOGY))
                collecting = asyncio.create_task(collector.collect(Until.STOPPED))
                wrong = await _run(given, played, stranger.disturb)
                last = (await broker.jetstream.stream_info(TOPOLOGY.outcomes_stream)).state.last_seq
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(60):
                        while collector.next <= last and not collecting.done():  # noqa: ASYNC110 - polled as the broker is
                            await asyncio.sleep(0.1)
                collector.drain()
                await collecting
        letters = await _malformed(played)
    tell(*((f"garbage among {name}", count) for name, count in stranger.published.items()))
    tell(("outcomes collected", collector.read), ("events that could not be read", collector.unreadable))
    commands, events, unread = stranger.published["commands"], stranger.published["outcomes"], collector.unreadable
    wrong += [f"{letters} of {commands} garbage commands are dead letters"] if letters != commands else []
    wrong += [f"{unread} of {events} garbage events were counted"] if unread != events else []
    return wrong + ([f"{collector.read} outcomes were collected"] if collector.read < given.messages else [])


async def revoked(given: argparse.Namespace) -> list[str]:
    """Have the broker refuse the workers' login for a while, by a reload of its configuration."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nats.conf"
        users = {LOGIN[0]: LOGIN[1], "watch": "another-invented-password"}
        _write_users(config, users)
        with _under_faults(given, nats_arguments=("-c", str(config)), login=LOGIN) as played:

            async def disturb(broker: Broker) -> None:
                await _until_left(broker, given.messages * 4 // 5)
                _write_users(config, {name: word for name, word in users.items() if name != LOGIN[0]})
                played.nats.reload()
                await asyncio.sleep(REVOKED_SECONDS)
                _write_users(config, users)
                played.nats.reload()

            return await _run(given, played, disturb, login=("watch", users["watch"]))


@contextlib.contextmanager
def _under_faults(given: argparse.Namespace, **settings: Any) -> Generator[Scene]:
    """Set up the API with its faults, the broker and the workers."""
    weights = {fault: 0.25 if fault.kind in RARE else 1.0 for fault in FAULTS}
    rates: dict[Fault | FaultKind, float] = {
        fault: given.faults * weight / sum(weights.values()) for fault, weight in weights.items()
    }
    faults = Faults(rates=rates, include_gets=True, seed=given.seed)
    arguments = ("--concurrency", "32", "--timeout", "5s", "--grace-period", "10")
    with scene(given.messages, *arguments, faults=faults, **settings) as played:
        yield played


async def _run(
    given: argparse.Namespace,
    played: Scene,
    disturb: Callable[[Broker], Awaitable[None]],
    *,
    login: tuple[str, str] | None = None,
) -> list[str]:
    """Let the workers do it all while something disturbs them, and account for everything."""
    began = time.monotonic()
    async with queue(played.nats, login=login) as broker:
        await publish(broker, commands_for(played.api.customers))
        for _ in range(WORKERS):
            played.workers.start()
        disturbing = asyncio.ensure_future(disturb(broker))
        try:
            while await left(broker) != 0 and time.monotonic() < began + given.limit:
                if disturbing.done():
                    disturbing.result()
                await asyncio.sleep(0.5)
        finally:
            disturbing.cancel()
            await asyncio.wait([disturbing])
        codes = await asyncio.to_thread(played.workers.stop)
        tell(("seconds", f"{time.monotonic() - began:.0f}"))
        wrong = await _account(given.messages, played, broker)
    if set(codes) - {0, -signal.SIGTERM}:  # SIGTERM: before it had begun to listen
        wrong.append(f"workers ended with {codes}")
    return wrong


class _Stranger:
    """Publishes garbage wherever it may.

    Args:
        nats: The broker.
        dice: Chooses when, and which.

    Attributes:
        published: How much of it, by where.
    """

    def __init__(self, nats: NatsServer, dice: Random) -> None:
        self.published: Counter[str] = Counter()
        self._nats = nats
        self._dice = dice

    async def disturb(self, broker: Broker) -> None:
        for subject in (f"$JS.API.CONSUMER.MSG.NEXT.{TOPOLOGY.stream}.>", "$JS.API.STREAM.MSG.GET.>"):
            await broker.connection.subscribe(subject, self._answer)
        for subject in (TOPOLOGY.outcomes_subjects, TOPOLOGY.dead_subject):
            await broker.connection.subscribe(subject, self._answer)
        total = await left(broker)
        for number in range(int(total * GARBAGE_SHARE)):
            # Spread over the run: one for every twenty commands that are done.
            while await left(broker) > total - number / GARBAGE_SHARE:  # noqa: ASYNC110 - other processes do the work
                await asyncio.sleep(0.1)
            await self._store(broker, "commands", TOPOLOGY.subject, TOPOLOGY.stream, number)
            subject = TOPOLOGY.outcomes_subject(self._dice.choice(["archived", "x"]))
            await self._store(broker, "outcomes", subject, TOPOLOGY.outcomes_stream, number)
        await asyncio.Event().wait()

    async def _store(self, broker: Broker, what: str, subject: str, stream: str, number: int) -> None:
        garbage = self._dice.choice(GARBAGE)
        if self._dice.random() < 0.5:
            await send_raw(self._nats, subject, garbage, b"NATS/1.0 100 \xff\xfe\r\n\r\n")
        else:
            await broker.store(subject, garbage, message_id=f"garbage {number}", stream=stream)
        self.published[what] += 1

    async def _answer(self, message: Any) -> None:
        if message.reply and self._dice.random() < GARBAGE_SHARE:
            await message._client.publish(message.reply, self._dice.choice(GARBAGE))
            self.published["replies"] += 1


def _strike(dice: Random, played: Scene, killed: Counter[str]) -> None:
    if dice.random() < 0.75:
        index = dice.randrange(WORKERS)
        killed["workers killed with SIGKILL, and others started"] += 1
        played.workers.kill(index)
        time.sleep(dice.uniform(0, 0.5))
        played.workers.start(index)
        return
    how = dice.choice(["kill", "stop"])
    killed[f"the broker ended with {'SIGKILL' if how == 'kill' else 'SIGTERM'}, and started again"] += 1
    getattr(played.nats, how)()
    time.sleep(dice.uniform(0, 2))
    played.nats.start()


async def _until_left(broker: Broker, count: int) -> None:
    while not 0 <= await left(broker) <= count:  # noqa: ASYNC110 - other processes do the work
        await asyncio.sleep(0.2)


async def _malformed(played: Scene) -> int:
    async with queue(played.nats) as broker:
        return sum(letter.code == "malformed" for letter in await dead_letters(broker))


def _write_users(config: Path, users: dict[str, str]) -> None:
    lines = [f'    {{ user: "{name}", password: "{word}" }}' for name, word in users.items()]
    # With JetStream in the file too: a reload forgets what only the command line has said.
    config.write_text("jetstream: enabled\nauthorization {\n  users = [\n" + "\n".join(lines) + "\n  ]\n}\n")


async def _account(messages: int, played: Scene, broker: Broker) -> list[str]:
    report: Report = await played.api.ask("report")
    events, letters = await outcomes(broker), await dead_letters(broker)
    ids = {str(customer.customer_id): number for number, customer in enumerate(played.api.customers)}
    ended = {ids[str(event.customer_id)]: event for event in events}
    lost = [number for number in range(messages) if number not in ended]
    false = [number for number, event in ended.items() if event.state.is_success and not report.archived[number]]
    other_keys = [number for number, (keys, bodies) in report.keys.items() if keys > 1 or bodies > 1]
    unarchived, waiting = messages - sum(report.archived), await left(broker)
    kept = (await broker.jetstream.stream_info(TOPOLOGY.stream)).state.messages - waiting
    tell(
        *((f"outcomes: {state}", count) for state, count in Counter(e.state.value for e in ended.values()).items()),
        ("dead letters", len(letters)),
        *((f"  {code}", count) for code, count in Counter(letter.code for letter in letters).items()),
        ("customers not archived", unarchived),
        ("messages delivered more than once", sum(event.deliveries > 1 for event in ended.values())),
        ("customers whose archive was asked for more than once", len(report.asked)),
        ("  of these with one key and one body only", len(report.asked) - len(other_keys)),
        ("customers archived twice by the server's count", len(report.applied)),
        ("commands left in the queue", waiting),
        ("acknowledged commands that the killed broker has kept", kept),
        ("customers without an outcome", len(lost)),
    )
    wrong = [f"{len(lost)} customers have no outcome"] if lost else []
    wrong += [f"{len(false)} outcomes say archived, and the server does not"] if false else []
    wrong += [f"{len(other_keys)} customers were asked for with another key or body"] if other_keys else []
    wrong += [f"{waiting} commands are left"] if waiting else []
    wrong += [f"{len(report.applied)} customers were archived twice"] if report.applied else []
    given_up = sum(letter.code != "malformed" for letter in letters)
    if unarchived > given_up:
        wrong.append(f"{unarchived} customers are not archived, and there are {given_up} dead letters")
    return wrong
