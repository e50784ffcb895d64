"""Files in the forms that services, spreadsheets and databases write, each with its result or its sentence.

The corpus holds three customers. What is read of a file is always the right ones of them; nothing is read wrongly.
"""

from pathlib import Path
from typing import Any

import attrs
import pytest
from reader_files import read

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import EncodingError, ReadingOptions, open_source

CORPUS = Path(__file__).parent / "corpus"
BUSINESS = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CUSTOMERS = (
    "516da9bd-1dc4-478b-8882-31bb109e5b06",
    "8ddc9d1f-4cdc-47ba-8470-88b0e7359f41",
    "ca4b9081-0343-4f69-8ef1-9424242e2f98",
)
ALL = (0, 1, 2)
NO_COLUMN = r"no column is customer_id\. The columns are: "
UNKNOWN = "columns that are not known: "
SPOILED = "holds "


@attrs.frozen
class Case:
    """A file, how it is read, and what of it is read."""

    file: str
    options: dict[str, Any] = attrs.field(factory=dict[str, Any])
    business: bool = True
    """Whether the business is given, and does not stand in the file."""
    items: tuple[int, ...] = ALL
    bodies: bool = False
    invalid: tuple[tuple[int, str], ...] = ()
    """The invalid lines, each with the beginning of its reason."""
    skipped: dict[str, int] = attrs.field(factory=dict[str, int])

    def __str__(self) -> str:
        return f"{self.file}-{'-'.join(self.options)}"


IDS = {"ids_only": True}
READ = (
    # Services.
    Case("shopify.csv", IDS),
    Case("hubspot.csv", {"ids_only": True, "columns": {"customer_id": "Thredfi ID"}}),
    Case(
        "stripe.csv",
        {"ignore_extra_columns": True, "ids_only": True, "columns": {"customer_id": "THREDFI ID (metadata)"}},
    ),
    Case("xero.csv", {"ids_only": True, "columns": {"customer_id": "AccountNumber"}}),
    Case(
        "quickbooks.csv", IDS, invalid=((11, "has 2 columns, and the header has 4"),), skipped={"titles": 3, "blank": 2}
    ),
    Case("datev.csv", IDS),
    Case("datev.csv", {"encoding": "windows-1252", "ignore_extra_columns": True}),
    # Spreadsheets' text.
    Case(
        "excel_german.csv",
        items=(0, 1),
        bodies=True,
        invalid=((5, "must be a whole number in plain digits"),),
    ),
    Case("excel_unicode_text.txt", bodies=True),
    Case("utf16be_without_mark.csv", business=False),
    Case("excel_mac.csv", business=False),
    Case("excel_blank_rows.csv", business=False, skipped={"blank": 4}),
    Case("google_sheets.csv", business=False, bodies=True),
    Case("numbers.csv", IDS, skipped={"titles": 1}),
    Case("pipes.txt", business=False),
    Case("tabs.tsv", business=False),
    Case("title_and_comments.csv", business=False, skipped={"titles": 2, "comments": 3}),
    Case("header_twice.csv", business=False, skipped={"headers": 2}),
    Case("ids_in_many_forms.csv", items=(*ALL, *ALL, 0, 1), invalid=((10, "must be a UUID such as"),)),
    Case("nul_in_a_cell.csv", items=(0, 2), bodies=True, invalid=((3, "holds a NUL character"),)),
    Case("mixed_encodings.csv", IDS, items=(0, 1)),
    Case("text_named.xls", {"format": "csv"}, business=False),
    Case("no_customer.csv", items=(), invalid=((2, "must be a UUID"), (3, "must be a UUID"), (4, "must be a UUID"))),
    Case("unclosed_quote.csv", IDS, items=(0,), invalid=((3, "has a quote that is opened and never closed"),)),
    # What may have been spoiled.
    Case("excel_errors.csv", items=(2,), bodies=True, invalid=((2, SPOILED), (3, SPOILED))),
    Case("excel_errors.csv", IDS),
    Case("excel_errors.csv", {"as_is": True, "null": ("#N/A", "NULL")}, bodies=True),
    Case("mysql.csv", items=(), bodies=True, invalid=((2, SPOILED), (3, SPOILED), (4, SPOILED))),
    Case("mysql.csv", {"null": ("\\N",)}, bodies=True),
    Case("pandas_floats.csv", items=(0, 1), bodies=True, invalid=((4, SPOILED),)),
    Case("pandas_index.csv"),
    # JSON.
    Case("own_list.jsonl"),
    Case("own_list_with_business.jsonl", business=False),
    Case("not_archived.csv", business=False),
    Case("array.json", business=False),
    Case("pretty_array.json", business=False),
    Case("pretty_objects.json", business=False),
    Case("stripe.json", {"ids_only": True, "columns": {"customer_id": "metadata.thredfi_id"}}),
    Case("quickbooks.json", IDS),
    Case("hubspot.json", {"ids_only": True, "columns": {"customer_id": "properties.thredfi_id"}}),
    Case(
        "pandas_records.jsonl",
        items=(0,),
        bodies=True,
        invalid=((2, "holds NaN"), (3, "must be an integer, not float")),
    ),
    # Workbooks.
    Case("customers.xlsx", bodies=True, skipped={"titles": 1, "blank": 1}),
    Case("spoiled.xlsx", items=(2,), bodies=True, invalid=((2, "holds a number, and not text"), (3, "holds #N/A"))),
    Case("spoiled.xlsx", {"as_is": True, "null": ("#N/A",)}, bodies=True),
    Case("second_sheet.xlsx", {"sheet": "kunden", "ids_only": True}, business=False),
    Case("far_cell.xlsx", items=(0,), invalid=((20_000, "has 16384 columns"),), skipped={"blank": 19_997}),
    Case("customers.xls", items=(0,), bodies=True, invalid=((3, "holds #N/A"), (4, "holds a date or a time"))),
    Case("customers.xls", IDS),
    # Parquet.
    Case("pandas_index.parquet"),
    Case("binary_ids.parquet", IDS, business=False),
    Case("decimals.parquet", items=(0, 1), bodies=True, invalid=((3, "must be a whole number"),)),
    Case("parts.parquet", business=False),
)


