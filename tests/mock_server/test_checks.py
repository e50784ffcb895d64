import json
from typing import Any

import msgspec
import pytest

from thredfi_async.mock_server.checks import (
    FIELDS,
    RefusedError,
    customer_request,
    decode_object,
    encode,
    require_media_type,
)
from thredfi_async.mock_server.seed import seeded_customers

BODY = seeded_customers(1)[0].body


def problems(body: Any, *, strict: bool = True) -> dict[str, list[str]]:
    """Return the details of a refused body."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises(RefusedError) as caught:
        customer_request(raw, strict=strict)
    assert (caught.value.status, caught.value.code) == (400, "validation_error")
    return caught.value.details


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("external_id", ""),
        ("external_id", 5),
        ("notes", None),
        ("email", "nobody"),
        ("email", "a b@example.com"),
        ("email", "a@example..com"),
        ("email", "a" * 65 + "@example.com"),
        ("email", 5),
        ("country", "gb"),
        ("country", "GBR"),
        ("country", "GB\n"),
        ("country", False),
        ("tax_exempt", "true"),
        ("tax_exempt", 1),
        ("transaction_tags", "a"),
        ("transaction_tags", {}),
        ("payment_terms_days", True),
        ("payment_terms_days", "30"),
        ("credit_limit_cents", 1.5),
        ("credit_limit_cents", None),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_wrong_field_is_named(field: str, value: object, strict: bool) -> None:
    """A field of another type is refused by its name, in either mode."""
    assert list(problems({**BODY, field: value}, strict=strict)) == [field]


def test_all_wrong_fields_are_named_at_once() -> None:
    """An empty body is answered with every field, both names among them."""
    assert set(problems({})) == set(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_refused_unless_it_is_a_name(field: str) -> None:
    """Strict mode requires every field, except one of the two names."""
    body = {name: value for name, value in BODY.items() if name != field}
    if field in {"individual_name", "company_name"}:
        assert customer_request(msgspec.json.encode(body), strict=True) == body
    else:
        assert list(problems(body)) == [field]


def test_one_name_is_needed() -> None:
    """Without both names, each is reported as required if the other is missing."""
    body = {name: value for name, value in BODY.items() if not name.endswith("_name")}
    assert set(problems(body)) == {"individual_name", "company_name"}


def test_lenient_mode_takes_what_is_there() -> None:
    """Lenient mode accepts any part of the body, and an empty one."""
    assert customer_request(b"{}", strict=False) == {}
    assert customer_request(b'{"notes": "n"}', strict=False) == {"notes": "n"}


@pytest.mark.parametrize("metadata", [None, 5, "x", [], {"deep": [1, {"er": None}]}, False, 1.5])
def test_metadata_is_any_json(metadata: object) -> None:
    """Metadata may be any JSON value, including null."""
    body = {**BODY, "metadata": metadata}
    assert customer_request(msgspec.json.encode(body), strict=True) == body


def test_undocumented_fields_are_dropped() -> None:
    """An undocumented field is ignored, as in Django REST framework."""
    assert customer_request(msgspec.json.encode({**BODY, "is_archived": False}), strict=True) == BODY


@pytest.mark.parametrize("raw", [b"", b"{", b"NaN", b'{"notes": "\xff"}', b'{"notes": "\\ud800"}', b"[" * 5000])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    """Malformed JSON is a validation error without fields."""
    assert problems(raw) == {}


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"', b"5"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    """JSON that is no object is a validation error of the whole body."""
    assert list(problems(raw)) == ["non_field_errors"]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**40])
def test_integers_have_no_bound(value: int) -> None:
    """An integer over 64 bits stays an integer, in and out."""
    raw = json.dumps({**BODY, "credit_limit_cents": value}).encode()
    fields = customer_request(raw, strict=True)
    assert fields["credit_limit_cents"] == value
    assert decode_object(encode(fields)) == fields


def test_endless_integers_are_refused() -> None:
    """An integer with more digits than Python reads is malformed JSON, not a crash."""
    raw = msgspec.json.encode(BODY)[:-1] + b',"extra":1.5,"payment_terms_days":' + b"9" * 5000 + b"}"
    assert problems(raw) == {}


def test_what_nests_too_deeply_cannot_be_encoded() -> None:
    """A value too deep for any encoder raises one kind of error."""
    value: list[Any] = []
    for _ in range(1_000_000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        encode(value)
    while value:  # unnest it, or freeing it recurses
        value = value[0]


@pytest.mark.parametrize("header", ["application/json", "Application/JSON; charset=utf-8"])
def test_the_media_type_is_read_as_http_says(header: str) -> None:
    """Case and parameters do not matter."""
    require_media_type(header, "application/json")


@pytest.mark.parametrize("header", [None, "", "text/plain", "application/jsonx"])
def test_another_media_type_is_415(header: str | None) -> None:
    """A body of another media type, or of none, is refused."""
    with pytest.raises(RefusedError) as caught:
        require_media_type(header, "application/json")
    assert caught.value.status == 415


def test_the_envelope_is_the_contracts() -> None:
    """A refusal knows its body."""
    refusal = RefusedError(409, "conflict", "No.", details={"id": ["taken"]})
    assert msgspec.json.decode(refusal.envelope()) == {
        "error": "No.",
        "error_code": "conflict",
        "details": {"id": ["taken"]},
    }
