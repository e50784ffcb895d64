import gzip
import hashlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from compat import zstd
from reader_files import BUSINESS, CUSTOMER, HEADER, ITEM, ROW, full_row, written

from thredfi_async import CustomerRequest
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import Fingerprint, InvalidLine, open_source
from thredfi_async.bulk.readers.io import _digest


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", HEADER + ROW),
        ("a.CSV", b"\xef\xbb\xbf" + HEADER.replace(b"\n", b"\r\n") + ROW.rstrip()),
        ("a.csv.gz", gzip.compress(HEADER) + gzip.compress(ROW)),
        ("a.csv.zst", zstd.compress(HEADER) + zstd.compress(ROW)),
        ("a.jsonl", f'{{"business_id": "{BUSINESS}", "customer_id": "{CUSTOMER}"}}'.encode()),
        ("a.ndjson", f'{{"customer_id": "{CUSTOMER.upper()}", "business_id": "{BUSINESS}"}}\r\n'.encode()),
        ("a.jsonl.gz", gzip.compress(f'{{"business_id":"{BUSINESS}","customer_id":"{CUSTOMER}"}}\n'.encode())),
    ],
)
def test_a_file_is_read_as_its_name_says(tmp_path: Path, name: str, data: bytes) -> None:
    """Format and compression come from the name, and each pass gives the same items and the file's own hash."""
    source = open_source(written(tmp_path, name, data))
    assert (list(source), list(source)) == ([ITEM], [ITEM])
    assert (source.size, source.sha256()) == (len(data), hashlib.sha256(data).hexdigest())
    assert (source.count_lines(), source.has_bodies, source.repeatable) == (1, False, True)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "is empty: there is not even a header"),
        ("a.csv", b"\n\n", "is empty: there is not even a header"),
        ("a.csv", HEADER, "has a header and no records"),
        ("a.csv", b"customer_id\n" + ROW, "line 1, column business_id: is missing: add it, or give one"),
        ("a.csv", b"business_id\n" + ROW, "line 1, column customer_id: is missing"),
        ("a.csv", b"business_id,customer_id,customer_id\n" + ROW, "column customer_id: stands there more than once"),
        (
            "a.csv",
            b"business_id,customer_id,emial\n" + ROW,
            "column emial: is not a column of ours; did you mean email?",
        ),
        ("a.csv", b"business_id;customer_id\n" + ROW, "column 1: the columns are separated by ';'"),
        ("a.csv", b"business_id\tcustomer_id\n" + ROW, "column 1: the columns are separated by tabs"),
        ("a.csv", HEADER.decode().encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.csv", b"PK\x03\x04", "is a ZIP archive or a spreadsheet; save it as CSV"),
        ("a.csv", gzip.compress(HEADER), "is compressed with gzip; a file's name has to end in .gz"),
        ("a.csv", HEADER.replace(b"\n", b"\r") + ROW, "line 1: the header has a carriage return outside quotes"),
        ("a.csv", b"customer_id,\xe9\n", "line 1: the header is not UTF-8 text"),
        ("a.csv", b'"customer_id\n', "line 1: the header a quote is opened and never closed"),
        ("a.csv.gz", HEADER + ROW, "is not what its name says: it is no gzip data, or damaged"),
        ("a.csv.gz", gzip.compress(HEADER + ROW)[:-9], "is cut short: its compressed data ends in the middle"),
        ("a.csv.zst", HEADER + ROW, "is not what its name says: it is no zstd data, or damaged"),
        ("a.csv.zst", zstd.compress(HEADER + ROW)[:-3], "is cut short: its compressed data ends in the middle"),
        ("a.jsonl", b"\n  \n", "is empty: there is no line to read"),
        ("a.jsonl", b"[]\n", "is not JSON Lines, an object a line: "),
        ("a.jsonl", b'{"customer_id": 1, "emial": 2}', "line 1, column emial: is not a column of ours; did you mean"),
        ("a.parquet", b"PAR1", "is not a Parquet file, or is cut short"),
        ("a.parquet.gz", b"", "Parquet is compressed inside; undo the gzip around it first"),
        ("a.txt", b"", "which format is this? Give one of csv, jsonl, parquet"),
    ],
)
def test_a_file_of_no_use_is_refused_in_one_sentence(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    """A file that no run can use is refused before anything is sent, with the file's name in front."""
    path = written(tmp_path, name, data)
    with pytest.raises(SourceError) as caught:
        list(open_source(path))
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_place_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A directory, a missing file, and a format that does not exist."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match=r"cannot read .*folder\.csv: it is a directory"):
        open_source(tmp_path / "folder.csv")
    with pytest.raises(SourceError, match=r"cannot read .*missing\.csv: No such file or directory"):
        open_source(tmp_path / "missing.csv")
    with pytest.raises(SourceError, match="format must be one of csv, jsonl, parquet"):
        open_source(tmp_path / "missing.csv", format="xml")


def test_a_first_line_of_data_is_not_quoted(tmp_path: Path) -> None:
    """Without a header, the first line is personal data: the message shows none of it."""
    path = written(tmp_path, "a.csv", f"{BUSINESS},{CUSTOMER},Ada Muster\n".encode())
    with pytest.raises(SourceError, match="column 1: its name, which is not shown, is not a column of ours"):
        open_source(path)


def test_one_business_for_all(tmp_path: Path) -> None:
    """A business id for all takes the place of the column; both at once are ambiguous, and refused."""
    path = written(tmp_path, "a.csv", f"customer_id\n{CUSTOMER}\n".encode())
    assert list(open_source(path, business_id=BUSINESS)) == [ITEM]
    with pytest.raises(SourceError, match="business id given for all records must be a UUID"):
        open_source(path, business_id="x")
    with pytest.raises(SourceError, match="column business_id: is there, and one business id was given for all"):
        open_source(written(tmp_path, "b.csv", HEADER + ROW), business_id=BUSINESS)


def test_strict_refuses_before_the_first_item(tmp_path: Path) -> None:
    """One invalid line in thousands refuses the file with its place; without `strict` the others are read."""
    path = written(tmp_path, "a.csv", HEADER + ROW * 5000 + b"x,y\n" + ROW * 5000)
    with pytest.raises(
        SourceError, match=r"nothing was sent, since there is an invalid line: .*line 5002, column business_id"
    ):
        open_source(path, strict=True)
    bad: list[InvalidLine] = []
    assert len(list(open_source(path, on_invalid_line=bad.append))) == 10_000
    assert [(each.line, each.column) for each in bad] == [(5002, "business_id")]


def test_check_counts_and_sends_nothing(tmp_path: Path) -> None:
    """A pass that only looks tells how many records are valid and invalid, and the first invalid one."""
    check = open_source(written(tmp_path, "a.csv", HEADER + ROW + b"x,y\n" + ROW + b"z\n")).check()
    assert (check.items, check.invalid_lines) == (2, 2)
    assert check.first_invalid is not None
    assert check.first_invalid.line == 3


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """Size and SHA-256 tell a file from the one a run was begun with, and each says which of them did."""
    path = written(tmp_path, "a.csv", HEADER + ROW)
    source = open_source(path)
    size, sha256 = source.size, source.sha256()
    for known in (Fingerprint(size=size, sha256=sha256), Fingerprint(size=None, sha256=None)):
        assert len(list(open_source(path, expected=known))) == 1
    with pytest.raises(SourceError, match=r"is not the file that this run was begun with: it had 5 bytes then"):
        open_source(path, expected=Fingerprint(size=5, sha256=None))
    with pytest.raises(SourceError, match="its SHA-256 is another"):
        open_source(path, expected=Fingerprint(size=size, sha256="0" * 64))


@pytest.mark.skipif(sys.platform == "win32", reason="neither is there")
def test_an_expected_file_is_looked_at_before_it_is_read(tmp_path: Path) -> None:
    """A pipe without another end, a device without an end, a folder and another file are refused, and not read."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "zero.csv", "folder.csv"):
        for known in (Fingerprint(size=None, sha256=None), Fingerprint(size=5, sha256="0" * 64)):
            with pytest.raises(SourceError, match=r"is not the file that .*: it is a folder, a pipe or a device"):
                open_source(tmp_path / name, expected=known)
    # Nothing of another file is parsed, so that no message tells what is in it.
    secret = written(tmp_path, "secret.csv", b"root:x:0:0\n")
    with pytest.raises(SourceError, match=r"it had 5 bytes then, and has 11 now"):
        open_source(secret, expected=Fingerprint(size=5, sha256=None))


def test_no_more_is_read_than_there_was(tmp_path: Path) -> None:
    """Of a file that grows while its hash is made, no more is read than its size was."""
    path = written(tmp_path, "a.csv", HEADER + ROW)
    with path.open("rb") as file:
        assert _digest(file.fileno(), len(HEADER)) == hashlib.sha256(HEADER).hexdigest()
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == len(HEADER)


def test_a_file_that_changes_under_way_is_noticed(tmp_path: Path) -> None:
    """A pass that reads other bytes than the one before it ends in an error, not in silence."""
    path = written(tmp_path, "a.csv", HEADER + ROW)
    source = open_source(path)
    assert source.sha256() is not None
    path.write_bytes(HEADER + ROW + ROW)
    with pytest.raises(SourceError, match="was changed while it was being read"):
        list(source)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A named pipe has no size and no second pass, gives its items, and its hash when it has ended."""
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(HEADER + ROW,))
    writer.start()
    source = open_source(path)
    writer.join()
    assert (source.size, source.sha256(), source.count_lines(), source.repeatable) == (None, None, None, False)
    with pytest.raises(SourceError, match="can be read only once, so it cannot be checked first"):
        source.check()
    assert list(source) == [ITEM]
    assert source.sha256() == hashlib.sha256(HEADER + ROW).hexdigest()
    with pytest.raises(SourceError, match="can be read only once"):
        list(source)