@pytest.mark.parametrize("case", READ, ids=str)
def test_a_file_is_read_as_it_is_meant(case: Case) -> None:
    """The right customers are read, in the file's order; each other line is said."""
    options = dict(case.options)
    format_ = options.pop("format", None)
    invalid = list[Any]()
    source = open_source(
        CORPUS / case.file,
        business_id=BUSINESS if case.business else None,
        format=format_,
        options=ReadingOptions(**options),
        on_invalid_line=invalid.append,
    )
    items = list(source)
    assert [(str(each.business_id), str(each.customer_id)) for each in items] == [
        (BUSINESS, CUSTOMERS[number]) for number in case.items
    ]
    assert [each.line for each in invalid] == [line for line, _ in case.invalid]
    for each, (_, reason) in zip(invalid, case.invalid, strict=True):
        assert each.reason.startswith(reason)
    assert (source.has_bodies, dict(source.skipped)) == (case.bodies, case.skipped)
    assert all((each.customer is not None) == case.bodies for each in items)
    assert list(source) == items


REFUSED = (
    ("shopify.csv", f"line 1: {UNKNOWN}First Name, Last Name, .*Known are: Customer ID, Email\\. .*add --ids-only"),
    ("hubspot.csv", f"line 1: {NO_COLUMN}Record ID, First Name, .*Thredfi ID, Create Date\\. .*--column customer_id="),
    ("stripe.csv", f"line 1: {NO_COLUMN}id, Description, Email"),
    ("xero.csv", f"line 1: {NO_COLUMN}\\*ContactName, AccountNumber"),
    ("quickbooks.csv", f"line 5: {UNKNOWN}Customer full name, Phone numbers\\. Known are: Email, Customer ID"),
    ("datev.csv", "line 1: is not UTF-8 text\\. It may be Windows-1252, .*--encoding windows-1252"),
    ("mixed_encodings.csv", "line 3: is not UTF-8 text, and other lines are, so that none is read"),
    ("numbers.csv", f"line 2: {UNKNOWN}Name\\."),
    ("no_header.csv", "line 1: the line that should name the columns is a record, which is not shown"),
    ("header_of_others.csv", "line 3: names columns again, and others than before"),
    ("web_page.xls", "is a web page or XML, whatever its name says"),
    ("text_named.xls", "is no workbook: .*give --format csv"),
    ("stripe.json", f"line 1: {NO_COLUMN}id, object, email, metadata\\."),
    ("quickbooks.json", f"line 1: {UNKNOWN}Id, DisplayName\\."),
    ("hubspot.json", f"line 1: {NO_COLUMN}id, properties.email, properties.thredfi_id, archived\\."),
    ("two_lists.json", "has more than one list of objects"),
    ("cut_short.json", "line 1: it is not JSON, so that the rest of the file cannot be read"),
    (
        "second_sheet.xlsx",
        f"line 1: {NO_COLUMN}Read me\\. .*this is the sheet Cover, and there are also Kunden: --sheet",
    ),
    ("binary_ids.parquet", f"{UNKNOWN}region\\. Known are: business_id, customer_id\\."),
)


