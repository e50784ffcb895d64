"""When a run stops before its end, and when a single business is held back."""

import sys
from typing import Any

import attrs

from thredfi_async import ConfigurationError


def _check_ratio(instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401 - unchecked
    if value is not None and (type(value) not in {int, float} or not 0 < value <= 1):
        raise ConfigurationError(f"StopPolicy.{attribute.name} must be above 0 and at most 1, or None, not {value!r}")


def _check_count(instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401 - unchecked
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"StopPolicy.{attribute.name} must be a whole number of at least 1, not {value!r}")


def _check_optional_count(instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None:
        _check_count(instance, attribute, value)


def _check_seconds(instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401 - unchecked
    if type(value) not in {int, float} or not 0 <= value <= sys.float_info.max:
        raise ConfigurationError(f"StopPolicy.{attribute.name} must be a number of seconds, not {value!r}")


@attrs.frozen(kw_only=True)
class StopPolicy:
    """When a run stops before its end. Refused credentials stop it always, and at once.

    Args:
        failure_ratio: Stops the run when more than this part of the last `min_items` items that were sent have failed,
            rejections included; 0.5 by default, None for never.
        min_items: The window for `failure_ratio`; 100 by default.
        max_failures: Stops the run at this many failures, rejections included; None, the default, for never.
        patience: Seconds for which a run waits for an API that is down, probing it; 600 by default.
        park_after: Holds a business back after this many 403s in a row; 20 by default, None for never.

    Raises:
        ConfigurationError: A number is out of range.
    """

    failure_ratio: float | None = attrs.field(default=0.5, validator=_check_ratio)
    min_items: int = attrs.field(default=100, validator=_check_count)
    max_failures: int | None = attrs.field(default=None, validator=_check_optional_count)
    patience: float = attrs.field(default=600.0, validator=_check_seconds)
    park_after: int | None = attrs.field(default=20, validator=_check_optional_count)
