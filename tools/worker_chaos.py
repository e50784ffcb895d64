"""Shows the worker's guarantees: `nox -s worker_chaos`, or some of them by name.

    nox -s worker_chaos -- deaths --messages 20000 --seed 1
    nox -s worker_chaos -- full hostile
    nox -s worker_chaos -- share --seconds 60 --rate 200
    nox -s worker_chaos -- outage --seconds 30
    nox -s worker_chaos -- throughput --messages 5000 --rounds 5

- **deaths**, **full**, **hostile**, **revoked**: four worker processes under faults of every kind; see
  `worker_faults.py`. Afterwards every customer is archived, once, or is a dead letter with its reason.
- **share**: four worker processes at an API with a rate limit. Their total, their shares, and the 429s, by second.
- **outage**: an API that is down for a while. No dead letter, no extra delivery, and how soon work resumes.
- **throughput**: one worker, with outcomes, compared with `archive_many`; see `worker_throughput.py`.

Exit status 1: a guarantee does not hold.
"""

import argparse
import asyncio
import logging
import socket
import sys
import time
from collections import Counter

from worker_faults import WORKERS, deaths, full, hostile, revoked, say, tell
from worker_throughput import throughput
from workerpark import TOPOLOGY, Api, commands_for, dead_letters, left, outcomes, publish, queue, scene

from thredfi_async.worker.broker import Broker

# The thresholds to pass.
SETTLED, REFUSED, SHARE, RESUMED = 0.85, 0.1, (0.15, 0.35), 10.0


async def share(given: argparse.Namespace) -> list[str]:
    """Let four workers find their share of an API's capacity."""
    customers = int(given.rate * (given.seconds + 20))
    with scene(customers, rate_limit=given.rate, latency=given.latency) as played:
        workers = played.workers
        workers.ports = {index: _free_port() for index in range(WORKERS)}
        async with queue(played.nats) as broker:
            await publish(broker, commands_for(played.api.customers))
        for _ in range(WORKERS):
            workers.start()
        curve = await _curve(played.api, given.seconds)
        figures = [await workers.figures(index) for index in range(WORKERS)]
        await asyncio.to_thread(workers.stop)
    settled = curve[given.seconds // 4 :]
    good, refused = sum(row[0] for row in settled), sum(row[1] for row in settled)
    done = [figure['thredfi_worker_outcomes_total{state="archived"}'] for figure in figures]
    shares = [count / (sum(done) or 1) for count in done]
    for second, (answered, throttled) in enumerate(curve, start=1):
        say(f"  {second:>3} s {answered:>5} answered {throttled:>5} x 429  {'#' * (answered // 5)}\n")
    rate, part = good / len(settled), refused / ((good + refused) or 1)
    tell(
        ("answered a second, once settled", f"{rate:.0f} of {given.rate:.0f}"),
        ("429s, of all requests, once settled", f"{part:.1%}"),
        ("shares of the workers", ", ".join(f"{part:.0%}" for part in shares)),
    )
    wrong = [] if rate >= SETTLED * given.rate else [f"only {rate:.0f} of {given.rate:.0f} a second"]
    wrong += [f"{part:.0%} of requests were refused"] if part >= REFUSED else []
    return wrong + ([f"shares are {shares}"] if not all(SHARE[0] <= each <= SHARE[1] for each in shares) else [])


async def _curve(there: Api, seconds: int) -> list[tuple[int, int]]:
    """Return how many requests were answered, and how many refused, in each second."""
    rows: list[tuple[int, int]] = []
    before: Counter[int] = Counter()
    while not before[200]:
        before = await there.ask("statuses")
    tick = time.monotonic()
    for _ in range(seconds):
        tick += 1
        await asyncio.sleep(tick - time.monotonic())
        now: Counter[int] = await there.ask("statuses")
        rows.append((now[200] - before[200], now[429] - before[429]))
        before = now
    return rows


async def outage(given: argparse.Namespace) -> list[str]:
    """Stop the API during the work, and start it again."""
    with scene(given.messages, latency=0.02) as played:
        async with queue(played.nats) as broker:
            await publish(broker, commands_for(played.api.customers))
            for _ in range(2):
                played.workers.start()
            await _until(broker, given.messages * 4 // 5, 30)
            played.api.tell("down")
            await asyncio.sleep(given.seconds)
            consumer = await broker.jetstream.consumer_info(TOPOLOGY.stream, TOPOLOGY.consumer)
            before = await left(broker)
            played.api.tell("up")
            back = time.monotonic()
            await _until(broker, before - 2 * 32 - 1, 60)
            resumed = time.monotonic() - back
            await _until(broker, 0, 120)
            await asyncio.to_thread(played.workers.stop)
            events, letters = await outcomes(broker), await dead_letters(broker)
    again = sum(event.deliveries > 1 for event in events)
    tell(
        ("seconds without an API", given.seconds),
        (
            "in flight at its end, and of these delivered again",
            f"{consumer.num_ack_pending}, {consumer.num_redelivered}",
        ),
        ("outcomes", dict(Counter(event.state.value for event in events))),
        ("messages delivered more than once", again),
        ("dead letters", len(letters)),
        ("seconds until all of these were done, and more", f"{resumed:.1f}"),
    )
    wrong = [f"{again} messages were delivered again"] if again else []
    wrong += [f"{len(letters)} dead letters"] if letters else []
    wrong += [f"{len(events)} outcomes of {given.messages}"] if len(events) != given.messages else []
    return wrong + ([f"work resumed only after {resumed:.0f} s"] if resumed > RESUMED else [])


async def _until(broker: Broker, count: int, seconds: float) -> None:
    """Wait until no more than this number of commands are left."""
    async with asyncio.timeout(seconds):
        while not 0 <= await left(broker) <= count:  # noqa: ASYNC110 - other processes do the work
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SHOWS = {
    "deaths": deaths,
    "full": full,
    "hostile": hostile,
    "revoked": revoked,
    "share": share,
    "outage": outage,
    "throughput": throughput,
}
MESSAGES = dict.fromkeys(("deaths", "full", "hostile", "revoked"), 20_000) | {"outage": 5_000, "throughput": 5_000}
SECONDS = {"share": 60, "outage": 30}


def main() -> int:
    """Run some of them, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("show", nargs="*", choices=[*SHOWS, []], help="all of them unless given")
    parser.add_argument("--messages", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=float, default=0.2)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--concurrency", type=int, default=100, help="of both sides of `throughput`")
    parser.add_argument("--rounds", type=int, default=5, help="of `throughput`")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that a run under faults may take")
    given = parser.parse_args()
    logging.getLogger("thredfi_async").addHandler(logging.NullHandler())
    wrong: list[str] = []
    for name in given.show or SHOWS:
        mine = argparse.Namespace(**vars(given))
        mine.messages, mine.seconds = given.messages or MESSAGES.get(name, 0), given.seconds or SECONDS.get(name, 0)
        say(f"\n{name}\n")
        found = asyncio.run(SHOWS[name](mine))
        wrong += [f"{name}: {problem}" for problem in found]
    for problem in wrong:
        say(f"\nWRONG  {problem}")
    say("\n" if wrong else "\nall guarantees hold\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
