"""The contract's rules for the fields of a body: each returns what is wrong with a value, or None."""

import re
from collections.abc import Callable, Mapping
from typing import Final, cast

from thredfi_async._checks.json import text_problem

_EMAIL: Final = re.compile(r'(?:"[^\r\n]*"|[^ \t\r\n\f\v"@]+)@[^ \t\r\n\f\v@]+')
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)


def text(value: object) -> str | None:
    """Check for text of at least one character, in UTF-8."""
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    return text_problem(value) if value else "must not be empty"


def are_plain_texts(values: tuple[object, ...]) -> bool:
    """Return whether `text` would accept all of these; checking them together costs a fifth."""
    try:
        joined = "".join(cast("tuple[str, ...]", values))
    except TypeError:
        return False
    return joined.isascii() and all(values)


def email(value: object) -> str | None:
    """Check the email format, no more strictly than the mailbox of RFC 5321."""
    wrong_form = isinstance(value, str) and value and not _EMAIL.fullmatch(value)
    return "must be an email address, such as name@example.com" if wrong_form else text(value)


def country(value: object) -> str | None:
    """Check the form of ISO 3166-1 alpha-2, without a list of countries."""
    wrong_form = isinstance(value, str) and value and not _COUNTRY.fullmatch(value)
    return "must be two capital letters (ISO 3166-1 alpha-2), such as GB" if wrong_form else text(value)


def integer(value: object) -> str | None:
    """Check for a whole number; booleans are refused."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return None if whole else f"must be an integer, not {type(value).__name__}"


def boolean(value: object) -> str | None:
    """Check for true or false."""
    return None if isinstance(value, bool) else f"must be true or false, not {type(value).__name__}"


def array(value: object) -> str | None:
    """Check for a list; `snapshot` checks its items."""
    return None if isinstance(value, list | tuple) else f"must be a list, not {type(value).__name__}"


def anything(_: object) -> None:
    """Accept any JSON; `snapshot` checks its parts."""


BY_FIELD: Final[Mapping[str, Callable[[object], str | None]]] = {
    "email": email,
    "country": country,
    "tax_exempt": boolean,
    "transaction_tags": array,
    "metadata": anything,
    "payment_terms_days": integer,
    "credit_limit_cents": integer,
}
"""The rules of single fields; every other field is `text`."""
