"""Faults on demand: their kinds, and which request gets one."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from math import ceil
from random import Random
from typing import Literal
from uuid import UUID

import attrs


class FaultKind(StrEnum):
    """The kinds of faults; "applied" means that an archive request has taken effect."""

    LATENCY = "latency"
    """Served properly after `seconds`, and applied then, even if the client has left."""
    THROTTLE = "throttle"
    """429, not applied; `retry_after` and `form` set the header."""
    SERVER_ERROR = "server_error"
    """A 5xx (503, or `status`) in the API's envelope, or as a proxy's HTML page with `html`; not applied."""
    RESET_BEFORE = "reset_before"
    """The connection is reset before the body is read; not applied."""
    RESET_AFTER = "reset_after"
    """Applied, and the connection is reset without an answer."""
    HANG = "hang"
    """Not answered until the client leaves; applied unless `applied` is False."""
    TRUNCATED = "truncated"
    """Applied; the answer announces its full length, but the connection closes half way."""
    NOT_JSON = "not_json"
    """Applied; a 200 with a proxy's HTML page."""
    NULL_FIELDS = "null_fields"
    """Applied; every documented text field of the answer but `external_id` is null."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault
    """401 `invalid_token`, not applied; the token stays refused from then on."""
    WRONG_ID = "wrong_id"
    """Applied; a well-formed answer about another customer."""


_DEFAULT_STATUS = {FaultKind.THROTTLE: 429, FaultKind.SERVER_ERROR: 503}


@attrs.frozen
class Fault:
    """One fault and its parameters; those that its kind does not use are ignored.

    Args:
        kind: What goes wrong.
        seconds: How long `LATENCY` takes, in seconds; 0.1 by default.
        status: The status of `SERVER_ERROR`, 503 by default, or of `THROTTLE`, 429 by default.
        retry_after: Seconds for the header of `THROTTLE` and `SERVER_ERROR`, or a string to send unchanged;
            None, the default, sends no header.
        form: The format of `retry_after`: whole `seconds`, an `http-date`, or `ms`, which sends a
            `Retry-After-Ms` header.
        html: Whether `THROTTLE` and `SERVER_ERROR` send a proxy's HTML page instead of the API's envelope.
        applied: Whether a `HANG` applies the request first; True by default.
        on: The requests of a planned customer that get it: `archive`, the default, or `get`.
    """

    kind: FaultKind = attrs.field(converter=FaultKind)
    seconds: float = attrs.field(default=0.1, kw_only=True)
    status: int | None = attrs.field(default=None, kw_only=True)
    retry_after: float | str | None = attrs.field(default=None, kw_only=True)
    form: Literal["seconds", "http-date", "ms"] = attrs.field(default="seconds", kw_only=True)
    html: bool = attrs.field(default=False, kw_only=True)
    applied: bool = attrs.field(default=True, kw_only=True)
    on: Literal["archive", "get"] = attrs.field(default="archive", kw_only=True)

    @property
    def http_status(self) -> int:
        """The status of the answer, for kinds that set one; else 200."""
        return self.status if self.status is not None else _DEFAULT_STATUS.get(self.kind, 200)

    def retry_headers(self) -> dict[str, str]:
        """Return the headers that tell the client when to retry."""
        if self.retry_after is None:
            return {}
        if isinstance(self.retry_after, str):
            return {"Retry-After": self.retry_after}
        if self.form == "ms":
            return {"Retry-After-Ms": str(round(self.retry_after * 1000))}
        if self.form == "http-date":
            moment = datetime.now(UTC) + timedelta(seconds=self.retry_after)
            return {"Retry-After": format_datetime(moment, usegmt=True)}
        return {"Retry-After": str(ceil(self.retry_after))}


@attrs.frozen(kw_only=True)
class Faults:
    """Which requests fail, by plan or at random.

    Requests with a valid token use up a planned customer's entries in order, archive requests and GETs each
    their own (`Fault.on`); None serves one archive request properly. Requests without an entry left may get a
    random fault.

    Args:
        plan: By customer id, the faults of its requests in order.
        token: The same for the token endpoint, in the order of its requests.
        pages: The same for the list endpoint.
        rates: Probability of each kind, or of each fault where parameters matter, from 0 to 1, and 1 at most in all.
        include_gets: Whether the rates apply to GETs and lists too, not only to archive requests.
        seed: The random seed; with the same one, the same requests in order get the same faults.

    Raises:
        ValueError: The rates are not probabilities.
    """

    plan: Mapping[UUID | str, Sequence[Fault | None]] = attrs.field(factory=dict[UUID | str, Sequence[Fault | None]])
    token: Sequence[Fault | None] = ()
    pages: Sequence[Fault | None] = ()
    rates: Mapping[FaultKind | Fault, float] = attrs.field(factory=dict[FaultKind | Fault, float])
    include_gets: bool = False
    seed: int = 1

    def __attrs_post_init__(self) -> None:
        if any(not 0 <= rate <= 1 for rate in self.rates.values()) or sum(self.rates.values()) > 1 + 1e-9:
            raise ValueError("the rates of faults must be from 0 to 1, and 1 at most in all")


class FaultDeck:
    """One server's faults: the rest of the plan, the random generator, and what was thrown.

    Args:
        faults: The settings; they are not changed.
    """

    def __init__(self, faults: Faults) -> None:
        self.thrown: Counter[FaultKind] = Counter()
        self._queues: dict[tuple[str, str], deque[Fault | None]] = {}
        self._dice = Random(faults.seed)
        self._by_chance = {"archive"} | ({"get", "list"} if faults.include_gets else set[str]())
        self._rates: list[tuple[float, Fault]] = []
        bound = 0.0
        for key, rate in faults.rates.items():
            bound += rate
            self._rates.append((bound, key if isinstance(key, Fault) else Fault(key)))
        for customer_id, entries in faults.plan.items():
            self.add(customer_id, entries)
        self._queues["token", ""] = deque(faults.token)
        self._queues["list", ""] = deque(faults.pages)

    def add(self, customer_id: UUID | str, entries: Iterable[Fault | None]) -> None:
        """Add faults to a customer's plan, after those that are left."""
        key = str(UUID(str(customer_id)))
        for entry in entries:
            kind = "archive" if entry is None else entry.on
            self._queues.setdefault((kind, key), deque()).append(entry)

    def draw(self, kind: str, customer_id: str = "") -> Fault | None:
        """Return the fault for a new request, or None."""
        queue = self._queues.get((kind, customer_id))
        if queue:
            return queue.popleft()
        if self._rates and kind in self._by_chance:
            chance = self._dice.random()
            return next((fault for bound, fault in self._rates if chance < bound), None)
        return None
