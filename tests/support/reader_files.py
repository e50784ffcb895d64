"""Customer files for tests of the readers."""

from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from thredfi_async import CustomerRequest
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers import InvalidLine, open_source

BUSINESS = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


CUSTOMER = "4c90c3cc-0d44-4b50-8888-8dd25736052a"


HEADER = b"business_id,customer_id\n"


ROW = f"{BUSINESS},{CUSTOMER}\n".encode()


ITEM = ArchiveItem(UUID(BUSINESS), UUID(CUSTOMER))


def written(folder: Path, name: str, data: bytes) -> Path:
    """Save a file."""
    path = folder / name
    path.write_bytes(data)
    return path


def full_row(**changes: Any) -> dict[str, Any]:
    """Return all columns with valid values, as JSON has them."""
    return {
        "business_id": BUSINESS,
        "customer_id": CUSTOMER,
        "external_id": "cust-1",
        "reference_number": "R-1",
        "individual_name": "Ada Muster",
        "company_name": "Muster Ltd",
        "email": "ada@example.com",
        "mobile_phone": "+447700900123",
        "office_phone": "+442079460000",
        "address_line1": "1 High Street",
        "address_line2": "Suite 4",
        "city": "London",
        "state_county": "Greater London",
        "postal_code": "SW1A 1AA",
        "country": "GB",
        "vat_number": "GB123456789",
        "tax_exempt": False,
        "transaction_tags": ["vip"],
        "notes": "none",
        "metadata": {"segment": "smb"},
        "payment_terms_days": 30,
        "credit_limit_cents": 250000,
        **changes,
    }


def read(path: Path, **options: Any) -> tuple[list[ArchiveItem], list[InvalidLine]]:
    """Read a complete file."""
    bad: list[InvalidLine] = []
    return list(open_source(path, on_invalid_line=bad.append, **options)), bad


def body_of(item: ArchiveItem) -> CustomerRequest:
    """Return an item's body, which must exist."""
    assert isinstance(item.customer, CustomerRequest)
    return item.customer


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {
        "customer_id": st.uuids().map(str),
        "business_id": st.uuids().map(str),
        "external_id": TEXT.filter(bool),
        "notes": TEXT,
        "tax_exempt": st.none() | st.booleans(),
        "payment_terms_days": st.none() | st.integers(),
        "metadata": JSON,
        "transaction_tags": st.none() | st.lists(JSON, max_size=3),
    }
)
