"""What a worker publishes: outcomes and dead letters. Outcomes hold no personal data."""

import base64
import datetime as dt
import json
from typing import Any, Final, Self
from uuid import UUID

import attrs
import orjson

from thredfi_async import Effect, InvalidRequestError
from thredfi_async._checks.json import as_object
from thredfi_async.bulk import ItemState

VERSION: Final = 1
"""The version of both payloads. Readers ignore unknown fields, and refuse other versions."""

_HEADERS: Final = 512  # headers count towards the broker's limit too
_LONGEST_REASON: Final = 10_000


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
    """

    business_id: UUID
    customer_id: UUID
    state: ItemState = attrs.field(converter=ItemState)
    code: str | None = None
    effect: Effect | None = None
    attempts: int = 0
    deliveries: int = 1
    elapsed_ms: int = 0
    at: dt.datetime = attrs.field(factory=lambda: dt.datetime.now(dt.UTC))
    command_id: str | None = None
    idempotency_key: str | None = None

    def to_json(self) -> bytes:
        """Encode the event as JSON in UTF-8."""
        payload = {
            "version": VERSION,
            **attrs.asdict(self),
            "effect": None if self.effect is None else str(self.effect),
        }
        return orjson.dumps(payload, option=orjson.OPT_UTC_Z)

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
        fields = _object(payload)
        problems: list[str] = []
        values: dict[str, Any] = {}
        for name, read in _READERS.items():
            try:
                if name in fields:
                    values[name] = read(fields[name])
                elif name in _NEEDED:
                    problems.append(f"{name}: is missing")
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                problems.append(f"{name}: is not valid in an outcome")
        if problems:
            raise InvalidRequestError(problems)
        return cls(**values)


@attrs.frozen(kw_only=True)
class DeadLetter:
    """A command that was given up, with all it takes to investigate it and publish it again.

    It is a JSON object on `<subject>.dead`. **It holds the original payload**, with any personal data in it; the
    reason never holds any.

    Args:
        reason: Why, in a sentence.
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
    """

    reason: str
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

    def to_json(self, *, at_most: int | None = None) -> bytes:
        """Encode the letter as JSON in UTF-8.

        Args:
            at_most: Its maximum size in bytes; None, the default, for no limit.
        """
        original = base64.b64encode(self.original).decode()
        payload = {"version": VERSION, **attrs.asdict(self), "effect": str(self.effect), "original": original}
        letter = orjson.dumps(payload, option=orjson.OPT_UTC_Z)
        if at_most is None or len(letter) <= at_most:
            return letter
        # Base64 turns three bytes into four. The reason may name many fields.
        room = max(0, at_most - (len(letter) - len(original)) - _HEADERS) // 4 * 3
        shorter = attrs.evolve(self, original=self.original[:room], reason=self.reason[:_LONGEST_REASON], cut=True)
        return shorter.to_json()

    @classmethod
    def from_json(cls, payload: bytes) -> Self:
        """Decode a dead letter.

        Args:
            payload: The bytes of a message.

        Returns:
            The letter.

        Raises:
            InvalidRequestError: It is no dead letter of this version.
        """
        fields = _object(payload)
        try:
            values = {field.name: fields[field.name] for field in attrs.fields(cls) if field.name in fields}
            values["original"] = base64.b64decode(fields["original"], validate=True)
            values["effect"] = Effect[fields["effect"]]
            values["at"] = dt.datetime.fromisoformat(fields["at"])
            return cls(**values)
        except (ValueError, KeyError, TypeError):
            raise InvalidRequestError(["$: is not a dead letter"]) from None


def _object(payload: bytes) -> dict[str, Any]:
    try:
        fields = as_object(json.loads(payload.decode()))
    except (ValueError, RecursionError):
        fields = None
    if fields is None:
        raise InvalidRequestError(["$: the payload must be a JSON object"])
    if fields.get("version") != VERSION:
        raise InvalidRequestError([f"version: must be {VERSION}"])
    return fields


def _effect(value: Any) -> Effect | None:  # noqa: ANN401 - parsed JSON
    return None if value is None else Effect[value]


def _number(value: Any) -> int:  # noqa: ANN401 - parsed JSON
    if type(value) is not int or value < 0:
        raise ValueError("must be a whole number")
    return value


def _text(value: Any) -> str | None:  # noqa: ANN401 - parsed JSON
    if value is not None and not isinstance(value, str):
        raise ValueError("must be text")
    return value


_NEEDED: Final = frozenset({"business_id", "customer_id", "state", "at"})
_READERS: Final[dict[str, Any]] = {
    "business_id": UUID,
    "customer_id": UUID,
    "state": ItemState,
    "code": _text,
    "effect": _effect,
    "attempts": _number,
    "deliveries": _number,
    "elapsed_ms": _number,
    "at": dt.datetime.fromisoformat,
    "command_id": _text,
    "idempotency_key": _text,
}
