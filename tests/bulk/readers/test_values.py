"""Cells are read where they can mean one thing, and nowhere else."""

import datetime as dt
from decimal import Decimal

import pytest

from thredfi_async import UNSET
from thredfi_async.bulk.readers import ReadingOptions
from thredfi_async.bulk.readers.invalid_line import RecordError
from thredfi_async.bulk.readers.values import SuspiciousValueError, Values, boolean, whole

PLAIN = Values(ReadingOptions())
AS_IS = Values(ReadingOptions(as_is=True))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("-3", -3),
        ("0", 0),
        ("30.0", 30),
        ("30,00", 30),
        ("30.0000", 30),
        ("4,700.00", 4700),
        ("4.700,0", 4700),
        ("1,000,000", 1_000_000),
        ("1.000.000", 1_000_000),
        ("4 700,00", 4700),
        ("4\u202f700", 4700),
        ("4'700.00", 4700),
        (30.0, 30),
        (Decimal("4700.00"), 4700),
    ],
)
def test_whole_numbers(cell: object, value: int) -> None:
    """Zeros behind the point, and groups of thousands that can be nothing else, change nothing."""
    assert whole(cell) == value


@pytest.mark.parametrize(
    "cell",
    [
        "4,700",
        "4.700",
        "30.000",
        "30.5",
        "007",
        "+30",
        "1e3",
        "1,00,000",
        "4,70",
        "4,700.5",
        "£30",
        "(30)",
        "٣",
        "",
        "4.700.00",
        "1,000.000,00",
    ],
)
def test_what_is_no_whole_number_for_certain(cell: str) -> None:
    """`4,700` is four thousand seven hundred to some, and less than five to others."""
    with pytest.raises(ValueError, match="must be a whole number"):
        whole(cell)


@pytest.mark.parametrize("cell", [True, 30.5, float("nan"), 2.0**60, Decimal("1.5"), Decimal("NaN"), None, [30]])
def test_values_that_are_no_whole_number(cell: object) -> None:
    """A boolean is no number, and a float that has lost digits is none either."""
    with pytest.raises(ValueError, match="must be a whole number"):
        whole(cell)


@pytest.mark.parametrize(("cell", "value"), [("WAHR", True), ("Falsch", False), ("VRAI", True), (True, True)])
def test_booleans_of_spreadsheets(cell: object, value: bool) -> None:
    """Each language of a spreadsheet has two words, and no other meaning for them."""
    assert boolean(cell) is value


@pytest.mark.parametrize(
    "text",
    [
        "NULL",
        "NaN",
        "None",
        "<NA>",
        "#N/A",
        "#NV",
        "\\N",
        "NA",
        "4.47701E+11",
        "4,47701E+11",
        "447700900123.0",
        "K\ufffdln",
        "K\x96ln",
        "'+447700900123",
        '="00042"',
        "#######",
        "Tom &amp; Co",
        "KÃ¶ln",
        "Ann\u2019s Bakery".encode().decode("cp1252"),
        "\ufeffTown",
    ],
)
def test_text_that_may_have_been_spoiled(text: str) -> None:
    """It is not sent unless the caller says so, and then as it stands."""
    with pytest.raises(SuspiciousValueError):
        PLAIN.read("notes", text)
    assert AS_IS.read("notes", text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("country", "NA"),
        ("notes", "none"),
        ("notes", "1E5"),
        ("notes", "3.5"),
        ("company_name", "Tom & Co"),
        ("company_name", "'t Hooft"),
        ("city", "SÃO PAULO"),
        ("company_name", "CAFÉ»"),
        ("notes", "# 4, back door"),
    ],
)
def test_text_that_is_nothing_else(name: str, text: str) -> None:
    """Namibia, a word and a number are text."""
    assert PLAIN.read(name, text) == text


@pytest.mark.parametrize("cell", [42, 42.5, True, Decimal("1.50"), dt.date(2026, 1, 31)])
def test_a_value_where_text_belongs(cell: object) -> None:
    """A workbook's number may have lost its zeros, and its date its form."""
    with pytest.raises(SuspiciousValueError):
        PLAIN.read("postal_code", cell)
    assert AS_IS.read("postal_code", cell) in {"42", "42.5", "TRUE", "1.50", "2026-01-31"}


def test_a_word_for_no_value() -> None:
    """What the caller says stands for nothing leaves its field out, everywhere but in JSON's own null."""
    values = Values(ReadingOptions(null=("NULL", "null")))
    assert values.body([("notes", "NULL"), ("payment_terms_days", "NULL"), ("city", "x")]) == {
        "notes": UNSET,
        "payment_terms_days": UNSET,
        "city": "x",
    }
    assert values.json_body([("notes", None), ("metadata", None)]) == {"notes": UNSET, "metadata": None}


def test_all_that_is_suspicious_in_a_row_is_counted() -> None:
    """A row with three such values counts three, and is one invalid line."""
    wrong = PLAIN.body([("notes", "NULL"), ("city", "x"), ("vat_number", "#N/A"), ("tax_exempt", "None")])
    assert isinstance(wrong, RecordError)
    assert wrong.suspicious == (("notes", "NULL"), ("vat_number", "#N/A"), ("tax_exempt", "None"))
    assert wrong.reason == "holds NULL: if that is no value, add --null 'NULL'; if it is the text itself, --as-is"


def test_a_cell_with_nul() -> None:
    """No text has one, whatever the caller says."""
    with pytest.raises(ValueError, match="holds a NUL character"):
        AS_IS.read("notes", "a\0b")
