"""Reads cells of tables as values of the contract: strictly, and only where they can mean one thing."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from thredfi_async import UNSET
from thredfi_async._checks.json import as_array
from thredfi_async._codec.json import LENIENT
from thredfi_async.bulk.readers.invalid_line import RecordError
from thredfi_async.bulk.readers.spoiled import is_plain, spoiled
from thredfi_async.bulk.reading_options import ReadingOptions

_NUMBER: Final = re.compile(
    r"""(?P<minus>-?)(?:
        (?P<plain>0|[1-9][0-9]*)                           # 30
        (?:[.,](?:0{1,2}|0{4,}))?                          # 30.0 30,00; 30.000 could be thirty thousand
      | (?P<grouped>[1-9][0-9]{0,2}(?:
            (?:,[0-9]{3})+(?=\.0)|(?:,[0-9]{3}){2,}        # 4,700.00 1,000,000
          | (?:\.[0-9]{3})+(?=,0)|(?:\.[0-9]{3}){2,}       # 4.700,00 1.000.000
          | (?:[\u0020\u00a0\u2009\u202f'\u2019][0-9]{3})+ # 4 700,00 4'700.00
        ))(?:[.,]0+)?
    )""",
    re.ASCII | re.VERBOSE,
)
_TRUE: Final = ("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar")
_FALSE: Final = ("false", "falsch", "faux", "falso", "onwaar")
_BOOLEANS: Final[Mapping[str, bool]] = {
    spelling: value
    for words, value in ((_TRUE, True), (_FALSE, False))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
"""As JSON, Python and spreadsheets in several languages write them."""
_WORDS: Final = frozenset(
    {
        *("NULL", "null", "(null)", "NaN", "nan", "-nan", "None", "<NA>", "NaT", "N/A", "n/a", "\\N", "undefined"),
        *("#N/A", "#NV", "#N/D", "#VALUE!", "#WERT!", "#REF!", "#BEZUG!", "#NAME?", "#DIV/0!", "#NUM!", "#ZAHL!"),
        *("#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA", "#ERROR!"),
    }
)
"""What databases, pandas and spreadsheets write where there is no value."""
_EXACT: Final = 2**53
"""Beyond it, a float has lost digits of an integer."""


class SuspiciousValueError(ValueError):
    """The value may have been spoiled before it came here; `args` has what it holds, without the value, and advice."""


def whole(cell: object) -> int:
    """Read an integer in any form that can mean only one: `30`, `30.0`, `4,700.00`, and not `4,700`."""
    match cell:
        case bool():
            raise ValueError(_WHOLE)
        case int():
            return cell
        case float() if cell.is_integer() and abs(cell) <= _EXACT:
            return int(cell)
        case Decimal() if cell.is_finite() and cell == cell.to_integral_value():
            return int(cell)
        case str() if found := _NUMBER.fullmatch(cell.strip()):
            digits = re.sub(r"[^0-9]", "", found["plain"] or found["grouped"], flags=re.ASCII)
            try:
                return int(found["minus"] + digits)
            except ValueError:
                # Python refuses to read more than a few thousand digits, and none of it could be sent.
                raise ValueError("has too many digits") from None
        case _:
            raise ValueError(_WHOLE)


_WHOLE: Final = "must be a whole number in plain digits, such as 30"


def boolean(cell: object) -> bool:
    """Read `true` or `false`; spreadsheets write them in capitals, and in their own language."""
    value = cell if isinstance(cell, bool) else _BOOLEANS.get(cell.strip()) if isinstance(cell, str) else None
    if value is None:
        raise ValueError("must be true or false")
    return value


def json_value(cell: object) -> Any:  # noqa: ANN401 - JSON is anything
    """Read JSON."""
    if not isinstance(cell, str):
        return cell
    try:
        return LENIENT.decode(cell)
    except json.JSONDecodeError as error:
        raise ValueError(f"must be JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):
        raise ValueError("must be JSON; NaN, numbers and nestings that are too large are not") from None


def json_array(cell: object) -> list[Any]:
    """Read a JSON array."""
    value = as_array(json_value(cell))
    if value is None:
        raise ValueError('must be a JSON array, such as ["vip"]')
    return value


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "tax_exempt": boolean,
    "payment_terms_days": whole,
    "credit_limit_cents": whole,
    "transaction_tags": json_array,
    "metadata": json_value,
}
"""How cells are read that are not plain text."""
_IN_JSON: Final = frozenset({"transaction_tags", "metadata"})


class Values:
    """Reads the cells of bodies.

    Args:
        options: What the caller said about them.
    """

    def __init__(self, options: ReadingOptions) -> None:
        self._null = frozenset(options.null)
        self._as_is = options.as_is
        self._notable = _WORDS | self._null | {"", "NA"}

    def body(self, cells: Iterable[tuple[str, object]]) -> dict[str, Any] | RecordError:
        """Read the cells of a body.

        Args:
            cells: Our names of the fields, each with its cell; an empty one leaves its field out.

        Returns:
            The fields; or what is wrong with the first cell that cannot be read.
        """
        return self._body(cells, self.read)

    def json_body(self, values: Iterable[tuple[str, object]]) -> dict[str, Any] | RecordError:
        """Read the values of a body in JSON, which have types of their own: none is made of another.

        Args:
            values: Our names of the fields, each with its value.

        Returns:
            The fields, their types unchecked; or what is wrong with the first value that may have been spoiled.
        """
        return self._body(values, self._read_json)

    def _body(
        self, cells: Iterable[tuple[str, object]], read: Callable[[str, object], Any]
    ) -> dict[str, Any] | RecordError:
        fields = dict[str, Any]()
        suspicious, advice = list[tuple[str, str]](), ""
        wrong: RecordError | None = None
        for name, cell in cells:
            try:
                fields[name] = read(name, cell)
            except SuspiciousValueError as error:
                suspicious.append((name, error.args[0]))
                advice = advice or error.args[1]
            except ValueError as error:
                wrong = wrong or RecordError(name, str(error))
        if suspicious:
            first, what = suspicious[0]
            return RecordError(first, f"holds {what}: {advice}", tuple(suspicious))
        if wrong is None and all(value is UNSET for value in fields.values()):
            return RecordError(None, "has no value in any column of the body")
        return wrong or fields

    def _read_json(self, name: str, value: object) -> Any:  # noqa: ANN401 - a field's value
        if name in _IN_JSON or (type(value) is str and self._is_plain(value)):
            return value
        if value in self._null if isinstance(value, str) else value is None and "null" in self._null:
            return UNSET
        if isinstance(value, str):
            self.look_at(name, value)
        if isinstance(value, float) and name in _READERS and value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        return value

    def read(self, name: str, cell: object) -> Any:  # noqa: ANN401 - a field's value
        """Read a cell.

        Args:
            name: Our name of the field.
            cell: Text, or a typed value of a workbook or of Parquet; None for no value.

        Returns:
            The value, or `UNSET`.

        Raises:
            SuspiciousValueError: It may have been spoiled.
            ValueError: It is none of the field's values.
        """
        if type(cell) is str and name not in _READERS and self._is_plain(cell):
            return cell
        if cell is None or cell == "" or (isinstance(cell, str) and cell in self._null):
            return UNSET
        if isinstance(cell, str) and "\0" in cell:
            raise ValueError("holds a NUL character, which no text has")
        if name not in _IN_JSON:
            self.look_at(name, cell)
        if name in _READERS:
            return _READERS[name](cell)
        return cell if isinstance(cell, str) else _as_text(cell)

    def _is_plain(self, text: str) -> bool:
        """Return quickly whether text, as nearly all is, can be nothing but itself."""
        return text not in self._notable and is_plain(text)

    def look_at(self, name: str, cell: object) -> None:
        """Refuse a value that may have been spoiled.

        Raises:
            SuspiciousValueError: It may have been.
        """
        if isinstance(cell, str):
            if not self._as_is and (cell in _WORDS or (cell == "NA" and name != _COUNTRY)):
                advice = f"if that is no value, add --null '{cell}'; if it is the text itself, --as-is"
                raise SuspiciousValueError(cell, advice)
            problem = None if name in _READERS else spoiled(cell)
        else:
            problem = None if name in _READERS else _untold(cell)
            if isinstance(cell, float) and cell != cell:  # noqa: PLR0124 - NaN is not itself
                raise SuspiciousValueError("NaN", "write an empty cell, or null, where there is no value")
        if problem is not None and not self._as_is:
            raise SuspiciousValueError(problem, _RESTORE)


_COUNTRY: Final = "country"
"""There, `NA` is Namibia."""
_RESTORE: Final = "correct it in the source, or add --as-is to send it as it stands"


def _untold(cell: object) -> str | None:
    """Return what is wrong with a value that is no text where text belongs."""
    match cell:
        case bool():
            return "true or false as a value, and not as text"
        case int() | float() | Decimal():
            return "a number, and not text: zeros in front may be lost"
        case dt.date() | dt.time() | dt.timedelta():
            return "a date or a time, and not text"
        case _:
            return None


def _as_text(cell: object) -> str:
    match cell:
        case bool():
            return str(cell).upper()
        case float() if cell.is_integer() and abs(cell) <= _EXACT:
            return str(int(cell))
        case dt.date() | dt.time():
            return cell.isoformat()
        case int() | float() | Decimal() | dt.timedelta():
            return str(cell)
        case _:
            raise ValueError(f"must be text, not {type(cell).__name__}")
