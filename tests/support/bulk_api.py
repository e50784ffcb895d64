"""A stand-in for the client in tests of bulk runs: no network, and every answer as the test defines it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import attrs

from thredfi_async import (
    ConnectError,
    ConnectionLostError,
    Customer,
    CustomerStatus,
    Effect,
    RawResponse,
    ThredfiError,
)
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._interfaces import Response
from thredfi_async.bulk import ArchiveItem, ArchiveResult, ArchiveRun

E = TypeVar("E", bound=BaseException)

BUSINESS = UUID("33333333-3333-4333-8333-333333333333")


def item(number: int, business: int = 0) -> ArchiveItem:
    """Return the item with this number."""
    return ArchiveItem(UUID(int=BUSINESS.int + business), UUID(int=number + (4 << 76) + (8 << 60)))


def items(count: int) -> list[ArchiveItem]:
    """Return so many items."""
    return [item(number) for number in range(count)]


def refusal(status: int, code: str = "", **parts: Any) -> ThredfiError:
    """Return a refusal of the API."""
    body = b'{"error": "no", "error_code": "%s"}' % code.encode() if code else b""
    error = api_error(Response(status, {}, body))
    for name, part in parts.items():
        setattr(error, name, part)
    error.effect = Effect.UNKNOWN if status >= 500 else Effect.NOT_APPLIED
    error.attempts = 1
    return error


def lost() -> ThredfiError:
    """Return the error of a lost answer."""
    error = ConnectionLostError("the connection was lost")
    error.effect, error.attempts = Effect.UNKNOWN, 1
    return error


def down() -> ThredfiError:
    """Return the error of an unreachable server."""
    error = ConnectError("refused")
    error.attempts = 1
    return error


def _nothing(_: int, __: UUID) -> None:
    """Let every call succeed."""


@attrs.define
class Api:
    """Archives customers as `answer` decides.

    Args:
        answer: Takes the customer's number of calls so far and its id; returns an error to raise, or None.
        asked: The same for `get`.
    """

    answer: Callable[[int, UUID], BaseException | None] = _nothing
    asked: Callable[[int, UUID], BaseException | None] = _nothing
    archived: set[UUID] = attrs.field(factory=set[UUID])
    calls: Counter[UUID] = attrs.field(factory=Counter[UUID])
    order: list[tuple[UUID, UUID]] = attrs.field(factory=list[tuple[UUID, UUID]])
    questions: Counter[UUID] = attrs.field(factory=Counter[UUID])
    keys: dict[UUID, set[str | None]] = attrs.field(factory=dict[UUID, set[str | None]])
    under_way: int = 0
    most: int = 0
    hold: asyncio.Event | None = None

    @property
    def customers(self) -> "Api":
        return self

    @property
    def with_raw_response(self) -> "Api":
        return self

    async def archive(
        self, business_id: UUID, customer_id: UUID, customer: object, *, settle: bool, idempotency_key: str | None
    ) -> RawResponse[Customer]:
        """Archive a customer, like the API."""
        number = self.calls[customer_id]
        self.calls[customer_id] += 1
        self.order.append((business_id, customer_id))
        self.keys.setdefault(customer_id, set()).add(idempotency_key)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (self.hold.wait() if self.hold is not None else asyncio.sleep(0))
        finally:
            self.under_way -= 1
        error = self.answer(number, customer_id)
        if error is not None:
            raise error
        already = customer_id in self.archived
        self.archived.add(customer_id)
        return RawResponse(
            parsed=record(customer_id, archived=True),
            status=200,
            headers={},
            request_id=None,
            attempts=1,
            elapsed=0.001,
            already_archived=already,
            idempotency_key=idempotency_key,
        )

    async def get(self, business_id: UUID, customer_id: UUID) -> Customer:
        """Return a customer, like the API."""
        number = self.questions[customer_id]
        self.questions[customer_id] += 1
        await asyncio.sleep(0)
        error = self.asked(number, customer_id)
        if error is not None:
            raise error
        return record(customer_id, archived=customer_id in self.archived)


def record(customer_id: UUID, *, archived: bool) -> Customer:
    """Return a customer's record."""
    status = CustomerStatus.ARCHIVED if archived else CustomerStatus.ACTIVE
    return Customer(id=customer_id, status=status, is_active=not archived, is_archived=archived)


async def all_of(run: ArchiveRun) -> list[ArchiveResult]:
    """Return every result, in the input's order."""
    return sorted([result async for result in run], key=lambda result: result.index)


async def until_it_stops(run: ArchiveRun, kind: type[E]) -> tuple[list[ArchiveResult], E]:
    """Return the results until a run stops, and the reason."""
    results: list[ArchiveResult] = []
    try:
        async for result in run:
            results.append(result)  # noqa: PERF401 - the results before the error are needed
    except kind as error:
        return results, error
    raise AssertionError("the run did not stop")


def states(results: Iterable[ArchiveResult]) -> Sequence[str]:
    """Return the state of each result."""
    return [result.state.value for result in results]
