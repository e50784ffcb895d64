"""Workbooks are looked at before they are opened, and damaged ones are sentences."""

import contextlib
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_files import BUSINESS, CUSTOMER, ITEM, read, written

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import Fingerprint, ReadingOptions, open_source, workbook_xls, workbook_xlsx

openpyxl: Any = import_module("openpyxl")  # it ships no types
CORPUS = Path(__file__).parent / "corpus"
IDS = ReadingOptions(ids_only=True)


def saved(path: Path, *rows: list[Any]) -> Path:
    """Save rows as a workbook."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ("MOST_SHEET", "is too large for a workbook: save the sheet as CSV"),
        ("MOST_HELD", "is too large for a workbook: save the sheet as CSV"),
        ("MOST_ROW", "has a row of more than 100 bytes: save the sheet as CSV"),
    ],
)
def test_sizes_are_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, said: str) -> None:
    """What would fill the memory is refused by the directory of the file, and never opened."""
    path = saved(tmp_path / "a.xlsx", ["customer_id", "x" * 200], [CUSTOMER, "y" * 200])
    monkeypatch.setattr(workbook_xlsx, bound, 100)
    monkeypatch.setattr(openpyxl, "load_workbook", None)
    with pytest.raises(SourceError, match=said):
        open_source(path, business_id=BUSINESS, options=IDS)


def test_an_old_workbook_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it would be held."""
    monkeypatch.setattr(workbook_xls, "MOST", 100)
    with pytest.raises(SourceError, match=r"is too large for an old workbook: save it as \.xlsx or as CSV"):
        open_source(CORPUS / "customers.xls", business_id=BUSINESS, options=IDS)


def test_bounds_have_room_for_real_workbooks() -> None:
    """A sheet that is full of customers with bodies, and texts for half a million cells, are within them."""
    assert workbook_xlsx.MOST_SHEET >= 2**20 * 22 * 40
    assert workbook_xlsx.MOST_HELD >= 500_000 * 200
    assert workbook_xlsx.MOST_ROW >= 200 * 32_767


def test_a_sheet_that_says_that_it_has_one_cell(tmp_path: Path) -> None:
    """Some writers leave a wrong dimension; all cells are read."""
    path = saved(tmp_path / "a.xlsx", ["business_id", "customer_id"], [BUSINESS, CUSTOMER])
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'ref="A1:B2"', b'ref="A1"')
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
    assert read(tmp_path / "b.xlsx") == ([ITEM], [])


@pytest.mark.parametrize("formula", ["=1+1", '="a"&"b"'])
def test_a_formula_that_was_never_calculated(tmp_path: Path, formula: str) -> None:
    """Its cell would be empty, and its field left out: it is refused, unless only ids are taken."""
    path = saved(tmp_path / "a.xlsx", ["customer_id", "notes"], [CUSTOMER, formula])
    with pytest.raises(SourceError, match="has formulas that were never calculated: open it in a spreadsheet and sav"):
        open_source(path, business_id=BUSINESS, allow_missing_fields=True)
    assert read(path, business_id=BUSINESS, options=IDS) == ([ITEM], [])


def test_ids_that_formulas_would_give(tmp_path: Path) -> None:
    """A row whose ids were never calculated is invalid, and none that is left out as totals are."""
    formulas = ['="a"&"b"', '="a"&"c"']
    path = saved(
        tmp_path / "a.xlsx", ["customer_id", "business_id", "note"], [*formulas, "x"], [CUSTOMER, BUSINESS, "y"]
    )
    items, (bad,) = read(path, options=IDS)
    assert (items, bad.line) == ([ITEM], 2)
    assert "if a formula gives it, open the file in a spreadsheet and save it" in bad.reason


def test_a_row_of_formulas_alone(tmp_path: Path) -> None:
    """A row that is empty but for ids that were never calculated is a customer's; one with nothing in it is blank."""
    path = saved(tmp_path / "a.xlsx", ["customer_id"], ['="a"&"b"'], [None], [CUSTOMER])
    items, bad = read(path, business_id=BUSINESS, options=IDS)
    assert (items, [each.line for each in bad]) == ([ITEM], [2])
    assert "if a formula gives it, open the file in a spreadsheet and save it" in bad[0].reason


