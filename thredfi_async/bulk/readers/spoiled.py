"""Finds text that a program has made of something else, and that would overwrite a good record."""

import re
from typing import Final

_KINDS: Final = (
    (
        re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE][+-][0-9]{1,3}", re.ASCII),
        "a number in scientific notation, as 4.47701E+11, whose digits a spreadsheet has cut off",
    ),
    (re.compile(r"[0-9]+\.0", re.ASCII), "a number that ends in .0, as programs write digits that were text"),
    (
        re.compile(r"=\".*\"|'[0-9+=@-].*", re.ASCII | re.DOTALL),
        'an apostrophe or ="…" around it, with which spreadsheets keep digits as text',
    ),
    (re.compile(r"#{3,}"), "######, as a spreadsheet writes what is wider than its column"),
)
"""What a whole text may be."""
_PARTS: Final = (
    (re.compile("\ufffd"), "a replacement character (U+FFFD), where a letter was lost"),
    (
        re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7});", re.ASCII),
        "a character as HTML writes it, such as &amp;",
    ),
    (re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]"), "a control character"),
)
"""What may stand in a text."""
_TWICE: Final = re.compile(r"[\u00c2\u00c3\u00e2][^\x00-\x7f]")
"""How most letters look whose UTF-8 was read as Windows-1252."""
_READ_TWICE: Final = "letters such as Ã¶, which UTF-8 becomes when it is read as Windows-1252"
_DIGITS: Final = frozenset("0123456789")
_SIGNS: Final = _DIGITS | frozenset("+-")
_MARKED: Final = frozenset("='#")


def is_plain(text: str) -> bool:
    """Return quickly whether text, as nearly all is, can be nothing but itself.

    Args:
        text: The text, which is not empty.
    """
    return (
        text.isprintable()
        and not (text[-1] in _DIGITS and text[0] in _SIGNS)
        and text[0] not in _MARKED
        and "&" not in text
        and (text.isascii() or ("\ufffd" not in text and _TWICE.search(text) is None))
    )


def spoiled(text: str) -> str | None:
    """Return what is wrong with text that a program has made of something else; None for text that is itself.

    Args:
        text: The text.
    """
    for pattern, what in _KINDS:
        if pattern.fullmatch(text):
            return what
    for pattern, what in _PARTS:
        if pattern.search(text):
            return what
    return _READ_TWICE if _TWICE.search(text) and _is_read_twice(text) else None


def _is_read_twice(text: str) -> bool:
    """Return whether text makes other text in UTF-8 from the bytes that it has in Windows-1252."""
    try:
        text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return False
    return True
