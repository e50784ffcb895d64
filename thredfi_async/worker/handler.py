"""Turns one command into one decision, without a broker; a consumer of any message queue can use it."""

import datetime as dt
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import attrs

from thredfi_async import (
    APIError,
    ConfigurationError,
    Effect,
    RetryPolicy,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._checks.numbers import seconds_between
from thredfi_async._jobs.work import Followers, followers_of
from thredfi_async._outcomes import Fault, classify, code_of
from thredfi_async.bulk import ArchiveClient, ItemState
from thredfi_async.worker.command import ArchiveCommand

MAX_RETRY_AFTER: Final = 300.0
"""The longest Retry-After that counts, in seconds."""
_SHORTEST: Final = 1e-9
DELAY: Final = seconds_between(0.0, 7 * 86_400.0, "from 0 to a week")
"""The check of a delay between two deliveries."""

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


@attrs.frozen(kw_only=True)
class Done:
    """The customer is archived: acknowledge the message.

    Args:
        state: ARCHIVED, or ALREADY_ARCHIVED if no request of this call can have archived it.
        attempts: Requests sent.
        elapsed: Seconds.
        idempotency_key: The key that they carried.
        archived_at: When, as the API's record says; None if it does not.
    """

    state: ItemState
    attempts: int = 0
    elapsed: float = 0.0
    idempotency_key: str | None = None
    archived_at: dt.datetime | None = None


@attrs.frozen(kw_only=True)
class Rejected:
    """The same message can never succeed: store it with the reason as a dead letter, and acknowledge it.

    Args:
        code: Why, for machines: the API's own `error_code`, `http_<status>`, or `invalid_request` for a command
            that is malformed or whose body breaks the contract.
        reason: Why, in a sentence that quotes neither the message nor the answer.
        effect: What the call's requests may have done.
        attempts: Requests sent.
        elapsed: Seconds.
        idempotency_key: The key that they carried.
        error: The error itself.
    """

    code: str
    reason: str
    effect: Effect = Effect.NOT_APPLIED
    attempts: int = 0
    elapsed: float = 0.0
    idempotency_key: str | None = None
    error: ThredfiError = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class RetryLater:
    """Not yet: deliver the message again after a delay.

    Args:
        backoff: Seconds that this delivery waits in any case; they grow with the deliveries.
        retry_after: Seconds that the API asked for, at most the handler's `max_retry_after`; 0 if it did not.
        code: Why, for machines.
        reason: Why, in a sentence that quotes nothing.
        cause: What seems to be at fault. `api`: the API failed; if it fails for other customers too, it is
            unavailable; `settings`: credentials or the API's address were refused, which no message can help;
            `client`: the client was closed.
        effect: What the call's requests may have done.
        attempts: Requests sent.
        elapsed: Seconds.
        idempotency_key: The key that they carried, and that the next delivery must carry.
        error: The error itself.
    """

    backoff: float
    retry_after: float = 0.0
    code: str
    reason: str
    cause: Literal["api", "settings", "client"]
    effect: Effect = Effect.NOT_APPLIED
    attempts: int = 0
    elapsed: float = 0.0
    idempotency_key: str | None = None
    error: ThredfiError = attrs.field(repr=False)

    @property
    def delay(self) -> float:
        """Seconds to wait, at least what the API asked for."""
        return max(self.backoff, self.retry_after)


Decision = Done | Rejected | RetryLater
"""What to do with a message."""


@attrs.frozen(kw_only=True)
class _Pause:
    initial: float
    longest: float
    jitter: Callable[[], float]

    def after(self, tries: int) -> float:
        """Return the delay in seconds, with equal jitter, so that it is never zero."""
        bound = min(self.longest, self.initial * 2.0 ** min(max(tries, 1) - 1, 64))
        return bound * (0.5 + 0.5 * self.jitter())


class ArchiveHandler:
    """Archives the customer that a command names, and decides what happens to the message.

    Args:
        client: The client; its owner closes it.
        timeouts: Timeouts of each call, instead of the client's.
        retry: Retry policy of each call, instead of the client's.
        delay_initial: The maximum of the first delay in seconds, doubled for each delivery; 1 by default.
        delay_max: The maximum of any delay in seconds, unless the API asks for more; 60 by default.
        max_retry_after: The maximum of what the API may ask for, in seconds; 300 by default. It asks with the header
            Retry-After, which any server on the way can set: a longer wait counts as this one, and the log says so.
            What is also within the client's `RetryPolicy.max_retry_after` holds back each of its calls.
        jitter: Returns the random part of a delay, from 0 to 1; `random.random` by default.
        monotonic: Tells the time in seconds, for `elapsed`.

    Attributes:
        followers: The client's hooks that follow work.

    Raises:
        ConfigurationError: A number of seconds is out of range.
    """

    def __init__(  # noqa: PLR0913 - settings, all but the first by name
        self,
        client: ArchiveClient,
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        delay_initial: float = 1.0,
        delay_max: float = 60.0,
        max_retry_after: float = MAX_RETRY_AFTER,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        seconds = {"delay_initial": delay_initial, "delay_max": delay_max, "max_retry_after": max_retry_after}
        for name, value in seconds.items():
            if (problem := DELAY(value)) is not None:
                raise ConfigurationError(f"ArchiveHandler.{name} {problem}")
        client = _waiting_at_most(max_retry_after, client)
        self._archive_raw = client.customers.with_raw_response.archive
        self.followers: Followers = followers_of(client)
        self._timeouts = timeouts
        self._retry = None if retry is None else _bounded(retry, max_retry_after)
        self._pause = _Pause(initial=delay_initial, longest=delay_max, jitter=jitter)
        self._max_retry_after = max_retry_after
        self._has_told = False
        self._monotonic = monotonic

    async def __call__(
        self,
        command: ArchiveCommand | bytes,
        *,
        message_id: str | None = None,
        delivery: int = 1,
        retry: RetryPolicy | None = None,
    ) -> Decision:
        """Handle one message.

        Args:
            command: The command, or the payload that holds one; an invalid payload is `Rejected`.
            message_id: Identifies the message over its redeliveries, for `ArchiveCommand.key`.
            delivery: How often the message was delivered, this time included; delays grow with it. 1 by default.
            retry: Retry policy of this one call, instead of the handler's.

        Returns:
            What to do with the message. Every failure of a call becomes a decision.

        Raises:
            asyncio.CancelledError: The caller was cancelled; do not acknowledge the message.
        """
        began = self._monotonic()
        key: str | None = None
        try:
            if isinstance(command, bytes):
                command = ArchiveCommand.from_json(command)
            key = command.key(message_id)
            bounded = None if retry is None else _bounded(retry, self._max_retry_after)
            raw = await self._archive(command, key, bounded or self._retry)
        except ThredfiError as error:
            return self._decide(error, error.idempotency_key or key, self._monotonic() - began, delivery)
        self._has_told = False
        return Done(
            state=ItemState.ALREADY_ARCHIVED if raw.already_archived else ItemState.ARCHIVED,
            attempts=raw.attempts,
            elapsed=self._monotonic() - began,
            idempotency_key=key,
            archived_at=raw.parsed.archived_at,
        )

    def _archive(self, command: ArchiveCommand, key: str, retry: RetryPolicy | None) -> Awaitable[Any]:
        call: Awaitable[Any] = self._archive_raw(
            command.business_id,
            command.customer_id,
            command.customer,
            timeouts=self._timeouts,
            retry=retry,
            idempotency_key=key,
        )
        return call

    def _decide(self, error: ThredfiError, key: str | None, elapsed: float, delivery: int) -> Decision:
        how: dict[str, Any] = {"attempts": error.attempts, "elapsed": elapsed, "idempotency_key": key}
        if error.effect is Effect.APPLIED:
            # The answer proves it, even if part of its record cannot be decoded.
            return Done(state=ItemState.ARCHIVED, **how)
        how |= {"code": code_of(error), "reason": str(error), "effect": error.effect, "error": error}
        # After a lost answer a refusal does not tell what was applied before: try once more.
        if classify(error).is_refusal and error.effect is Effect.NOT_APPLIED:
            return Rejected(**how)
        return RetryLater(
            backoff=self._pause.after(delivery), retry_after=self._retry_after(error), cause=_cause(error), **how
        )

    def _retry_after(self, error: ThredfiError) -> float:
        asked = (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0
        if asked > self._max_retry_after and not self._has_told:
            # Once until a call succeeds: every call of an outage may be told the same.
            self._has_told = True
            bound = self._max_retry_after
            logger.warning(
                "the API asks for a wait of %.3g s (Retry-After); %.3g s count (max_retry_after)", asked, bound
            )
        return min(asked, self._max_retry_after)


def _waiting_at_most(seconds: float, client: ArchiveClient) -> ArchiveClient:
    """Return the client whose calls wait no longer for a Retry-After; a stand-in for one is returned as it is."""
    if not isinstance(client, ThredfiClient) or client.retry.max_retry_after <= seconds:
        return client
    return client.with_options(retry=_bounded(client.retry, seconds))


def _bounded(retry: RetryPolicy, seconds: float) -> RetryPolicy:
    # A policy's own bound is above 0; that of a handler may be 0.
    return attrs.evolve(retry, max_retry_after=min(retry.max_retry_after, max(seconds, _SHORTEST)))


def _cause(error: ThredfiError) -> Literal["api", "settings", "client"]:
    match classify(error).fault:
        case Fault.CLIENT if classify(error).stops is not None:
            return "client"
        case Fault.SETTINGS | Fault.TOKEN:
            return "settings"
        case _:
            return "api"
