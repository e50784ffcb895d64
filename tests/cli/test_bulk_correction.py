"""A file that cannot be used as it was asked for is refused with the command that can, ready to paste."""

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from bulk_cli import Bulk, Told

from thredfi_async.bulk.readers import ReadingOptions
from thredfi_async.bulk.readers.candidates import Proposal
from thredfi_async.cli.bulk.correction import Correction
from thredfi_async.mock_server import MockServer, SeededCustomer

pytestmark = pytest.mark.thredfi_mock_server(customers=40, businesses=3)
JOURNAL = ("--journal", "run.db")
CUSTOMER, BUSINESS = "Thredfi Customer ID", "Thredfi Business ID"


@pytest.fixture
def some(server: MockServer) -> list[SeededCustomer]:
    """Customers of several businesses, those of the first in front."""
    found = sorted(server.customers, key=lambda each: str(each.business_id))
    assert len({each.business_id for each in found}) > 1
    return found


def rows_of(some: list[SeededCustomer], customer: str = CUSTOMER, business: str = BUSINESS) -> list[list[str]]:
    """Return an export with columns of those names."""
    header = ["Record", "Name", customer, "Straße", business]
    return [header, *([str(n), "Ada", str(c.customer_id), "Köln", str(c.business_id)] for n, c in enumerate(some))]


