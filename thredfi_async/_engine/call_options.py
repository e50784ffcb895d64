"""The settings of one call, and the shorthands for them."""

from typing import Any, Final

import attrs

from thredfi_async._checks.numbers import positive_seconds, whole_number_or_zero
from thredfi_async.errors import InvalidRequestError
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Timeouts


def _check_kind(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    # Checked before anything is sent: otherwise `retry=3` would fail only after a first failed attempt.
    kind = {"timeouts": Timeouts, "retry": RetryPolicy}[attribute.name]
    if value is not None and not isinstance(value, kind):
        raise InvalidRequestError([f"{attribute.name}: must be a {kind.__name__}, not {type(value).__name__}"])


@attrs.frozen(kw_only=True)
class CallOptions:
    """The settings of one call that override the client's.

    Args:
        timeouts: Its bounds.
        retry: How it is retried.
        settle: Whether to check an unknown outcome with one more request.

    Raises:
        InvalidRequestError: `timeouts` or `retry` has the wrong type.
    """

    timeouts: Timeouts | None = attrs.field(default=None, validator=_check_kind)
    retry: RetryPolicy | None = attrs.field(default=None, validator=_check_kind)
    settle: bool = True


AS_THE_CLIENT: Final = CallOptions()
"""For calls without settings of their own, as most are."""


@attrs.frozen(kw_only=True)
class GivenOptions:
    """What a caller gave: whole settings, or a shorthand for one of their fields.

    Args:
        timeouts: Bounds.
        timeout: Seconds for the whole call: the `deadline` of the bounds, the others being the client's.
        retry: A policy.
        max_retries: Attempts after the first: the `max_attempts` of the policy less 1, the rest being the client's.
    """

    timeouts: Timeouts | None = None
    timeout: float | None = None
    retry: RetryPolicy | None = None
    max_retries: int | None = None

    def problems(self) -> list[str]:
        """Return what is wrong with it, each as `name: what`."""
        problems: list[str] = []
        if self.timeout is not None:
            if self.timeouts is not None:
                problems.append("timeout: is short for timeouts=Timeouts(deadline=...); give one of them")
            elif (problem := positive_seconds(self.timeout)) is not None:
                problems.append(f"timeout: {problem}")
        if self.max_retries is not None:
            if self.retry is not None:
                problems.append("max_retries: is short for retry=RetryPolicy(max_attempts=...); give one of them")
            elif (problem := whole_number_or_zero(self.max_retries)) is not None:
                problems.append(f"max_retries: {problem}")
        return problems

    def timeouts_of(self, client: Timeouts) -> Timeouts:
        """Return the bounds, which are the client's where nothing was given."""
        if self.timeout is not None:
            return attrs.evolve(client, deadline=self.timeout)
        return client if self.timeouts is None else self.timeouts

    def retry_of(self, client: RetryPolicy) -> RetryPolicy:
        """Return the policy, which is the client's where nothing was given."""
        if self.max_retries is not None:
            return attrs.evolve(client, max_attempts=self.max_retries + 1)
        return client if self.retry is None else self.retry

    def options(self, timeouts: Timeouts, retry: RetryPolicy, *, settle: bool = True) -> CallOptions:
        """Return the settings of a call.

        Args:
            timeouts: The client's bounds.
            retry: The client's policy.
            settle: Whether to check an unknown outcome with one more request.

        Raises:
            InvalidRequestError: Something is wrong with what was given.
        """
        if problems := self.problems():
            raise InvalidRequestError(problems)
        return CallOptions(timeouts=self.timeouts_of(timeouts), retry=self.retry_of(retry), settle=settle)