@pytest.fixture
def stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that stands for stdin."""
    path = written(tmp_path, "stdin", HEADER + ROW)
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield path


def test_stdin_needs_a_format(stdin: Path) -> None:
    """`-` is stdin, which has no name that could tell its format."""
    with pytest.raises(SourceError, match="which format does stdin have"):
        open_source("-")
    source = open_source("-", format="csv")
    assert (source.path, source.name, list(source)) == (None, "stdin", [ITEM])


def test_parquet_is_not_read_from_stdin(stdin: Path) -> None:
    """A Parquet file has its index at the end."""
    with pytest.raises(SourceError, match="stdin: Parquet cannot be read from a pipe"):
        open_source("-", format="parquet")


def test_a_source_can_be_closed_unread(stdin: Path) -> None:
    """A caller that does not start leaves no file open."""
    source = open_source("-", format="csv")
    source.close()
    source.close()
    with pytest.raises(SourceError, match="can be read only once"):
        list(source)


def test_nothing_shows_what_a_invalid_lines_says(tmp_path: Path) -> None:
    """Neither `str` nor `repr` of an invalid line has a value of it; its raw bytes are there to be written."""
    data = HEADER + f"{BUSINESS},Ada Muster\n".encode()
    bad: list[InvalidLine] = []
    list(open_source(written(tmp_path, "a.csv", data), on_invalid_line=bad.append))
    (only,) = bad
    assert "Ada" not in f"{only!s} {only!r}"
    assert only.raw == f"{BUSINESS},Ada Muster\n".encode()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_memory_does_not_grow_with_a_line(tmp_path: Path, name: str) -> None:
    """A line of 64 MiB is an invalid line and no more: it is read in pieces, and the next one is an item."""
    import tracemalloc  # noqa: PLC0415 - it slows down whatever runs with it

    first = HEADER if name == "a.csv" else b""
    good = ROW if name == "a.csv" else f'{{"business_id":"{BUSINESS}","customer_id":"{CUSTOMER}"}}\n'.encode()
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(first + good)
        file.writelines(b"x" * (1 << 20) for _ in range(64))
        file.write(b"\n" + good)
    bad: list[InvalidLine] = []
    tracemalloc.start()
    try:
        items = list(open_source(path, on_invalid_line=bad.append))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (items, len(bad)) == ([ITEM, ITEM], 1)
    assert "is longer than 1,048,576" in bad[0].reason
    assert peak < 16 << 20


def test_a_whole_row_is_the_row_of_the_contract() -> None:
    """The row above has every field of a request, so that nothing is tested on half of them."""
    body = {name: value for name, value in full_row().items() if name not in {"business_id", "customer_id"}}
    assert isinstance(CustomerRequest.from_mapping(body), CustomerRequest)


def test_the_rejected_file_is_private_and_only_made_when_needed(tmp_path: Path) -> None:
    """It holds personal data: its owner alone reads it; and without an invalid line there is none."""
    rejected = tmp_path / "rejected.csv"
    source = open_source(written(tmp_path, "a.csv", HEADER + ROW), invalid_lines=rejected)
    list(source)
    assert (source.invalid_lines_path, rejected.exists()) == (None, False)
    source = open_source(written(tmp_path, "a.csv", HEADER + b"x,y\n" + ROW), invalid_lines=rejected)
    list(source)
    assert source.invalid_lines_path == rejected
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "package", "said"),
    [
        ("a.csv.zst", zstd.__name__, "zstd: .*decompress it first"),
        ("a.parquet", "pyarrow", r"pyarrow: pip install 'thredfi-async\[parquet\]'"),
    ],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, said: str
) -> None:
    """What an extra brings is asked for by the extra's name, and only when a file needs it."""
    monkeypatch.setitem(sys.modules, package, None)
    parent, _, name_in_it = package.rpartition(".")
    if parent:
        monkeypatch.delattr(f"{parent}.{name_in_it}", raising=False)
    for module in ("zstd", "parquet_records"):
        monkeypatch.delitem(sys.modules, f"thredfi_async.bulk.readers.{module}", raising=False)
    path = written(tmp_path, name, b"")
    for _ in range(2):
        with pytest.raises(SourceError, match=said):
            open_source(path)


def test_only_what_a_file_needs_is_loaded(tmp_path: Path) -> None:
    """Reading CSV imports neither pyarrow nor zstd nor jinja2."""
    path = written(tmp_path, "a.csv", HEADER + ROW)
    script = (
        "import sys; from thredfi_async.bulk.readers import open_source;"
        "import thredfi_async.bulk.report;"
        "others = {'pyarrow', 'thredfi_async.bulk.readers.zstd', 'jinja2'};"
        "print(len(list(open_source(sys.argv[1]))), *others & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"
