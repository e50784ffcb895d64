"""The body of an archive request, from a file or from stdin."""

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from thredfi_async import UNSET, ConfigurationError, CustomerRequest

FIELDS: Final = tuple(inspect.signature(CustomerRequest).parameters)


def read_body(source: str, *, allow_missing_fields: bool = False) -> Mapping[str, Any]:
    """Read a JSON object.

    Args:
        source: The file's path, or `-` for stdin.
        allow_missing_fields: Whether documented fields that it lacks are left out of the request on purpose.

    Returns:
        The object; the client checks its fields.

    Raises:
        ConfigurationError: It cannot be read, or is no JSON object; the sentence quotes nothing of it.
    """
    name = "the body from stdin" if source == "-" else f"the body in {source}"
    try:
        raw = _stdin() if source == "-" else Path(source).read_bytes()
        value: object = json.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror or 'the system gives no reason'}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{name} holds a number or a nesting that is too large") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} must be a JSON object with the customer's fields")
    fields = cast("dict[str, Any]", value)
    return {**dict.fromkeys(FIELDS, UNSET), **fields} if allow_missing_fields else fields


def _stdin() -> bytes:
    if sys.stdin is None:
        raise OSError(0, "stdin is closed")
    return sys.stdin.buffer.read()
