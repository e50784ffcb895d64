import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_files import BUSINESS, CUSTOMER, HEADER, ITEM, ROW, ROWS, body_of, full_row, read, written

from thredfi_async import UNSET, CustomerRequest
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import EncodingError, ReadingOptions, open_source

PARTIAL = "business_id,customer_id,{}\n" + f"{BUSINESS},{CUSTOMER},"


def table(*rows: dict[str, Any]) -> bytes:
    """Rows as a spreadsheet saves them: what is no text is JSON, and None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
        writer.writerow({name: "" if row[name] is None else cell for name, cell in cells.items()})
    return text.getvalue().encode()


def test_every_column_arrives_as_the_contract_has_it(tmp_path: Path) -> None:
    """Texts, booleans, integers and JSON are read from their cells, and nothing is made of anything else."""
    (item,), bad = read(written(tmp_path, "a.csv", table(full_row())))
    wanted = {name: value for name, value in full_row().items() if name not in {"business_id", "customer_id"}}
    assert (body_of(item), bad) == (CustomerRequest.from_mapping(wanted), [])


def test_an_empty_cell_leaves_the_field_out(tmp_path: Path) -> None:
    """An empty cell is UNSET on purpose: CSV has no other way to say so."""
    (item,), _ = read(written(tmp_path, "a.csv", table(full_row(notes=None, metadata=None, tax_exempt=None))))
    body = body_of(item)
    assert (body.notes, body.metadata, body.tax_exempt, body.city) == (UNSET, UNSET, UNSET, "London")


def test_a_row_without_a_single_value_is_no_body(tmp_path: Path) -> None:
    """A row of nothing but ids in a file with bodies is a mistake, and not a body of no fields."""
    empty = {name: None for name in full_row() if name not in {"business_id", "customer_id"}}
    items, (bad,) = read(written(tmp_path, "a.csv", table(full_row(), full_row(**empty))))
    assert (len(items), bad.reason) == (1, "has no value in any column of the body")


def test_a_missing_column_is_refused_unless_partial_bodies_are_allowed(tmp_path: Path) -> None:
    """A file that has lost columns of the body is not sent without them unless the caller says so."""
    row = full_row()
    del row["notes"], row["city"]
    path = written(tmp_path, "a.csv", table(row))
    with pytest.raises(
        SourceError,
        match=r"column city: is missing \(and so are 1 others: notes\), and a body needs all of them: add --ids-only",
    ):
        open_source(path)
    (item,), _ = read(path, allow_missing_fields=True)
    assert (body_of(item).notes, body_of(item).email) == (UNSET, "ada@example.com")


def test_one_of_the_names_may_be_missing(tmp_path: Path) -> None:
    """`company_name` alone will do, as for a request; without both columns the file is refused."""
    row = full_row()
    del row["individual_name"]
    (item,), _ = read(written(tmp_path, "a.csv", table(row)))
    assert body_of(item).individual_name is UNSET
    del row["company_name"]
    with pytest.raises(SourceError, match="column individual_name or company_name: is missing"):
        open_source(written(tmp_path, "b.csv", table(row)))


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("tax_exempt", "true", True),
        ("tax_exempt", "FALSE", False),
        ("payment_terms_days", "-3", -3),
        ("credit_limit_cents", "123456789012345678901234567890", 123456789012345678901234567890),
        ("metadata", "null", None),
        ("metadata", '"{""n"": 12345678901234567890123}"', {"n": 12345678901234567890123}),
        ("transaction_tags", "[]", []),
        ("notes", '" two\n lines, a comma and ""quotes"" "', ' two\n lines, a comma and "quotes" '),
        ("notes", "ünïcödé ✓", "ünïcödé ✓"),
    ],
)
def test_cells_that_are_right(tmp_path: Path, column: str, cell: str, value: object) -> None:
    """Each kind of cell, at its edges."""
    (item,), bad = read(
        written(tmp_path, "a.csv", f"{PARTIAL.format(column)}{cell}\n".encode()), allow_missing_fields=True
    )
    assert (getattr(body_of(item), column), bad) == (value, [])


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("tax_exempt", "yes", "must be true or false"),
        ("tax_exempt", "1", "must be true or false"),
        ("payment_terms_days", "30.5", "must be a whole number in plain digits, such as 30"),
        ("payment_terms_days", "30.000", "must be a whole number in plain digits, such as 30"),
        ("payment_terms_days", '"1,000"', "must be a whole number in plain digits, such as 30"),
        ("payment_terms_days", "٣", "must be a whole number in plain digits, such as 30"),
        ("credit_limit_cents", "9" * 5000, "has too many digits"),
        ("metadata", "{", "must be JSON: Expecting property name enclosed in double quotes at character 2"),
        ("metadata", "NaN", "must be JSON; NaN, numbers and nestings that are too large are not"),
        ("transaction_tags", "vip", "must be JSON: Expecting value at character 1"),
        ("transaction_tags", '"{}"', 'must be a JSON array, such as ["vip"]'),
        ("email", "ada", "must be an email address, such as name@example.com"),
        ("country", "gb", "must be two capital letters (ISO 3166-1 alpha-2), such as GB"),
    ],
)
def test_cells_that_are_wrong(tmp_path: Path, column: str, cell: str, reason: str) -> None:
    """Each has its line, its column and what it must be, and never what it is."""
    data = f"{PARTIAL.format(column)}{cell}\n".encode()
    items, (bad,) = read(written(tmp_path, "a.csv", data), allow_missing_fields=True)
    assert (items, bad.line, bad.column, bad.reason) == ([], 2, column, reason)


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (f"{BUSINESS}", None, "has 1 column, and the header has 2"),
        (f"{BUSINESS},{CUSTOMER},x", None, "has 3 columns, and the header has 2"),
        (f"{BUSINESS},", "customer_id", "is empty, and must be a UUID"),
        (f"{BUSINESS[:-1]},{CUSTOMER}", "business_id", f"must be a UUID such as {BUSINESS}"),
    ],
)
def test_rows_that_are_wrong(tmp_path: Path, row: str, column: str | None, reason: str) -> None:
    """Too few cells, too many, and ids that are none."""
    items, (bad,) = read(written(tmp_path, "a.csv", HEADER + ROW + row.encode() + b"\n\n" + ROW))
    assert (items, bad.line, bad.column, bad.reason) == ([ITEM, ITEM], 3, column, reason)


def test_the_line_is_the_one_that_an_editor_shows(tmp_path: Path) -> None:
    """Line ends within quotes count, blank lines count, and so do the lines of invalid records."""
    data = PARTIAL.format("notes") + '"a\nb\r\nc"\n\n' + f"x,y,z\n{BUSINESS},{CUSTOMER},ok\nu,v,w\n"
    items, bad = read(written(tmp_path, "a.csv", data.encode()), allow_missing_fields=True)
    assert (len(items), [each.line for each in bad]) == (2, [6, 8])


def test_text_within_quotes_is_never_a_record(tmp_path: Path) -> None:
    """A note that holds a whole line of ids, in a record with a stray quote, archives no one."""
    inner = f'{BUSINESS},{CUSTOMER},"a note"'
    data = PARTIAL.format("notes") + f'"he said "hi"\n{BUSINESS},{CUSTOMER},x\n"\n{inner}\n'
    (item,), (bad,) = read(written(tmp_path, "a.csv", data.encode()), allow_missing_fields=True)
    assert (body_of(item).notes, bad.line) == ("a note", 2)
    assert bad.raw.count(b"\n") == 3


def test_a_carriage_return_ends_no_line(tmp_path: Path) -> None:
    """Some writers leave a lone one unquoted: what stands behind it archives no one."""
    data = PARTIAL.format("notes") + f"a\r{BUSINESS},{CUSTOMER},b\n{BUSINESS},{CUSTOMER},ok\n"
    (item,), (bad,) = read(written(tmp_path, "a.csv", data.encode()), allow_missing_fields=True)
    assert (body_of(item).notes, bad.line) == ("ok", 2)
    assert bad.reason.startswith("has a line end of another kind within it, outside of quotes")


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_quote_that_is_never_closed(tmp_path: Path, size: int) -> None:
    """All behind it is one invalid record, short or long, and its line is the one with the quote."""
    data = PARTIAL.format("notes") + "ok\n" + f'{BUSINESS},{CUSTOMER},"' + "open\n" * (size // 5)
    (item,), (bad,) = read(written(tmp_path, "a.csv", data.encode()), allow_missing_fields=True)
    assert (body_of(item).notes, bad.line) == ("ok", 3)
    assert "never closed" in bad.reason


def test_a_cell_longer_than_the_csv_reader_takes(tmp_path: Path) -> None:
    """The standard library's bound is an invalid line with a way out."""
    data = PARTIAL.format("notes") + "x" * 200_000 + f"\n{BUSINESS},{CUSTOMER},ok\n"
    items, (bad,) = read(written(tmp_path, "a.csv", data.encode()), allow_missing_fields=True)
    assert (len(items), bad.line) == (1, 2)
    assert bad.reason.startswith("has a cell of more than 131,072 characters; ")


