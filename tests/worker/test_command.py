"""The payload of a message: strict, versioned, and never quoted in an error."""

import contextlib
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from growth import assert_linear
from helpers import BUSINESS, CUSTOMER, OTHER, body
from hypothesis import given
from hypothesis import strategies as st
from messages import COMMANDS, payloads

from thredfi_async import UNSET, CustomerRequest, InvalidRequestError
from thredfi_async.worker import ArchiveCommand

IDS = {"version": 1, "business_id": BUSINESS, "customer_id": CUSTOMER}


def payload(**fields: Any) -> bytes:
    """A payload with the ids, and these fields."""
    return json.dumps(IDS | fields).encode()


def problems(data: bytes) -> list[str]:
    """What is wrong with a payload."""
    with pytest.raises(InvalidRequestError) as caught:
        ArchiveCommand.from_json(data)
    return list(caught.value.problems)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "\\ud" not in json.dumps(value))


@given(
    business=st.uuids(),
    customer=st.uuids(),
    metadata=json_values,
    name=st.none() | st.text("ab é\n", min_size=1),
    key=st.none() | st.from_regex(r"[!-~]{1,40}", fullmatch=True),
    bodied=st.booleans(),
)
def test_round_trip(
    business: UUID, customer: UUID, metadata: Any, name: str | None, key: str | None, *, bodied: bool
) -> None:
    """A payload keeps all of its command, digit by digit, and fields that are left out on purpose."""
    request = CustomerRequest.from_mapping(body(metadata=metadata, notes=UNSET if name is None else name))
    command = ArchiveCommand(business, customer, request if bodied else None, idempotency_key=key)
    assert ArchiveCommand.from_json(command.to_json()) == command


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | json_values.map(lambda v: json.dumps(v).encode())
)
def test_anything_else_is_refused_in_words(data: bytes) -> None:
    """Bytes that are no command raise an error with a path, and no other exception."""
    assert all(": " in problem or problem.startswith("a field") for problem in problems(data))


def test_minimal() -> None:
    """Two ids are enough: the body is the server's own record then."""
    assert ArchiveCommand.from_json(payload()) == ArchiveCommand(UUID(BUSINESS), UUID(CUSTOMER))


def test_ids_as_text() -> None:
    """Ids may be given as their text, in either case."""
    assert ArchiveCommand(BUSINESS.upper(), CUSTOMER) == ArchiveCommand(UUID(BUSINESS), UUID(CUSTOMER))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"custmer": {}}, "custmer: is not a field of a command; did you mean customer?"),
        ({"email": "x"}, "email: is not a field of a command; did you mean customer.email?"),
        ({"Jane Roe's": 1}, "a field whose name is not shown: is not one of a command's"),
        ({"version": 2}, "version: must be 1, the only one that this release reads"),
        ({"version": True}, "version: must be 1, the only one that this release reads"),
        ({"customer": []}, "customer: must be an object with the fields of the body"),
        ({"partial": 1}, "partial: must be true or false"),
        ({"idempotency_key": "é"}, "idempotency_key: must be visible ASCII characters, and not empty"),
        ({"customer_id": "Jane"}, "customer_id: must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a"),
        ({"business_id": 5}, "business_id: must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a"),
        ({"customer": body(email="jane")}, "customer.email: must be an email address, such as name@example.com"),
        ({"customer": body(emial="x")}, "customer.emial: is not a documented field; did you mean email?"),
    ],
)
def test_one_problem(fields: dict[str, Any], problem: str) -> None:
    """Each problem has its sentence, which does not quote the value."""
    assert problems(payload(**fields)) == [problem]


