"""Items and results of a bulk run."""

import enum
import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import attrs

from thredfi_async import (
    APIError,
    AuthenticationError,
    Customer,
    CustomerRequest,
    InvalidRequestError,
    RequestTimeoutError,
    ThredfiError,
)
from thredfi_async._checks.identifiers import as_uuid, identifier_problem

_CODE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)


class ItemState(enum.StrEnum):
    """The outcome of one item; the first three are final, a resumed run sends the others again."""

    ARCHIVED = "archived"
    """The server shows the customer archived, and a request of ours can have done it."""
    ALREADY_ARCHIVED = "already_archived"
    """The customer was archived before anything of ours can have done it."""
    REJECTED = "rejected"
    """The API, or the check before sending, refused this item, and would again."""
    FAILED = "failed"
    """Certainly not applied, for a reason that may pass."""
    UNKNOWN = "unknown"
    """A request may have been applied, or may still be on its way."""

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to do for the item."""
        return self in _FINAL

    @property
    def is_success(self) -> bool:
        """Whether the customer is archived."""
        return self in _SUCCESS


_SUCCESS: Final = frozenset({ItemState.ARCHIVED, ItemState.ALREADY_ARCHIVED})
_FINAL: Final = _SUCCESS | {ItemState.REJECTED}


def _identifier(name: str, value: object) -> UUID:
    identifier = as_uuid(value)
    if identifier is None:
        raise InvalidRequestError([f"{name}: {identifier_problem(value)}"])
    return identifier


def business_id_of(value: UUID | str) -> UUID:
    """Return a business's id, or raise if it is not a UUID."""
    return _identifier("business_id", value)


def customer_id_of(value: UUID | str) -> UUID:
    """Return a customer's id, or raise if it is not a UUID."""
    return _identifier("customer_id", value)


@attrs.frozen
class ArchiveItem:
    """One customer to archive.

    Args:
        business_id: The business's UUID, or its canonical text.
        customer_id: The customer's UUID, or its canonical text.
        customer: The body, as a `CustomerRequest` or a mapping of its fields; None, the default, for the server's own
            record. It is checked when the item has its turn. Hidden in `repr`.
        line: The line of the source on which the item stands, from 1; in Parquet, the row. None, the default, without
            one. It is for reports, and of no account when items are compared.

    Raises:
        InvalidRequestError: An id is not a UUID; the error names which.
    """

    business_id: UUID = attrs.field(converter=business_id_of)
    customer_id: UUID = attrs.field(converter=customer_id_of)
    customer: CustomerRequest | Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    line: int | None = attrs.field(default=None, eq=False, kw_only=True)


@attrs.frozen
class ArchiveResult:
    """The result of one item.

    Args:
        item: The item.
        index: Its place in the input, counted from 0.
        state: Its outcome.
        customer: The archived customer, where the server gave it whole.
        error: Why it is not archived; or why the answer that shows it archived could not be read whole.
        attempts: Requests that were sent for it in this run.
        elapsed: Seconds that its calls took in this run, without the waits between them.
    """

    item: ArchiveItem
    index: int
    state: ItemState
    customer: Customer | None = attrs.field(default=None, repr=False)
    error: ThredfiError | None = None
    attempts: int = 0
    elapsed: float = 0.0

    @property
    def code(self) -> str | None:
        """The machine-readable reason, such as `not_found`, `http_503` or `connect_error`; None without an error."""
        return None if self.error is None else code_of(self.error)


def code_of(error: ThredfiError) -> str:
    """Return an error's machine-readable reason: the API's own code if it has one, never customer data.

    Args:
        error: How a call ended.

    Returns:
        Lower-case ASCII letters, digits and `_.-`, 64 characters at most.
    """
    match error:
        case APIError():
            code = error.error_code
            return code if code is not None and _CODE.fullmatch(code) else f"http_{error.status}"
        case RequestTimeoutError():
            return f"timeout_{error.phase}"
        case _:
            return _CODES.get(type(error).__name__, "error")


def is_refusal(error: ThredfiError) -> bool:
    """Return whether the API, or the contract, refused this very customer, and would again.

    A refusal counts if it comes in the API's own envelope and is about the request (401, 408 and 429 are not, and no
    failure to get a token is). A proxy's page, or another server under a wrong address, cannot reject a customer.

    Args:
        error: How a call ended.

    Returns:
        Whether sending it again is of no use.
    """
    if isinstance(error, InvalidRequestError):
        return True
    if not isinstance(error, APIError) or isinstance(error, AuthenticationError) or error.is_token_error:
        return False
    return error.status in _REFUSALS and not error.transient and error.is_enveloped


_REFUSALS: Final = range(400, 500)
_CODES: Final = {
    "BusinessSkippedError": "business_skipped",
    "ClientStateError": "client_closed",
    "ConfigurationError": "configuration",
    "ConnectError": "connect_error",
    "ConnectionLostError": "connection_lost",
    "InternalError": "internal_error",
    "InvalidRequestError": "invalid_request",
    "ResponseDecodeError": "decode_error",
}
