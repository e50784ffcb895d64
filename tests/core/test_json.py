"""Which values are JSON, and that the checked value is the one that is sent."""

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from collections import OrderedDict, UserDict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async._checks.json import is_plain_name, snapshot, text_problem

quick = settings(derandomize=True, deadline=None, max_examples=150)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


class Colour(enum.StrEnum):
    RED = "red"


def taken(value: object) -> tuple[object, list[str]]:
    """Return the copy and the problems."""
    problems: list[str] = []
    return snapshot(value, "metadata", problems), problems


def nested(depth: int) -> list[Any]:
    """Return nested lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@quick
@given(JSON)
def test_json_is_taken_as_it_is(value: Any) -> None:
    """Every JSON value is copied exactly, including the types of its numbers."""
    copy, problems = taken(value)
    assert problems == []
    assert json.dumps(copy) == json.dumps(value)


@pytest.mark.parametrize("value", [10**400, -(2**64), 1e308, -0.0, "", "é\N{PARTY POPPER}\0", {"": None}, list[Any]()])
def test_what_json_can_say_is_no_problem(value: Any) -> None:
    """Integers are unbounded; texts may be empty or contain control characters."""
    assert taken(value) == (value, [])


def test_tuples_and_kinds_of_dicts() -> None:
    """Tuples become lists, and subclasses of the JSON types are accepted."""
    assert taken({"a": (1, (2,)), "b": OrderedDict[str, int](c=1), "d": Colour.RED}) == (
        {"a": [1, [2]], "b": {"c": 1}, "d": "red"},
        [],
    )


def test_it_is_a_copy() -> None:
    """Later changes to the original do not change the copy, at any depth."""
    value: dict[str, Any] = {"tags": [{"a": 1}]}
    copy, _ = taken(value)
    value["tags"][0]["a"] = 2
    value["tags"].append("more")
    value["new"] = 1
    assert copy == {"tags": [{"a": 1}]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "metadata: NaN and infinities are not JSON"),
        (math.inf, "metadata: NaN and infinities are not JSON"),
        ({"a": [1, -math.inf]}, "metadata.a[1]: NaN and infinities are not JSON"),
        ("\ud800", "metadata: holds a lone surrogate, which no UTF-8 text can"),
        ({"a": {"b": ["x", "\udfff"]}}, "metadata.a.b[1]: holds a lone surrogate, which no UTF-8 text can"),
        ({1: "x"}, "metadata[key 0]: keys must be strings, not int"),
        ({"a": 1, None: 2}, "metadata[key 1]: keys must be strings, not NoneType"),
        ({"\ud800": 1}, "metadata[key 0]: the key holds a lone surrogate, which no UTF-8 text can"),
        (b"x", "metadata: bytes is not a JSON value"),
        ({"a": {1, 2}}, "metadata.a: set is not a JSON value"),
        (decimal.Decimal(1), "metadata: Decimal is not a JSON value"),
        (dt.date(2020, 1, 1), "metadata: date is not a JSON value"),
        (uuid.UUID(int=5), "metadata: UUID is not a JSON value"),
        (1j, "metadata: complex is not a JSON value"),
        (UserDict[str, int](), "metadata: UserDict is not a JSON value"),
        (object(), "metadata: object is not a JSON value"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_what_json_cannot_say(value: object, problem: str) -> None:
    """Each part that is not JSON is reported by its path, and not quoted."""
    assert taken(value)[1] == [problem]


def test_all_problems_at_once() -> None:
    """All problems are reported, in every branch."""
    value = {"a": math.nan, "b": [b"x", 1, object()], "Jane Doe": {"c": math.inf}, "ok": 1, 5: math.nan}
    assert taken(value)[1] == [
        "metadata.a: NaN and infinities are not JSON",
        "metadata.b[0]: bytes is not a JSON value",
        "metadata.b[2]: object is not a JSON value",
        "metadata[key 2].c: NaN and infinities are not JSON",
        "metadata[key 4]: keys must be strings, not int",
    ]


def test_what_contains_itself() -> None:
    """A value that contains itself is reported, and not copied."""
    value: list[Any] = []
    value.append(value)
    sentence = "metadata: contains itself, or is nested too deeply to be encoded"
    assert taken(value) == (None, [sentence])
    assert taken(nested(100_000)) == (None, [sentence])


def test_deep_is_not_too_deep() -> None:
    """More levels than some encoders write are accepted."""
    value = nested(260)
    assert taken(value) == (value, [])


@pytest.mark.parametrize("text", ["", "x", "é", "\N{PARTY POPPER}", "\0"])
def test_text_that_utf8_can_say(text: str) -> None:
    """Any text without a lone surrogate is accepted."""
    assert text_problem(text) is None


@pytest.mark.parametrize("text", ["\ud800", "x\udc00", "\ude00\ud800"])
def test_text_that_utf8_cannot_say(text: str) -> None:
    """A lone surrogate is refused."""
    assert text_problem(text) == "holds a lone surrogate, which no UTF-8 text can"


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        ("email", True),
        ("a_1", True),
        ("x" * 40, True),
        ("x" * 41, False),
        ("", False),
        ("Jane Doe", False),
        ("jane@example.com", False),
        ("é", False),
        ("1a", False),
        ("a-b", False),
        ("a\n", False),
        (5, False),
        (None, False),
    ],
)
def test_keys_that_can_be_shown(key: object, plain: bool) -> None:
    """Only a key that looks like a field's name is shown: others may be personal data."""
    assert is_plain_name(key) is plain
