"""Bulk runs in simulated time: an API that follows a script, and an event loop whose clock jumps.

Nothing waits for real, and a run that would wait for ever is an error at once.
"""

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar
from uuid import UUID

import attrs
from bulk_api import down, item, lost, record, refusal

from thredfi_async import Customer, Effect, RawResponse, RequestTimeoutError, ThredfiError
from thredfi_async.bulk import (
    ArchiveItem,
    ArchiveResult,
    ArchiveRun,
    BulkStoppedError,
    ItemState,
    SourceError,
    StopPolicy,
    archive_many,
)

T = TypeVar("T")

LIFETIME = 900.0
ANSWERS = {"ok", "forbidden", "404", "429", "page"}
"""What leaves no doubt of what a request has done."""
LONGEST = 60_000.0
"""Seconds in which any of these runs must have ended."""
CLIENT_DEADLINE = 60.0
"""Seconds after which a client gives a call up that is not answered."""


class DeadlockError(AssertionError):
    """Everything waits, and nothing will come."""


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: time jumps to the next thing that is due."""

    now = 0.0
    is_stuck = False

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found:
            if (timeout is None or self.now > LONGEST) and not self.is_stuck:
                self.is_stuck = True  # from here on, what is left is cancelled
                raise DeadlockError("the run waits for ever" if timeout is None else "the run does not end")
            self.now += timeout or 0.0
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def simulate(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)


class SimulatedClock:
    """The clock of a simulated loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@attrs.frozen(kw_only=True)
class Customers:
    """What the script says of one customer.

    Args:
        kind: What the API does with its archive calls.
        times: How often, before it serves them; None for always.
        seconds: How long an answer takes.
        late: How long after its answer is lost a request arrives all the same; None if it never does.
        before: Whether it was archived before.
    """

    kind: str = "ok"
    times: int | None = None
    seconds: float = 0.01
    late: float | None = None
    before: bool = False


@attrs.frozen(kw_only=True)
class Script:
    """What happens in a run.

    Args:
        customers: The customers in the input's order: the number of the business, and what the script says.
        businesses: What the API does for a business: `ok`, `forbidden`, `broken` or `dead`, until then (seconds).
        outage: From when to when the API is down, if it ever is.
        part: The part of all calls that such an outage fails, with 503; None for all, without a connection.
        reads: Whether questions are answered by businesses that are broken.
        reading: Seconds that an answer to a question takes, or the client's deadline; None for the customer's own;
            infinite if the client has no deadline, and no answer ever comes.
        repeats: Whether the input lists everything twice.
        pause: Seconds between items of the input.
        takes: Seconds that the consumer takes for each result.
        concurrency: The run's.
        outage_timeout: The run's.
        breaks: After how many items the source breaks off; None for never.
        ends: When the run is ended, and how: `drain`, `close`, `cancel` or `second`.
    """

    customers: tuple[tuple[int, Customers], ...]
    businesses: tuple[tuple[str, float], ...]
    outage: tuple[float, float] | None = None
    part: float | None = None
    reads: bool = True
    reading: float | None = None
    repeats: bool = False
    pause: float = 0.0
    takes: float = 0.0
    concurrency: int = 5
    outage_timeout: float = 600.0
    breaks: int | None = None
    ends: tuple[str, float] | None = None


