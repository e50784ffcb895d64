"""Customers and archive bodies: the contract's rules, all problems at once, and no personal data in sight."""

import copy
import datetime as dt
import json
import math
import pickle
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

import attrs
import pytest
from faultserver import bodies
from growth import assert_linear
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async import (
    UNSET,
    Customer,
    CustomerRequest,
    CustomerStatus,
    Document,
    Effect,
    InvalidRequestError,
    RawResponse,
    Unset,
)
from thredfi_async._codec.converter import encode, structure

quick = settings(derandomize=True, deadline=None, max_examples=100)
FIELDS: Mapping[str, Any] = MappingProxyType(
    {
        "external_id": "crm-42",
        "reference_number": "R-7",
        "individual_name": "Jane Doe",
        "company_name": "Doe & Sons",
        "email": "jane@example.com",
        "mobile_phone": "+44 7700 900123",
        "office_phone": "+44 20 7946 0000",
        "address_line1": "1 High Street",
        "address_line2": "Flat 2",
        "city": "London",
        "state_county": "Greater London",
        "postal_code": "SW1A 1AA",
        "country": "GB",
        "vat_number": "GB123456789",
        "tax_exempt": False,
        "transaction_tags": ["gold", {"since": 2020}],
        "notes": "pays late",
        "metadata": {"crm": {"owner": "Joe"}},
        "payment_terms_days": 30,
        "credit_limit_cents": 500_000,
    }
)
TEXTS = tuple(name for name, value in FIELDS.items() if isinstance(value, str))
CUSTOMER = Customer(
    id=UUID("3c90c3cc-0d44-4b50-8888-8dd25736052a"), status=CustomerStatus.ACTIVE, is_active=True, is_archived=False
)


def request_with(changes: Mapping[str, Any]) -> CustomerRequest:
    """Return a body of valid fields, except the given ones."""
    return CustomerRequest(**{**FIELDS, **changes})


def problems_of(**changes: Any) -> list[str]:
    """Return the problems after these fields are changed."""
    with pytest.raises(InvalidRequestError) as raised:
        request_with(changes)
    return list(raised.value.problems)


# -- valid values


def test_every_documented_field() -> None:
    """A body has the contract's 20 fields, in its order."""
    request = CustomerRequest(**FIELDS)
    assert tuple(FIELDS) == CustomerRequest.FIELD_NAMES
    assert {name: getattr(request, name) for name in CustomerRequest.FIELD_NAMES} == FIELDS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, "x") for name in TEXTS if name not in {"email", "country"}),
        ("notes", " "),
        ("notes", "line\nline"),
        ("notes", "é\N{PARTY POPPER}\0"),
        ("notes", "x" * 1_000_000),
        ("email", "a@b"),
        ("email", '"jane doe"@example.com'),
        ("email", '"@"@example.com'),
        ("email", '"a\\"b"@example.com'),
        ("email", "jane+tag@sub.example.com"),
        ("email", "jöhn@exämple.com"),
        ("email", "jane@[192.168.0.1]"),
        ("country", "ZZ"),
        ("vat_number", "DE123456789"),
        ("vat_number", "none of your business"),
        ("tax_exempt", True),
        ("transaction_tags", list[Any]()),
        ("transaction_tags", [None, 1.5, "x", [5], {"a": 5}]),
        ("metadata", None),
        ("metadata", "x"),
        ("metadata", 10**400),
        ("metadata", list[Any]()),
        ("metadata", False),
        ("payment_terms_days", 0),
        ("payment_terms_days", -5),
        ("payment_terms_days", 10**30),
        ("credit_limit_cents", -1),
        ("credit_limit_cents", 2**63),
    ],
)
def test_the_client_is_no_stricter_than_the_contract(field: str, value: Any) -> None:
    """Values that the contract does not forbid are sent unchanged, for the server to judge."""
    request = request_with({field: value})
    assert getattr(request, field) == value
    assert json.loads(encode(request))[field] == value


