"""JSON to models without coercion, one kind of error for invalid JSON, and bodies that encode exactly what is given."""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async import (
    UNSET,
    Customer,
    CustomerRequest,
    CustomerStatus,
    Document,
    InvalidRequestError,
    ResponseDecodeError,
)
from thredfi_async._codec.converter import Page, _thorough, encode, parse, structure
from thredfi_async._interfaces import Hidden, Next, Response, Success
from thredfi_async.resources._archiving import Archiving, Given

quick = settings(derandomize=True, deadline=None, max_examples=150)
ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
NEEDED: Mapping[str, Any] = MappingProxyType({"id": ID, "status": "ACTIVE", "is_active": True, "is_archived": False})
MOMENT = "2024-05-06T07:08:09.123456Z"
DOCUMENT: Mapping[str, Any] = MappingProxyType(
    {
        "url": "https://files.example/x?sig=1",
        "expires_in": 60,
        "document_id": ID,
        "file_name": "x.pdf",
        "file_size": 5,
        "mime_type": "application/pdf",
    }
)

# -- the allowed values of each field, defined a second time and independently: (accepts, sample)


def is_text(value: object) -> bool:
    """Null or a string."""
    return value is None or isinstance(value, str)


def is_whole(value: object) -> bool:
    """Null or an integer that is no boolean."""
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def is_flag(value: object) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_aware(value: object) -> bool:
    """Null or a date and time with its offset."""
    if value is None:
        return True
    try:
        return isinstance(value, str) and dt.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def is_uuid(value: object) -> bool:
    """A string with a UUID."""
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


