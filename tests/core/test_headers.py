"""Invalid headers are reported before anything is sent."""

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async._checks.headers import LONGEST, headers_problems, value_problem

FORM = "must be visible ASCII characters, and not empty"

BAD_VALUES: dict[str, tuple[Any, str]] = {
    "empty": ("", FORM),
    "blank": (" ", FORM),
    "space before": (" x", FORM),
    "space after": ("x ", FORM),
    "line break": ("x\r\nX-Other: y", FORM),
    "line feed": ("x\ny", FORM),
    "line feed at the end": ("x\n", FORM),
    "carriage return": ("x\ry", FORM),
    "nul": ("x\0y", FORM),
    "delete": ("x\x7f", FORM),
    "accent": ("café", FORM),
    "emoji": ("\N{PARTY POPPER}", FORM),
    "surrogate": ("\ud800", FORM),
    "long": ("x" * 20_000, f"must not be longer than {LONGEST} characters"),
    "none": (None, "must be a string, not NoneType"),
    "bytes": (b"x", "must be a string, not bytes"),
    "number": (5, "must be a string, not int"),
}


@pytest.mark.parametrize("value", ["x", "a b", "a\tb", "!~", "x" * LONGEST, "Bearer abc.def-_", '"quoted", list; q=1'])
def test_values_that_can_be_sent(value: str) -> None:
    """Visible ASCII is accepted, with spaces and tabs inside."""
    assert value_problem(value) is None
    assert headers_problems({"X-Note": value}) == []


@pytest.mark.parametrize(("value", "problem"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_values_that_cannot_be_sent(value: Any, problem: str) -> None:
    """Each invalid value has one message, which names the header and does not quote the value."""
    assert value_problem(value) == problem
    assert headers_problems({"X-Note": value}) == [f"headers[X-Note]: {problem}"]


@pytest.mark.parametrize(
    "name", ["", "X Note", "X-Note:", "X-Note\r\n", "X-Nöte", "x\0", "X" * 8191, 5, None, b"X-Note"]
)
def test_names_that_cannot_be_sent(name: Any) -> None:
    """An invalid name is reported by its position, since it may be anything."""
    problems = headers_problems({"X-Good": "x", name: "x"})
    assert problems == ["headers[1]: the name must be letters, digits and hyphens"]


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "AUTHORIZATION",
        "content-type",
        "Content-Length",
        "Content-Encoding",
        "Transfer-Encoding",
        "Host",
        "Idempotency-Key",
        "Accept",
        "Accept-Encoding",
        "Connection",
        "Expect",
        "EXPECT",
    ],
)
def test_headers_that_are_the_clients_own(name: str) -> None:
    """Headers that the client sets are refused, in any case."""
    assert headers_problems({name: "x"}) == [f"headers[{name}]: is set by the client itself"]


def test_all_problems_at_once() -> None:
    """Every invalid header is reported, in order."""
    assert headers_problems({"X-A": "", "b b": "x", "Host": "x", "X-D": "fine", "X-E": 1}) == [
        f"headers[X-A]: {FORM}",
        "headers[1]: the name must be letters, digits and hyphens",
        "headers[Host]: is set by the client itself",
        "headers[X-E]: must be a string, not int",
    ]


@pytest.mark.parametrize("headers", [[("X-A", "x")], "X-A: x", 5])
def test_headers_are_a_mapping(headers: Any) -> None:
    """Pairs and text are not accepted as headers."""
    assert headers_problems(headers) == [f"headers: must be a mapping, not {type(headers).__name__}"]


def test_any_mapping_will_do() -> None:
    """Any mapping is accepted, not only a dict, and may be empty."""
    assert headers_problems(MappingProxyType({"X-A": "x"})) == []
    assert headers_problems({}) == []


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(max_size=12))
def test_whatever_passes_is_whole_on_the_wire(value: str) -> None:
    """Accepted values are ASCII without control characters, and lose nothing on the wire."""
    passes = value_problem(value) is None
    visible = value.isascii() and all(each.isprintable() or each == "\t" for each in value)
    assert passes == (value != "" and visible and value == value.strip())