def test_all_problems_at_once() -> None:
    """One error reports all problems of a payload."""
    data = json.dumps({"customer_id": "x", "customer": {"email": "x"}, "partial": True, "to": 1}).encode()
    assert [problem.partition(":")[0] for problem in problems(data)] == [
        "to",
        "version",
        "business_id",
        "customer_id",
        "customer.email",
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[", b"\xef\xbb\xbf{}", b'{"version": NaN}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_not_json(data: bytes) -> None:
    """A payload that is not JSON in UTF-8 is reported as such, whatever Python's decoder raises."""
    assert problems(data) == ["$: the payload is not JSON in UTF-8"]


def test_no_object() -> None:
    """A payload must be an object."""
    assert problems(b"[]") == ["$: the payload must be a JSON object"]


@pytest.mark.parametrize(
    "more", [f'"customer_id": "{BUSINESS}"', '"partial": true, "customer": {"notes": "a", "notes": "b"}']
)
def test_a_field_that_is_there_twice(more: str) -> None:
    """Which one counts would depend on who reads it: the wrong customer could be archived."""
    payload = f'{{"version": 1, "business_id": "{BUSINESS}", "customer_id": "{CUSTOMER}", {more}}}'
    with pytest.raises(InvalidRequestError, match="an object of the payload has a field twice"):
        ArchiveCommand.from_json(payload.encode())


def test_partial() -> None:
    """Missing fields are named, with the way to leave them out on purpose, which works."""
    fields = body()
    del fields["notes"]
    (problem,) = problems(payload(customer=fields))
    assert problem == 'customer.notes: is missing; give "partial": true to leave such fields out of the body on purpose'
    command = ArchiveCommand.from_json(payload(customer=fields, partial=True))
    assert command.customer is not None
    assert command.customer.notes is UNSET


def test_very_many_unknown_fields() -> None:
    """A payload of many strange fields costs time by its size, and not a search for each of them."""

    def make(size: int) -> bytes:
        return payload(**{f"custmer{number}": 1 for number in range(size)})

    assert_linear(problems, make, 2_000)
    found = problems(make(1_000))
    assert len(found) == 1_000
    assert sum("did you mean" in problem for problem in found) <= 10


@given(payloads(COMMANDS))
def test_any_payload_is_a_command_or_refused(data: bytes) -> None:
    """Whatever is published as a command, it is read or refused in words; nothing else comes out."""
    with contextlib.suppress(InvalidRequestError):
        command = ArchiveCommand.from_json(data)
        assert ArchiveCommand.from_json(command.to_json()) == command


def test_large_integers() -> None:
    """A number beyond 64 bits is sent digit by digit."""
    command = ArchiveCommand.from_json(payload(customer=body(metadata={"n": 2**80 + 1})))
    assert command.customer is not None
    assert command.customer.metadata == {"n": 2**80 + 1}


def test_nothing_shows_a_customer() -> None:
    """Neither `repr` nor an error shows the body."""
    secret = "jane.roe@example.com"
    command = ArchiveCommand(BUSINESS, CUSTOMER, body(email=secret))
    assert secret not in repr(command)
    assert secret not in str(problems(payload(customer=body(email=secret), email=secret)))


def test_wrong_from_python() -> None:
    """The class itself reports every problem."""
    with pytest.raises(InvalidRequestError) as caught:
        ArchiveCommand("x", 5, "body", idempotency_key="")  # type: ignore[arg-type] # wrong on purpose
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "business_id",
        "customer_id",
        "customer",
        "idempotency_key",
    ]


class TestKey:
    """The idempotency key: always the same for the same message."""

    def test_own(self) -> None:
        """A command's own key wins."""
        assert ArchiveCommand(BUSINESS, CUSTOMER, idempotency_key="mine").key("message") == "mine"

    def test_by_message(self) -> None:
        """A redelivery has the same key; another message about the same customer has another."""
        command = ArchiveCommand(BUSINESS, CUSTOMER)
        again = ArchiveCommand.from_json(command.to_json())
        assert command.key("THREDFI/1") == again.key("THREDFI/1")
        assert command.key("THREDFI/1") != command.key("THREDFI/2")

    def test_without_a_message(self) -> None:
        """The key derives from ids and body: the same request has the same key, a fixed body has another."""
        keys = [
            ArchiveCommand(BUSINESS, CUSTOMER).key(),
            ArchiveCommand(BUSINESS, OTHER).key(),
            ArchiveCommand(BUSINESS, CUSTOMER, body()).key(),
            ArchiveCommand(BUSINESS, CUSTOMER, body(notes="fixed")).key(),
        ]
        assert len(set(keys)) == 4
        assert keys[2] == ArchiveCommand(BUSINESS, CUSTOMER, body()).key()

    def test_stays(self) -> None:
        """The key is the same in every release: a message may be delivered again after an update."""
        assert ArchiveCommand(BUSINESS, CUSTOMER).key("THREDFI/1") == "a68ff0f7-0c1b-5a15-8655-b2ff2872662b"

    def test_is_no_random(self) -> None:
        """Two customers never share a key."""
        assert ArchiveCommand(uuid4(), uuid4()).key("m") != ArchiveCommand(uuid4(), uuid4()).key("m")
