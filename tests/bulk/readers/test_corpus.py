"""Files in the forms that services, spreadsheets and databases write, each with its result or its sentence.

The corpus holds three customers. What is read of a file is always the right ones of them; nothing is read wrongly.
"""

from pathlib import Path
from typing import Any

import pytest
from reader_corpus import BUSINESS, CUSTOMERS, READ, REFUSED, Case
from reader_files import read

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import EncodingError, ReadingOptions, open_source

CORPUS = Path(__file__).parent / "corpus"


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
