"""Makes text from outside safe to show: on a terminal, and in a cell of a spreadsheet.

Both are used where text leaves the program, and nowhere else: the command's output, and the writers of CSV.
"""

import re
import unicodedata
from typing import Final

_SPACE: Final = "Zs"
"""The category of blanks; `str.isprintable` takes the plain one alone, and names are written with others, too."""
_FORMULA: Final = re.compile(
    r"(?:\A|(?<=[,;|]))(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212\u207a-\u207c\u208a-\u208c])"
)
"""Where a cell begins that a spreadsheet would compute, whatever it takes for a separator; full-width signs count."""


def printable(text: str) -> str:
    """Return text with escapes for what could move a cursor, recolour, break a line, or turn the writing direction.

    Args:
        text: Any text, lone surrogates included.

    Returns:
        The text without control characters (C0, DEL, C1), line and paragraph separators, invisible format characters
        such as marks of direction, surrogates, and code points without a character.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or unicodedata.category(each) == _SPACE else _escaped(each) for each in text
    )


def spreadsheet_cell(text: str) -> str:
    """Return text as a cell of a CSV file, so that no spreadsheet computes it, whatever it takes for a separator.

    Args:
        text: Any text.

    Returns:
        The text, printable, with an apostrophe in front of each formula; spreadsheets show what follows it as text.
    """
    return _FORMULA.sub("'", printable(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
