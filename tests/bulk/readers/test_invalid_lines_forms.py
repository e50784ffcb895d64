"""The file of invalid lines has the form of its source, and can be corrected and read again as it is."""

from pathlib import Path
from typing import Any

import pytest
from reader_files import BUSINESS, CUSTOMER, ITEM, read, written

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import ReadingOptions, open_source
from thredfi_async.bulk.readers.csv_records import LONGEST_RECORD
from thredfi_async.bulk.readers.spool import Spool, pieces_of

CORPUS = Path(__file__).parent / "corpus"
IDS = ReadingOptions(ids_only=True)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("end", ["\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lines_keep_their_form(tmp_path: Path, separator: str, end: str, encoding: str) -> None:
    """Separator, line end and encoding are those of the source."""
    text = separator.join(["business_id", "customer_id"]) + end + separator.join([BUSINESS, "oops"]) + end
    copied = tmp_path / "bad.csv"
    assert read(written(tmp_path, "a.csv", text.encode(encoding)), invalid_lines=copied)[0] == []
    fixed = copied.read_bytes().decode(encoding.replace("utf-16", "utf-16")).replace("oops", CUSTOMER)
    assert fixed.count(end) == 2
    assert read(written(tmp_path, "again.csv", fixed.encode(encoding))) == ([ITEM], [])


def test_rows_of_a_workbook_are_written_as_csv(tmp_path: Path) -> None:
    """Its columns keep their names, and whole numbers have no fraction."""
    copied = tmp_path / "bad.csv"
    read(CORPUS / "spoiled.xlsx", business_id=BUSINESS, invalid_lines=copied)
    head, first, second = copied.read_text("utf-8").splitlines()
    assert head.startswith("invalid_line,invalid_column,invalid_reason,Customer ID,external_id,")
    assert (first.startswith("2,postal_code,"), ",42," in first, "#N/A" in second) == (True, True, True)
    copied.write_text(copied.read_text("utf-8").replace(",42,", ",00042,").replace("#N/A", ""), "utf-8")
    items, bad = read(copied, business_id=BUSINESS)
    assert (len(items), [each.column for each in bad]) == (2, [])


@pytest.mark.parametrize(
    ("source", "name"), [("customers.xlsx", "bad.xlsx"), ("parts.parquet", "bad.csv"), ("array.json", "bad.json")]
)
def test_a_name_that_says_another_format_is_refused(tmp_path: Path, source: str, name: str) -> None:
    """The file could not be read again under such a name."""
    with pytest.raises(SourceError, match=r"written in another format than its name says.* Name a file that ends in "):
        open_source(CORPUS / source, invalid_lines=tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_record_that_is_too_long_is_written_whole(tmp_path: Path, encoding: str) -> None:
    """It is never held, and stands in the file with all its characters."""
    note = "x" * (3 * LONGEST_RECORD)
    text = f"business_id,customer_id,notes\n{BUSINESS},{CUSTOMER},{note}\n{BUSINESS},{CUSTOMER},ok\n"
    path, copied = written(tmp_path, "a.csv", text.encode(encoding)), tmp_path / "bad.csv"
    for _ in range(2):
        items, (bad,) = read(path, invalid_lines=copied, options=IDS)
        assert (items, bad.raw, bad.long is not None and bad.long.closed) == ([ITEM], b"", True)
    kept = copied.read_bytes().decode(encoding)
    assert (kept.count(note), kept.count("\n"), len(kept) - len(note) < 400) == (1, 2, True)
    fixed = written(tmp_path, "again.csv", kept.replace(note, "ok").encode(encoding))
    assert read(fixed, options=IDS) == ([ITEM], [])


@pytest.mark.parametrize(("line", "fixed"), [('{{"notes":"{}",{}}}', True), ('"{}"', False)])
def test_a_long_line_of_json_is_written_whole(tmp_path: Path, line: str, fixed: bool) -> None:
    """An object can be corrected; what is none is kept as text."""
    note, ids = "é" * LONGEST_RECORD, f'"business_id":"{BUSINESS}","customer_id":"{CUSTOMER}"'
    data = f"{{{ids}}}\n" + line.format(note, ids) + "\n"
    path, copied = written(tmp_path, "a.jsonl", data.encode()), tmp_path / "bad.jsonl"
    assert len(read(path, invalid_lines=copied, options=IDS)[0]) == 1
    text = copied.read_text("utf-8")
    assert (note in text, text.count("\n")) == (True, 1)
    items = read(written(tmp_path, "again.jsonl", text.replace(note, "ok").encode()), options=IDS)[0] if fixed else []
    assert items == [ITEM] * fixed


def test_a_long_record_that_differs_goes_beside(tmp_path: Path) -> None:
    """A file that holds another long record is left as it is, and this one is written from its beginning."""
    text = f"customer_id,notes\n{CUSTOMER},{'x' * (2 * LONGEST_RECORD)}\n"
    path, copied = written(tmp_path, "a.csv", text.encode()), tmp_path / "bad.csv"
    options: dict[str, Any] = {"invalid_lines": copied, "options": IDS, "business_id": BUSINESS}
    read(path, **options)
    whole = copied.read_bytes()
    mine = whole[:-10] + b"fixed" + whole[-10:]
    copied.write_bytes(mine)
    read(path, **options)
    assert (copied.read_bytes(), (tmp_path / "bad-2.csv").read_bytes()) == (mine, whole)


def test_a_spool_that_is_not_wanted_keeps_nothing() -> None:
    """Without a file of invalid lines, long records are passed over."""
    spool = Spool(wanted=False)
    spool.begin([b"a"])
    spool.add(b"b")
    assert spool.take() is None
    spool = Spool(wanted=True)
    spool.begin([b"a"])
    spool.add(b"b")
    kept = spool.take()
    assert kept is not None
    assert list(pieces_of(kept)) == [b"ab"]
    spool.begin([b"c"])
    assert kept.closed
    spool.close()
    assert spool.take() is None
