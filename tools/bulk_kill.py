"""The kill test: bulk runs are killed at random moments and resumed, and then checked against the server.

    nox -s bulk_kill -- --runs 30 --seed 1

Each run archives 5,000 customers while a fifth of all requests fail. In every second run one business is forbidden, and
another answers 500 to the first tries for each of its customers. The process gets SIGKILL at a random moment, up to
three times, and is resumed from its journal. The mock server runs in this process, and survives.

Exit status 1: a customer was lost, a final state was sent again, or journal, report, page, exit code and server do not
agree on every customer.
"""

import argparse
import asyncio
import csv
import html
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from thredfi_async import RetryPolicy, ThredfiClient, Timeouts
from thredfi_async.bulk import ArchiveItem, BulkStoppedError, StopPolicy, archive_many, read_journal
from thredfi_async.bulk.report import summary, write_html, write_not_archived_csv
from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer, seeded_customers

ITEMS = 5_000
BUSINESSES = 7
RATE = 0.2
READ = 0.15
KILLS = 3
LIFETIME = 2 * READ
"""Seconds after which no request is on its way any more: the mock server's longest latency is shorter. A refusal that
comes before that, after a lost answer, leaves its item unknown, and a resumed run asks again."""
SESSIONS = 20
REJECTED = 50
"""One in so many items has a body that the API refuses."""
FORBIDDEN = [Fault(FaultKind.SERVER_ERROR, status=403)] * 100
"""For a business that is forbidden as long as a run may last."""
BROKEN = [Fault(FaultKind.SERVER_ERROR, status=500)] * 3
FINAL = frozenset({"archived", "already_archived", "rejected"})
FAULTS = (
    Fault(FaultKind.LATENCY, seconds=READ / 5),
    Fault(FaultKind.LATENCY, seconds=READ * 1.3),  # applied after the client has gone
    Fault(FaultKind.SERVER_ERROR, status=500),
    Fault(FaultKind.SERVER_ERROR, status=502, html=True),
    Fault(FaultKind.RESET_BEFORE),
    Fault(FaultKind.RESET_AFTER),
    Fault(FaultKind.HANG),
    Fault(FaultKind.HANG, applied=False),
    Fault(FaultKind.TRUNCATED),
    Fault(FaultKind.NOT_JSON),
    Fault(FaultKind.NULL_FIELDS),
    Fault(FaultKind.WRONG_ID),
)
THROTTLES = (
    Fault(FaultKind.THROTTLE, retry_after=0.01, form="ms"),
    Fault(FaultKind.SERVER_ERROR, status=503, retry_after=0.01, form="ms"),
)
THROTTLED = 0.001
"""Few, since the client takes each for a sign of overload, and sends less and less."""
say = sys.stdout.write


def items(seed: int) -> Iterator[ArchiveItem]:
    """Yield the input of every process of a run: some items twice, and some that the API refuses."""
    dice = random.Random(seed)
    for number, customer in enumerate(seeded_customers(ITEMS, BUSINESSES, seed)):
        fields = dict(customer.body)
        if number % REJECTED == 0:
            # Well-formed by our own rules; the mock server has no such customer.
            unknown = f"00000000-0000-4000-8000-{number:012d}"
            yield ArchiveItem(customer.business_id, unknown, fields)
            continue
        item = ArchiveItem(customer.business_id, customer.customer_id, fields)
        yield item
        if dice.random() < 0.02:
            yield item


# The process that is killed


async def archive(url: str, token: str, journal: str, seed: int) -> int:
    """Run or resume, and print each result."""
    retry = RetryPolicy(backoff_initial=0.01, backoff_max=0.1, throttle_initial=0.01, max_retry_after=1.0)
    client = ThredfiClient(
        token,
        base_url=url,
        timeouts=Timeouts(connect=1.0, read=READ, deadline=3.0),
        retry=retry,
        max_connections=50,
    )
    async with client:
        run = archive_many(
            client,
            items(seed),
            concurrency=50,
            journal=journal,
            stop=StopPolicy(failure_ratio=None),
            request_lifetime=LIFETIME,
        )
        try:
            async for result in run:
                line = {"customer": str(result.item.customer_id), "state": result.state}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
        except BulkStoppedError as stopped:
            sys.stderr.write(f"{stopped}\n")
            return 1
    return 0


