"""A Parquet file of a kilobyte may stand for gigabytes: what is decoded of it at a time is bounded."""

import contextlib
import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_files import BUSINESS, CUSTOMER

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers import InvalidLine, Source, open_source
from thredfi_async.bulk.readers.parquet_pages import MOST_EXPANDED, MOST_HELD, MOST_VALUES
from thredfi_async.bulk.readers.parquet_rows import LONGEST_ROW

pa: Any = pytest.importorskip("pyarrow")
pq: Any = pytest.importorskip("pyarrow.parquet")

ROWS = 1024
TOO_LONG = f"makes the row longer than {LONGEST_ROW:,} bytes"
TOO_MANY = "too many or too long values of transaction_tags"


def write(path: Path, columns: dict[str, Any], rows: int = ROWS, **how: Any) -> Path:
    """Write a file of ids and further columns."""
    how = {"compression": "zstd", "store_schema": False, **how}
    pq.write_table(pa.table({"customer_id": pa.array([CUSTOMER] * rows), **columns}), path, **how)
    return path


def read(path: Path) -> tuple[list[ArchiveItem], list[InvalidLine]]:
    """Read a file to its end."""
    invalid: list[InvalidLine] = []
    source = open_source(path, business_id=BUSINESS, allow_missing_fields=True, on_invalid_line=invalid.append)
    return list(source), invalid


def opened(path: Path) -> Source:
    """Open a file."""
    return open_source(path, business_id=BUSINESS, allow_missing_fields=True)


def once(text: str, rows: int = ROWS) -> Any:
    """Return a column where a text stands once, and every row has it."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def tags(values: Any) -> Any:
    """Return a column of one row with all values in its list."""
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def bombs(folder: Path) -> dict[str, Path]:
    """Write small files that a reader without bounds makes gigabytes of."""
    delta: dict[str, Any] = {
        "use_dictionary": False,
        "column_encoding": {"notes": "DELTA_BYTE_ARRAY", "customer_id": "PLAIN"},
    }
    plain: dict[str, Any] = {"use_dictionary": False}
    six = ("notes", "city", "email", "country", "company_name", "external_id")
    wide = pa.array(["e" * 60_000_000] + [""] * (ROWS - 1))
    tag = pa.array(["x" * 1_000_000] * 4)
    return {
        "dictionary": write(folder / "1.parquet", {"notes": once("a" * 4_400_000)}, compression="brotli"),
        "delta": write(folder / "2.parquet", {"notes": pa.array(["c" * 1_100_000] * 200)}, 200, **delta),
        "struct": write(folder / "3.parquet", {"metadata": pa.StructArray.from_arrays([once("d" * 4_000_000)], ["k"])}),
        "page": write(folder / "4.parquet", {"notes": pa.array(["b" * 300_000_000])}, 1, **plain),
        "pages": write(folder / "5.parquet", dict.fromkeys(six, wide), **plain),
        "nulls": write(folder / "6.parquet", {"transaction_tags": tags(pa.nulls(30_000_000, pa.string()))}, 1),
        "tags": write(folder / "7.parquet", {"transaction_tags": tags(tag.take(pa.array([0] * 1000)))}, 1),
    }


@pytest.mark.long  # it writes gigabytes, and reads them in another process
@pytest.mark.skipif(sys.platform != "linux", reason="no such figure there")
def test_small_files_take_little_memory(tmp_path: Path) -> None:
    """Each of them ends in invalid lines or in one sentence, and all take a tenth of what the first would: 4.5 GB."""
    files = bombs(tmp_path)
    assert all(path.stat().st_size < 20_000 for path in files.values())
    script = f"""
import sys
from thredfi_async.bulk import BulkError
from thredfi_async.bulk.readers import open_source
for path in sys.argv[1:]:
    try:
        check = open_source(path, business_id={BUSINESS!r}, allow_missing_fields=True).check()
        print(check.items, check.invalid_lines, check.first_invalid.reason)
    except BulkError as error:
        print(str(error).partition(".parquet ")[2])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    argv = [sys.executable, "-c", script, *map(str, files.values())]
    *said, peak = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        *(f"0 {rows} {TOO_LONG}" for rows in (ROWS, 200, ROWS)),
        f"has a row group whose pages take 300,000,065 bytes at a time, over {MOST_HELD:,}",
        said[4].partition(":")[0],
        f"has a row group with {TOO_MANY}",
        f"0 1 {TOO_LONG}",
    ]
    assert "has a row group whose pages take 36" in said[4]
    assert int(peak) < 450 * 1024


