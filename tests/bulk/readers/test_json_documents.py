"""Documents of JSON are read as streams, and what holds no list of customers gets a sentence."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_files import BUSINESS, CUSTOMER, ITEM, JSON, read, written

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import ReadingOptions, open_source
from thredfi_async.bulk.readers.object_records import LONGEST

RECORD = {"business_id": BUSINESS, "customer_id": CUSTOMER}
IDS = ReadingOptions(ids_only=True)


def wrapped(rows: list[Any]) -> dict[str, Any]:
    """Rows in an object, among other things."""
    return {"a": {"b": 1, "c": []}, "d": {"rows": rows}, "e": "x"}


@pytest.mark.long  # tracemalloc alone makes it slow
@pytest.mark.parametrize("wrap", [list, wrapped])
def test_memory_does_not_grow_with_a_document(tmp_path: Path, wrap: Any) -> None:
    """A list of ten times as many objects takes no more memory while it is read."""
    peaks = list[int]()
    for count in (8_000, 40_000):
        path = written(tmp_path, "a.json", json.dumps(wrap([{**RECORD, "x": "y" * 100}] * count)).encode())
        tracemalloc.start()
        try:
            assert sum(1 for _ in open_source(path, options=IDS)) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: there is nothing to read"),
        ("5", "is no JSON, which begins with [ or {: if it is CSV, give --format csv"),
        ("[", "line 1: it is not JSON"),
        ("[]", "is empty: there is no line to read"),
        ("[1, 2]", "is not JSON objects, such as one a line: "),
        ('[{"customer_id": 1}\n{', "line 2: there is something else where , or ] should be"),
        ('[{"customer_id": 1}', "line 1: there is the end of the file where , or ] should be"),
        ('[{"customer_id": 1}] x', "line 1: there is something behind its end"),
        ('{"a": {"b": {"c": {"d": {"e": {"f": [{}]}}}}}}', "there is no list of objects in it"),
        ('{"a": 1', "line 1: there is the end of the file where , or } should be"),
        ('{"a" 1}', "line 1: there is something else where : should be"),
        ("{}", "there is no list of objects in it"),
        ("[" * 100_000, "line 1: it is not JSON"),
        (f'["{"x" * 4 * LONGEST}"]', "a value is longer than 1,048,576 characters: write it as JSON Lines"),
    ],
)
def test_a_document_of_no_use(tmp_path: Path, text: str, said: str) -> None:
    """The place and what is missing there are named."""
    with pytest.raises(SourceError) as caught:
        list(open_source(written(tmp_path, "a.json", text.encode()), business_id=BUSINESS, options=IDS))
    assert said in str(caught.value)


def test_a_mistake_at_the_end_is_found_before_anything_is_read(tmp_path: Path) -> None:
    """A list that breaks off is refused as a whole."""
    path = written(tmp_path, "a.json", (json.dumps([RECORD] * 5000)[:-20]).encode())
    with pytest.raises(SourceError, match="so that the rest of the file cannot be read"):
        open_source(path)


def test_numbers_of_any_size_stay_whole(tmp_path: Path) -> None:
    """An id of many digits elsewhere in the object changes nothing."""
    path = written(tmp_path, "a.json", json.dumps([{**RECORD, "x": 10**30}]).encode())
    assert read(path, options=IDS) == ([ITEM], [])


def test_an_object_that_stands_alone(tmp_path: Path) -> None:
    """One customer, as `thredfi get --json` shows it, is a list of one."""
    one = {"business_id": BUSINESS, "id": CUSTOMER, "type": "CustomerData", "email": None}
    assert read(written(tmp_path, "a.json", json.dumps(one, indent=1).encode())) == ([ITEM], [])


@settings(max_examples=100, deadline=None)
@given(values=st.lists(JSON, max_size=5), indent=st.none() | st.integers(0, 2), cut=st.integers(0, 3))
def test_values_of_any_kind(tmp_path_factory: pytest.TempPathFactory, values: list[Any], indent: int, cut: int) -> None:
    """Behind a customer, any values are invalid lines, and a document that is cut short is refused."""
    text = json.dumps([RECORD, *values], indent=indent)
    path = written(tmp_path_factory.mktemp("a"), "a.json", text[: len(text) - cut].encode())
    if cut:
        with pytest.raises(SourceError):
            list(open_source(path, options=IDS))
    else:
        items, bad = read(path, options=IDS)
        assert (items[0], len(items) + len(bad)) == (ITEM, 1 + len(values))
