"""How a file that was refused can be read, as far as that can be told."""

from pathlib import Path
from typing import Any

import pytest
from reader_files import BUSINESS, CUSTOMER

from thredfi_async.bulk.readers import ReadingOptions
from thredfi_async.bulk.readers.candidates import Proposal
from thredfi_async.bulk.readers.proposal import proposal_for

BOTH = {"customer_id": "Customer", "business_id": "Business"}


@pytest.mark.parametrize(
    ("text", "given", "columns", "business"),
    [
        (f"Customer;Business\n{CUSTOMER};{BUSINESS}\n", {}, BOTH, True),
        (f"id\n{CUSTOMER}\n", {"business_id": BUSINESS}, {"customer_id": "id"}, False),
        (f"id\n{CUSTOMER}\n", {}, {"customer_id": "id"}, False),
    ],
)
def test_columns_of_other_names(
    tmp_path: Path, text: str, given: dict[str, Any], columns: dict[str, str], business: bool
) -> None:
    """Columns of ids are found, whatever they are called; where none has the business, it is told so."""
    path = tmp_path / "a.csv"
    path.write_text(text, "utf-8")
    assert proposal_for(path, **given) == Proposal(ReadingOptions(ids_only=True, columns=columns), business)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("a.csv", f"id,who\n{CUSTOMER},{BUSINESS}\n", id="two columns of ids without a name"),
        pytest.param("a.csv", "name\nAda\n", id="no ids"),
        pytest.param("a.pdf", "x", id="no format"),
        pytest.param("a.csv", None, id="no file"),
    ],
)
def test_what_cannot_be_told(tmp_path: Path, name: str, text: str | None) -> None:
    """No proposal is made where it would be a guess, or where nothing can be read."""
    if text is not None:
        (tmp_path / name).write_text(text, "utf-8")
    assert proposal_for(tmp_path / name) is None


def test_what_was_refused_is_not_proposed(tmp_path: Path) -> None:
    """A file that is to be read as it was asked for gets no proposal; nor does stdin, which cannot be read again."""
    path = tmp_path / "a.csv"
    path.write_text(f"customer_id,business_id\n{CUSTOMER},{BUSINESS}\n", "utf-8")
    assert proposal_for(path, options=ReadingOptions(ids_only=True)) is None
    assert proposal_for("-") is None
