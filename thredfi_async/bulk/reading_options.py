"""What a caller says about how a file is read; a journal keeps it, so that a resumed run reads the same."""

import codecs
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Self, get_args

import attrs

from thredfi_async._checks.json import as_array, as_object
from thredfi_async.bulk.errors import SourceError
from thredfi_async.models import CustomerRequest

Format = Literal["csv", "jsonl", "json", "excel", "parquet"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""The formats that can be read."""
COLUMNS: Final = ("business_id", "customer_id", *CustomerRequest.FIELD_NAMES)
"""The columns that a file can have, by our names."""
READING: Final = "reading"
"""Where they stand among the facts about a run."""
_SINGLE: Final = (
    *(f"cp{number}" for number in range(1250, 1259)),
    *(f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))),
    *("cp437", "cp850", "cp852", "cp858", "cp866", "koi8-r", "koi8-u", "mac-roman"),
)
_WIDE: Final = ("utf-16", "utf-16-le", "utf-16-be", "cp932", "shift_jis", "euc_jp", "gbk", "gb18030", "big5", "euc_kr")
_ENCODINGS: Final = frozenset({"utf-8", *_SINGLE, *_WIDE})
"""Python's names of encodings of text; some codecs of Python are none."""


def encoding_of(name: str) -> str:
    """Return Python's name of an encoding.

    Args:
        name: Any of its names, such as `windows-1252`.

    Returns:
        The name, such as `cp1252`.

    Raises:
        SourceError: It is no encoding of text.
    """
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError):
        found = ""
    found = {"utf-8-sig": "utf-8", "utf_8_sig": "utf-8"}.get(found, found)
    if found not in _ENCODINGS:
        raise SourceError(
            "the encoding must be one such as utf-8, utf-16, windows-1252 or iso-8859-15, as Python names them"
        )
    return found


def is_single_byte(encoding: str) -> bool:
    """Return whether each byte is a character, so that only another look at the text tells that it is wrong."""
    return encoding in _SINGLE


def _as_names(given: Mapping[str, str]) -> Mapping[str, str]:
    return dict(given)


def _as_words(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(given)


@attrs.frozen(kw_only=True)
class ReadingOptions:
    """How a file is read, where its own form does not say it.

    Args:
        ids_only: Whether only the ids are taken, and the server's own records are sent.
        ignore_extra_columns: Whether columns that are not known are left out.
        columns: The file's name of a column for each of our names that it has under another.
        encoding: The text's encoding; found by default.
        sheet: The sheet of a workbook; the first by default.
        null: Words that stand for no value, as an empty cell does.
        as_is: Whether values that may have been spoiled, such as `#N/A` or `4.47701E+11`, are text like any other.

    Raises:
        SourceError: One of them cannot be.
    """

    ids_only: bool = False
    ignore_extra_columns: bool = False
    columns: Mapping[str, str] = attrs.field(factory=dict[str, str], converter=_as_names)
    encoding: str | None = attrs.field(default=None, converter=attrs.converters.optional(encoding_of))
    sheet: str | None = None
    null: tuple[str, ...] = attrs.field(default=(), converter=_as_words)
    as_is: bool = False

    def __attrs_post_init__(self) -> None:
        """Check the columns' names."""
        for ours, theirs in self.columns.items():
            if ours not in COLUMNS:
                raise SourceError(
                    "--column takes one of our names, then = and the file's own: the first must be customer_id, "
                    f"business_id, or a field of the body such as {COLUMNS[2]}"
                )
            if not theirs:
                raise SourceError(f"--column {ours}= needs the name that the column has in the file")
        if len(set(self.columns.values())) < len(self.columns):
            raise SourceError("--column gives one column of the file two of our names: give each its own")

    def in_encoding(self, encoding: str) -> Self:
        """Return the same options, with an encoding."""
        return attrs.evolve(self, encoding=encoding)

    def as_fact(self) -> str:
        """Return them as the journal keeps them; only those that are not the default."""
        return json.dumps(attrs.asdict(self, filter=lambda _, value: bool(value)))

    @classmethod
    def of(cls, fact: str | None) -> Self:
        """Read them.

        Args:
            fact: What the journal keeps; None where that is nothing.

        Returns:
            The options.

        Raises:
            ValueError: It is not what a run writes.
        """
        found = as_object(json.loads(fact or "{}"))
        if found is None or not all(name in _KINDS and _KINDS[name](value) for name, value in found.items()):
            raise ValueError(READING)
        try:
            return cls(**found)
        except SourceError:
            raise ValueError(READING) from None


def _is_flag(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    return all(map(_is_text, as_array(value) or [None]))


def _are_names(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    return all(map(_is_text, (as_object(value) or {"": None}).values()))


_KINDS: Final = {
    "ids_only": _is_flag,
    "ignore_extra_columns": _is_flag,
    "columns": _are_names,
    "encoding": _is_text,
    "sheet": _is_text,
    "null": _are_texts,
    "as_is": _is_flag,
}
