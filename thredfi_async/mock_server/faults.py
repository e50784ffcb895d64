"""Faults on demand: which there are, and which request gets one."""

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
    """What can go wrong with one request; "applied" means that an archive request has taken effect."""

    LATENCY = "latency"
    """Served properly after `seconds`; applied at their end, whether or not the client has waited."""
    THROTTLE = "throttle"
    """429, not applied; `retry_after` and `form` say what header comes with it."""
    SERVER_ERROR = "server_error"
    """A 5xx (503, or `status`) in the API's envelope, or as a proxy's page with `html`; not applied."""
    RESET_BEFORE = "reset_before"
    """The connection is reset before the body is read; not applied."""
    RESET_AFTER = "reset_after"
    """Applied, and the connection is reset without an answer."""
    HANG = "hang"
    """Never answered, until the client leaves; applied unless `applied` is False."""
    TRUNCATED = "truncated"
    """Applied; the answer announces its whole length and the connection closes half way."""
    NOT_JSON = "not_json"
    """Applied; a 200 with a proxy's HTML page."""
    NULL_FIELDS = "null_fields"
    """Applied; every documented text of the answer but `external_id` is null."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault
    """401 `invalid_token`, not applied; the token that was used stays refused from then on."""
    WRONG_ID = "wrong_id"
    """Applied; a well-formed answer that is about another customer."""


_DEFAULT_STATUS = {FaultKind.THROTTLE: 429, FaultKind.SERVER_ERROR: 503}


@attrs.frozen
class Fault:
    """One fault and its parameters; those that its kind has no use for are ignored.

    Args:
        kind: What goes wrong.
        seconds: How long `LATENCY` takes, in seconds; 0.1 by default.
        status: The status of `SERVER_ERROR`, 503 by default, or of `THROTTLE`, 429 by default.
        retry_after: Seconds for the header of `THROTTLE` and `SERVER_ERROR`, or a string to send as it is;
            None, the default, sends no header.
        form: How `retry_after` is written: whole `seconds`, an `http-date`, or `ms`, which sends a
            `Retry-After-Ms` header.
        html: Whether `THROTTLE` and `SERVER_ERROR` come as a proxy's HTML page instead of the API's envelope.
        applied: Whether a `HANG` applies the request before it falls silent; True by default.
        on: Which requests of a planned customer it waits for: `archive`, the default, or `get`.
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
        """The status that it is answered with, where it is answered by one of its own."""
        return self.status if self.status is not None else _DEFAULT_STATUS.get(self.kind, 200)

    def retry_headers(self) -> dict[str, str]:
        """Return the headers that tell the client when to come again."""
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
    """Which requests go wrong, by plan or by chance.

    A planned customer's entries are used up in order by requests that carry a valid token, archive requests
    and GETs each by their own (`Fault.on`); None serves one archive request properly. Chance is for requests
    that no entry is left for.

    Args:
        plan: By customer id, the faults of its requests in order.
        token: The same for the token endpoint, in the order of its requests.
        pages: The same for the list endpoint.
        rates: By kind, or by fault where its parameters matter, how likely it is, from 0 to 1 and 1 in all.
        include_gets: Whether the rates are for GETs and lists too, and not for archive requests alone.
        seed: Of the chances; with the same one, the same requests in order meet the same faults.

    Raises:
        ValueError: The rates are no probabilities.
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
    """One server's faults: what is left of the plan, the dice, and what was thrown.

    Args:
        faults: The settings, which it leaves as they are.
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
        """Plan further faults for a customer, after those that it still has."""
        key = str(UUID(str(customer_id)))
        for entry in entries:
            kind = "archive" if entry is None else entry.on
            self._queues.setdefault((kind, key), deque()).append(entry)

    def draw(self, kind: str, customer_id: str = "") -> Fault | None:
        """Return what shall go wrong with the request that has just come, or None."""
        queue = self._queues.get((kind, customer_id))
        if queue:
            return queue.popleft()
        if self._rates and kind in self._by_chance:
            chance = self._dice.random()
            return next((fault for bound, fault in self._rates if chance < bound), None)
        return None