@pytest.mark.parametrize("left_out", ["individual_name", "company_name"])
def test_one_name_is_enough(left_out: str) -> None:
    """Either name may be omitted if the other is given."""
    fields = {name: value for name, value in FIELDS.items() if name != left_out}
    for request in (CustomerRequest(**fields), CustomerRequest.from_mapping(fields)):
        assert getattr(request, left_out) is UNSET
        assert left_out not in json.loads(encode(request))


@pytest.mark.parametrize("field", CustomerRequest.FIELD_NAMES)
def test_unset_leaves_out_any_field(field: str) -> None:
    """Every field can be left out of the body on purpose."""
    request = request_with({field: UNSET})
    assert json.loads(encode(request)).keys() == FIELDS.keys() - {field}


def test_everything_can_be_left_out_on_purpose() -> None:
    """Even both names may be `UNSET`, which is not the same as omitting them."""
    request = CustomerRequest(**dict.fromkeys(FIELDS, UNSET))
    assert encode(request) == b"{}"


# -- invalid values


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must not be empty"),
        (None, "must be a string, not NoneType"),
        (5, "must be a string, not int"),
        (True, "must be a string, not bool"),
        (b"x", "must be a string, not bytes"),
        (["x"], "must be a string, not list"),
    ],
)
def test_texts(field: str, value: Any, problem: str) -> None:
    """A text is a string of at least one character."""
    assert problems_of(**{field: value}) == [f"{field}: {problem}"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("notes", "\ud800", "holds a lone surrogate, which no UTF-8 text can"),
        ("email", "\ud800@example.com", "holds a lone surrogate, which no UTF-8 text can"),
        *(
            ("email", value, "must be an email address, such as name@example.com")
            for value in (
                "jane",
                "@example.com",
                "jane@",
                "jane doe@example.com",
                "jane@exam ple.com",
                "a@b@c",
                "jane@example.com\n",
                '"jane@example.com',
                '"a\nb"@example.com',
            )
        ),
        *(
            ("country", value, "must be two capital letters (ISO 3166-1 alpha-2), such as GB")
            for value in ("gb", "GBR", "G", "G1", "GB\n", " GB", "ÄÖ", "United Kingdom")
        ),
        ("tax_exempt", 0, "must be true or false, not int"),
        ("tax_exempt", "false", "must be true or false, not str"),
        ("tax_exempt", None, "must be true or false, not NoneType"),
        *(
            (field, value, f"must be an integer, not {type(value).__name__}")
            for field in ("payment_terms_days", "credit_limit_cents")
            for value in (True, 1.0, "1", None, math.nan)
        ),
        ("transaction_tags", "gold", "must be a list, not str"),
        ("transaction_tags", {"gold"}, "must be a list, not set"),
        ("transaction_tags", {"gold": 1}, "must be a list, not dict"),
        ("transaction_tags", None, "must be a list, not NoneType"),
        ("metadata", math.nan, "NaN and infinities are not JSON"),
        ("metadata", b"x", "bytes is not a JSON value"),
    ],
)
def test_each_documented_rule(field: str, value: Any, problem: str) -> None:
    """Each rule has its message, which names the field."""
    assert problems_of(**{field: value}) == [f"{field}: {problem}"]


def test_problems_inside_json_have_their_path() -> None:
    """A part that is not JSON is reported by its full path."""
    assert problems_of(metadata={"a": [math.inf]}, transaction_tags=[1, object()]) == [
        "transaction_tags[1]: object is not a JSON value",
        "metadata.a[0]: NaN and infinities are not JSON",
    ]


def test_all_problems_at_once() -> None:
    """Every invalid field is reported, in the contract's order, and no value is quoted."""
    problems = problems_of(
        external_id="", email="jane", country="gb", tax_exempt=1, payment_terms_days=True, metadata={"x": math.nan}
    )
    assert [problem.partition(":")[0] for problem in problems] == [
        "external_id",
        "email",
        "country",
        "tax_exempt",
        "metadata.x",
        "payment_terms_days",
    ]


