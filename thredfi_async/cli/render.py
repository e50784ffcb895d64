"""Shows a customer to people and machines, without presigned URLs."""

import datetime as dt
import inspect
import json
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from rich.table import Table
from rich.text import Text

from thredfi_async import Customer, Document
from thredfi_async._checks.text import printable

_FIELDS: Final = tuple(name for name in inspect.signature(Customer).parameters if name not in {"documents", "extra"})
_DOCUMENT: Final = tuple(name for name in inspect.signature(Document).parameters if name != "url")
_MONEY: Final = frozenset({"credit_limit_cents", "outstanding_balance"})
# `status` says it, or another line does.
_LEFT_OUT: Final = frozenset({"type", "is_active", "is_archived", "credit_limit", "full_address", "address_string"})
_COLUMNS: Final = (("CUSTOMER ID", 36), ("STATUS", 8), ("EXTERNAL ID", 14))


def as_object(customer: Customer) -> dict[str, Any]:
    """Return a customer in the API's own shape, with fields that are not documented, without presigned URLs.

    Args:
        customer: The customer.

    Returns:
        What `json` can write, given `default=str`; dates as in ISO 8601.
    """
    fields: dict[str, Any] = {name: _plain(getattr(customer, name)) for name in _FIELDS}
    documents = [{name: _plain(getattr(document, name)) for name in _DOCUMENT} for document in customer.documents]
    return {**fields, "documents": documents, **customer.extra}


def as_table(customer: Customer) -> Table:
    """Return a table of a customer, a field a line, without empty fields."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name in _FIELDS:
        value = getattr(customer, name)
        if name not in _LEFT_OUT and value not in (None, "", (), {}):
            table.add_row(name.removesuffix("_cents").replace("_", " "), _shown(name, value))
    for document in customer.documents:
        size = None if document.file_size is None else f"{document.file_size:,} bytes"
        facts = (document.file_name, document.mime_type, size)
        table.add_row("document", ", ".join(filter(None, facts)))
    for name, value in customer.extra.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False))
    return table


def header() -> Text:
    """Return the head of a list of customers."""
    return Text("  ".join([*(name.ljust(width) for name, width in _COLUMNS), "NAME"]), style="bold")


def as_line(customer: Customer, *, width: int | None) -> Text:
    """Return a customer as one line of a list.

    Args:
        customer: The customer.
        width: Most cells; None for as many as it takes.

    Returns:
        The line.
    """
    # Escaped before its turn, since it is measured here.
    line = Text()
    values = (str(customer.id), str(_plain(customer.status)), customer.external_id or "")
    for value, (_, cells) in zip(values, _COLUMNS, strict=True):
        cell = Text(printable(value))
        cell.truncate(cells if width is not None else max(cells, cell.cell_len), overflow="ellipsis", pad=True)
        line.append_text(cell).append("  ")
    name = customer.display_name or customer.company_name or customer.individual_name or ""
    line.append(printable(name))
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    return line


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name in _MONEY:
        # The API names no currency: the amount is in the business's own, and the figure in cents is the API's.
        return f"{Decimal(value) / 100:,.2f} ({value:,} cents)"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, str | int | UUID):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
