"""Outcome events and dead letters: their fields, their encoding, and what they do not hold."""

import datetime as dt
import json
from typing import Any
from uuid import UUID

import pytest
from helpers import BUSINESS, CUSTOMER
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async import Effect, InvalidRequestError
from thredfi_async.bulk import ItemState
from thredfi_async.worker import DeadLetter, OutcomeEvent

ID = "must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a"
CODE = "must be lower-case letters, digits and _.-, at most 64, such as not_found, or null"
TIME = "must be a time with its zone, such as 2026-11-26T01:02:03Z, in the years 2000 to 2999"
AT = dt.datetime(2026, 11, 26, 1, 2, 3, 456789, tzinfo=dt.UTC)


def event(**fields: Any) -> OutcomeEvent:
    """An outcome with these fields."""
    usual: dict[str, Any] = {
        "business_id": UUID(BUSINESS),
        "customer_id": UUID(CUSTOMER),
        "state": ItemState.ARCHIVED,
        "at": AT,
    }
    return OutcomeEvent(**usual | fields)


@given(
    state=st.sampled_from(ItemState),
    code=st.none() | st.from_regex(r"[a-z][a-z0-9_.-]{0,63}", fullmatch=True),
    effect=st.none() | st.sampled_from(Effect),
    numbers=st.tuples(*[st.integers(0, 10_000)] * 3),
    at=st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2999, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001 - hypothesis adds the zone
)
def test_an_outcome_survives_the_wire(
    state: ItemState, code: str | None, effect: Effect | None, numbers: tuple[int, int, int], at: dt.datetime
) -> None:
    """Decoding returns what was encoded."""
    attempts, deliveries, elapsed = numbers
    written = event(
        state=state, code=code, effect=effect, attempts=attempts, deliveries=deliveries, elapsed_ms=elapsed, at=at
    )
    assert OutcomeEvent.from_json(written.to_json()) == written


def test_the_payload_of_an_outcome() -> None:
    """These are the fields, for readers in any language."""
    written = event(
        state=ItemState.REJECTED, code="not_found", effect=Effect.NOT_APPLIED, attempts=1, command_id="THREDFI/7/1.0"
    )
    assert json.loads(written.to_json()) == {
        "version": 1,
        "business_id": BUSINESS,
        "customer_id": CUSTOMER,
        "state": "rejected",
        "code": "not_found",
        "effect": "NOT_APPLIED",
        "attempts": 1,
        "deliveries": 1,
        "elapsed_ms": 0,
        "at": "2026-11-26T01:02:03.456789Z",
        "command_id": "THREDFI/7/1.0",
        "idempotency_key": None,
    }


