import errno
import io
import os
from pathlib import Path

import pytest
from reader_files import BUSINESS, CUSTOMER, HEADER, ITEM, ROW, written

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import open_source

BAD = HEADER + b"one,x\n" + ROW + b"two,y\n"


def test_bad_csv_lines_stand_as_they_were_behind_the_reason(tmp_path: Path) -> None:
    """Three columns say where and why, and the record follows unchanged, quotes, line ends within them and all."""
    data = HEADER.replace(b"\n", b",notes\n") + b'bad,x,"a ""b""\nc"\n'
    source = open_source(written(tmp_path, "a.csv", data), allow_missing_fields=True, invalid_lines=tmp_path / "r.csv")
    assert list(source) == []
    head, record = (tmp_path / "r.csv").read_bytes().split(b"\n", 1)
    assert head == b"invalid_line,invalid_column,invalid_reason,business_id,customer_id,notes"
    assert record.startswith(b"2,business_id,must be a UUID")
    assert record.endswith(b',bad,x,"a ""b""\nc"\n')


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("csv", BAD),
        ("jsonl", b'{"business_id":"one","customer_id":"x"}\n{}\n5\n'),
    ],
)
def test_a_fixed_rejected_file_can_be_read(tmp_path: Path, name: str, data: bytes) -> None:
    """With its values fixed, the file of invalid lines can be read as it is, reasons included."""
    rejected = tmp_path / f"rejected.{name}"
    list(open_source(written(tmp_path, f"a.{name}", data), invalid_lines=rejected))
    fixed = rejected.read_bytes().splitlines(keepends=True)
    fixed = fixed[:2] if name == "csv" else fixed[:1]
    text = b"".join(fixed).replace(b"one", BUSINESS.encode())
    text = text.replace(b'"x"', f'"{CUSTOMER}"'.encode()).replace(b",x\n", f",{CUSTOMER}\n".encode())
    assert list(open_source(written(tmp_path, f"again.{name}", text))) == [ITEM]


def test_a_second_pass_writes_nothing_twice(tmp_path: Path) -> None:
    """A run that is resumed finds the same invalid lines, and leaves the file as it is."""
    path, rejected = written(tmp_path, "a.csv", BAD), tmp_path / "r.csv"
    list(open_source(path, invalid_lines=rejected))
    first = rejected.read_bytes()
    list(open_source(path, invalid_lines=rejected))
    assert (rejected.read_bytes(), first.count(b"\n")) == (first, 3)


@pytest.mark.parametrize("kept", range(0, 200, 7))
def test_a_file_that_was_cut_by_a_kill_is_completed(tmp_path: Path, kept: int) -> None:
    """Wherever a killed run stopped writing, the next pass ends with the same file."""
    path, rejected = written(tmp_path, "a.csv", BAD), tmp_path / "r.csv"
    list(open_source(path, invalid_lines=rejected))
    whole = rejected.read_bytes()
    rejected.write_bytes(whole[:kept])
    list(open_source(path, invalid_lines=rejected))
    assert rejected.read_bytes() == whole


def test_a_file_that_says_anything_else_is_left_alone(tmp_path: Path) -> None:
    """A file that was fixed or kept is never overwritten: the lines go to a name beside it."""
    path, rejected = written(tmp_path, "a.csv", BAD), tmp_path / "r.csv"
    rejected.write_bytes(b"mine")
    (tmp_path / "r-2.csv").write_bytes(b"mine too")
    source = open_source(path, invalid_lines=rejected)
    list(source)
    assert (rejected.read_bytes(), (tmp_path / "r-2.csv").read_bytes()) == (b"mine", b"mine too")
    assert source.invalid_lines_path == tmp_path / "r-3.csv"
    assert (tmp_path / "r-3.csv").read_bytes().count(b"\n") == 3


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid line that cannot be kept stops the reading, and names the file."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(io, "FileIO", type("Full", (io.FileIO,), {"write": full}))
    source = open_source(written(tmp_path, "a.csv", BAD), invalid_lines=tmp_path / "full.csv")
    with pytest.raises(SourceError, match=r"cannot write .*full\.csv: No space left on device"):
        list(source)