TAKES: dict[str, Callable[[object], bool]] = {
    **{field.name: is_text for field in attrs.fields(Customer)},
    "id": is_uuid,
    "status": lambda value: isinstance(value, str),
    "is_active": is_flag,
    "is_archived": is_flag,
    "tax_exempt": lambda value: value is None or is_flag(value),
    "transaction_tags": lambda value: value is None or isinstance(value, list),
    "metadata": lambda _: True,
    "payment_terms_days": is_whole,
    "credit_limit": is_whole,
    "credit_limit_cents": is_whole,
    "outstanding_balance": is_whole,
    "created_at": is_aware,
    "updated_at": is_aware,
    "archived_at": is_aware,
}
del TAKES["extra"], TAKES["documents"]
TEXTS = [name for name, takes in TAKES.items() if takes is is_text]

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([ID, MOMENT, "2024-05-06T07:08:09", "2024-05-06", "ACTIVE", "ARCHIVED", "true", "5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def nearly_customers(draw: st.DrawFn) -> dict[str, Any]:
    """A customer in which a few fields are anything, or missing, and a few fields are unknown."""
    changed = draw(st.dictionaries(st.sampled_from(sorted(TAKES)), ANYTHING, max_size=4))
    missing = draw(st.sets(st.sampled_from(sorted(NEEDED)), max_size=1))
    unknown = draw(st.dictionaries(st.sampled_from(["extra", "colour", "Id", ""]), ANYTHING, max_size=2))
    fields = {**NEEDED, **changed, **unknown}
    return {name: value for name, value in fields.items() if name not in missing}


def expected(name: str, value: Any) -> Any:
    """Return what a valid value becomes in its field."""
    match name:
        case "id":
            return UUID(value)
        case "status":
            return CustomerStatus(value) if value in {"ACTIVE", "ARCHIVED"} else value
        case "created_at" | "updated_at" | "archived_at":
            return None if value is None else dt.datetime.fromisoformat(value)
        case "transaction_tags":
            return tuple(value or ())
        case _:
            return value


@quick
@given(nearly_customers())
def test_a_customer_is_what_the_json_says_or_nothing(fields: dict[str, Any]) -> None:
    """Each field is either taken unchanged, with its type, or its path is among the problems."""
    wrong = {name for name, takes in TAKES.items() if name in fields and not takes(fields[name])}
    wrong |= NEEDED.keys() - fields.keys()
    if wrong:
        with pytest.raises(ResponseDecodeError) as raised:
            structure(fields, Customer)
        assert {problem.partition(":")[0] for problem in raised.value.problems} == {f"$.{name}" for name in wrong}
        return
    customer = structure(fields, Customer)
    for name in TAKES.keys() & fields.keys():
        got, wanted = getattr(customer, name), expected(name, fields[name])
        assert (type(got), got) == (type(wanted), wanted), name
    assert customer.extra == {name: value for name, value in fields.items() if name not in TAKES}


def come_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the function's result, or its ResponseDecodeError; other exceptions propagate."""
    try:
        return function(*arguments)
    except ResponseDecodeError as error:
        return error


@quick
@given(ANYTHING, st.sampled_from([Customer, Page]))
def test_nothing_but_our_own_error(value: Any, model: type[Customer | Page]) -> None:
    """Any JSON becomes a model, or a ResponseDecodeError with at least one problem."""
    found = come_of(structure, value, model)
    assert found.problems if isinstance(found, ResponseDecodeError) else isinstance(found, model)


@quick
@given(st.binary(max_size=30) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(body: bytes) -> None:
    """Any bytes are JSON other than null, or a ResponseDecodeError."""
    found = come_of(parse, body)
    assert found is not None
    if isinstance(found, ResponseDecodeError):
        assert found.problems in {("$: the body is not JSON",), ("$: the body is empty or null",)}


# -- parsing


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"{}", {}), (b" [1] ", [1]), (b"0", 0), (b"false", False), (b'""', ""), (b'"\xc3\xa9"', "é")],
)
def test_parsing(body: bytes, value: object) -> None:
    """JSON is parsed exactly, and false values are kept."""
    assert parse(body) == value


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"null", b" null\n"])
def test_nothing_is_nothing(body: bytes) -> None:
    """An empty body and null are errors, in whatever form."""
    with pytest.raises(ResponseDecodeError, match=r"^the body is empty or null$") as raised:
        parse(body)
    assert raised.value.problems == ("$: the body is empty or null",)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{",
        b'{"id": "x"',
        b"{}{}",
        b"NaN",
        b"[Infinity]",
        b'{"n": NaN, "s": "\\ud800"}',
        b"[-Infinity]",
        b"9" * 5000,
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\\ud80"',
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        "{}".encode("utf-16"),
        b"nul",
        b"{'id': 1}",
        b"\0",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_not_json(body: bytes) -> None:
    """Every kind of invalid JSON ends in the same error, which quotes nothing."""
    with pytest.raises(ResponseDecodeError, match=r"^the body is not JSON$") as raised:
        parse(body)
    assert raised.value.problems == ("$: the body is not JSON",)


@pytest.mark.parametrize("depth", [500, 2_000, 20_000, 200_000])
def test_json_that_is_nested_deeply(depth: int) -> None:
    """However deep it is nested, and whatever a version of Python makes of that, it is read or refused in our words."""
    found: object
    try:
        found = parse(b"[" * depth + b"]" * depth)
    except ResponseDecodeError as error:
        found = error.problems
    assert isinstance(found, list) or found == ("$: the body is not JSON",)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"\\ud83d"', "\ud83d"),
        (b'{"\\udc00": ["\\ud83d\\ude00", "a\\ud83d"]}', {"\udc00": ["\U0001f600", "a\ud83d"]}),
        (b"\xef\xbb\xbf{}", {}),
        (b"\xef\xbb\xbf \n[1]", [1]),
        (b"1e999", math.inf),
        (b'{"n": 18446744073709551617, "s": "\\ud800"}', {"n": 2**64 + 1, "s": "\ud800"}),
    ],
    ids=repr,
)
def test_what_any_reader_of_json_takes(body: bytes, value: object) -> None:
    """Escaped lone surrogates, a UTF-8 mark and numbers beyond a float are read, as other readers do."""
    assert parse(body) == value


@pytest.mark.parametrize("archived", [True, False])
def test_a_record_with_half_a_character_is_read(archived: bool) -> None:
    """A customer can be archived and settled although a name in its record ends in half an emoji."""
    fields = {**NEEDED, "individual_name": "Jane", "notes": "x\ud83d", "is_archived": archived}
    call = Archiving("https://api.example/c/", ID, Hidden(Given(None, None, None)))
    verdict = call.first().judge(Response(200, {}, b"\xef\xbb\xbf" + json.dumps(fields).encode()))
    if archived:
        assert isinstance(verdict, Success)
        assert verdict.value.notes == "x\ud83d"
    else:
        assert isinstance(verdict, Next)
        assert json.loads(verdict.request.body or b"")["individual_name"] == "Jane"
        assert "notes" not in json.loads(verdict.request.body or b"")


# -- structuring