@attrs.define
class ScriptedApi:
    """The API as the script has it, and what it has seen."""

    script: Script
    sent: Counter[UUID] = attrs.field(factory=Counter[UUID])
    doubtful: set[UUID] = attrs.field(factory=set[UUID])
    applied: dict[UUID, float] = attrs.field(factory=dict[UUID, float])
    refused: set[UUID] = attrs.field(factory=set[UUID])
    calls: Counter[UUID] = attrs.field(factory=Counter[UUID])
    in_flight: int = 0
    most: int = 0
    known: dict[UUID, tuple[int, Customers]] = attrs.field(factory=dict[UUID, tuple[int, Customers]])
    _chance: random.Random = attrs.field(factory=lambda: random.Random(1))

    def __attrs_post_init__(self) -> None:
        for number, entry in enumerate(self.script.customers):
            self.known[item(number).customer_id] = entry

    @property
    def customers(self) -> "ScriptedApi":
        return self

    @property
    def with_raw_response(self) -> "ScriptedApi":
        return self

    def is_archived(self, customer_id: UUID, at: float) -> bool:
        """Return whether a customer is archived at a time."""
        _, customer = self.known[customer_id]
        return customer.before or self.applied.get(customer_id, float("inf")) <= at

    async def archive(
        self, business_id: UUID, customer_id: UUID, customer: object, *, settle: bool, idempotency_key: str | None
    ) -> RawResponse[Customer]:
        """Archive a customer as the script has it; a cancelled call has the note that the client adds."""
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        self.calls[customer_id] += 1
        progress = {"effect": Effect.NOT_APPLIED}
        try:
            return await self._archive(customer_id, idempotency_key, progress)
        except asyncio.CancelledError as error:
            error.add_note(f"cancelled with effect {progress['effect'].name}, attempts 1, idempotency key None")
            raise
        finally:
            self.in_flight -= 1

    async def _archive(self, customer_id: UUID, key: str | None, progress: dict[str, Effect]) -> RawResponse[Customer]:
        business, customer = self.known[customer_id]
        await asyncio.sleep(customer.seconds / 2)
        if (error := self._unreachable()) is not None:
            raise error
        progress["effect"] = Effect.UNKNOWN
        self.sent[customer_id] += 1
        was_doubtful = customer_id in self.doubtful
        self.doubtful.add(customer_id)
        kind = self._kind(business, customer, self.sent[customer_id])
        already = self.is_archived(customer_id, _now())
        if kind in {"never", "hang"}:
            if kind == "hang":
                self._apply(customer_id, customer.late or 0.0)
            await asyncio.sleep(CLIENT_DEADLINE)
            error = RequestTimeoutError("the deadline", phase="deadline")
            error.effect, error.attempts = Effect.UNKNOWN, 1
            raise error
        await asyncio.sleep(customer.seconds / 2)
        if kind in ANSWERS and not was_doubtful:
            self.doubtful.discard(customer_id)
        self._raise(kind, customer_id, customer)
        self._apply(customer_id, 0.0)
        progress["effect"] = Effect.APPLIED
        return RawResponse(
            parsed=record(customer_id, archived=True),
            status=200,
            headers={},
            request_id=None,
            attempts=1,
            elapsed=0.001,
            already_archived=already,
            idempotency_key=key,
        )

    async def get(self, business_id: UUID, customer_id: UUID) -> Customer:
        """Return a customer as the script has it."""
        business, customer = self.known[customer_id]
        seconds = customer.seconds if self.script.reading is None else self.script.reading
        await asyncio.sleep(seconds if seconds == float("inf") else min(seconds, CLIENT_DEADLINE))
        if seconds > CLIENT_DEADLINE:
            late = RequestTimeoutError("the deadline", phase="deadline")
            late.effect, late.attempts = Effect.NOT_APPLIED, 1
            raise late
        if (error := self._unreachable()) is not None:
            raise error
        kind, until = self.script.businesses[business]
        if kind == "dead" or (kind == "broken" and not self.script.reads and _now() < until):
            raise refusal(500)
        return record(customer_id, archived=self.is_archived(customer_id, _now()))

    def _unreachable(self) -> ThredfiError | None:
        outage = self.script.outage
        if self.script.part is not None and self._chance.random() > self.script.part:
            return None
        if self.script.part is not None and outage is not None and outage[0] <= _now() < outage[1]:
            return refusal(503)
        return down() if outage is not None and outage[0] <= _now() < outage[1] else None

    def _kind(self, business: int, customer: Customers, number: int) -> str:
        kind, until = self.script.businesses[business]
        if kind != "ok" and _now() < until:
            return kind
        return customer.kind if customer.times is None or number <= customer.times else "ok"

    def _raise(self, kind: str, customer_id: UUID, customer: Customers) -> None:
        match kind:
            case "500" | "broken" | "dead":
                raise refusal(500)
            case "503":
                raise refusal(503)
            case "cancelled":
                error = asyncio.CancelledError()
                error.add_note("cancelled with effect UNKNOWN, attempts 1, idempotency key None")
                raise error
            case "lost":
                if customer.late is not None:
                    self._apply(customer_id, customer.late)
                raise lost()
            case "forbidden":
                self.refused.add(customer_id)
                raise refusal(403, "permission_denied")
            case "404":
                self.refused.add(customer_id)
                raise refusal(404, "not_found")
            case "429":
                self.refused.add(customer_id)
                raise refusal(429)
            case "page":
                self.refused.add(customer_id)
                raise refusal(404)
            case _:
                pass

    def _apply(self, customer_id: UUID, late: float) -> None:
        self.applied[customer_id] = min(self.applied.get(customer_id, float("inf")), _now() + late)