def test_no_value_is_quoted() -> None:
    """An invalid value may be personal data: no message contains it."""
    with pytest.raises(InvalidRequestError) as raised:
        request_with({"email": "jane doe", "country": "Jane", "metadata": {"Jane Doe": {"Jane"}}})
    assert "jane" not in (str(raised.value) + repr(raised.value)).lower()


def test_a_name_must_be_given() -> None:
    """Omitting both names is refused."""
    fields = {name: value for name, value in FIELDS.items() if name not in {"individual_name", "company_name"}}
    for make in (partial(CustomerRequest, **fields), partial(CustomerRequest.from_mapping, fields)):
        with pytest.raises(InvalidRequestError, match=r"^individual_name, company_name: one of them must be given$"):
            make()


def test_a_missing_argument_is_pythons_to_tell() -> None:
    """All other fields have no default, so that Python reports a missing argument."""
    with pytest.raises(TypeError, match="metadata"):
        CustomerRequest(**{name: value for name, value in FIELDS.items() if name != "metadata"})


# -- mappings


def test_from_mapping_is_the_same() -> None:
    """Any mapping gives the same request as its fields."""
    assert CustomerRequest.from_mapping(MappingProxyType(dict(FIELDS))) == CustomerRequest(**FIELDS)


def test_from_mapping_reports_everything_at_once() -> None:
    """Unknown, missing and invalid fields are all reported, with the likely names."""
    fields = {name: value for name, value in FIELDS.items() if name not in {"city", "postal_code"}}
    given: dict[Any, Any] = {**fields, "post_code": "SW1", "e-mail": "x", "qqqq": 1, 5: 1, "country": "gb"}
    with pytest.raises(InvalidRequestError) as raised:
        CustomerRequest.from_mapping(given)
    hidden = "a field whose name is not shown: is not one of the documented fields"
    assert raised.value.problems == (
        "post_code: is not a documented field; did you mean postal_code?",
        hidden,
        "qqqq: is not a documented field",
        hidden,
        "city: is missing",
        "postal_code: is missing",
        "country: must be two capital letters (ISO 3166-1 alpha-2), such as GB",
    )
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert raised.value.__notes__ == ["UNSET in the place of a value leaves a field out of the body on purpose"]


def test_from_mapping_speaks_of_unset_only_if_fields_are_missing() -> None:
    """The note on how to leave a field out is no help where none is missing."""
    with pytest.raises(InvalidRequestError) as raised:
        CustomerRequest.from_mapping({**FIELDS, "country": "gb"})
    assert not hasattr(raised.value, "__notes__")


def test_from_mapping_suggests_names_for_the_first_few() -> None:
    """Of very many unknown fields, only the first ten get a suggestion, which takes a while to find."""
    strange = {f"citi{number}": "x" for number in range(12)}
    with pytest.raises(InvalidRequestError) as raised:
        CustomerRequest.from_mapping({**FIELDS, **strange})
    assert raised.value.problems == tuple(
        f"citi{number}: is not a documented field" + ("; did you mean city?" if number < 10 else "")
        for number in range(12)
    )


def test_from_mapping_is_linear_in_unknown_fields() -> None:
    """A mapping of 40,000 unknown fields is refused in a moment."""

    def refuse(given: Mapping[str, Any]) -> None:
        with pytest.raises(InvalidRequestError):
            CustomerRequest.from_mapping(given)

    assert_linear(refuse, lambda size: {**FIELDS, **{f"customer_field_{each}": 1 for each in range(size)}}, 5_000)


def test_from_mapping_refuses_an_empty_one() -> None:
    """An empty mapping is 18 missing fields and no name."""
    with pytest.raises(InvalidRequestError) as raised:
        CustomerRequest.from_mapping({})
    assert len(raised.value.problems) == 19


def test_from_mapping_with_an_unknown_field_alone() -> None:
    """One unknown field is refused even if all others are valid."""
    with pytest.raises(InvalidRequestError, match=r"^emails: is not a documented field; did you mean email\?$"):
        CustomerRequest.from_mapping({**FIELDS, "emails": "x"})


