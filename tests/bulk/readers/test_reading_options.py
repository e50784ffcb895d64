"""What a caller says about how a file is read, and how a journal keeps it."""

import json
from pathlib import Path
from typing import Any

import pytest
from bulk_journals import write_journal
from reader_files import BUSINESS, CUSTOMER, ITEM, read, written

from thredfi_async import InvalidRequestError
from thredfi_async.bulk import ArchiveItem, JournalError, read_journal
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import ReadingOptions, open_source
from thredfi_async.bulk.readers.columns import REPORT_COLUMNS, normalised
from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.report.not_archived import COLUMNS

OPTIONS = ReadingOptions(
    ids_only=True,
    ignore_extra_columns=True,
    columns={"customer_id": "Customer ID"},
    encoding="windows-1252",
    sheet="Customers",
    null=("NULL", "\\N"),
    as_is=True,
)


@pytest.mark.parametrize("options", [OPTIONS, ReadingOptions(), ReadingOptions(encoding="UTF-8-SIG")])
def test_options_come_back(options: ReadingOptions) -> None:
    """What a journal keeps is what was given."""
    assert ReadingOptions.of(options.as_fact()) == options


@pytest.mark.parametrize(
    "fact",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"more": 1}',
        '{"ids_only": "yes"}',
        '{"columns": ["a"]}',
        '{"columns": {"customer_id": 5}}',
        '{"columns": {"unknown": "a"}}',
        '{"null": "NULL"}',
        '{"null": [5]}',
        '{"encoding": "rot13"}',
    ],
)
def test_options_that_no_run_writes(tmp_path: Path, fact: str) -> None:
    """A journal that names others is refused in a sentence."""
    run = {"id": "00000000-0000-0000-0000-000000000001", "reading": fact or '"'}
    with (
        pytest.raises(JournalError, match="its fact reading is wrong"),
        read_journal(write_journal(tmp_path / "run.db", [], run=run)) as view,
    ):
        _ = view.run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encoding": "rot13"}, "the encoding must be one such as utf-8"),
        ({"encoding": "\0"}, "the encoding must be one such as utf-8"),
        ({"columns": {"display_name": "Name"}}, "the first must be customer_id, business_id, or a field of the body"),
        ({"columns": {"customer_id": ""}}, "needs the name that the column has in the file"),
        ({"columns": {"customer_id": "id", "business_id": "id"}}, "gives one column of the file two of our names"),
    ],
)
def test_options_that_cannot_be(given: dict[str, Any], said: str) -> None:
    """Each is refused before a file is opened."""
    with pytest.raises(SourceError, match=said):
        ReadingOptions(**given)


@pytest.mark.parametrize("name", ["Customer ID", "customer_id", "CUSTOMERID", " customer-id\u200b", "Customer\u00a0Id"])
def test_names_are_compared_without_case_and_blanks(name: str) -> None:
    """A header is written in many ways, which mean one column."""
    assert normalised(name) == "customerid"


def test_a_named_column_wins_over_one_that_looks_like_ours(tmp_path: Path) -> None:
    """A service's own `Customer ID` is left alone where another column was named for ours."""
    path = written(tmp_path, "a.csv", f"Customer ID,Thredfi,business_id\n17,{CUSTOMER},{BUSINESS}\n".encode())
    options = ReadingOptions(columns={"customer_id": "thredfi"}, ids_only=True)
    assert read(path, options=options) == ([ITEM], [])
    with pytest.raises(SourceError, match=r"columns that are not known: Customer ID\."):
        open_source(path, options=ReadingOptions(columns={"customer_id": "thredfi"}))


def test_a_column_that_was_named_must_be_there(tmp_path: Path) -> None:
    """A mapping that fits another file is refused, with the columns that there are."""
    path = written(tmp_path, "a.csv", f"Id,Firma\n{CUSTOMER},x\n".encode())
    with pytest.raises(
        SourceError, match=r"no column has the name that --column customer_id= gives\. There are: Id, F"
    ):
        open_source(path, business_id=BUSINESS, options=ReadingOptions(columns={"customer_id": "Thredfi ID"}))


def test_two_columns_for_one_of_ours(tmp_path: Path) -> None:
    """Which of the two is meant has to be said."""
    path = written(tmp_path, "a.csv", f"customer_id,Customer ID\n{CUSTOMER},{CUSTOMER}\n".encode())
    with pytest.raises(SourceError, match=r"stands there more than once \(customer_id, Customer ID\): say which"):
        open_source(path, business_id=BUSINESS)
    path = written(tmp_path, "b.csv", f"customer_id,Email,E-Mail\n{CUSTOMER},a,b\n".encode())
    with pytest.raises(SourceError, match=r"email: stands there more than once \(Email, E-Mail\): add --ids-only"):
        open_source(path, business_id=BUSINESS)


def test_a_column_without_a_name(tmp_path: Path) -> None:
    """Empty cells and pandas' numbers may stand there; anything else is an invalid line, unless it is left out."""
    data = f"customer_id,\n{CUSTOMER},\n{CUSTOMER},7\n{CUSTOMER},x\n".encode()
    items, (bad,) = read(path := written(tmp_path, "a.csv", data), business_id=BUSINESS)
    assert (len(items), bad.line, bad.reason) == (2, 4, "has a value in column 2, which has no name")
    assert len(read(path, business_id=BUSINESS, options=ReadingOptions(ids_only=True))[0]) == 3


@pytest.mark.parametrize("text", [f"{{{CUSTOMER}}}", f"urn:uuid:{CUSTOMER}", CUSTOMER.replace("-", ""), f" {CUSTOMER}"])
def test_only_files_have_ids_in_many_forms(text: str) -> None:
    """A file's id is read; the library's own argument stays strict."""
    assert str(identifier(text)) == CUSTOMER
    with pytest.raises(InvalidRequestError, match="customer_id: must be a UUID"):
        ArchiveItem(BUSINESS, text)


@pytest.mark.parametrize("text", ["", "'", '=""', "{}", "{" * 50 + "}" * 50, "urn:uuid:", CUSTOMER[:-1], "٣" * 32])
def test_what_is_no_id(text: str) -> None:
    """Forms without an id in them are none."""
    assert identifier(text) is None


def test_a_report_is_read_by_its_columns() -> None:
    """The columns by which a list of who is not archived is known are those that the report writes."""
    assert frozenset(COLUMNS) == REPORT_COLUMNS


def test_the_fact_is_small() -> None:
    """Only what was said is kept."""
    assert json.loads(ReadingOptions(ids_only=True).as_fact()) == {"ids_only": True}
