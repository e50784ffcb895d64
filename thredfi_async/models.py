"""Requests and responses as frozen values; their `repr` shows no personal data."""

import datetime as dt
import enum
import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, Self, TypeAlias, TypeVar
from uuid import UUID

import attrs

from thredfi_async._checks import body_fields as checks
from thredfi_async._checks.json import is_plain_name, snapshot
from thredfi_async.errors import InvalidRequestError

__all__ = [
    "UNSET",
    "Customer",
    "CustomerBody",
    "CustomerPage",
    "CustomerRequest",
    "CustomerStatus",
    "Document",
    "RawResponse",
    "Unset",
]

T = TypeVar("T")
_RequestT = TypeVar("_RequestT", bound="CustomerRequest")


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = enum.auto()
    NOT_GIVEN = enum.auto()
    """A default only: the caller neither gave this name nor asked to leave it out."""


UNSET: Final = Unset.UNSET
"""Leaves this field out of the body on purpose."""


def _hidden(_: type, fields: "list[attrs.Attribute[Any]]") -> "list[attrs.Attribute[Any]]":
    """Hide every field: tools that show locals in tracebacks look at an attrs class's fields, not at its `repr`."""
    return [field.evolve(repr=False) for field in fields]


class CustomerStatus(enum.StrEnum):
    """The states of a customer that the API documents."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


@attrs.frozen(kw_only=True, repr=False, field_transformer=_hidden)
class CustomerRequest:
    """The body of an archive request: the 20 documented fields.

    All fields are required, except that one of `individual_name` and `company_name` may be omitted. `UNSET` leaves a
    field out of the body on purpose. Texts have at least one character. The contract's page "Archive a customer" lists
    every field as required.

    Args:
        external_id: Your own id for this customer.
        reference_number: Reference number for invoices and statements.
        individual_name: The person's name; may be omitted if there is a `company_name`.
        company_name: The company's name; may be omitted if there is an `individual_name`.
        email: Primary email address.
        mobile_phone: Mobile phone number.
        office_phone: Office or landline number.
        address_line1: Street address.
        address_line2: Building, suite and the like.
        city: City or town.
        state_county: State, county or region.
        postal_code: Postal or ZIP code.
        country: Two capital letters, as in ISO 3166-1 alpha-2.
        vat_number: VAT registration number.
        tax_exempt: Whether the customer is exempt from tax.
        transaction_tags: Any JSON values.
        notes: Internal notes.
        metadata: Any JSON.
        payment_terms_days: Days until payment is due.
        credit_limit_cents: Credit limit in cents.

    Raises:
        InvalidRequestError: A field breaks the contract; `.problems` names every such field.
    """

    FIELD_NAMES: ClassVar[tuple[str, ...]]
    """The documented fields, in the contract's order."""

    external_id: str | Unset
    reference_number: str | Unset
    individual_name: str | Unset = Unset.NOT_GIVEN
    company_name: str | Unset = Unset.NOT_GIVEN
    email: str | Unset
    mobile_phone: str | Unset
    office_phone: str | Unset
    address_line1: str | Unset
    address_line2: str | Unset
    city: str | Unset
    state_county: str | Unset
    postal_code: str | Unset
    country: str | Unset
    vat_number: str | Unset
    tax_exempt: bool | Unset
    transaction_tags: Sequence[Any] | Unset
    notes: str | Unset
    metadata: Any
    payment_terms_days: int | Unset
    credit_limit_cents: int | Unset

    def __attrs_post_init__(self) -> None:
        """Check every field, and copy the JSON ones."""
        problems: list[str] = []
        if self.individual_name is Unset.NOT_GIVEN and self.company_name is Unset.NOT_GIVEN:
            problems.append("individual_name, company_name: one of them must be given")
        # Texts are checked one by one only if the check of all together fails: that halves the cost of validation.
        for name, check in (_SPECIAL if checks.are_plain_texts(_text_values(self)) else _CHECKS).items():
            value = getattr(self, name)
            if isinstance(value, Unset):
                if value is Unset.NOT_GIVEN:
                    object.__setattr__(self, name, UNSET)
            elif (problem := check(value)) is not None:
                problems.append(f"{name}: {problem}")
            elif name in _JSON_FIELDS:
                object.__setattr__(self, name, snapshot(value, name, problems))
        if problems:
            value = None  # no traceback shows it
            raise InvalidRequestError(problems)

    def __repr__(self) -> str:
        """Show the number of fields, and no value."""
        given = sum(getattr(self, name) is not UNSET for name in CustomerRequest.FIELD_NAMES)
        return f"<CustomerRequest with {given} of {len(CustomerRequest.FIELD_NAMES)} fields>"

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> Self:
        """Check a mapping of the fields, and make a request from it.

        Args:
            fields: Every documented field by name, as for the class itself.

        Returns:
            The request.

        Raises:
            InvalidRequestError: Fields are invalid, missing or unknown; `.problems` names every one.
        """
        # No traceback shows the fields: what is wrong with them is found in a call that raises nothing.
        hidden, fields = [fields], {}
        made, problems = _made_of(cls, hidden)
        if made is None or problems:
            error = InvalidRequestError(problems)
            if any(problem.endswith(_IS_MISSING) for problem in problems):
                # Once, and not in each problem: a service shows problems to callers who have no UNSET.
                error.add_note("UNSET in the place of a value leaves a field out of the body on purpose")
            raise error
        return made

    @classmethod
    def from_customer(cls, customer: "Customer") -> Self:
        """Make a request from the server's own record.

        Args:
            customer: The record, as the API returned it.

        Returns:
            The request; values that validation would refuse (null, empty, a country in another form) are `UNSET`.
        """
        values: dict[str, Any] = {name: getattr(customer, name) for name in CustomerRequest.FIELD_NAMES}
        values = {name: UNSET if _CHECKS[name](value) else value for name, value in values.items()}
        try:
            return cls(**values)
        except InvalidRequestError as error:
            # Only the JSON fields can still be refused, such as a nesting too deep to be encoded.
            refused = [name for name in _JSON_FIELDS if any(each.startswith(name) for each in error.problems)]
            return cls(**values | dict.fromkeys(refused, UNSET))