def test_fields_to_come_are_ignored() -> None:
    """A reader ignores fields that a later release adds."""
    assert OutcomeEvent.from_json(event().to_json()[:-1] + b',"more":[1]}') == event()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": "gone"}, "state: must be one of archived, already_archived, rejected, failed, unknown"),
        ({"customer_id": "Jane"}, f"customer_id: {ID}"),
        (
            {"customer_id": f"{{{CUSTOMER}}}"},
            f"customer_id: {ID}",
        ),
        ({"attempts": -1}, "attempts: must be a whole number from 0 to 2147483647"),
        ({"attempts": True}, "attempts: must be a whole number from 0 to 2147483647"),
        ({"attempts": 10**30}, "attempts: must be a whole number from 0 to 2147483647"),
        ({"deliveries": 2**31}, "deliveries: must be a whole number from 0 to 2147483647"),
        ({"elapsed_ms": 2**53}, "elapsed_ms: must be a whole number from 0 to 9007199254740991"),
        ({"at": 5}, f"at: {TIME}"),
        ({"at": "0001-01-01T00:00:00"}, f"at: {TIME}"),
        ({"at": "0001-01-01T00:00:00Z"}, f"at: {TIME}"),
        ({"at": "2026-01-01T00:00:00"}, f"at: {TIME}"),
        ({"code": 5}, f"code: {CODE}"),
        ({"code": "\ud800"}, f"code: {CODE}"),
        ({"code": "x" * 500}, f"code: {CODE}"),
        ({"command_id": "a b"}, "command_id: must be at most 512 visible ASCII characters, without spaces, or null"),
        ({"idempotency_key": "é"}, "idempotency_key: must be visible ASCII characters, and not empty, or null"),
        ({"effect": "MAYBE"}, "effect: must be one of NOT_APPLIED, UNKNOWN, APPLIED, or null"),
        ({"effect": 1}, "effect: must be one of NOT_APPLIED, UNKNOWN, APPLIED, or null"),
        ({"version": 2}, "version: must be 1, the only one that this release reads"),
        ({"version": True}, "version: must be 1, the only one that this release reads"),
        ({"more": "x" * 500_000}, "$: the payload must not be larger than 16,384 bytes"),
    ],
)
def test_a_wrong_outcome(change: dict[str, Any], problem: str) -> None:
    """Each invalid field is named, and not quoted."""
    with pytest.raises(InvalidRequestError) as caught:
        OutcomeEvent.from_json(json.dumps(json.loads(event().to_json()) | change).encode())
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not JSON in UTF-8"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "is not JSON in UTF-8"),
        (b"[" * 10_000, "is not JSON in UTF-8"),
        (b'{"version": NaN}', "is not JSON in UTF-8"),
    ],
)
def test_no_event_at_all(data: bytes, problem: str) -> None:
    """A payload that is no JSON object is neither an outcome nor a dead letter."""
    for kind in (OutcomeEvent, DeadLetter):
        with pytest.raises(InvalidRequestError, match=rf"^\$: the payload {problem}$"):
            kind.from_json(data)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (OutcomeEvent, {"business_id": BUSINESS, "customer_id": CUSTOMER, "state": "gone"}),
        (OutcomeEvent, {"business_id": BUSINESS, "customer_id": "Jane", "state": "archived"}),
        (OutcomeEvent, {"business_id": BUSINESS, "customer_id": CUSTOMER, "state": "failed", "attempts": -1}),
        (DeadLetter, {"reason": "why", "code": "Not A Code", "original": b"", "subject": "s"}),
        (DeadLetter, {"reason": "why", "code": "x", "original": b"", "subject": "s", "at": dt.datetime(2026, 1, 1)}),  # noqa: DTZ001 - wrong on purpose
    ],
)
def test_what_could_not_be_read_is_not_written(kind: Any, fields: dict[str, Any]) -> None:
    """The classes check the same as their readers, so that a mistake shows where it is made."""
    with pytest.raises(InvalidRequestError, match="must be"):
        kind(**fields)


def test_a_missing_field() -> None:
    """Missing required fields of an outcome are named."""
    with pytest.raises(InvalidRequestError) as caught:
        OutcomeEvent.from_json(b'{"version": 1}')
    assert caught.value.problems == tuple(
        f"{name}: is missing" for name in ("business_id", "customer_id", "state", "at")
    )


@given(original=st.binary(max_size=200), effect=st.sampled_from(Effect))
def test_a_dead_letter_survives_the_wire(original: bytes, effect: Effect) -> None:
    """The original comes back byte by byte, whatever it was."""
    written = DeadLetter(reason="why", code="malformed", original=original, subject="s", effect=effect, at=AT)
    assert DeadLetter.from_json(written.to_json()) == written


@pytest.mark.parametrize("reason", ["why", "why " * 100_000])
def test_a_dead_letter_that_is_too_large(reason: str) -> None:
    """A large letter is cut to the broker's limit, and says so; the beginning of the original is kept."""
    written = DeadLetter(reason=reason, code="malformed", original=b"x" * 900_000, subject="s", at=AT)
    payload = written.to_json(at_most=1_000_000)
    assert len(payload) < 1_000_000
    read = DeadLetter.from_json(payload)
    assert read.cut
    assert written.original.startswith(read.original)
    assert DeadLetter.from_json(written.to_json(at_most=5_000_000)) == written


@pytest.mark.parametrize(
    "change",
    [
        {"original": "é"},
        {"original": "QQ"},
        {"original": 5},
        {"effect": "?"},
        {"effect": None},
        {"at": "?"},
        {"attempts": "1"},
        {"attempts": 10**30},
        {"cut": 1},
        {"code": "\ud800"},
        {"reason": "\ud800"},
        {"reason": "x" * 10_001},
        {"subject": None},
        {"command_id": 5},
        {"idempotency_key": "a\nb"},
    ],
)
def test_a_wrong_dead_letter(change: dict[str, Any]) -> None:
    """A payload that is no dead letter is refused, with the field that is wrong."""
    letter = DeadLetter(reason="why", code="x", original=b"", subject="s")
    with pytest.raises(InvalidRequestError, match=rf"^{next(iter(change))}: must be "):
        DeadLetter.from_json(json.dumps(json.loads(letter.to_json()) | change).encode())


def test_nothing_shows_the_original() -> None:
    """`repr`, and so a log, does not show the message."""
    assert "jane" not in repr(DeadLetter(reason="why", code="x", original=b"jane", subject="s"))
