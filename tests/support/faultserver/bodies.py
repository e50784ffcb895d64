"""Well-formed bodies of the API: the customer with its 34 documented fields, and the error envelope."""

import json
from typing import Any

from .wire import Request

Json = dict[str, Any]

TOKEN_PATH = "/oauth2/token/"
ARCHIVE_SUFFIX = "/archive/"

_WRITABLE = {
    "external_id": "ext-1",
    "reference_number": "C-0001",
    "individual_name": "Ada Example",
    "company_name": "Example Ltd",
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
    "transaction_tags": ["tag"],
    "notes": "A note.",
    "metadata": {"key": "value"},
    "payment_terms_days": 30,
    "credit_limit_cents": 100_000,
}


def customer_request(**overrides: Any) -> Json:
    """Return the 20 fields of a request's body."""
    return {**_WRITABLE, **overrides}


def customer(customer_id: str, *, archived: bool = True, **overrides: Any) -> Json:
    """Return the 34 fields of a customer, archived by default; overrides may be anything."""
    fields = {
        "type": "CustomerData",
        "id": customer_id,
        **_WRITABLE,
        "display_name": "Example Ltd",
        "full_address": "1 Example Street\nFloor 2\nLondon\nGreater London\nN1 1AA\nGB",
        "address_string": "1 Example Street, Floor 2, London, Greater London, N1 1AA, GB",
        "status": "ARCHIVED" if archived else "ACTIVE",
        "is_active": not archived,
        "is_archived": archived,
        "credit_limit": 100_000,
        "outstanding_balance": 2_500,
        "documents": [document()],
        "created_at": "2024-01-02T03:04:05Z",
        "updated_at": "2024-02-03T04:05:06.789012Z",
        "archived_at": "2024-03-04T05:06:07Z" if archived else None,
    }
    return {**fields, **overrides}


def document(**overrides: Any) -> Json:
    """Return one document with its presigned URL."""
    fields = {
        "url": "https://files.example.com/contract.pdf?X-Signature=presigned",
        "expires_in": 3600,
        "document_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "file_name": "contract.pdf",
        "file_size": 12_345,
        "mime_type": "application/pdf",
    }
    return {**fields, **overrides}


def problem(error_code: str = "server_error", message: str = "It went wrong.", **details: list[str]) -> Json:
    """Return the error envelope; details are lists of problems by field."""
    return {"error": message, "error_code": error_code, "details": details}


def customer_id_in(path: str) -> str | None:
    """Return the customer id in a path, if there is one."""
    _, found, rest = path.partition("/customers/")
    return rest.split("/")[0] or None if found else None


def is_archive(request: Request) -> bool:
    """Return whether this is the POST that archives."""
    return request.method == "POST" and request.path.endswith(ARCHIVE_SUFFIX)


def archived(request: Request) -> Json:
    """Return the requested customer, archived: the right answer to an archive POST."""
    return customer(customer_id_in(request.path) or "", archived=True)


def active(request: Request) -> Json:
    """Return the requested customer, still active."""
    return customer(customer_id_in(request.path) or "", archived=False)


def dump(payload: Any) -> bytes:
    """Return JSON as a server writes it."""
    return json.dumps(payload, ensure_ascii=False).encode()
