"""Ids: a UUID, or its canonical text, and no other form."""

from uuid import UUID

import pytest

from thredfi_async._checks.identifiers import as_uuid, identifier_problem, is_uuid_text

TEXT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


@pytest.mark.parametrize("value", [TEXT, TEXT.upper(), UUID(TEXT)])
def test_an_id(value: UUID | str) -> None:
    """Both forms are read, in either case."""
    assert as_uuid(value) == UUID(TEXT)
    assert identifier_problem(value) is None
    assert is_uuid_text(str(value))


@pytest.mark.parametrize(
    "value", ["", TEXT[:-1], f"{{{TEXT}}}", TEXT.replace("-", ""), f"urn:uuid:{TEXT}", f"{TEXT}\n"]
)
def test_text_that_is_no_id(value: str) -> None:
    """Other forms that Python reads are refused, and the text, which may be anybody's name, is not shown."""
    assert as_uuid(value) is None
    assert not is_uuid_text(value)
    assert identifier_problem(value) == f"must be a UUID such as {TEXT}, not text of {len(value)} characters"


@pytest.mark.parametrize(("value", "kind"), [(5, "int"), (None, "NoneType"), (TEXT.encode(), "bytes")])
def test_what_is_no_text(value: object, kind: str) -> None:
    """The problem names the type."""
    assert as_uuid(value) is None
    assert identifier_problem(value) == f"must be a UUID such as {TEXT}, not {kind}"
