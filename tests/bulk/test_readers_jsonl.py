import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_files import BUSINESS, CUSTOMER, ITEM, ROWS, body_of, full_row, read, written

from thredfi_async import UNSET, CustomerRequest
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import ReadingOptions, open_source

IDS = f'"business_id":"{BUSINESS}","customer_id":"{CUSTOMER}"'
GOOD = f"{{{IDS}}}\n".encode()


def lines(*rows: dict[str, Any]) -> bytes:
    """Rows as lines of JSON."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_every_key_arrives_as_it_is(tmp_path: Path) -> None:
    """A line with all fields is a request with all fields, its types unchanged."""
    (item,), bad = read(written(tmp_path, "a.jsonl", lines(full_row())))
    wanted = {name: value for name, value in full_row().items() if name not in {"business_id", "customer_id"}}
    assert (body_of(item), bad) == (CustomerRequest.from_mapping(wanted), [])


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b"[]", None, "must be an object, not array"),
        (b"null", None, "must be an object, not null"),
        (b"{" + IDS.encode(), None, "is not JSON: Expecting ',' delimiter at character"),
        (b"{}", "business_id", "is empty, and must be a UUID"),
        (b'{"business_id":5,"customer_id":6}', "business_id", "must be a UUID as text, not number"),
        (b"{" + IDS.encode() + b',"customer_id":"x"}', "customer_id", "stands there more than once"),
        (b"{" + IDS.encode() + b',"emial":"x"}', None, "has columns that are not known (emial): add --ids-only"),
        (
            b"{" + IDS.encode() + b',"ada@example.com":"x"}',
            None,
            "has columns that are not known (one that is not shown)",
        ),
        (b"{" + IDS.encode() + b',"email":"a@b.c"}', None, "has a body, and the first line has none"),
    ],
)
def test_lines_that_are_wrong(tmp_path: Path, line: bytes, column: str | None, reason: str) -> None:
    """Each costs itself alone, and blank lines cost nothing."""
    items, (bad,) = read(written(tmp_path, "a.jsonl", GOOD + b"\n" + line + b"\n" + GOOD))
    assert (items, bad.line, bad.column) == ([ITEM, ITEM], 3, column)
    assert bad.reason.startswith(reason)


@pytest.mark.parametrize(
    ("field", "column", "reason"),
    [
        ('"payment_terms_days":30.5', "payment_terms_days", "must be an integer, not float"),
        ('"payment_terms_days":true', "payment_terms_days", "must be an integer, not bool"),
        ('"payment_terms_days":"30"', "payment_terms_days", "must be an integer, not str"),
        ('"email":null', "email", "must be a string, not null"),
        ('"notes":""', "notes", "must not be empty"),
        ('"tax_exempt":"true"', "tax_exempt", "must be true or false, not str"),
        ('"transaction_tags":"vip"', "transaction_tags", "must be a list, not str"),
        ('"metadata":NaN', None, "is not JSON"),
    ],
)
def test_types_are_exact(tmp_path: Path, field: str, column: str | None, reason: str) -> None:
    """JSON has types of its own, and none is made of another."""
    data = f'{{{IDS},"city":"London"}}\n{{{IDS},{field}}}\n'.encode()
    items, (bad,) = read(written(tmp_path, "a.jsonl", data), allow_missing_fields=True)
    assert (len(items), bad.line, bad.column) == (1, 2, column)
    assert bad.reason.startswith(reason)


def test_integers_of_any_size_stay_whole(tmp_path: Path) -> None:
    """Beyond 64 bits many readers make a float of an integer; what is read here is sent."""
    big = 12345678901234567890123456789
    data = lines(full_row(credit_limit_cents=big, metadata={"n": big}))
    (item,), _ = read(written(tmp_path, "a.jsonl", data))
    assert (body_of(item).credit_limit_cents, body_of(item).metadata) == (big, {"n": big})


def test_a_key_may_be_missing_only_in_partial_bodies(tmp_path: Path) -> None:
    """The first line tells before anything is sent; a later one is an invalid line."""
    short = full_row()
    del short["notes"]
    with pytest.raises(
        SourceError, match="line 1, column notes: is missing, and a body needs all of them: add --ids-only"
    ):
        open_source(written(tmp_path, "a.jsonl", lines(short)))
    items, (bad,) = read(written(tmp_path, "b.jsonl", lines(full_row(), short)))
    assert (len(items), bad.line, bad.column) == (1, 2, "notes")
    (item,), _ = read(written(tmp_path, "a.jsonl", lines(short)), allow_missing_fields=True)
    assert body_of(item).notes is UNSET


def test_a_line_without_a_body_among_bodies_is_bad(tmp_path: Path) -> None:
    """Where the others bring their bodies, the server's own record is not sent in the place of a missing one."""
    items, (bad,) = read(written(tmp_path, "a.jsonl", lines(full_row()) + GOOD))
    assert (len(items), bad.reason) == (1, "has no body, and the lines before have one")


def test_a_bad_first_line_says_nothing_of_the_others(tmp_path: Path) -> None:
    """The first line that is an object tells what the file holds."""
    items, (bad,) = read(written(tmp_path, "a.jsonl", b"oops\n" + lines(full_row(), full_row())))
    assert (len(items), bad.line) == (2, 1)


def test_an_id_within_metadata_is_no_second_id(tmp_path: Path) -> None:
    """Only a key of the line itself is a repeated one."""
    (item,), bad = read(written(tmp_path, "a.jsonl", lines(full_row(metadata={"customer_id": "x"}))))
    assert (body_of(item).metadata, bad) == ({"customer_id": "x"}, [])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_what_is_written_is_read(rows: list[dict[str, Any]]) -> None:
    """All values come back exactly, item by item; a key that is left out is left out."""
    wanted = [
        {name: value for name, value in row.items() if name == "metadata" or (value is not None and value != "")}
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "a.jsonl", lines(*wanted))
        items, bad = read(path, allow_missing_fields=True, options=ReadingOptions(as_is=True))
    assert bad == []
    for item, row in zip(items, wanted, strict=True):
        assert (str(item.business_id), str(item.customer_id)) == (row["business_id"], row["customer_id"])
        assert body_of(item) == CustomerRequest.from_mapping(
            {**dict.fromkeys(names(), UNSET), **{k: v for k, v in row.items() if k in names()}}
        )


def names() -> list[str]:
    """The fields of a body."""
    return [name for name in full_row() if name not in {"business_id", "customer_id"}]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_end_in_items_and_invalid_lines(data: bytes) -> None:
    """Behind a good line, anything at all is read to the end without another kind of error."""
    with tempfile.TemporaryDirectory() as folder:
        items, _ = read(written(Path(folder), "a.jsonl", GOOD + data), options=ReadingOptions(ids_only=True))
    assert items[0] == ITEM
