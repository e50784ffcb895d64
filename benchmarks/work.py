"""The work of every peer: the customers, the requests and the answers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

BUSINESS: Final = UUID("33333333-3333-4333-8333-333333333333")
TOKEN: Final = "a-token-of-" + "x" * 600  # about as long as a partner's JWT
CUSTOMERS: Final = 1024
"""Number of distinct customers; the calls cycle through them."""

_FIELDS: Final[dict[str, Any]] = {
    "external_id": "ext-",
    "reference_number": "C-",
    "individual_name": "Ada Example ",
    "company_name": "Example Ltd ",
    "email": "ada@example.com",
    "mobile_phone": "+44 7700 900001",
    "office_phone": "+44 20 7946 0001",
    "address_line1": "1 Example Street",
    "address_line2": "Floor 2",
    "city": "London",
    "state_county": "Greater London",
    "postal_code": "N1 1AA",
    "country": "GB",
    "vat_number": "GB123456789",
    "tax_exempt": False,
    "transaction_tags": ["wholesale", "north"],
    "notes": "Asked for statements on paper.",
    "metadata": {"source": "crm", "segment": "b2b"},
    "payment_terms_days": 30,
    "credit_limit_cents": 100_000,
}
_DOCUMENT: Final = {
    "url": f"https://files.example.com/contract.pdf?X-Signature={'0' * 64}",
    "expires_in": 3600,
    "document_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "file_name": "contract.pdf",
    "file_size": 12_345,
    "mime_type": "application/pdf",
}


@dataclass(frozen=True)
class Work:
    """The input of one archive call, as a program that calls the API would hold it.

    Args:
        customer_id: The customer to archive.
        fields: The 20 fields of the body.
    """

    customer_id: UUID
    fields: dict[str, Any]


def works() -> list[Work]:
    """Return the input of all calls; every customer has its own id and texts."""
    return [Work(UUID(int=number << 64 | number, version=4), _fields(number)) for number in range(CUSTOMERS)]


def around(items: list[Work]) -> Iterator[Work]:
    """Cycle through the items."""
    while True:
        yield from items


def _fields(number: int) -> dict[str, Any]:
    own = {
        "external_id": f"ext-{number:06}",
        "reference_number": f"C-{number:06}",
        "individual_name": f"Ada Example {number}",
        "company_name": f"Example Ltd {number}",
        "email": f"ada.{number}@example.com",
    }
    return _FIELDS | own


def answer(*, archived: bool = True) -> tuple[bytes, bytes]:
    """Return an answer with all 34 fields: the bytes before the customer's id, and after it.

    Args:
        archived: Whether it is the answer to an archive call; otherwise it is that to a read before one.
    """
    body = {
        "type": "CustomerData",
        "id": "@",
        **_FIELDS,
        "display_name": "Example Ltd",
        "full_address": "1 Example Street\nFloor 2\nLondon\nGreater London\nN1 1AA\nGB",
        "address_string": "1 Example Street, Floor 2, London, Greater London, N1 1AA, GB",
        "status": "ARCHIVED" if archived else "ACTIVE",
        "is_active": not archived,
        "is_archived": archived,
        "credit_limit": 100_000,
        "outstanding_balance": 0,
        "documents": [_DOCUMENT],
        "created_at": "2024-01-02T03:04:05Z",
        "updated_at": "2024-02-03T04:05:06.789012Z",
        "archived_at": "2024-03-04T05:06:07Z" if archived else None,
    }
    before, after = json.dumps(body).replace('"@"', f'"{BUSINESS}"').encode().split(str(BUSINESS).encode())
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Server: nginx\r\n"
        "Date: Thu, 01 Feb 2024 03:04:05 GMT\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(before) + len(str(BUSINESS)) + len(after)}\r\n"
        "Connection: keep-alive\r\n"
        "Vary: Accept\r\n"
        "X-Request-Id: 5f0c1a2b3d4e\r\n"
        "\r\n"
    )
    return head.encode() + before, after