def problems_of(value: object, model: type[Customer | Page] = Customer) -> list[str]:
    """Return the problems of a value."""
    with pytest.raises(ResponseDecodeError) as raised:
        structure(value, model)
    where = ", ".join(problem.partition(":")[0] for problem in raised.value.problems)
    assert str(raised.value) == f"the body cannot be read at {where}"
    return list(raised.value.problems)


def test_a_whole_customer() -> None:
    """Every documented field of the answer is read with its type."""
    fields: dict[str, Any] = {
        **{name: f"text {name}" for name in TEXTS},
        **NEEDED,
        "status": "ARCHIVED",
        "tax_exempt": True,
        "transaction_tags": ["gold", 5, None],
        "metadata": {"a": [1]},
        "payment_terms_days": 30,
        "credit_limit": 5,
        "credit_limit_cents": 500,
        "outstanding_balance": -5,
        "documents": [dict(DOCUMENT)],
        "created_at": MOMENT,
        "updated_at": "2024-05-06T09:08:09+02:00",
        "archived_at": None,
    }
    assert fields.keys() == {field.name for field in attrs.fields(Customer)} - {"extra"}
    customer = structure(fields, Customer)
    assert {name: getattr(customer, name) for name in TEXTS} == {name: f"text {name}" for name in TEXTS}
    assert (customer.id, customer.status) == (UUID(ID), CustomerStatus.ARCHIVED)
    assert (customer.is_active, customer.is_archived, customer.tax_exempt) == (True, False, True)
    assert (customer.transaction_tags, customer.metadata) == (("gold", 5, None), {"a": [1]})
    assert (customer.payment_terms_days, customer.outstanding_balance) == (30, -5)
    assert (customer.credit_limit, customer.credit_limit_cents) == (5, 500)
    assert customer.documents == (
        Document(
            url="https://files.example/x?sig=1",
            expires_in=60,
            document_id=UUID(ID),
            file_name="x.pdf",
            file_size=5,
            mime_type="application/pdf",
        ),
    )
    assert customer.created_at == dt.datetime(2024, 5, 6, 7, 8, 9, 123456, dt.UTC)
    assert customer.updated_at == dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    assert (customer.archived_at, customer.extra) == (None, {})


def test_a_bare_customer() -> None:
    """Only the id, the status and its two flags are required; the rest becomes None or empty."""
    customer = structure(dict(NEEDED), Customer)
    assert (customer.email, customer.documents, customer.transaction_tags, customer.extra) == (None, (), (), {})


def test_nulls() -> None:
    """Optional fields may be null, and null lists become empty."""
    names = {field.name for field in attrs.fields(Customer)} - {"extra"} - NEEDED.keys()
    assert structure({**NEEDED, **dict.fromkeys(names)}, Customer) == structure(dict(NEEDED), Customer)
    documents = structure({**NEEDED, "documents": [dict.fromkeys(DOCUMENT)]}, Customer).documents
    assert documents == (Document(),)


@pytest.mark.parametrize("field", NEEDED)
def test_what_is_needed(field: str) -> None:
    """A missing or null required field is an error."""
    without = {name: value for name, value in NEEDED.items() if name != field}
    assert problems_of(without) == [f"$.{field}: is missing"]
    (problem,) = problems_of({**NEEDED, field: None})
    assert problem.startswith(f"$.{field}: must be ")
    assert problem.endswith(", not null")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("email", 5, "must be a string, not int"),
        ("email", ["x"], "must be a string, not list"),
        ("is_archived", "true", "must be true or false, not str"),
        ("is_archived", 1, "must be true or false, not int"),
        ("tax_exempt", 0, "must be true or false, not int"),
        ("credit_limit_cents", 1.0, "must be an integer, not float"),
        ("credit_limit_cents", "1", "must be an integer, not str"),
        ("credit_limit_cents", True, "must be an integer, not bool"),
        ("status", 5, "must be a string, not int"),
        ("id", 5, "must be a UUID, not int"),
        ("id", "x", "must be a UUID, not str"),
        ("transaction_tags", "gold", "must be a list, not str"),
        ("transaction_tags", {"a": 1}, "must be a list, not dict"),
        ("documents", {"a": 1}, "must be a list, not dict"),
        ("documents", "x", "must be a list, not str"),
        *(
            ("created_at", value, f"must be a date and time with its offset, not {type(value).__name__}")
            for value in ("2024-05-06T07:08:09", "2024-05-06", "yesterday", "", 1714979289, True)
        ),
    ],
)
def test_nothing_is_coerced(field: str, value: object, problem: str) -> None:
    """A field of the wrong type is a problem that names the type and not the value."""
    assert problems_of({**NEEDED, field: value}) == [f"$.{field}: {problem}"]