CustomerBody: TypeAlias = CustomerRequest | Mapping[str, Any]
"""The body of an archive call: a request, or a mapping of its fields."""


@attrs.frozen(kw_only=True)
class Document:
    """A file that is linked to a customer.

    Args:
        url: A presigned URL: a secret until it expires, and hidden in `repr`.
        expires_in: Seconds until the URL expires.
        document_id: The document's id.
        file_name: The file's name, hidden in `repr`.
        file_size: Bytes.
        mime_type: The media type.
    """

    url: str | None = attrs.field(default=None, repr=False)
    expires_in: int | None = None
    document_id: UUID | None = None
    file_name: str | None = attrs.field(default=None, repr=False)
    file_size: int | None = None
    mime_type: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, repr=False, field_transformer=_hidden)
class Customer:
    """A customer, as the API returns it.

    Documented texts, numbers and dates may be null in practice, and are None then. Money is in integer cents; dates
    are timezone-aware. `repr` shows only the id and the status.

    Args:
        id: The customer's id.
        status: `ACTIVE` or `ARCHIVED`; an undocumented status stays a plain string.
        is_active: Whether the customer is active.
        is_archived: Whether the customer is archived.
        credit_limit: Credit limit in cents.
        credit_limit_cents: The same.
        outstanding_balance: What the customer owes, in cents.
        documents: Linked files; empty in lists, where the API omits them.
        archived_at: When the customer was archived; None while active.
        extra: Undocumented fields of the answer, unchanged.

    The other fields are those of `CustomerRequest`, and the texts that the API derives from them.
    """

    id: UUID
    status: CustomerStatus | str
    is_active: bool
    is_archived: bool
    type: str | None = None
    external_id: str | None = None
    reference_number: str | None = None
    individual_name: str | None = None
    company_name: str | None = None
    display_name: str | None = None
    email: str | None = None
    mobile_phone: str | None = None
    office_phone: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    city: str | None = None
    state_county: str | None = None
    postal_code: str | None = None
    country: str | None = None
    full_address: str | None = None
    address_string: str | None = None
    vat_number: str | None = None
    tax_exempt: bool | None = None
    transaction_tags: tuple[Any, ...] = ()
    notes: str | None = None
    metadata: Any = None
    payment_terms_days: int | None = None
    credit_limit: int | None = None
    credit_limit_cents: int | None = None
    outstanding_balance: int | None = None
    documents: tuple[Document, ...] = ()
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    archived_at: dt.datetime | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def to_dict(self) -> dict[str, Any]:
        """Return the record in the API's own shape, as values that JSON has.

        Returns:
            Every documented field, and the undocumented ones beside them; ids and dates as texts. It holds personal
            data, and the documents' presigned URLs. The JSON fields are not copied.
        """
        fields = {name: _as_json(getattr(self, name)) for name in _CUSTOMER_FIELDS}
        documents = [{name: _as_json(getattr(each, name)) for name in _DOCUMENT_FIELDS} for each in self.documents]
        return {**fields, "transaction_tags": list(self.transaction_tags), "documents": documents, **self.extra}

    def to_json(self) -> str:
        """Return the record as JSON, as `to_dict` has it.

        Raises:
            ValueError: A number in the JSON fields is too large to be written.
        """
        return json.dumps(self.to_dict(), allow_nan=False)

    def __repr__(self) -> str:
        """Show the id and the status only."""
        known = self.status.value if isinstance(self.status, CustomerStatus) else "not documented"
        return f"<Customer {self.id}, {known}>"