@pytest.mark.parametrize(
    "changes",
    [
        {b' r="A2"': b"", b' r="A3"': b""},
        {
            b'<c r="A2"><f>': b'<x:c r="A2"><x:f>',
            b"</f><v /></c>": b"</x:f><x:v /></x:c>",
            b"xmlns=": b'xmlns:x="S" xmlns=',
        },
    ],
    ids=["a cell that does not say where it stands", "tags with a prefix"],
)
def test_formulas_as_other_writers_have_them(tmp_path: Path, changes: dict[bytes, bytes]) -> None:
    """No row is left out for how its formula is written."""
    path = saved(tmp_path / "a.xlsx", ["customer_id"], ['="a"&"b"'], [CUSTOMER])
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    space = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    for before, after in changes.items():
        assert before in parts[sheet]
        parts[sheet] = parts[sheet].replace(before, after.replace(b"S", space))
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
    items, bad = read(tmp_path / "b.xlsx", business_id=BUSINESS, options=IDS)
    assert (items, [each.line for each in bad]) == ([ITEM], [2])


def test_an_id_that_is_no_text(tmp_path: Path) -> None:
    """A number in the place of an id is an invalid line."""
    path = saved(tmp_path / "a.xlsx", ["customer_id"], [17], [CUSTOMER])
    items, (bad,) = read(path, business_id=BUSINESS)
    assert (items, bad.line, bad.reason) == ([ITEM], 2, "must be a UUID as text, not number")


@pytest.mark.parametrize(
    ("sheet", "said"), [("x", "has no sheet of that name. There are: Customers, Notes"), ("Notes", "no col")]
)
def test_a_sheet_that_is_not_there(sheet: str, said: str) -> None:
    """The sheets that there are, are named."""
    with pytest.raises(SourceError) as caught:
        open_source(CORPUS / "customers.xlsx", business_id=BUSINESS, options=ReadingOptions(sheet=sheet))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.xlsx", b"PK\x03\x04"),
        ("a.xlsx", b"PK\x05\x06" + bytes(18)),
        ("a.xls", b"\xd0\xcf\x11\xe0"),
        ("b.xlsx", None),
    ],
)
def test_what_is_no_workbook(tmp_path: Path, name: str, data: bytes | None) -> None:
    """A name and first bytes alone make none; neither does an archive of something else."""
    path = tmp_path / name
    if data is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "x")
    else:
        path.write_bytes(data)
    with pytest.raises(SourceError, match="is no workbook that can be read"):
        open_source(path)


@pytest.mark.parametrize("name", ["customers.xlsx", "customers.xls"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_workbook_with_wrong_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    """Bytes that were changed anywhere give items, invalid lines or one sentence."""
    content = bytearray((CORPUS / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.mktemp("a"), name, bytes(content))
    with contextlib.suppress(SourceError):
        read(path, business_id=BUSINESS, options=IDS)


def test_parts_of_a_table(tmp_path: Path) -> None:
    """A folder is one table: its rows are counted on, its hash is that of all parts, and other columns are refused."""
    pa, pq = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    folder = tmp_path / "table"
    folder.mkdir()
    with pytest.raises(SourceError, match=r"is a directory without files that end in \.parquet"):
        open_source(folder)
    for number in range(3):
        pq.write_table(pa.table({"customer_id": [CUSTOMER, "x"]}), folder / f"part-{number}.parquet")
    items, bad = read(folder, business_id=BUSINESS)
    assert ([each.line for each in items], [each.line for each in bad]) == ([1, 3, 5], [2, 4, 6])
    source = open_source(folder, business_id=BUSINESS)
    first = source.sha256()
    assert (source.count_lines(), source.size, source.repeatable) == (
        6,
        sum(each.stat().st_size for each in folder.iterdir()),
        True,
    )
    (folder / "_metadata").write_bytes(b"a writer's own")
    known = Fingerprint(size=source.size, sha256=first)
    assert len(list(open_source(folder, business_id=BUSINESS, expected=known))) == 3
    pq.write_table(pa.table({"customer_id": [CUSTOMER, "y"]}), folder / "part-1.parquet")
    with pytest.raises(SourceError, match=r"table is not the file that this run was begun with: it (had|is as long)"):
        open_source(folder, business_id=BUSINESS, expected=known)
    assert open_source(folder, business_id=BUSINESS).sha256() != first
    pq.write_table(pa.table({"customer_id": [CUSTOMER], "business_id": [BUSINESS]}), folder / "part-3.parquet")
    with pytest.raises(
        SourceError, match=r"business_id: is there, and one business id|has other columns than part-0\.parquet"
    ):
        open_source(folder, business_id=BUSINESS)
    (folder / "year=2026").mkdir()
    with pytest.raises(SourceError, match="has folders in it, whose names may be columns"):
        open_source(folder, business_id=BUSINESS)
