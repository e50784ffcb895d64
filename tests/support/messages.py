"""Generated messages: valid ones, and the same with something that a stranger may have put into them."""

import datetime as dt
import json
from typing import Any

from helpers import BUSINESS, CUSTOMER, body
from hypothesis import strategies as st

KEYS = st.none() | st.from_regex(r"[!-~]{1,40}", fullmatch=True)
COUNTS = st.integers(0, 2**31 - 1)
IDS = st.uuids().map(str)
_YEARS = dt.datetime(2000, 1, 1), dt.datetime(2999, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
TIMES = st.datetimes(*_YEARS, timezones=st.just(dt.UTC)).map(dt.datetime.isoformat)
CODES = st.from_regex(r"[a-z][a-z0-9_.-]{0,63}", fullmatch=True)
EFFECTS = st.sampled_from(["NOT_APPLIED", "UNKNOWN", "APPLIED"])
STATES = st.sampled_from(["archived", "already_archived", "rejected", "failed", "unknown"])
SHARED: dict[str, st.SearchStrategy[Any]] = {
    "attempts": COUNTS,
    "deliveries": COUNTS,
    "command_id": KEYS,
    "idempotency_key": KEYS,
}
COMMANDS = st.fixed_dictionaries(
    {"version": st.just(1), "business_id": IDS, "customer_id": IDS},
    optional={
        "customer": st.none() | st.just(body()) | st.just({"notes": "x"}),
        "partial": st.booleans(),
        "idempotency_key": KEYS,
    },
)
OUTCOMES = st.fixed_dictionaries(
    {"version": st.just(1), "business_id": IDS, "customer_id": IDS, "state": STATES, "at": TIMES},
    optional={
        "code": st.none() | CODES,
        "effect": st.none() | EFFECTS,
        "elapsed_ms": st.integers(0, 2**53 - 1),
        **SHARED,
    },
)
LETTERS = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "reason": st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        "code": CODES,
        "original": st.sampled_from(["", "QQ==", "QUE=", "QUFB"]),
        "subject": st.text("abc.", max_size=20),
        "effect": EFFECTS,
        "at": TIMES,
    },
    optional={"cut": st.booleans(), **SHARED},
)
_HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 2**31 - 1, 2**31, 2**53, 10**30, 1.5, -0.5, 1e300),
    *("", " ", "x", "é", "\ud800", "a b", "a\n", "x" * 64, "x" * 65, "x" * 600, "x" * 9000, "x" * 12_000),
    *([], {}, [[]], ["archived"], {"a": 1}, body(), body(email="x"), body(country="gb"), body(notes="")),
    *("0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00"),
    *("2026-01-01T00:00:00Z", "20260101T000000Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+01:00"),
    *("2026-01-01T00:00:00+99:00", "2026-W01-1T00:00:00Z", "9999-12-31T23:59:59-23:59"),
    *("archived", "ARCHIVED", "NOT_APPLIED", "not_applied", "APPLIED", "not_found", "Not_found", "_x"),
    *("QQ==", "QQ=", "QQ", "====", "QQ==QQ==", "Q Q==", BUSINESS, CUSTOMER.upper(), f"{{{BUSINESS}}}"),
    *(f"urn:uuid:{BUSINESS}", BUSINESS.replace("-", "")),
]
HOSTILE = st.sampled_from(_HOSTILE)


GARBAGE: list[bytes] = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b"[" * 2_000,
    b'{"version": 1}',
    b'{"stream": "THREDFI_OUTCOMES"}',
    b'{"error": []}',
    json.dumps({"version": 1, "business_id": BUSINESS, "customer_id": CUSTOMER, "state": "\ud800", "at": 5}).encode(),
    json.dumps({"version": 1, "business_id": BUSINESS, "customer_id": [], "attempts": 10**30}).encode(),
]
"""What is neither a command nor an event nor a reply."""


@st.composite
def changed(draw: st.DrawFn, messages: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Return a message in which up to two fields are strange, missing, or of another message."""
    fields = dict(draw(messages))
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted({*fields, "partial", "code", "at", "effect", "elapsed_ms", "cut", "more"})))
        if draw(st.booleans()):
            fields[name] = draw(HOSTILE)
        else:
            fields.pop(name, None)
    return fields


def payloads(messages: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """Return bytes that hold such messages, or parts of them, or anything else."""
    whole = changed(messages).map(lambda fields: json.dumps(fields).encode())
    cut = st.tuples(whole, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
    return whole | cut | st.binary(max_size=60)
