"""The rows of a sheet that are hidden."""

import pytest

from thredfi_async.bulk.readers.workbook_row_sets import HiddenRows

SHEET = (
    b'<worksheet><sheetData><row r="1"><c r="A1"/></row><x:row r=\'2\' hidden=\'true\'></x:row><row r="3" hidden="0"/>'
    b'<row hidden="1"/><row/><rows hidden="1"/><row r="9" spans="1:2" hidden="1" ht="15"></row>'
    b'<row r="9999999" hidden="1"></row></sheetData></worksheet>'
)


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_hidden_rows(size: int) -> None:
    """Each is found by its number, or by its place, wherever the pieces of the sheet end."""
    rows = HiddenRows()
    for start in range(0, len(SHEET), size):
        rows.feed(SHEET[start : start + size])
    assert [row for row in range(20) if row in rows] == [2, 4, 9]
    assert 9_999_999 not in rows
