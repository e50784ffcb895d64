"""The module behind which the JSON library stands: what it takes, and what it refuses."""

import datetime as dt
import json
import math
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async._codec.json import UNAMBIGUOUS, Raw, RepeatedFieldError, dumps, loads, loads_leniently, refusal

UTF8 = st.text(st.characters(codec="utf-8"), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | UTF8,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(UTF8, inner, max_size=3),
    max_leaves=10,
)
DEEP = 1_000_000
REFUSED = {
    b"": "is not JSON: Expecting value at character 1",
    b"[1,]": "is not JSON: ",
    b"{} x": "is not JSON: Extra data at character 4",
    b'{"a" 1}': "is not JSON: Expecting ':' delimiter at character 6",
    b'"\\x"': "is not JSON: Invalid \\escape at character 2",
    b'"\x01"': "is not JSON: Invalid control character at at character 2",
    b"\xef\xbb\xbf1": "is not JSON: Expecting value at character 1",
    b'"\xff"': "is not JSON: byte 2 is not UTF-8",
    b'"\xed\xa0\x80"': "is not JSON: byte 2 is not UTF-8",
    b"[NaN]": "is not JSON: it holds NaN or an infinity",
    b"-Infinity": "is not JSON: it holds NaN or an infinity",
    b'"\\ud83d"': "holds half of a surrogate pair, or a number or a nesting that is too large",
    b'"\\ude00\\ud83d"': "holds half of a surrogate pair, or a number or a nesting that is too large",
    b"1e400": "holds half of a surrogate pair, or a number or a nesting that is too large",
    b"9" * 5000: "holds a number or a nesting that is too large",
    b"[" * DEEP: "holds a number or a nesting that is too large",
}


@given(VALUES)
def test_what_is_written_is_read(value: Any) -> None:
    """Every value comes back, of the same types, by either reader and by the standard library."""
    text = dumps(value)
    for found in (loads(text), loads_leniently(text), json.loads(text)):
        assert repr(found) == repr(value)


@given(VALUES)
def test_what_others_write_is_read(value: Any) -> None:
    """What the standard library writes is read as it reads it, digit by digit."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert repr(loads(text)) == repr(loads(text.encode())) == repr(json.loads(text))


@given(st.binary(max_size=12) | st.text('{}[]",:.0123456789eE+-\\udeé tfn\t', max_size=12).map(str.encode))
def test_the_strict_reader_takes_nothing_that_the_standard_library_refuses(text: bytes) -> None:
    """Whatever the bytes are, both read the same value, or only the standard library reads one."""
    try:
        found = loads(text)
    except ValueError:
        assert refusal(text).startswith(("is not JSON: ", "holds "))
    else:
        assert repr(found) == repr(json.loads(text.decode()))


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(text: bytes) -> None:
    """A text that is not JSON, or cannot be sent on as it is, is refused with the reason and the place."""
    with pytest.raises(ValueError, match=r"."):
        loads(text)
    assert refusal(text).startswith(REFUSED[text])


def test_the_last_of_equal_keys_counts() -> None:
    """An object with a key that is there twice has the last value, as for every reader."""
    assert loads(b'{"a":1,"b":2,"a":3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [(b'"\\ud83d!"', "\ud83d!"), (b"\xef\xbb\xbf[1]", [1]), (b"[1e400]", [math.inf]), (b" 1 ", 1)],
)
def test_what_the_lenient_reader_takes(text: bytes, value: object) -> None:
    """Answers are read as every reader does, with halves of surrogate pairs, a mark, and numbers beyond a float."""
    assert loads_leniently(text) == value


@pytest.mark.parametrize("text", [b"NaN", b"[-Infinity]", b'"\xff"', b"{", b"[" * DEEP, b"9" * 5000], ids=range(6))
def test_what_the_lenient_reader_refuses(text: bytes) -> None:
    """NaN is no JSON, and nothing fails with another error, however deep it nests."""
    with pytest.raises(ValueError, match=r"."):
        loads_leniently(text)


def test_what_is_no_json_value_can_be_written() -> None:
    """Ids and times are written, UTC with a Z, and encoded JSON stands in other JSON as it is."""
    at = dt.datetime(2027, 1, 2, 3, 4, 5, 6, dt.UTC)
    value = {
        "id": UUID(int=1),
        "at": at,
        "there": at.astimezone(dt.timezone(dt.timedelta(hours=2))),
        "raw": Raw(b"[1]"),
    }
    assert dumps(value) == (
        b'{"id":"00000000-0000-0000-0000-000000000001","at":"2027-01-02T03:04:05.000006Z",'
        b'"there":"2027-01-02T05:04:05.000006+02:00","raw":[1]}'
    )


class Text(str):
    """A subclass, as templates and arrays have them."""

    __slots__ = ()


class Number(float):
    """As `Text`."""


def test_subclasses_are_written_as_what_they_are() -> None:
    """A subclass of text or of a number is written as one."""
    assert dumps({"a": [Text("é"), Number(0.5)]}) == '{"a":["é",0.5]}'.encode()


def nested(depth: int) -> object:
    """Return lists within lists."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


UNWRITABLE: dict[str, Callable[[], object]] = {
    "too deep": lambda: nested(DEEP),
    "no JSON": object,
    "no JSON inside": lambda: {"a": {object()}},
    "half a pair": lambda: "\ud83d",
    "half a pair as key": lambda: {"\ud83d": 1},
    "too many digits": lambda: 10**5000,
    "NaN of a subclass": lambda: Number("nan"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_what_cannot_be_written(name: str) -> None:
    """One kind of error tells that a value cannot be written, whatever the reason is."""
    with pytest.raises(ValueError, match=r"."):
        dumps(UNWRITABLE[name]())


def test_an_object_that_has_a_field_twice_is_ambiguous() -> None:
    """However deep it is, and whether or not both values are the same; other objects are read as ever."""
    assert UNAMBIGUOUS.decode('{"a": {"b": 1}, "b": [{"a": 1.50}]}') == {"a": {"b": 1}, "b": [{"a": 1.5}]}
    for text in ('{"a": 1, "a": 1}', '[{"b": {"a": 1, "\\u0061": 2}}]'):
        with pytest.raises(RepeatedFieldError):
            UNAMBIGUOUS.decode(text)