def as_csv(rows: list[list[str]], encoding: str = "utf-8", separator: str = ",") -> str:
    """Write an export as CSV."""
    with Path("a.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return "a.csv"


def as_cp1252(rows: list[list[str]]) -> str:
    """Write an export as Excel does."""
    return as_csv(rows, "cp1252", ";")


def as_jsonl(rows: list[list[str]]) -> str:
    """Write an export as JSON Lines, with its ids in the metadata."""
    lines = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    text = [json.dumps({"name": line.pop("Name"), "metadata": line}) for line in lines]
    Path("a.jsonl").write_text("\n".join(text), "utf-8")
    return "a.jsonl"


def as_second_sheet(rows: list[list[str]]) -> str:
    """Write an export as the second sheet of a workbook."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    book.active.append(["Read me"])
    sheet = book.create_sheet("My customers")
    for row in rows:
        sheet.append(row)
    book.save("a.xlsx")
    return "a.xlsx"


def next_of(told: Told) -> str:
    """Return the command that a refusal ends with."""
    assert told.code == 2, told
    (line,) = (line.removeprefix("Next: ") for line in told.err.splitlines() if line.startswith("Next: "))
    return line


@pytest.mark.parametrize("write", [as_csv, as_cp1252, as_jsonl, as_second_sheet])
def test_the_first_refusal_gives_the_whole_command(
    bulk: Bulk, server: MockServer, some: list[SeededCustomer], write: Callable[[list[list[str]]], str]
) -> None:
    """Ids, both columns, sheet and encoding come in one line, which archives each customer in its own business."""
    line = next_of(bulk("archive", write(rows_of(some)), *JOURNAL))
    assert line.count("--column") == 2
    told = bulk("check").type(line)
    assert (told.code, f"{len(some)} archived" in told.out) == (0, True)
    assert all(server.is_archived(each.customer_id) for each in some)


@pytest.mark.parametrize(
    ("customer", "business", "added"),
    [
        ("Customer ID", "Business ID", "--ids-only"),
        ("Contact", "Business ID", "--ids-only --column customer_id=Contact"),
        ("Kunde", "Firma", "--ids-only --column customer_id=Kunde --column business_id=Firma"),
        ("Customer ID", "Mandant", "--ids-only --column business_id=Mandant"),
        ("Schlüssel", "Business", "--ids-only --column customer_id=Schlüssel --column business_id=Business"),
    ],
)
def test_columns_are_found_by_values_and_names(
    bulk: Bulk, some: list[SeededCustomer], customer: str, business: str, added: str
) -> None:
    """Columns of UUIDs are candidates, and names and repetitions tell which is which."""
    line = next_of(bulk("check", as_csv(rows_of(some, customer, business))))
    assert shlex.split(line) == shlex.split(f"thredfi bulk check a.csv {added}")
    assert bulk("check").type(line).code == 0


def test_a_name_in_another_encoding(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """A column that has to be named in other letters brings the encoding."""
    line = next_of(bulk("check", as_cp1252(rows_of(some, "Kunden-Schlüssel"))))
    assert "--column 'customer_id=Kunden-Schlüssel'" in line
    assert "--encoding cp1252" in line
    assert bulk("check").type(line).code == 0


def test_a_business_for_all_is_asked_for_where_no_column_has_one(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """Its id is left to be filled in."""
    rows = [row[:4] for row in rows_of(some)]
    line = next_of(bulk("check", as_csv(rows)))
    assert line == "thredfi bulk check a.csv --ids-only --column 'customer_id=Thredfi Customer ID' --business-id ID"


def test_what_was_typed_wrongly_is_taken_out(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """A column that is not there, and a business for all beside a column of businesses, are no part of it."""
    as_csv(rows_of(some, business="Business ID"))
    given = ["--column=customer_id=Custmer", "--business-id", str(some[0].business_id), "--null", "x"]
    line = next_of(bulk("check", "a.csv", *given))
    assert line == "thredfi bulk check a.csv --null x --ids-only --column 'customer_id=Thredfi Customer ID'"
    assert bulk("check").type(line).code == 0


def test_ids_that_are_none_of_ours(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """A column of our name that holds no UUIDs is another service's, and the one that does is named."""
    rows = rows_of(some)
    rows[0][0] = "Customer ID"
    as_csv(rows)
    typed = ["--ids-only", "--column", f"business_id={BUSINESS}"]
    line = next_of(bulk("check", "a.csv", *typed))
    assert shlex.split(line)[-2:] == ["--column", f"customer_id={CUSTOMER}"]
    assert bulk("check").type(line).code == 0


@pytest.mark.parametrize("ids_only", [[], ["--ids-only"]])
def test_columns_within_objects_are_always_listed(bulk: Bulk, some: list[SeededCustomer], ids_only: list[str]) -> None:
    """With --ids-only or without, the same names are shown."""
    told = bulk("check", as_jsonl(rows_of(some)), *ids_only)
    assert f"name, metadata.Record, metadata.{CUSTOMER}, metadata.Straße, metadata.{BUSINESS}." in told.err


def test_nothing_is_proposed_where_it_cannot_be_told(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """Two columns that may be the customer's, or none, lead to the sentence alone."""
    two = [["A", "B"], *([str(each.customer_id)] * 2 for each in some)]
    none = [["Record", "Name"], *([str(number), "Ada"] for number, _ in enumerate(some))]
    for rows in (two, none):
        told = bulk("check", as_csv(rows))
        assert (told.code, "Next:" in told.err) == (2, False)
        assert '--column customer_id="NAME"' in told.err


def test_the_column_comes_before_the_business_for_all(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """The sentence proposes the column that may be meant, and the id for all as the other choice."""
    told = bulk("check", as_csv(rows_of(some)), "--ids-only", "--column", f"customer_id={CUSTOMER}")
    column, everyone = f'--column business_id="{BUSINESS}"', "--business-id ID"
    assert -1 < told.err.index(column) < told.err.index(everyone)


# -- one business for all, beside a column of businesses


def test_a_column_of_other_businesses_is_warned_of(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """`check` and the plan say so before anything is sent, wherever in the file the other business stands."""
    as_csv(rows_of(some))
    typed = ["--ids-only", "--column", f"customer_id={CUSTOMER}", "--business-id", str(some[0].business_id)]
    for told in (bulk("check", "a.csv", *typed), bulk("archive", "a.csv", *JOURNAL, *typed, "--dry-run")):
        text = " ".join((told.out + told.err).split())
        assert f"warning: --business-id gives all customers one business, and the column {BUSINESS} holds other" in text
    assert bulk("check", "a.csv", *typed, "--json").json[0]["warnings"] != []


@pytest.mark.parametrize("business", [BUSINESS, "Mandant"])
def test_the_same_business_is_not_warned_of(bulk: Bulk, some: list[SeededCustomer], business: str) -> None:
    """A column that says the same as the option is no contradiction."""
    own = [each for each in some if each.business_id == some[0].business_id]
    as_csv(rows_of(own, business=business))
    typed = ["--ids-only", "--column", f"customer_id={CUSTOMER}", "--business-id", str(some[0].business_id)]
    assert bulk("check", "a.csv", *typed, "--json").json[0]["warnings"] == []


def test_a_business_far_below(bulk: Bulk, some: list[SeededCustomer]) -> None:
    """A file is sorted by business more often than not: more than its first rows are looked at."""
    first, last = some[0], some[-1]
    as_csv(rows_of([first] * 500 + [last]))
    typed = ["--ids-only", "--column", f"customer_id={CUSTOMER}", "--business-id", str(first.business_id)]
    assert len(bulk("check", "a.csv", *typed, "--json").json[0]["warnings"]) == 1


# -- the line


def test_columns_of_a_file_are_not_changed() -> None:
    """What a file of columns says wrongly cannot be corrected in the line."""
    typed, right = ReadingOptions(columns={"customer_id": "x"}), ReadingOptions(columns={"customer_id": "y"})
    wrong = Correction(typed, Proposal(right, business=True), has_business=False)
    assert wrong.of(["bulk", "check", "a.csv", "--column", "columns.txt"]) is None
    line = "thredfi bulk check --column customer_id=y -- a.csv"
    assert wrong.of(["bulk", "check", "--column", "Customer_ID=x", "--", "a.csv"]) == line