def _now() -> float:
    return asyncio.get_running_loop().time()


@attrs.define
class Course:
    """How a run went.

    Args:
        api: The API as it was left.
        results: What it gave.
        read: How many items were read.
        error: What it raised at its end.
        times: When each result came.
        seconds: How long it took.
        held: The most items that it held at once.
        is_open: Whether the consumer left before the end.
    """

    api: ScriptedApi
    results: list[ArchiveResult] = attrs.field(factory=list[ArchiveResult])
    read: int = 0
    error: BaseException | None = None
    times: dict[UUID, float] = attrs.field(factory=dict[UUID, float])
    seconds: float = 0.0
    held: int = 0
    is_open: bool = False
    second: list[BaseException] = attrs.field(factory=list[BaseException])


async def course_of(script: Script) -> Course:
    """Run a script."""
    course = Course(ScriptedApi(script))
    clock = SimulatedClock()

    async def source() -> AsyncIterator[ArchiveItem]:
        for number, (business, _) in enumerate(script.customers):
            for _ in range(1 + script.repeats):
                if script.pause:
                    await asyncio.sleep(script.pause)
                if script.breaks is not None and number >= script.breaks:
                    raise asyncio.CancelledError
                if not _:
                    course.read += 1
                yield item(number, business)

    run = archive_many(
        course.api,
        source(),
        concurrency=script.concurrency,
        stop=StopPolicy(outage_timeout=script.outage_timeout),
        clock=clock,
        request_lifetime=LIFETIME,
    )
    consumer = asyncio.create_task(_consume(run, course))
    ends = asyncio.create_task(_end(run, consumer, course))
    await asyncio.wait([consumer])
    course.seconds = _now()
    ends.cancel()
    await asyncio.wait([ends])
    await run.aclose()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left
    return course


async def _consume(run: ArchiveRun, course: Course) -> None:
    try:
        async for result in run:
            course.results.append(result)
            course.times[result.item.customer_id] = _now()
            if course.api.script.takes:
                await asyncio.sleep(course.api.script.takes)
            snapshot = run.snapshot()
            course.held = max(course.held, snapshot.waiting + snapshot.in_flight)
    except (BulkStoppedError, SourceError, RuntimeError) as error:
        course.error = error


async def _end(run: ArchiveRun, consumer: "asyncio.Task[None]", course: Course) -> None:
    ends = course.api.script.ends
    if ends is None:
        return
    how, when = ends
    await asyncio.sleep(when)
    match how:
        case "drain":
            run.drain()
        case "close":
            course.is_open = True
            await run.aclose()
        case "cancel":
            course.is_open = True
            consumer.cancel()
        case _:
            try:
                # One at a time may; it is refused at once if the first one waits.
                course.results.append(await anext(run))
            except (RuntimeError, StopAsyncIteration, BulkStoppedError, SourceError) as error:
                course.second.append(error)


def is_true(course: Course, result: ArchiveResult) -> bool:
    """Return whether an outcome is true of what the API has seen, and stays so whatever still arrives."""
    customer = result.item.customer_id
    _, script = course.api.known[customer]
    ever = course.api.is_archived(customer, float("inf"))
    match result.state:
        case ItemState.ARCHIVED:
            return ever and course.api.sent[customer] > 0
        case ItemState.ALREADY_ARCHIVED:
            return script.before
        case ItemState.REJECTED:
            return customer in course.api.refused and customer not in course.api.applied
        case ItemState.FAILED:
            return customer not in course.api.applied and customer not in course.api.doubtful
        case ItemState.UNKNOWN:
            return customer in course.api.doubtful
