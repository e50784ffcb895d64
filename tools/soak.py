"""The soak test: many archives through all faults at once, and then a check of every result against the server.

    nox -s soak -- --seed 1 --calls 50000

The mock server runs in its own process, with all its faults at 20 %, an outage of four seconds and an expiry of all
tokens in the middle. Calls are cancelled at random moments, reach tight bounds, repeat archived customers, and take
their body from the server. The policy's waits are short, and real.

Exit status 1: a statement was false, something leaked, or memory grew.
"""

import argparse
import asyncio
import gc
import itertools
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from thredfi_async import (
    CallEnded,
    Effect,
    Event,
    PartnerCredentials,
    RetryPolicy,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer, SeededCustomer, seeded_customers

CONCURRENCY = 32
WORKERS = 12
READ = 0.12
GROWTH = 8 * 1024 * 1024
RATE = 0.2
FAULTS = (
    Fault(FaultKind.LATENCY, seconds=READ / 5),
    Fault(FaultKind.LATENCY, seconds=READ * 1.5),  # applied after the client has gone
    Fault(FaultKind.THROTTLE),
    Fault(FaultKind.THROTTLE, retry_after=0.01, form="ms"),
    Fault(FaultKind.THROTTLE, retry_after=60, html=True),
    Fault(FaultKind.SERVER_ERROR, status=500),
    Fault(FaultKind.SERVER_ERROR, status=502, html=True),
    Fault(FaultKind.SERVER_ERROR, status=503, retry_after=0.01, form="ms"),
    Fault(FaultKind.RESET_BEFORE),
    Fault(FaultKind.RESET_AFTER),
    Fault(FaultKind.HANG),
    Fault(FaultKind.HANG, applied=False),
    Fault(FaultKind.TRUNCATED),
    Fault(FaultKind.NOT_JSON),
    Fault(FaultKind.NULL_FIELDS),
    Fault(FaultKind.EXPIRED_TOKEN),
    Fault(FaultKind.WRONG_ID),
)
NOTE = re.compile(r"cancelled with effect (NOT_APPLIED|UNKNOWN|APPLIED), attempts (\d+), idempotency key (\S+)")
say = sys.stdout.write


# The server's process


@dataclass
class Report:
    """The server's records at the end."""

    applied: dict[str, int]
    """The customer's number by each key whose request took effect."""
    archived: bytes
    totals: Counter[str]
    thrown: Counter[FaultKind]
    connections: int


def serve(pipe: Connection, customers: int, seed: int) -> None:
    """Run the mock server, and follow the other process's orders."""
    asyncio.run(_serve(pipe, customers, seed))


async def _serve(pipe: Connection, customers: int, seed: int) -> None:
    dice = Random(seed)
    of_tokens = [fault for fault in FAULTS if fault.kind not in {FaultKind.EXPIRED_TOKEN, FaultKind.WRONG_ID}]
    faults = Faults(
        rates={fault: RATE / len(FAULTS) for fault in FAULTS},
        token=[dice.choice(of_tokens) if dice.random() < RATE else None for _ in range(10_000)],
        include_gets=True,
        seed=seed,
    )
    server = MockServer(customers, seed=seed, faults=faults, repeat="conflict")
    async with server:
        pipe.send((server.url, server.partner_uuid, server.api_key))
        while (order := await asyncio.to_thread(pipe.recv)) is not None:
            match order:
                case ("down", status):
                    server.set_down(True, status=status)
                case "up":
                    server.set_down(False)
                case "expire":
                    server.expire_tokens()
                case _:
                    pipe.send(_report(server))


def _report(server: MockServer) -> Report:
    assert server._runner is not None
    assert server._runner.server is not None
    return Report(
        applied={key: number for number, key in server._endpoints.store._replays},
        archived=bytes(server.is_archived(customer.customer_id) for customer in server.customers),
        totals=server.requests.totals,
        thrown=server.faults_thrown,
        connections=len(server._runner.server.connections),
    )


# The client's side


STATEMENTS = (
    "succeeded",
    "succeeded, archived already",
    *(f"{how} {effect}" for how in ("failed", "cancelled") for effect in Effect),
)


def customer_of(number: int) -> int:
    """Return the customer of a call; one call in twenty repeats an earlier customer."""
    return number if number % 20 else number // 2


@dataclass
class Soak:
    """One run: the calls and the result of each; memory for that is allocated at the start."""

    client: ThredfiClient
    customers: Sequence[SeededCustomer]
    calls: int
    dice: Random
    stated: bytearray = field(init=False)
    events: bytearray = field(init=False)
    outcomes: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    attempts: int = 0
    memory: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.stated = bytearray(b"\xff" * self.calls)
        self.events = bytearray(b"\xff" * self.calls)

    def on_event(self, event: Event, /) -> None:
        """Record the effect in a call's last event."""
        if isinstance(event, CallEnded):
            self.outcomes[event.outcome] += 1
            self.attempts += event.attempts
            if event.idempotency_key is not None:
                self.events[int(event.idempotency_key.rpartition("-")[2])] = event.effect

    async def run(self, orders: dict[int, Callable[[], object]]) -> None:
        """Make all calls, so many at once, and give orders when their call comes."""
        numbers = iter(range(self.calls))
        await asyncio.gather(*(self._work(numbers, orders) for _ in range(WORKERS)))
        self.measure()

    def measure(self) -> None:
        """Record how much memory this process uses now."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.memory.append(pages * resource.getpagesize())

    async def _work(self, numbers: Iterator[int], orders: dict[int, Callable[[], object]]) -> None:
        for number in numbers:
            if number in orders:
                orders[number]()
            await self._call(number)

    async def _call(self, number: int) -> None:
        dice = self.dice.random()
        options = {"timeouts": Timeouts(read=READ, queue=0.002, deadline=0.3)} if dice < 0.03 else {}
        after = self.dice.expovariate(100)
        try:
            if 0.03 <= dice < 0.06:
                async with asyncio.timeout(after):
                    await self._archive(number, options)
            elif 0.06 <= dice < 0.1:
                call = asyncio.create_task(self._archive(number, options))
                timer = asyncio.get_running_loop().call_later(after, call.cancel)
                try:
                    await call
                finally:
                    timer.cancel()
            else:
                await self._archive(number, options)
        except ThredfiError as error:
            self._failed(number, error)
            await asyncio.sleep(self.dice.random() * 0.1)
        except TimeoutError as error:
            self._cancelled(number, error.__cause__)
        except asyncio.CancelledError as error:
            self._cancelled(number, error)

    async def _archive(self, number: int, options: dict[str, Any]) -> None:
        customer = self.customers[customer_of(number)]
        body = customer.body if self.dice.random() < 0.85 else None
        answer = await self.client.customers.with_raw_response.archive(
            customer.business_id, customer.customer_id, body, idempotency_key=f"soak-{number}", **options
        )
        self._state(number, STATEMENTS[int(answer.already_archived)])
        if answer.parsed.id != customer.customer_id or not answer.parsed.is_archived:
            self.wrong.append(f"call {number}: the record of another customer, or an active one")

    def _failed(self, number: int, error: ThredfiError) -> None:
        self.errors[type(error).__name__] += 1
        self._state(number, f"failed {error.effect}")
        if error.idempotency_key not in {None, f"soak-{number}"}:
            self.wrong.append(f"call {number}: another call's key")

    def _cancelled(self, number: int, cancelled: BaseException | None) -> None:
        if getattr(cancelled, "__notes__", None) is None:
            # Cancelled before it had begun: nothing can have been sent.
            self._state(number, f"cancelled {Effect.NOT_APPLIED}")
            self.outcomes["cancelled"] += 1
            return
        note = NOTE.search("\n".join(getattr(cancelled, "__notes__", ())))
        if note is None or note[3] not in {"None", f"soak-{number}"}:
            self.wrong.append(f"call {number}: cancelled without a note, or with another call's")
            return
        self._state(number, f"cancelled {note[1]}")

    def _state(self, number: int, statement: str) -> None:
        if self.stated[number] != 0xFF:
            self.wrong.append(f"call {number}: it ended twice")
        self.stated[number] = STATEMENTS.index(statement)


def judged(soak: Soak, report: Report) -> tuple[list[list[object]], list[str]]:
    """Check every call's effect against what the server applied; return the table, and what was false."""
    counts = {statement: [0, 0, 0, 0] for statement in STATEMENTS}
    false: list[str] = []
    for number, index in enumerate(soak.stated):
        if index == 0xFF:
            false.append(f"call {number} never ended")
            continue
        statement = STATEMENTS[index]
        customer = customer_of(number)
        applied, archived = f"soak-{number}" in report.applied, bool(report.archived[customer])
        true = {
            "succeeded": archived,
            "succeeded, archived already": archived and not applied,
            f"failed {Effect.NOT_APPLIED}": not applied,
            f"cancelled {Effect.NOT_APPLIED}": not applied,
            f"failed {Effect.APPLIED}": applied,
            f"cancelled {Effect.APPLIED}": applied,
        }.get(statement, True)
        told = soak.events[number]
        if told != 0xFF and not statement.startswith("succeeded") and not statement.endswith(Effect(told).name):
            false.append(f"call {number}: {statement}, and its event says {Effect(told).name}")
        if not true:
            false.append(f"call {number}: {statement}, but applied {applied}, archived {archived}")
        for column, fact in enumerate((True, applied, archived, not true)):
            counts[statement][column] += fact
    return [[statement, *row] for statement, row in counts.items()], false


async def leaks(soak: Soak) -> list[str]:
    """Return what is left over after all calls have ended."""
    client, found = soak.client, list[str]()
    limiter, session = client._limiter, client._transport._session
    waiting = [turn for turn in limiter._waiting if not turn.done()]
    assert session is not None
    connector: Any = session.connector
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for what, left in {
        "slots": limiter.in_use,
        "waiters": len(waiting),
        "timer of the limiter": limiter._timer is not None,
        "calls": client._lifecycle._calls + len(client._lifecycle._running),
        "tasks": len(others),
        "connections in use": len(connector._acquired),
    }.items():
        if left:
            found.append(f"{left} {what}")
    await client.aclose()
    await asyncio.sleep(0.3)
    timers: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    left_over = [timer for timer in timers if not timer.cancelled()]
    if left_over:
        found.append(f"timers: {left_over}")
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        found.append(f"tasks after closing: {tasks}")
    return found


def sockets() -> int:
    """Return the number of this process's open sockets."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - as the next line
    return sum(os.path.islink(link) and os.readlink(link).startswith("socket:") for link in links)  # noqa: PTH114, PTH115 - they may vanish


def tell(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a table, with numbers aligned to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    say(f"\n{title}\n")
    for first, *others in cells:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        say("  " + "  ".join([first.ljust(widths[0]), *numbers]) + "\n")


async def soaked(pipe: Connection, calls: int, seed: int) -> list[str]:
    """Run everything, print the results, and return the failures."""
    loop, began = asyncio.get_running_loop(), time.monotonic()
    dice = Random(seed)
    url, partner, key = await asyncio.to_thread(pipe.recv)
    customers = seeded_customers(calls, seed=seed)
    retry = RetryPolicy(
        backoff_initial=0.01, backoff_max=0.1, throttle_initial=0.02, max_retry_after=1.0, jitter=dice.random
    )
    before = sockets()
    hooks: list[Any] = []
    client = ThredfiClient(
        credentials=PartnerCredentials(partner, key),
        base_url=url,
        timeouts=Timeouts(connect=1.0, read=READ, deadline=3.0),
        retry=retry,
        max_connections=CONCURRENCY,
        hooks=[_Late(hooks)],
    )
    soak = Soak(client, customers, calls, dice)
    hooks.append(soak)

    def outage() -> None:
        pipe.send(("down", None))
        loop.call_later(2.5, pipe.send, ("down", 503))
        loop.call_later(4.0, pipe.send, "up")

    await soak.run(
        {
            calls // 3: soak.measure,
            calls * 45 // 100: outage,
            calls * 70 // 100: lambda: pipe.send("expire"),
        }
    )
    seconds = time.monotonic() - began
    await asyncio.sleep(READ * 2)  # requests that clients have left behind are applied by then
    wrong = soak.wrong + [f"left over: {what}" for what in await leaks(soak)]
    pipe.send("report")
    report: Report = await asyncio.to_thread(pipe.recv)
    rows, false = judged(soak, report)
    header: list[object] = ["statement", "calls", "applied by the call", "customer archived", "false"]
    tell(f"seed {seed}: {calls:,} calls in {seconds:.0f} s", [header, *rows])
    tell("errors", [[name, count] for name, count in sorted(soak.errors.items())])
    tell("faults thrown", [[str(kind), count] for kind, count in sorted(report.thrown.items())])
    tell("requests received", [[kind, count] for kind, count in sorted(report.totals.items())])
    first, last = soak.memory
    tell(
        "afterwards",
        [
            ["requests that calls say they sent", soak.attempts],
            ["memory after a third, KiB", first // 1024],
            ["memory at the end, KiB", last // 1024],
            ["sockets of the client left", sockets() - before],
            ["connections of the server left", report.connections],
            ["false statements", len(false)],
            ["other things wrong", len(wrong)],
        ],
    )
    if last - first > GROWTH:
        wrong.append(f"memory grew by {(last - first) // 1024} KiB")
    if sockets() > before or report.connections:
        wrong.append("sockets are left open")
    if soak.outcomes.total() != calls:
        wrong.append(f"{soak.outcomes.total()} calls emitted their end, and {calls} were made")
    return false + wrong


@dataclass
class _Late:
    """Passes events to a hook that is created after the client."""

    hooks: list[Any]

    def on_event(self, event: Event, /) -> None:
        for hook in self.hooks:
            hook.on_event(event)


def main() -> int:
    """Run one soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=50_000)
    given = parser.parse_args()
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, given.calls, given.seed))
    process.start()
    try:
        wrong = asyncio.run(soaked(ours, given.calls, given.seed))
        ours.send(None)
        process.join(10)
    finally:
        process.kill()
    for problem in itertools.islice(wrong, 20):
        say(f"\nWRONG  {problem}")
    say("\nall statements are true, and nothing is left over\n" if not wrong else "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