def test_a_row_that_is_too_long_leaves_the_others(tmp_path: Path) -> None:
    """The rows around it are read, and it is named with its column and without its value."""
    notes = ["short"] * 9
    notes[4] = "x" * (LONGEST_ROW + 1)
    items, invalid = read(write(tmp_path / "a.parquet", {"notes": pa.array(notes)}, 9))
    assert [each.line for each in items] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert [(each.line, each.column, each.reason, each.raw) for each in invalid] == [(5, "notes", TOO_LONG, b"")]


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN", None])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_way_to_write_is_read(tmp_path: Path, encoding: str | None, compression: str, version: str) -> None:
    """All encodings, compressions and versions of pages give the same items, of as many row groups as there are."""
    count = 3000
    columns = {
        "notes": pa.array([f"note {number}" for number in range(count)]),
        "transaction_tags": pa.array([["vip", f"t{number}"] for number in range(count)]),
        "metadata": pa.array([{"k": f"v{number}", "n": number} for number in range(count)]),
    }
    how: dict[str, Any] = {"compression": compression, "data_page_version": version, "row_group_size": 1300}
    if encoding is not None:
        how |= {"use_dictionary": False, "column_encoding": {"notes": encoding, "metadata.k": encoding}}
    items, invalid = read(write(tmp_path / "a.parquet", columns, count, data_page_size=2000, **how))
    assert (len(items), invalid) == (count, [])
    last: Any = items[-1].customer
    assert (items[-1].line, last.notes, last.metadata) == (count, f"note {count - 1}", {"k": "v2999", "n": 2999})
    assert last.transaction_tags == ["vip", "t2999"]


@pytest.mark.parametrize("kind", ["large_string", "string_view", "dictionary"])
def test_types_that_the_writer_noted(tmp_path: Path, kind: str) -> None:
    """Text of any of Arrow's types is text."""
    notes = pa.array(["a", None, "b" * (LONGEST_ROW + 1)])
    notes = notes.dictionary_encode() if kind == "dictionary" else notes.cast(getattr(pa, kind)())
    items, invalid = read(
        write(tmp_path / "a.parquet", {"notes": notes, "city": pa.array(["x"] * 3)}, 3, store_schema=True)
    )
    assert [each.line for each in items] == [1, 2]
    assert [each.line for each in invalid] == [3]


def test_values_that_python_cannot_hold(tmp_path: Path) -> None:
    """Text that is not UTF-8, a time beyond the calendar, and a name that comes twice spoil their own row."""
    wrong = pa.StringArray.from_buffers(3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb"))
    items, invalid = read(write(tmp_path / "a.parquet", {"notes": wrong}, 3))
    assert [each.line for each in items] == [1, 3]
    assert [(each.line, each.reason) for each in invalid] == [
        (2, "holds a value that cannot be read, such as text not in UTF-8")
    ]
    late = pa.StructArray.from_arrays([pa.array([2**62], pa.timestamp("ms"))], ["t"])
    assert [each.line for each in read(write(tmp_path / "b.parquet", {"metadata": late}, 1))[1]] == [1]
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["k", "k"])
    assert [each.line for each in read(write(tmp_path / "c.parquet", {"metadata": twice}, 1))[1]] == [1]
    day = pa.StructArray.from_arrays([pa.array([dt.date(2026, 1, 1)])], ["d"])
    assert [each.column for each in read(write(tmp_path / "d.parquet", {"metadata": day}, 1))[1]] == ["metadata"]


def test_a_type_names_no_field_of_the_file(tmp_path: Path) -> None:
    """The message about a wrong type is short, and has nothing of what the file calls its parts."""
    kind = pa.struct([pa.field("\x1b[31msecret" * 50, pa.string())])
    path = write(tmp_path / "a.parquet", {"notes": pa.array([None], kind)}, 1)
    with pytest.raises(SourceError, match=r"column notes: has the type struct, and must be text$"):
        opened(path)


def test_bounds_have_room_for_real_files() -> None:
    """A million rows with ten tags each, and pages of a megabyte in every column, are within them."""
    assert MOST_VALUES >= 10_000_000
    assert MOST_HELD >= 22 * 2 * 2**20
    assert MOST_EXPANDED // 2**20 >= 64


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_wrong_bytes(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes that were changed anywhere give items, invalid lines or one sentence."""
    columns = {"notes": pa.array(["a", "b"]), "transaction_tags": pa.array([["vip"], []])}
    content = bytearray(write(tmp_path / "a.parquet", columns, 2).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(content) - 9))
        content[at] = data.draw(st.integers(0, 255))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(content)
    with contextlib.suppress(SourceError):
        read(broken)