def test_records_are_counted_without_being_parsed(tmp_path: Path) -> None:
    """A line end within quotes ends no record, and the last line needs none, across the pieces the file is read in."""
    row = f'{BUSINESS},{CUSTOMER},"a\nb ""c""\n"\n'
    data = ("business_id,customer_id,notes\n" + row * 5000).rstrip("\n").encode()
    assert open_source(written(tmp_path, "a.csv", data), allow_missing_fields=True).count_lines() == 5000


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4), crlf=st.booleans(), bom=st.booleans())
def test_what_is_written_is_read(rows: list[dict[str, Any]], crlf: bool, bom: bool) -> None:
    """Any content of the cells comes back, item by item, with either line end, with a mark and without."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n" if crlf else "\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for row in rows:
        cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
        empty = {name: "" for name in ("tax_exempt", "payment_terms_days", "transaction_tags") if row[name] is None}
        writer.writerow({**cells, "metadata": json.dumps(row["metadata"]), **empty})
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "a.csv", (b"\xef\xbb\xbf" if bom else b"") + text.getvalue().encode())
        source = open_source(path, allow_missing_fields=True, options=ReadingOptions(as_is=True))
        items = list(source)
        assert source.count_lines() == len(rows)
    assert len(items) == len(rows)
    for item, row in zip(items, rows, strict=True):
        assert (str(item.business_id), str(item.customer_id)) == (row["business_id"], row["customer_id"])
        body = body_of(item)
        assert body.external_id == row["external_id"]
        assert body.notes == (row["notes"] or UNSET)
        for name in ("tax_exempt", "payment_terms_days", "transaction_tags"):
            assert getattr(body, name) == (UNSET if row[name] is None else row[name])
        assert body.metadata == row["metadata"]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_end_in_items_and_invalid_lines(data: bytes) -> None:
    """Behind a good header, anything at all is read to the end without another kind of error."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "a.csv", HEADER + ROW + data)
        if not _is_utf8(data):
            with pytest.raises(EncodingError):
                read(path)
        items, bad = read(path, options=ReadingOptions(ids_only=True))
    assert items[0] == ITEM
    assert b"".join(each.raw for each in bad) in (HEADER + ROW + data) or len(bad) > 1


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
