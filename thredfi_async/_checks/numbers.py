"""Checks of numbers in settings: each returns what is wrong with a value, or None."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

from thredfi_async.errors import ConfigurationError

if TYPE_CHECKING:
    import attrs

_WRITTEN_OUT: Final = 1000

Check: TypeAlias = Callable[[Any], str | None]


def whole_number(value: object) -> str | None:
    """Check for a whole number of at least 1; true is refused."""
    return None if type(value) is int and value >= 1 else f"must be a whole number of at least 1, not {_shown(value)}"


def whole_number_or_zero(value: object) -> str | None:
    """Check for a whole number of at least 0; true is refused."""
    return None if type(value) is int and value >= 0 else f"must be a whole number of at least 0, not {_shown(value)}"


def positive(what: str) -> Check:
    """Make the check for a positive, finite number.

    Args:
        what: What it counts, such as `seconds`.

    Returns:
        The check.
    """
    return lambda value: (
        None if _is_number(value) and value > 0 else f"must be a positive number of {what}, not {_shown(value)}"
    )


def seconds_or_zero(value: object) -> str | None:
    """Check for a finite number of seconds, or 0."""
    return None if _is_number(value) and value >= 0 else f"must be a number of seconds, not {_shown(value)}"


def part_of_one(value: object) -> str | None:
    """Check for a fraction: above 0, and at most 1."""
    return (
        None if _is_number(value) and 0 < value <= 1 else f"must be above 0 and at most 1, or None, not {_shown(value)}"
    )


def seconds_between(least: float, most: float, words: str) -> Check:
    """Make the check for seconds between two bounds.

    Args:
        least: The lower bound.
        most: The upper bound.
        words: Both bounds, as the end of a sentence.

    Returns:
        The check.
    """
    return lambda value: None if _is_number(value) and least <= value <= most else f"must be seconds, {words}"


positive_seconds = positive("seconds")


def must_be(check: Check, *, optional: bool = False) -> Callable[[object, "attrs.Attribute[Any]", Any], None]:
    """Make an attrs validator from a check.

    Args:
        check: The check.
        optional: Whether None passes.

    Returns:
        The validator. It raises a `ConfigurationError` that names the class and the field.
    """

    def validator(instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is None and optional:
            return
        if (problem := check(value)) is not None:
            raise ConfigurationError(f"{type(instance).__name__}.{attribute.name} {problem}")

    return validator


def _shown(value: object) -> str:
    # Python refuses to write out a very large integer.
    return repr(value) if not isinstance(value, int) or value.bit_length() < _WRITTEN_OUT else "a number that large"


def _is_number(value: object) -> TypeGuard[float]:
    # Not math.isfinite: it fails on an integer that is too large for a float.
    return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max
