"""The only place that names the JSON library: fast, exact to the digit, and strict."""

import json
from typing import Any, Final, NoReturn

import msgspec

Raw = msgspec.Raw
"""Encoded JSON, to be written into other JSON as it is."""


def dumps(value: object) -> bytes:
    """Encode a value as compact JSON.

    Args:
        value: JSON values, and also UUIDs, enums, dates and times; NaN becomes null.

    Returns:
        JSON in UTF-8; integers have all their digits, and times in UTC end in Z.

    Raises:
        ValueError: It holds a value that JSON has not, or nests too deeply.
    """
    try:
        return _encode(value)
    except (TypeError, RecursionError, msgspec.EncodeError):
        pass
    try:
        # msgspec writes no subclasses of str, int and float.
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, RecursionError):
        raise ValueError("a value is no JSON, or is nested too deeply") from None


def loads(text: bytes | str) -> Any:  # noqa: ANN401 - JSON is anything
    """Decode JSON strictly.

    Args:
        text: One value, in UTF-8 without a mark at the beginning.

    Returns:
        The value; integers have all their digits.

    Raises:
        ValueError: It is not JSON, holds NaN, half a surrogate pair or a number out of range, or nests too deeply.
    """
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def refusal(text: bytes) -> str:
    """Return why `loads` refuses a text, as the rest of a sentence; no value is quoted."""
    try:
        LENIENT.decode(text.decode())
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg.rstrip(' :')} at character {error.pos + 1}"
    except UnicodeDecodeError as error:
        return f"is not JSON: byte {error.start + 1} is not UTF-8"
    except ConstantError as error:
        return f"is not JSON: {error}"
    except (ValueError, RecursionError):
        return "holds a number or a nesting that is too large"
    return "holds half of a surrogate pair, or a number or a nesting that is too large"


def loads_leniently(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Decode JSON as every reader of it does, but for NaN: also halves of surrogate pairs, and a mark at the beginning.

    Args:
        body: The bytes.

    Returns:
        The value; a float out of range is an infinity.

    Raises:
        ValueError: It is not JSON, or nests too deeply; a `json.JSONDecodeError` says where.
    """
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        pass
    try:
        return LENIENT.decode(body.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


class ConstantError(ValueError):
    """The text holds what only Python writes."""


def _no_constant(_: str) -> NoReturn:
    raise ConstantError("it holds NaN or an infinity")


class RepeatedFieldError(ValueError):
    """An object has a field twice, and readers differ in which one counts."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RepeatedFieldError
    return found


LENIENT: Final = json.JSONDecoder(parse_constant=_no_constant)
"""The standard library's decoder, without NaN; its errors say what is wrong, and where."""
UNAMBIGUOUS: Final = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once)
"""The same, which also refuses an object that has a field twice."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