def test_from_mapping_takes_unset() -> None:
    """`UNSET` works in a mapping as in a call, also for names."""
    fields = {**FIELDS, "notes": UNSET, "company_name": UNSET, "individual_name": UNSET}
    assert json.loads(encode(CustomerRequest.from_mapping(fields))).keys() == FIELDS.keys() - {
        "notes",
        "company_name",
        "individual_name",
    }


# -- values


def test_a_request_keeps_what_was_checked() -> None:
    """Later changes to the metadata or the tags do not change what is sent."""
    metadata: dict[str, Any] = {"a": [1]}
    tags: list[Any] = ["gold"]
    request = request_with({"metadata": metadata, "transaction_tags": tags})
    before = encode(request)
    metadata["a"].append(math.nan)
    tags.clear()
    assert encode(request) == before
    assert (request.metadata, request.transaction_tags) == ({"a": [1]}, ["gold"])


def test_a_request_cannot_be_changed() -> None:
    """A request is frozen; `attrs.evolve` makes another, and checks it again."""
    request = CustomerRequest(**FIELDS)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.email = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert attrs.evolve(request, city="Leeds").city == "Leeds"
    with pytest.raises(InvalidRequestError, match=r"^city: must not be empty$"):
        attrs.evolve(request, city="")


@pytest.mark.parametrize("value", [CustomerRequest(**FIELDS), CUSTOMER, Document(url="https://x")], ids=repr)
def test_models_pickle(value: object) -> None:
    """Models can be pickled, including UNSET."""
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET  # noqa: S301
    assert copy.deepcopy(UNSET) is UNSET


def test_no_repr_shows_personal_data() -> None:
    """The reprs of requests, customers, documents and raw responses show no personal data."""
    fields: dict[str, Any] = dict.fromkeys(TEXTS, "secret Jane")
    fields |= {"metadata": {"secret": "Jane"}, "extra": {"secret": "Jane"}}
    fields["documents"] = (Document(url="https://secret", file_name="secret.pdf"),)
    customer = attrs.evolve(CUSTOMER, **fields)
    raw = RawResponse(parsed=customer, status=200, headers={"X": "secret"}, request_id="req-1", attempts=1, elapsed=0.1)
    request = request_with({**{name: "secret" for name in TEXTS if name not in {"email", "country"}}})
    for value in (customer, customer.documents, raw, request):
        assert "secret" not in repr(value)
        assert "example.com" not in repr(value)


def test_what_reprs_show() -> None:
    """A repr shows what identifies the value."""
    partial = request_with({"notes": UNSET})
    assert repr(partial) == "<CustomerRequest with 19 of 20 fields>"
    assert repr(CUSTOMER) == "<Customer 3c90c3cc-0d44-4b50-8888-8dd25736052a, ACTIVE>"
    assert "not documented>" in repr(attrs.evolve(CUSTOMER, status="JANE"))
    assert repr(Document(url="https://x", expires_in=60)).startswith("Document(expires_in=60")


def test_statuses_are_strings() -> None:
    """A status is equal to the API's string."""
    assert CUSTOMER.status == "ACTIVE"
    assert CustomerStatus("ARCHIVED") is CustomerStatus.ARCHIVED


def test_a_raw_response_by_default() -> None:
    """Only an archive call has a key, and can find its customer already archived."""
    raw = RawResponse(parsed=1, status=200, headers={}, request_id=None, attempts=1, elapsed=0.0)
    assert (raw.already_archived, raw.idempotency_key) == (False, None)


