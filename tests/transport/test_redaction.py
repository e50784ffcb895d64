"""What a refused body may show, and how long it takes to find out."""

import re
from collections.abc import Callable

import pytest
from growth import assert_linear
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async._transport.redaction import redacted

# The rule in one expression, which is quadratic, and so no longer the code.
RULE = re.compile(
    rb"""(https?:(?:\\*/){2}(?:[^\s"'<>?\\]|\\+/)*)(?:\?|\\+u003f)(?:[^\s"'<>\\]|\\+[/u])*""", re.IGNORECASE
)
PIECES = [
    *(b"http://a", b"HTTPS://b/p", b"https:\\/\\/c\\/d", b"http:", b"https:/", b"http:\\\\/\\\\/", b"://", b"//"),
    *(b"?", b"?q=1&s=2", b"\\u003f", b"\\\\U003Fx", b"u003f", b"\\", b"\\\\", b"/", b"\\/", b"\\u0026", b"\\n", b"\\u"),
    *(b" ", b"\n", b'"', b'\\"', b"'", b"<", b">", b"a", b"#x", b"\xff\x00", b"\xc3\xa9", b"h", b"http"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join))
def test_it_hides_what_the_rule_says(body: bytes) -> None:
    """However URLs are written, cut and nested, the search hides what one regular expression would."""
    assert redacted(body, "Bearer 0123456789") == RULE.sub(rb"\1?[hidden]", body)


@given(st.binary(max_size=60) | st.text("htps:/?\\u03f \"'<>a", max_size=60).map(str.encode))
def test_it_hides_what_the_rule_says_in_any_bytes(body: bytes) -> None:
    """The same holds for bytes without any form."""
    assert redacted(body, "Bearer 0123456789") == RULE.sub(rb"\1?[hidden]", body)


SHAPES: dict[str, Callable[[int], bytes]] = {
    "one URL after the other": lambda size: b"http://a" * (size // 8),
    "schemes alone": lambda size: b"http:" * (size // 5),
    "schemes and a slash": lambda size: b"https:/" * (size // 7),
    "origins": lambda size: b", ".join(b'"https://origin-%d.example"' % each for each in range(size // 30)),
    "origins with paths": lambda size: b" ".join(b"https://o%d.example/a/b" % each for each in range(size // 28)),
    "origins with queries": lambda size: b", ".join(b'"https://o%d.example/?q=1"' % each for each in range(size // 30)),
    "nested in queries": lambda size: b"http://a?u=" * (size // 11),
    "one long path": lambda size: b"http://a/" + b"x" * size,
    "one long query": lambda size: b"http://a?" + b"x" * size,
    "backslashes": lambda size: b"\\" * size,
    "backslashes behind a scheme": lambda size: b"http:" + b"\\" * size,
    "backslashes behind a slash": lambda size: b"http:/" + b"\\" * size,
    "backslashes in a path": lambda size: b"http://a" + b"\\" * size,
    "backslashes in many paths": lambda size: (b"http://a" + b"\\" * 100) * (size // 108),
    "backslashes in a query": lambda size: b"http://a?" + b"\\" * size,
    "escaped slashes": lambda size: b"http:" + b"\\/" * (size // 2),
    "escaped slashes behind long runs": lambda size: b"http:\\/\\/" + (b"\\" * 50 + b"/") * (size // 51),
    "escapes that are none": lambda size: b"http://a" + b"\\u" * (size // 2),
    "almost the token": lambda size: b"012345678" * (size // 9),
    "the token": lambda size: b"0123456789" * (size // 10),
    "spaces": lambda size: b" " * size,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_linear(shape: str) -> None:
    """However a body is made, eight times its size takes about eight times as long."""
    assert_linear(lambda body: redacted(body, "Bearer 0123456789"), SHAPES[shape], 65_536)
