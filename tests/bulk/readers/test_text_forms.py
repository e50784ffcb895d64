"""How text is written is found out, and never guessed at where it matters."""

import os
import threading
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_files import BUSINESS, CUSTOMER, HEADER, ITEM, ROW, body_of, read, written

from thredfi_async.bulk import ArchiveItem
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import EncodingError, ReadingOptions, open_source

NOTES = "business_id,customer_id,notes\n"


def ids_of(items: list[ArchiveItem]) -> list[tuple[UUID, UUID]]:
    """The ids of items."""
    return [(each.business_id, each.customer_id) for each in items]


def line(notes: str) -> str:
    """A line with a note."""
    return f"{BUSINESS},{CUSTOMER},{notes}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_form_is_found(tmp_path: Path, encoding: str, end: str, separator: str) -> None:
    """Each of them, with each of the others, gives the same customers, and letters as they are."""
    text = (NOTES + line("Köln ✓") + line('"a""b"') * 2).replace("\n", end).replace(",", separator)
    path = written(tmp_path, "a.csv", text.encode(encoding))
    items, bad = read(path, allow_missing_fields=True)
    assert (ids_of(items), bad) == (ids_of([ITEM] * 3), [])
    assert [body_of(each).notes for each in items] == ["Köln ✓", 'a"b', 'a"b']
    source = open_source(path, allow_missing_fields=True)
    assert (source.count_lines(), source.layout.separator) == (3, separator)


@pytest.mark.parametrize(
    "encoding", ["cp1252", "cp1250", "iso8859-15", "mac-roman", "shift_jis", "gb18030", "utf-16-le"]
)
def test_an_encoding_is_said(tmp_path: Path, encoding: str) -> None:
    """What the caller says is what the text is read in, and what its invalid lines are written in."""
    note = "表ソ" if encoding in {"shift_jis", "gb18030"} else "Süß"
    path = written(tmp_path, "a.csv", (NOTES + line(note) + f"x,y,{note}\n").encode(encoding))
    options = ReadingOptions(encoding=encoding)
    copied = tmp_path / "bad.csv"
    (item,), (bad,) = read(path, allow_missing_fields=True, options=options, invalid_lines=copied)
    assert (body_of(item).notes, bad.raw.decode(encoding)) == (note, f"x,y,{note}\n")
    fixed = copied.read_bytes().decode(encoding).replace("x,y", f"{BUSINESS},{CUSTOMER}")
    (again,), _ = read(
        written(tmp_path, "again.csv", fixed.encode(encoding)), allow_missing_fields=True, options=options
    )
    assert body_of(again).notes == note


def test_a_mark_and_an_option_that_differ(tmp_path: Path) -> None:
    """The file says what it is."""
    path = written(tmp_path, "a.csv", HEADER.decode().encode("utf-16"))
    with pytest.raises(
        SourceError, match="begins with the mark of utf-16-le, and --encoding says cp1252: leave it out"
    ):
        open_source(path, options=ReadingOptions(encoding="windows-1252"))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_ids_alone_need_no_letters(tmp_path: Path, name: str) -> None:
    """With `ids_only`, letters in any encoding are of no account, and all customers are read."""
    data = (
        (NOTES + line("K\u00f6ln"))
        if name == "a.csv"
        else f'{{"business_id":"{BUSINESS}","customer_id":"{CUSTOMER}","x":"ö"}}\n'
    )
    path = written(tmp_path, name, data.encode("cp1252"))
    assert read(path, options=ReadingOptions(ids_only=True)) == ([ITEM], [])
    with pytest.raises(EncodingError, match=r"line [12]: is not UTF-8 text"):
        open_source(path, allow_missing_fields=True)


@pytest.mark.parametrize("first", [b"\x81", b"\xc3\xb6 \xf6"])
def test_no_encoding_is_proposed_where_none_is_likely(tmp_path: Path, first: bytes) -> None:
    """Bytes that Windows-1252 has not, and UTF-8 among other bytes, get no proposal."""
    with pytest.raises(EncodingError) as caught:
        open_source(written(tmp_path, "a.csv", HEADER + ROW + b"x," + first + b"\n"))
    assert caught.value.likely is None


def test_utf_16_that_is_cut_short(tmp_path: Path) -> None:
    """Half a character at the end is no text."""
    path = written(tmp_path, "a.csv", (HEADER + ROW).decode().encode("utf-16")[:-1])
    with pytest.raises(EncodingError, match="is not utf-16-le text"):
        open_source(path)


def test_a_pipe_with_another_encoding_stops_there(tmp_path: Path) -> None:
    """A pipe cannot be looked through first: nothing from the first such line on is read, and the reason is said."""
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    data = (NOTES + line("ok") + line("K\u00f6ln") + line("ok")).encode("cp1252")
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    items = list[int | None]()
    with pytest.raises(SourceError, match="line 3: is not UTF-8 text, and nothing from there on is read"):  # noqa: PT012
        for item in open_source(path, allow_missing_fields=True):
            items.append(item.line)
    writer.join()
    assert items == [2]


@settings(max_examples=80, deadline=None)
@given(text=st.text(st.characters(codec="cp1252"), max_size=30))
def test_text_in_another_encoding_is_read_wrongly_by_none(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Text of Windows-1252 comes back as it was, or the file is refused; it is never read as other letters."""
    note = '"' + text.replace('"', '""') + '"'
    path = written(tmp_path_factory.mktemp("a"), "a.csv", (NOTES + line(note)).encode("cp1252"))
    options = ReadingOptions(encoding="windows-1252", as_is=True)
    try:
        items, bad = read(path, allow_missing_fields=True, options=options)
    except EncodingError:
        return
    notes = [body_of(each).notes for each in items]
    assert notes == [text] or (not notes and bad)