def test_of_very_many_entries_the_first_are_named() -> None:
    """A list of many bad entries holds the loop up no longer than one of a few; what is bad behind them is said."""
    document = {"url": "https://files.example", "expires_in": 1}
    many = {**NEEDED, "documents": [{"url": 3}] * 100_000}
    assert problems_of(many) == [f"$.documents[{place}].url: must be a string, not int" for place in range(20)]
    assert problems_of({**NEEDED, "documents": [*[document] * 20, {"url": 3}]}) == [
        "$: an entry of a list does not fit, behind its first 20"
    ]


def test_all_problems_at_once() -> None:
    """Every wrong field is reported by its path, also inside documents and pages."""
    customer = {
        "status": 1,
        "is_active": True,
        "is_archived": None,
        "email": 5,
        "documents": [dict(DOCUMENT), {"url": 5, "document_id": "x"}, 5],
    }
    expected = [
        ".id: is missing",
        ".status: must be a string, not int",
        ".is_archived: must be true or false, not null",
        ".email: must be a string, not int",
        ".documents[1].url: must be a string, not int",
        ".documents[1].document_id: must be a UUID, not str",
        ".documents[2]: must be an object, not int",
    ]
    assert sorted(problems_of(customer)) == sorted(f"${each}" for each in expected)
    page = {"next": 5, "results": [dict(NEEDED), customer, None]}
    assert sorted(problems_of(page, Page)) == sorted(
        [
            "$.next: must be a string, not int",
            *(f"$.results[1]{each}" for each in expected),
            "$.results[2]: must be an object, not null",
        ]
    )


def test_no_value_is_quoted() -> None:
    """A wrong value may be personal data: neither the message, the problems nor a chained cause contains it."""
    with pytest.raises(ResponseDecodeError) as raised:
        structure({**NEEDED, "email": ["Jane"], "created_at": "Jane", "id": "Jane", "documents": ["Jane"]}, Customer)
    assert "Jane" not in str(raised.value) + repr(raised.value.problems)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


@pytest.mark.parametrize("value", [[], "x", 5, True, [NEEDED]])
@pytest.mark.parametrize("model", [Customer, Page])
def test_what_is_no_object(value: object, model: type[Customer | Page]) -> None:
    """A body that is not an object is an error."""
    assert problems_of(value, model) == [f"$: must be an object, not {type(value).__name__}"]


def test_unknown_fields_are_kept() -> None:
    """Undocumented fields are kept in `extra` unchanged, even a field of that name."""
    customer = structure({**NEEDED, "colour": {"a": [1]}, "extra": 5}, Customer)
    assert customer.extra == {"colour": {"a": [1]}, "extra": 5}
    document = structure({**NEEDED, "documents": [{**DOCUMENT, "colour": 5}]}, Customer).documents[0]
    assert document.file_size == 5


@pytest.mark.parametrize("status", ["PENDING", "", "archived", "ACTIVE "])
def test_an_unknown_status_survives(status: str) -> None:
    """An unknown status stays a plain string."""
    customer = structure({**NEEDED, "status": status}, Customer)
    assert type(customer.status) is str
    assert customer.status == status


@pytest.mark.parametrize("status", CustomerStatus)
def test_a_known_status_is_the_enums(status: CustomerStatus) -> None:
    """A documented status becomes an enum member."""
    assert structure({**NEEDED, "status": status.value}, Customer).status is status


def test_pages() -> None:
    """A page's customers and its next link are read; the rest is ignored."""
    page = structure({"count": "many", "previous": 5, "next": "https://x/?page=2", "results": [dict(NEEDED)]}, Page)
    assert (page.next, [customer.id for customer in page.results]) == ("https://x/?page=2", [UUID(ID)])
    assert structure({"next": None, "results": []}, Page) == Page(next=None, results=())


