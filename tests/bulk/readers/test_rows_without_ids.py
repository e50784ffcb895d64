"""Rows in which no id stands, such as totals: left out, counted, and never a row that has an id."""

from pathlib import Path
from uuid import UUID

import pytest

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import InvalidLine, ReadingOptions, open_source
from thredfi_async.bulk.readers.skipped import MOST_NUMBERS, Skipped, first_numbers

BUSINESS, CUSTOMER = UUID(int=1), UUID(int=2)
IDS = ReadingOptions(ids_only=True)


def found_in(path: Path, rows: list[str], *, given: bool = False) -> tuple[int, list[int], dict[str, int]]:
    """Return the items of a table with a customer and these rows, its invalid lines, and what was left out."""
    header = "Name,Customer ID,Sales" + ("" if given else ",Business ID")
    row = f"Ada,{CUSTOMER},1" + ("" if given else f",{BUSINESS}")
    path.write_text("\n".join([header, row, *rows]), "utf-8")
    invalid = list[InvalidLine]()
    source = open_source(path, business_id=BUSINESS if given else None, options=IDS, on_invalid_line=invalid.append)
    items = sum(1 for _ in source)
    return items, [each.line for each in invalid], dict(source.skipped)


@pytest.mark.parametrize("row", ["Total,,20,", ",,20,", "Printed on Monday,,,", "Gesamt:, ,20, "])
def test_a_row_without_either_id(tmp_path: Path, row: str) -> None:
    """It is no customer, wherever it stands, and is counted."""
    assert found_in(tmp_path / "a.csv", [row, f"Bo,{CUSTOMER},1,{BUSINESS}"]) == (2, [], {"without_ids": 1})


@pytest.mark.parametrize(
    "row", [f"Total,{CUSTOMER},20,", f"Total,,20,{BUSINESS}", f"Total,x,20,{BUSINESS}", "Total,x,20,"]
)
def test_a_row_with_one_of_the_ids(tmp_path: Path, row: str) -> None:
    """It is a customer whose other id is missing or damaged, whatever else stands there."""
    assert found_in(tmp_path / "a.csv", [row]) == (1, [3], {})


@pytest.mark.parametrize(
    ("row", "is_left_out"),
    [
        ("Total,,20", True),
        ("Grand total (3),,20", True),
        ("SUMME:,,", True),
        ("Report Total,Total,20", True),
        ("Ada,,20", False),
        ("Total Energies,,20", False),
        (",,20", False),
        ("Sum of parts Ltd,,", False),
    ],
)
def test_where_one_column_has_ids(tmp_path: Path, row: str, is_left_out: bool) -> None:
    """An empty cell may be a customer's whose id is missing, unless the row says that it is a total."""
    items, invalid, skipped = found_in(tmp_path / "a.csv", [row], given=True)
    assert (items, len(invalid), sum(skipped.values())) == ((1, 0, 1) if is_left_out else (1, 1, 0))


def test_nothing_but_rows_without_ids(tmp_path: Path) -> None:
    """The file is refused, and the sentence says what there is."""
    (tmp_path / "a.csv").write_text("Customer ID,Business ID\n,\n ,\nTotal,\n", "utf-8")
    with pytest.raises(SourceError, match="has a header and no records; rows without ids: 1"):
        open_source(tmp_path / "a.csv")


def test_the_numbers_of_the_first_are_kept() -> None:
    """There are no more of them, however many lines there are."""
    skipped = Skipped()
    for line in range(1, 100):
        skipped.add("blank", line)
    assert (skipped["blank"], first_numbers(skipped, "blank")) == (99, list(range(1, MOST_NUMBERS + 1)))
    assert first_numbers({"blank": 1}, "blank") == []
