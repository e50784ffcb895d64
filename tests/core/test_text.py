"""Text from outside, as a terminal and a spreadsheet may have it."""

import unicodedata

import pytest
from growth import assert_linear
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async._checks.text import printable, spreadsheet_cell

ANY = st.text(st.characters(codec=None))


@given(ANY)
def test_nothing_is_left_that_moves_or_hides(text: str) -> None:
    """No control or format character, no separator of lines and no surrogate passes, and the rest stays as it was."""
    shown = printable(text)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 山田\u3000太郎", "Zoë 山田\u3000太郎"),
        ("a\xa0b", "a\xa0b"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202eabc\u2066\u200f", "\\u202eabc\\u2066\\u200f"),
        ("a\nb\r\n\tc\u2028\x85", "a\\nb\\r\\n\\tc\\u2028\\x85"),
        ("\ud83d", "\\ud83d"),
        ("\U000e0041", "\\U000e0041"),
        ("", ""),
    ],
)
def test_what_is_escaped(text: str, shown: str) -> None:
    """Blanks and letters of any script are shown; what has no shape of its own is escaped."""
    assert printable(text) == shown


@given(ANY, st.sampled_from([",", ";", "\t", "|"]))
def test_no_cell_is_computed(text: str, separator: str) -> None:
    """Whatever a spreadsheet takes for a separator, no cell begins with a sign of a formula after its blanks."""
    for cell in spreadsheet_cell(text).split(separator):
        first = unicodedata.normalize("NFKC", cell.lstrip()[:1])
        assert first not in {"=", "+", "-", "@", "\u2212"} or unicodedata.normalize("NFKC", cell)[:1] == "'"


def test_a_long_cell_takes_linear_time() -> None:
    """Blanks and separators without end are looked at once."""
    assert_linear(spreadsheet_cell, lambda count: "; " * count + " " * count + "x", 20_000)