# -- the server's own record

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ANY_TEXT = st.none() | st.text() | st.sampled_from(["", "GB", "gb", "jane@example.com", "jane", "\ud800"])
CUSTOMERS = st.builds(
    Customer,
    id=st.uuids(),
    status=st.sampled_from(CustomerStatus) | st.text(),
    is_active=st.booleans(),
    is_archived=st.booleans(),
    tax_exempt=st.none() | st.booleans(),
    transaction_tags=st.lists(ANY_JSON, max_size=3).map(tuple),
    metadata=ANY_JSON,
    payment_terms_days=st.none() | st.integers(),
    credit_limit_cents=st.none() | st.integers(),
    created_at=st.none() | st.datetimes(timezones=st.just(dt.UTC)),
    **dict.fromkeys(TEXTS, ANY_TEXT),
)


def refused(field: str, value: Any) -> bool:
    """Return whether validation refuses this value of this field."""
    try:
        request_with({field: value})
    except InvalidRequestError:
        return True
    return False


@quick
@given(CUSTOMERS)
def test_any_record_makes_a_body(customer: Customer) -> None:
    """A body made from any record keeps its valid fields unchanged, and omits exactly the invalid ones."""
    request = CustomerRequest.from_customer(customer)
    for name in CustomerRequest.FIELD_NAMES:
        given, had = getattr(request, name), getattr(customer, name)
        if refused(name, had):
            assert given is UNSET, name
        else:
            assert given == (list(had) if name == "transaction_tags" else had), name
    assert (
        CustomerRequest.from_mapping({name: getattr(request, name) for name in CustomerRequest.FIELD_NAMES}) == request
    )


def test_a_record_of_nulls_makes_an_empty_body() -> None:
    """Nulls are omitted, names too; missing tags become an empty list, and metadata may be null."""
    assert encode(CustomerRequest.from_customer(CUSTOMER)) == b'{"transaction_tags":[],"metadata":null}'


@pytest.mark.parametrize("field", ["metadata", "transaction_tags"])
def test_json_of_a_record_that_cannot_be_encoded_is_left_out(field: str) -> None:
    """The other JSON field is kept even if this one is nested too deeply."""
    value: Any = ()
    for _ in range(5000):
        value = (value,)
    other = {"metadata": "transaction_tags", "transaction_tags": "metadata"}[field]
    customer = attrs.evolve(CUSTOMER, **{field: value, other: ("gold",)})
    request = CustomerRequest.from_customer(customer)
    assert getattr(request, field) is UNSET
    assert getattr(request, other) == ["gold"]


def test_a_full_record_round_trips() -> None:
    """A body made from a returned record equals the body that was sent."""
    request = CustomerRequest(**FIELDS)
    customer = attrs.evolve(CUSTOMER, **{**FIELDS, "transaction_tags": tuple(FIELDS["transaction_tags"])})
    assert CustomerRequest.from_customer(customer) == request


def test_a_customer_as_json() -> None:
    """A record becomes the API's own JSON, and is read as the same record again."""
    fields = bodies.customer("3c90c3cc-0d44-4b50-8888-8dd25736052a", later={"field": [1]})
    customer = structure(fields, Customer)
    assert customer.to_dict().keys() == fields.keys()
    assert structure(json.loads(customer.to_json()), Customer) == customer
    assert customer.to_dict()["status"] == "ARCHIVED"
    assert type(customer.to_dict()["status"]) is str


def test_a_record_with_a_number_that_json_lacks() -> None:
    """It is said; nothing is written that no JSON reader takes."""
    with pytest.raises(ValueError, match="JSON compliant"):
        attrs.evolve(CUSTOMER, metadata=math.inf).to_json()


@quick
@given(CUSTOMERS)
def test_any_customer_as_json(customer: Customer) -> None:
    """Whatever a record holds, its JSON is read as the same record."""
    try:
        text = customer.to_json()
    except ValueError:
        assert "inf" in repr(customer.to_dict()) or "nan" in repr(customer.to_dict())
        return
    assert structure(json.loads(text), Customer) == customer


def test_the_sentinel_is_one_of_an_enum() -> None:
    """The sentinel is an enum member, so that type checkers narrow it by identity."""
    assert UNSET is Unset.UNSET
    assert isinstance(UNSET, Unset)
    assert not isinstance(Effect.NOT_APPLIED, Unset)
