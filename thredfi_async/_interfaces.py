"""The values that pass between the layers, and the shapes of the parts that can be exchanged."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar, cast

import attrs

from thredfi_async.errors import Effect, ThredfiError
from thredfi_async.settings import Timeouts

T = TypeVar("T")


@attrs.frozen
class Response:
    """One whole answer, as it was received.

    Args:
        status: The HTTP status.
        headers: The headers; look-ups ignore case. Hidden in `repr`, as the body is.
        body: The body, decompressed.
        flaw: Why the body is only the beginning of what was to come, as the end of a sentence; None when it is whole.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    flaw: str | None = None


@attrs.frozen
class Verdict(Generic[T]):
    """What an answer means: a value, an error, or what to ask next.

    Args:
        value: What the answer says, where there is no error.
        error: Why it is no success; an error that `attempt_effect` cannot judge brings its effect.
        then: The request that the call goes on with, in the place of a value.
        doubtful: Whether an error leaves open if the record is as the caller wants it, although this answer did
            not make it so; such a call is settled too.
    """

    value: T | None = attrs.field(default=None, repr=False)
    error: ThredfiError | None = None
    then: "Request[T] | None" = None
    doubtful: bool = False

    def unwrap(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


@attrs.frozen(kw_only=True, eq=False)
class Request(Generic[T]):
    """One request, encoded once: every attempt sends the same bytes.

    Args:
        method: The HTTP method.
        url: The absolute URL, already encoded.
        judge: Says what an answer to it means.
        headers: All headers but Authorization.
        body: The encoded body, or None.
        mutates: Whether it can change a record; only such a request can have an effect.
        idempotency_key: The key that it carries, if any.
        settle: Builds the request that asks what came of this one, if there is a way to ask; its value is
            the record when the effect is there, and None when it is not.
    """

    method: str
    # A query may hold an external id, which may be anything.
    url: str = attrs.field(repr=lambda url: repr(url.partition("?")[0]))
    judge: Callable[[Response], Verdict[T]] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    mutates: bool = False
    idempotency_key: str | None = None
    settle: "Callable[[], Request[T | None]] | None" = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Outcome(Generic[T]):
    """How a call succeeded.

    Args:
        value: What its last answer said.
        response: That answer.
        effect: What this call did: APPLIED, or less when the record was only found as wanted.
        attempts: Requests sent.
        elapsed: Seconds from its first turn to its end.
        idempotency_key: The key that was sent, if any.
    """

    value: T = attrs.field(repr=False)
    response: Response
    effect: Effect
    attempts: int
    elapsed: float
    idempotency_key: str | None


class Progress(Protocol):
    """Where the transport says that the first byte of a request is being written."""

    sent: bool


class Send(Protocol):
    """Sends one request, once."""

    async def __call__(
        self, request: Request[T], headers: Mapping[str, str], timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Return the whole answer.

        Raises:
            TransportError: There was none.
        """
        ...


class Authenticator(Protocol):
    """Gives the Authorization header, and learns which one was refused."""

    @property
    def header(self) -> str | None:
        """The header's value if it is at hand, or None when `renew` must fetch it."""
        ...

    async def renew(self) -> str:
        """Fetch the header's value, once for all who ask at the same time.

        Raises:
            ThredfiError: No token could be had; nothing was applied.
        """
        ...

    def refuse(self, header: str) -> bool:
        """Forget this header if it is still the current one; say whether another can be had."""
        ...


class Budget(Protocol):
    """What retries are paid from."""

    def spend(self, cost: int) -> bool:
        """Take tokens, if there are as many; say whether there were."""
        ...

    def earn(self, tokens: int) -> None:
        """Bring tokens back."""
        ...


class Clock(Protocol):
    """Where the time comes from; tests give their own."""

    def monotonic(self) -> float:
        """Seconds that never step, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic: "staticmethod[[], float]" = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)