@pytest.mark.parametrize(("file", "sentence"), REFUSED)
def test_a_file_that_is_not_read_gets_a_sentence(file: str, sentence: str) -> None:
    """It names file, line and columns, and what to type; and never what could overwrite a record."""
    with pytest.raises(SourceError, match=sentence) as caught:
        list(open_source(CORPUS / file, business_id=None if "binary" in file or "header" in file else BUSINESS))
    text = str(caught.value)
    assert text.startswith(str(CORPUS / file))
    assert "did you mean" not in text
    assert "--allow-missing-fields" not in text
    assert "@" not in text


def test_every_file_of_the_corpus_has_its_result() -> None:
    """No file lies there untried."""
    assert {each.name for each in CORPUS.iterdir()} == {case.file for case in READ} | {file for file, _ in REFUSED} | {
        "pandas_columns.json"
    }
    with pytest.raises(SourceError, match="there is no list of objects in it"):
        open_source(CORPUS / "pandas_columns.json", options=ReadingOptions(ids_only=True))


def test_numbers_and_booleans_are_read_where_they_are_certain() -> None:
    """German and English thousands, fractions of zero, and words of spreadsheets become what they mean."""
    german, google = (read(CORPUS / name, **how)[0] for name, how in _BODIES)
    bodies: list[Any] = [each.customer for each in (*german, *google)]
    assert [(each.tax_exempt, each.payment_terms_days, each.credit_limit_cents) for each in bodies] == [
        (True, 30, 4700),
        (False, 30, 1_000_000),
        *[(True, 30, 4700)] * 3,
    ]
    assert bodies[0].city == "Köln"


_BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("excel_german.csv", {"business_id": BUSINESS}),
    ("google_sheets.csv", {}),
)


def test_what_was_spoiled_is_counted_by_column() -> None:
    """Before anything is sent, a check says which columns hold what, and how often."""
    check = open_source(CORPUS / "excel_errors.csv", business_id=BUSINESS).check()
    number = "a number in scientific notation, as 4.47701E+11, whose digits a spreadsheet has cut off"
    assert dict(check.suspicious) == {
        ("reference_number", number): 1,
        ("mobile_phone", number): 1,
        ("vat_number", "#N/A"): 2,
        ("notes", "NULL"): 1,
    }


def test_an_encoding_that_comes_late_spoils_all(tmp_path: Path) -> None:
    """One letter in another encoding behind many lines: not one customer of the file is read."""
    path = tmp_path / "late.csv"
    line = f"{BUSINESS},{CUSTOMERS[0]},ok\n".encode() * 20_000
    path.write_bytes(b"business_id,customer_id,notes\n" + line + f"{BUSINESS},{CUSTOMERS[1]},Köln\n".encode("cp1252"))
    with pytest.raises(EncodingError, match="line 20002: is not UTF-8 text") as caught:
        open_source(path, allow_missing_fields=True)
    assert (caught.value.likely, caught.value.samples[0][-4:]) == ("windows-1252", "Köln")
    options = ReadingOptions(encoding="windows-1252")
    assert open_source(path, allow_missing_fields=True, options=options).check().items == 20_001


def test_an_encoding_that_would_spoil_letters_is_refused(tmp_path: Path) -> None:
    """UTF-8 that is read as Windows-1252 would be sent with other letters than it has."""
    path = tmp_path / "a.csv"
    path.write_text(f"customer_id,Ort\n{CUSTOMERS[0]},Köln\n", "utf-8")
    with pytest.raises(EncodingError, match=r"is UTF-8 text, and --encoding says cp1252, .*: leave --encoding out"):
        open_source(path, business_id=BUSINESS, options=ReadingOptions(encoding="windows-1252"))