@attrs.frozen(kw_only=True)
class CustomerPage:
    """One page of a list.

    Args:
        results: Its customers; they have no documents.
        count: How many customers the whole list has, if the API says it.
        next: The link to the next page, to go on from with `Customers.list(..., start=page.next)`; None on the last.
            It may contain an external id, and is hidden in `repr`.
    """

    results: tuple[Customer, ...]
    count: int | None = None
    next: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class RawResponse(Generic[T]):
    """A call's result, with the answer and statistics of the call.

    Args:
        parsed: What the call returns without `with_raw_response`.
        status: The HTTP status of the answer that decided the call.
        headers: That answer's headers; look-ups ignore case.
        request_id: That answer's `X-Request-Id`, if any.
        attempts: Requests that the call sent.
        elapsed: Seconds from the call's first turn to its end.
        already_archived: Whether the customer was archived, but certainly not by this call.
        idempotency_key: The key that the call's POST carried, if any.
    """

    parsed: T
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    request_id: str | None
    attempts: int
    elapsed: float
    already_archived: bool = False
    idempotency_key: str | None = None


def _as_json(value: object) -> object:
    match value:
        case dt.datetime():
            return value.isoformat()
        case UUID() | CustomerStatus():
            return str(value)
        case _:
            return value


_CUSTOMER_FIELDS: Final = tuple(field.name for field in attrs.fields(Customer) if field.name != "extra")
_DOCUMENT_FIELDS: Final = tuple(field.name for field in attrs.fields(Document))
_CHECKS: Final[Mapping[str, Callable[[object], str | None]]] = {
    field.name: checks.BY_FIELD.get(field.name, checks.text) for field in attrs.fields(CustomerRequest)
}
_SPECIAL: Final = {name: check for name, check in _CHECKS.items() if check is not checks.text}
_text_values: Final = attrgetter(*(name for name in _CHECKS if name not in _SPECIAL))
_SUGGESTIONS: Final = 10
_IS_MISSING: Final = ": is missing"
_JSON_FIELDS: Final = frozenset({"transaction_tags", "metadata"})
_NAMES: Final = ("individual_name", "company_name")
CustomerRequest.FIELD_NAMES = tuple(_CHECKS)


def _unknown(name: object, *, suggest: bool) -> str:
    if not is_plain_name(name):
        return "a field whose name is not shown: is not one of the documented fields"
    meant = get_close_matches(str(name), CustomerRequest.FIELD_NAMES, n=1) if suggest else []
    return f"{name}: is not a documented field" + (f"; did you mean {meant[0]}?" if meant else "")


def _made_of(cls: type[_RequestT], hidden: list[Mapping[str, Any]]) -> tuple[_RequestT | None, list[str]]:
    """Make a request of the mapping, which is taken out of the list, or find all that is wrong with it."""
    fields = hidden.pop()
    names = CustomerRequest.FIELD_NAMES
    strange = [name for name in fields if name not in _CHECKS]
    # To look for the name that was meant takes a while: of very many, only the first few are looked at.
    unknown = [_unknown(name, suggest=position < _SUGGESTIONS) for position, name in enumerate(strange)]
    missing = [f"{name}{_IS_MISSING}" for name in names if name not in fields and name not in _NAMES]
    values: dict[str, Any] = dict.fromkeys(names, UNSET) | dict.fromkeys(_NAMES, Unset.NOT_GIVEN)
    try:
        return cls(**(values | {name: fields[name] for name in names if name in fields})), unknown + missing
    except InvalidRequestError as error:
        return None, [*unknown, *missing, *error.problems]
