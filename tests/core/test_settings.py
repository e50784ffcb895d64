"""Environments and timeouts: which settings are accepted and refused."""

import math
import pickle
from typing import Any

import attrs
import pytest

from thredfi_async import AccessToken, ConfigurationError, Environment, RetryPolicy, Timeouts

NO_SECONDS: dict[str, Any] = {
    "zero": 0,
    "negative": -1.5,
    "nan": math.nan,
    "infinite": math.inf,
    "minus infinity": -math.inf,
    "boolean": True,
    "text": "10",
    "list": [10],
    "beyond floats": 10**400,
    "beyond what Python writes out": 10**5000,
}


def test_the_documented_defaults() -> None:
    """The defaults are the documented ones."""
    assert Timeouts() == Timeouts(connect=10.0, read=30.0, deadline=120.0, queue=None)


@pytest.mark.parametrize("value", NO_SECONDS.values(), ids=NO_SECONDS)
@pytest.mark.parametrize("bound", ["connect", "read", "deadline", "queue"])
def test_what_is_no_number_of_seconds_is_refused(bound: str, value: Any) -> None:
    """The message names the class and the bound."""
    with pytest.raises(ConfigurationError, match=rf"^Timeouts\.{bound} must be a positive number of seconds, not "):
        Timeouts(**{bound: value})


@pytest.mark.parametrize("value", NO_SECONDS.values(), ids=NO_SECONDS)
def test_every_other_setting_in_seconds_is_checked_alike(value: Any) -> None:
    """Retry policies and token lifetimes follow the same rule."""
    for name in ("backoff_initial", "backoff_max", "throttle_initial", "max_retry_after"):
        with pytest.raises(ConfigurationError, match=rf"^RetryPolicy\.{name} must be a positive number of seconds"):
            RetryPolicy(**{name: value})
    with pytest.raises(ConfigurationError, match=r"^AccessToken\.expires_in must be a positive number of seconds"):
        AccessToken("token", value)


@pytest.mark.parametrize("bound", ["connect", "read"])
def test_an_attempt_cannot_go_unbounded(bound: str) -> None:
    """`connect` and `read` cannot be unbounded."""
    settings: dict[str, Any] = {bound: None}
    with pytest.raises(ConfigurationError, match=bound):
        Timeouts(**settings)


def test_a_call_may_go_unbounded() -> None:
    """The deadline and the queue's bound can be switched off."""
    timeouts = Timeouts(deadline=None, queue=None)
    assert (timeouts.deadline, timeouts.queue) == (None, None)


@pytest.mark.parametrize("value", [1, 0.001, 1e308])
def test_whole_and_fractional_seconds(value: float) -> None:
    """Integers and positive finite floats are accepted."""
    assert Timeouts(connect=value).connect == value


def test_timeouts_are_values() -> None:
    """Timeouts are immutable, compare and hash by value, can be evolved, and can be pickled."""
    timeouts = Timeouts(read=5.0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        timeouts.read = 6.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert timeouts == attrs.evolve(Timeouts(), read=5.0)
    assert hash(timeouts) == hash(Timeouts(read=5.0))
    assert pickle.loads(pickle.dumps(timeouts)) == timeouts  # noqa: S301


def test_timeouts_go_by_name_only() -> None:
    """Timeouts are keyword-only, since four numbers in a row could be mixed up."""
    with pytest.raises(TypeError):
        Timeouts(10.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_the_named_hosts() -> None:
    """The environments are the contract's hosts."""
    assert {each.name: each.value for each in Environment} == {
        "SANDBOX": "https://sandbox.thredfi.com",
        "PRODUCTION": "https://api.thredfi.com",
    }