# The process that kills it


class Story:
    """One run, from its first process to its last."""

    def __init__(self, server: MockServer, journal: Path, seed: int) -> None:
        """Start with nothing seen."""
        self.server, self.journal, self.seed = server, journal, seed
        self.forbidden: frozenset[str] = frozenset()
        if seed % 2 == 0:
            self.forbidden = self.break_businesses(*server.business_ids[:2])
        self.dice = random.Random(seed)
        self.kills = 0
        self.sessions = 0
        self.given: dict[str, str] = {}
        self.final: dict[str, int] = {}
        self.wrong: list[str] = []

    def break_businesses(self, forbidden: UUID, broken: UUID) -> frozenset[str]:
        """Let all customers of two businesses fail, of one for ever; return the keys of that one's."""
        faults = {forbidden: FORBIDDEN, broken: BROKEN}
        for each in items(self.seed):
            self.server.queue_faults(each.customer_id, *faults.get(each.business_id, ()))
        return frozenset(_key(each.customer_id) for each in items(self.seed) if each.business_id == forbidden)

    async def tell(self) -> None:
        """Run, kill and resume until nothing is left to do."""
        for _ in range(SESSIONS):
            moment = self.dice.uniform(0.3, 1.8) if self.kills < KILLS else None
            ended = await self.session(moment)
            self.remember()
            if ended and not self.open():
                return
        self.wrong.append("the run did not end")

    async def session(self, kill_after: float | None) -> bool:
        """Start a process, and kill it or let it end; return whether it ended."""
        arguments = ["--run", self.server.url, self.server.token, str(self.journal), "--seed", str(self.seed)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, *arguments, stdout=asyncio.subprocess.PIPE
        )
        self.sessions += 1
        reading = asyncio.create_task(self.read(process))
        try:
            async with asyncio.timeout(kill_after if kill_after is not None else 180.0):
                await asyncio.shield(reading)
        except TimeoutError:
            if kill_after is None:
                self.wrong.append("a session did not end in time")
            os.kill(process.pid, signal.SIGKILL)
            self.kills += 1
        await reading
        return await process.wait() == 0

    async def read(self, process: asyncio.subprocess.Process) -> None:
        """Remember every result that was printed."""
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                told = json.loads(line)
                if self.given.get(told["customer"]) in FINAL:
                    self.wrong.append(f"{told['customer']}: was returned as final, and again")
                self.given[told["customer"]] = told["state"]

    def rows(self) -> dict[str, str]:
        """Read the journal from outside the run."""
        import sqlite3  # noqa: PLC0415 - used only here, to look below the view

        with sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True) as connection:
            query = "SELECT lower(hex(customer_id)), state FROM items"
            rows = connection.execute(query).fetchall()
        connection.close()
        return {str(key): str(state) for key, state in rows}

    def open(self) -> bool:
        """Return whether an item has no final state, but those of the business that is forbidden for ever."""
        return any(state not in FINAL and key not in self.forbidden for key, state in self.rows().items())

    def remember(self) -> None:
        """Check that items with a final state were not sent again since."""
        if not self.journal.exists():
            return
        states = self.rows()
        for customer, requests in self.final.items():
            now = self.requests(customer)
            if now != requests:
                self.wrong.append(f"{customer}: was final, and {now - requests} requests followed")
        for customer, state in self.given.items():
            kept = states.get(customer.replace("-", ""))
            if state in FINAL and kept != state:
                self.wrong.append(f"{customer}: was returned as {state}, and the journal says {kept}")
        for key, state in states.items():
            if state in FINAL:
                self.final[key] = self.requests(key)

    def requests(self, customer: str) -> int:
        """Return how many archive requests the server received for a customer."""
        canonical = f"{customer[:8]}-{customer[8:12]}-{customer[12:16]}-{customer[16:20]}-{customer[20:]}"
        return self.server.requests.of(canonical).requests

    def judge(self) -> Counter[str]:
        """Check the journal against the server and the input."""
        states = self.rows()
        wanted = {_key(item.customer_id) for item in items(self.seed)}
        if wanted != states.keys():
            self.wrong.append(f"{len(wanted - states.keys())} customers are missing from the journal")
        for customer in self.server.customers:
            key = _key(customer.customer_id)
            archived = self.server.is_archived(customer.customer_id)
            if key in states and archived != (states[key] in {"archived", "already_archived"}):
                self.wrong.append(f"{customer.customer_id}: journal {states[key]}, server archived: {archived}")
            keys = self.server.requests.of(customer.customer_id).keys
            if len(keys) > 1:
                self.wrong.append(f"{customer.customer_id}: was sent with {len(keys)} keys")
        self.hold_against(states)
        return Counter(states.values())

    def hold_against(self, states: dict[str, str]) -> None:
        """Check what people are shown against the journal's rows, which were held against the server."""
        open_ = {key: state for key, state in states.items() if state not in {"archived", "already_archived"}}
        text, page = io.StringIO(newline=""), io.StringIO()
        with read_journal(self.journal) as view:
            total = summary(view)
            write_not_archived_csv(view, text)
            write_html(view, page)
        listed = {
            row["customer_id"].replace("-", ""): row["state"] for row in csv.DictReader(text.getvalue().splitlines())
        }
        shown = {customer.replace("-", ""): state for state, customer in _ON_PAGE.findall(page.getvalue())}
        grouped = Counter[str]()
        for reason in total.reasons:
            grouped[reason.state] += reason.count
        code = 3 if "unknown" in open_.values() else int(bool(open_))
        found = self.status()
        checks = {
            "the CSV": listed == open_,
            "the page": shown == open_,
            "the page's verdict": f'status-{total.verdict.colour}">{html.escape(total.verdict.sentence)}<'
            in page.getvalue(),
            "the report's reasons": grouped == Counter(open_.values()),
            "the totals": Counter(states.values()) == +Counter(total.totals),
            "the exit code": total.verdict.exit_code == found["exit_code"] == code,
            "status": found["states"] == dict(+Counter(total.totals)),
            "the end": total.verdict.complete and found["complete"],
        }
        self.wrong += [f"{name} is not what the journal's rows say" for name, right in checks.items() if not right]

    def status(self) -> dict[str, Any]:
        """Return what the command says of the journal."""
        command = [sys.executable, "-m", "thredfi_async", "bulk", "status", str(self.journal), "--json"]
        found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return found