@pytest.mark.parametrize(
    ("page", "problems"),
    [
        ({}, ["$.next: is missing", "$.results: is missing"]),
        ({"results": []}, ["$.next: is missing"]),
        ({"next": None}, ["$.results: is missing"]),
        *(
            ({"next": None, "results": value}, [f"$.results: must be a list, not {kind}"])
            for value, kind in ((None, "null"), (dict[str, Any](), "dict"), ("", "str"), (5, "int"), (True, "bool"))
        ),
    ],
)
def test_what_is_no_page(page: object, problems: list[str]) -> None:
    """An object that could be iterated over is not an empty page."""
    assert problems_of(page, Page) == problems


# -- encoding

FULL: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(CustomerRequest.FIELD_NAMES, "x"),
        "email": "jane@example.com",
        "country": "GB",
        "tax_exempt": False,
        "transaction_tags": [],
        "payment_terms_days": 30,
        "credit_limit_cents": 5,
        "metadata": None,
    }
)


def request_with(changes: Mapping[str, Any]) -> CustomerRequest:
    """Return a body of valid fields, except the given ones."""
    return CustomerRequest(**{**FULL, **changes})


UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
BODY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | UTF8,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(UTF8, inner, max_size=3),
    max_leaves=8,
)


@quick
@given(
    st.fixed_dictionaries(
        {
            "metadata": BODY_JSON,
            "transaction_tags": st.lists(BODY_JSON, max_size=3),
            "notes": UTF8.filter(bool),
            "payment_terms_days": st.integers(),
            "credit_limit_cents": st.integers(-(2**80), 2**80),
            "city": st.just(UNSET) | UTF8.filter(bool),
        }
    )
)
def test_a_body_says_what_was_given(changes: dict[str, Any]) -> None:
    """The decoded body has exactly the given fields and values, and encoding is deterministic."""
    given = {**FULL, **changes}
    body = encode(CustomerRequest(**given))
    expected = {name: value for name, value in given.items() if value is not UNSET}
    assert json.dumps(json.loads(body)) == json.dumps(expected)
    assert encode(CustomerRequest(**given)) == body


class Whole(int):
    """A subclass, as numpy's floats are of float."""


def test_the_fallback_writes_as_the_fast_encoder_does() -> None:
    """A value that only the standard library writes changes nothing else in the body."""
    texts: dict[str, Any] = {"notes": 'é\N{PARTY POPPER}\u2028"\\\0', "metadata": {"n": 0, "f": 1.5, "x": [None, True]}}
    plain = encode(request_with(texts))
    other = encode(request_with({**texts, "metadata": {**texts["metadata"], "n": Whole(2**64)}}))
    assert other == plain.replace(b'"n":0', b'"n":18446744073709551616')


def test_deep_metadata_is_encoded() -> None:
    """Nesting deeper than what some encoders write is encoded."""
    value: list[Any] = []
    for _ in range(260):
        value = [value]
    assert json.loads(encode(request_with({"metadata": value})))["metadata"] == value


def test_a_number_that_python_cannot_write() -> None:
    """A number beyond Python's 4,300 digits is refused before sending, and not quoted."""
    request = request_with({"metadata": 10**5000})
    with pytest.raises(InvalidRequestError, match="too large to be encoded") as raised:
        encode(request)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


def test_the_servers_own_numbers_are_sent_back_to_the_digit() -> None:
    """A body from a record keeps integers beyond 64 bits, anywhere in its JSON."""
    big = 2**64 + 1
    fields = {**NEEDED, "individual_name": "Jane", "metadata": {"n": [big, 0.1]}, "transaction_tags": [-big, "gold"]}
    call = Archiving("https://api.example/c/", ID, Hidden(Given(None, None, None)))
    verdict = call.first().judge(Response(200, {}, json.dumps(fields).encode()))
    assert isinstance(verdict, Next)
    assert json.loads(verdict.request.body or b"") == {
        name: fields[name] for name in ("individual_name", "metadata", "transaction_tags")
    }


def test_both_ways_make_the_same() -> None:
    """cattrs, which is used only for invalid values, gives the same result for valid ones."""
    documents = [dict(DOCUMENT), dict.fromkeys(DOCUMENT)]
    full = {**NEEDED, "documents": documents, "created_at": MOMENT, "email": "a@b.example", "colour": 5}
    for fields in (full, dict(NEEDED), {**full, "documents": None, "transaction_tags": [1, None]}):
        assert structure(fields, Customer) == _thorough().structure(fields, Customer)
    page = {"next": None, "results": [full, dict(NEEDED)]}
    assert structure(page, Page) == _thorough().structure(page, Page)
