"""Ids of businesses and customers: UUIDs, or their canonical text."""

import re
from typing import Final, TypeAlias
from uuid import UUID

Identifier: TypeAlias = UUID | str
"""A UUID, or its canonical text with hyphens."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def is_uuid_text(text: str) -> bool:
    """Return whether the text is a UUID in its canonical form."""
    return _UUID.fullmatch(text) is not None


def as_uuid(value: object) -> UUID | None:
    """Return the id as a UUID, or None if it is neither a UUID nor the canonical text of one."""
    if isinstance(value, str):
        return UUID(value) if is_uuid_text(value) else None
    return value if isinstance(value, UUID) else None


def identifier_problem(value: object) -> str | None:
    """Return why this is not an id, or None; the value is not quoted, since it may be personal data."""
    if isinstance(value, UUID) or (isinstance(value, str) and _UUID.fullmatch(value)):
        return None
    what = f"text of {len(value)} characters" if isinstance(value, str) else type(value).__name__
    return f"must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a, not {what}"