_ON_PAGE = re.compile(r'<tr data-state="(\w+)">.*?<code>[0-9a-f-]{36}</code></td><td><code>([0-9a-f-]{36})</code>')


def _key(customer_id: UUID) -> str:
    return str(customer_id).replace("-", "")


async def one(seed: int, folder: Path) -> tuple[Story, Counter[str]]:
    """Run one story."""
    rates: dict[FaultKind | Fault, float] = {fault: (RATE - THROTTLED) / len(FAULTS) for fault in FAULTS}
    rates.update((fault, THROTTLED / len(THROTTLES)) for fault in THROTTLES)
    faults = Faults(rates=rates, include_gets=True, seed=seed)
    async with MockServer(ITEMS, BUSINESSES, seed, faults=faults, repeat="conflict") as server:
        story = Story(server, folder / f"run-{seed}.db", seed)
        await story.tell()
        await asyncio.sleep(LIFETIME)  # requests that were left behind are applied by then
        story.remember()
        return story, story.judge()


async def main(runs: int, seed: int) -> int:
    """Run all stories."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed, seed + runs):
            began = time.monotonic()
            story, totals = await one(number, Path(folder))
            took = time.monotonic() - began
            say(f"seed {number}: {story.kills} kills, {story.sessions} sessions, {took:.0f} s, {dict(totals)}\n")
            for problem in story.wrong[:10]:
                say(f"  WRONG  {problem}\n")
            failed += bool(story.wrong)
            sys.stdout.flush()
    say("\nno customer was lost, and nothing final was sent again\n" if not failed else f"\n{failed} runs failed\n")
    return 1 if failed else 0


def parsed() -> Any:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", nargs=3, metavar=("URL", "TOKEN", "JOURNAL"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    if given.run is not None:
        address, secret, file = given.run
        sys.exit(asyncio.run(archive(address, secret, file, given.seed)))
    sys.exit(asyncio.run(main(given.runs, given.seed)))
