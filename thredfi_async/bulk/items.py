"""Items and results of a bulk run."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import attrs

from thredfi_async import Customer, CustomerRequest, InvalidRequestError, ThredfiError
from thredfi_async._checks.identifiers import as_uuid, identifier_problem
from thredfi_async._checks.numbers import whole_number
from thredfi_async._jobs.states import ItemState
from thredfi_async._outcomes import code_of


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


_MOST_LINES: Final = 2**53


def _is_line(_: object, __: object, line: int | None) -> None:
    if line is None:
        return
    problem = whole_number(line) or ("is a number that no file has" if line >= _MOST_LINES else None)
    if problem is not None:
        raise InvalidRequestError([f"line: {problem}"])


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
        InvalidRequestError: An id is not a UUID, or the line is no number of a line; the error names which.
    """

    business_id: UUID = attrs.field(converter=business_id_of)
    customer_id: UUID = attrs.field(converter=customer_id_of)
    customer: CustomerRequest | Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    line: int | None = attrs.field(default=None, eq=False, kw_only=True, validator=_is_line)


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
