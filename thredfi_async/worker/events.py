"""What a worker publishes: outcomes and dead letters. Outcomes hold no personal data."""

import base64
import datetime as dt
from collections.abc import Mapping
from typing import Final, Self
from uuid import UUID

import attrs

from thredfi_async import Effect, InvalidRequestError
from thredfi_async._codec.json import dumps
from thredfi_async.bulk import ItemState
from thredfi_async.worker import payload as rules
from thredfi_async.worker.payload import VERSION, Rule, identifier, problem, read, state

LARGEST_OUTCOME: Final = 16 * 1024
"""Bytes of an outcome event at most; ours have a few hundred."""

_HEADERS: Final = 512  # headers count towards the broker's limit too
_LARGEST_LETTER: Final = 64 * 1024 * 1024  # the most that a broker may allow
_LONGEST_REASON: Final = 10_000
_LONGEST_SUBJECT: Final = 4_096


def _cut(reason: str) -> str:
    """Return a reason that can be stored: one may name every field of a large message."""
    reason = reason.encode(errors="backslashreplace").decode()
    return f"{reason[: _LONGEST_REASON - 1]}…" if len(reason) > _LONGEST_REASON else reason


@attrs.frozen(kw_only=True)
class OutcomeEvent:
    """How one command ended, as a JSON object on `<subject>.outcomes.<state>`.

    Args:
        business_id: The business's id.
        customer_id: The customer's id.
        state: As in a bulk run. `archived`, `already_archived` and `rejected` are the API's answer; `failed`
            (certainly nothing was applied) and `unknown` (it may have been) mean that the worker gave up. All but the
            first two come with a dead letter.
        code: A machine-readable reason; None if the customer is archived.
        effect: The strongest effect that requests of any delivery may have had: `NOT_APPLIED`, `UNKNOWN` or `APPLIED`;
            None if the customer is archived.
        attempts: Requests that the last delivery sent.
        deliveries: How often the message was delivered.
        elapsed_ms: Milliseconds from that delivery to the end.
        at: When it ended, in UTC.
        command_id: Identifies the command's message: stream, sequence and the time when it was stored.
        idempotency_key: The key that the requests carried.

    Raises:
        InvalidRequestError: A field is invalid; `.problems` names each one.
    """

    business_id: UUID = attrs.field(converter=identifier)
    customer_id: UUID = attrs.field(converter=identifier)
    state: ItemState = attrs.field(converter=state)
    code: str | None = None
    effect: Effect | None = None
    attempts: int = 0
    deliveries: int = 1
    elapsed_ms: int = 0
    at: dt.datetime = attrs.field(factory=lambda: dt.datetime.now(dt.UTC))
    command_id: str | None = None
    idempotency_key: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check every field, so that whatever is written can be read."""
        _check(self, _OUTCOME)

    def to_json(self) -> bytes:
        """Encode the event as JSON in UTF-8."""
        # Not attrs.asdict, which costs as much as all the rest of an outcome.
        payload = {"version": VERSION, **{name: getattr(self, name) for name in _OUTCOME_ORDER}}
        payload["effect"] = None if self.effect is None else str(self.effect)
        return dumps(payload)

    @classmethod
    def from_json(cls, payload: bytes) -> Self:
        """Decode an event.

        Args:
            payload: The bytes of a message.

        Returns:
            The event; unknown fields are ignored.

        Raises:
            InvalidRequestError: It is no event of this version; `.problems` names the fields, and quotes nothing.
        """
        return cls(**read(payload, _OUTCOME, needed=_OUTCOME_NEEDS, largest=LARGEST_OUTCOME))


@attrs.frozen(kw_only=True)
class DeadLetter:
    """A command that was given up, with all it takes to investigate it and publish it again.

    It is a JSON object on `<subject>.dead`. **It holds the original payload**, with any personal data in it; the
    reason never holds any.

    Args:
        reason: Why, in a sentence, cut after 10,000 characters.
        code: Why, for machines: `malformed`, `rejected`'s own codes, `too_many_deliveries` and so on.
        original: The message's payload, unchanged; base64 in JSON.
        cut: Whether `original` is cut short, since all of it would exceed the broker's limit for one message.
        subject: The message's subject.
        effect: The strongest effect that requests of any delivery may have had.
        attempts: Requests that the last delivery sent.
        deliveries: How often the message was delivered.
        at: When it was given up, in UTC.
        command_id: As for `OutcomeEvent`.
        idempotency_key: The key that the requests carried; None if there was none.

    Raises:
        InvalidRequestError: A field is invalid; `.problems` names each one.
    """

    reason: str = attrs.field(converter=_cut)
    code: str
    original: bytes = attrs.field(repr=False)
    cut: bool = False
    subject: str
    effect: Effect = Effect.NOT_APPLIED
    attempts: int = 0
    deliveries: int = 1
    at: dt.datetime = attrs.field(factory=lambda: dt.datetime.now(dt.UTC))
    command_id: str | None = None
    idempotency_key: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check every field, so that whatever is written can be read."""
        _check(self, _LETTER)

    def to_json(self, *, at_most: int | None = None) -> bytes:
        """Encode the letter as JSON in UTF-8.

        Args:
            at_most: Its maximum size in bytes; None, the default, for no limit.
        """
        original = base64.b64encode(self.original).decode()
        payload = {"version": VERSION, **attrs.asdict(self), "effect": str(self.effect), "original": original}
        letter = dumps(payload)
        if at_most is None or len(letter) + _HEADERS <= at_most:
            return letter
        # Base64 turns three bytes into four.
        room = max(0, at_most - (len(letter) - len(original)) - _HEADERS) // 4 * 3
        shorter = attrs.evolve(self, original=self.original[:room], cut=True)
        return shorter.to_json()

    @classmethod
    def from_json(cls, payload: bytes) -> Self:
        """Decode a dead letter.

        Args:
            payload: The bytes of a message.

        Returns:
            The letter.

        Raises:
            InvalidRequestError: It is no dead letter of this version; `.problems` names the fields, and quotes nothing.
        """
        return cls(**read(payload, _LETTER, needed=_LETTER_NEEDS, largest=_LARGEST_LETTER))


def _check(message: object, fields: Mapping[str, Rule]) -> None:
    problems = [problem(name, rule) for name, rule in fields.items() if not rule.accepts(getattr(message, name))]
    if problems:
        raise InvalidRequestError(problems)


_SHARED: Final[Mapping[str, Rule]] = {
    "attempts": rules.COUNT,
    "deliveries": rules.COUNT,
    "at": rules.TIME,
    "command_id": rules.WORD.or_null,
    "idempotency_key": rules.KEY.or_null,
}
_OUTCOME: Final[Mapping[str, Rule]] = {
    "business_id": rules.ID,
    "customer_id": rules.ID,
    "state": rules.STATE,
    "code": rules.CODE.or_null,
    "effect": rules.EFFECT.or_null,
    "elapsed_ms": rules.MILLISECONDS,
    **_SHARED,
}
_OUTCOME_ORDER: Final = tuple(field.name for field in attrs.fields(OutcomeEvent))
_OUTCOME_NEEDS: Final = frozenset({"business_id", "customer_id", "state", "at"})
_LETTER: Final[Mapping[str, Rule]] = {
    "reason": rules.text(_LONGEST_REASON),
    "code": rules.CODE,
    "original": rules.BASE64,
    "cut": rules.FLAG,
    "subject": rules.text(_LONGEST_SUBJECT),
    "effect": rules.EFFECT,
    **_SHARED,
}
_LETTER_NEEDS: Final = frozenset({"reason", "code", "original", "subject", "effect", "at"})
