"""The values that pass between the layers, and the protocols of the exchangeable parts."""

import asyncio
import enum
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, Protocol, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import attrs

from thredfi_async.errors import Effect, ThredfiError
from thredfi_async.settings import Timeouts

T = TypeVar("T")


def _nothing() -> None:
    """Do nothing: no connection is known."""


@attrs.frozen
class Response:
    """One complete answer, as received.

    Args:
        status: The HTTP status.
        headers: The headers; look-ups ignore case. Hidden in `repr`, as the body is.
        body: The body, decompressed.
        flaw: Why the body is incomplete, as the end of a sentence; None when it is complete.
        retire: Lends the connection that the answer came over to no other request.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    flaw: str | None = None
    retire: Callable[[], None] = attrs.field(default=_nothing, repr=False, eq=False)


@attrs.frozen
class Success(Generic[T]):
    """The answer says what was asked for.

    Args:
        value: What it says.
    """

    value: T = attrs.field(repr=False)


@attrs.frozen
class Failure:
    """The attempt failed.

    Args:
        error: How.
    """

    error: ThredfiError


@attrs.frozen
class Next(Generic[T]):
    """The answer is a step on the way: the call continues with another request.

    Args:
        request: That request.
    """

    request: "Request[T]"


Verdict: TypeAlias = Success[T] | Failure | Next[T]
"""What an answer means: exactly one of these three."""


class Unchanged(enum.Enum):
    """What the request that settles a call found if the record does not show the effect."""

    UNCHANGED = enum.auto()


class Hidden(Generic[T]):
    """A value that no traceback shows, though tools that show locals look into containers and attrs classes.

    Args:
        value: The value.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value, to be used at once and kept in no variable."""
        return self._value

    def __repr__(self) -> str:
        return "<Hidden>"


Secret: TypeAlias = Hidden[str]
"""A token, a key, or a header made of one."""


@attrs.frozen(kw_only=True, eq=False)
class Request(Generic[T]):
    """One request, encoded once: every attempt sends the same bytes.

    Args:
        method: The HTTP method.
        url: The absolute URL, already encoded.
        judge: Returns what an answer to it means.
        headers: All headers except Authorization.
        body: The encoded body, or None.
        mutates: Whether it can change a record; only such a request can have an effect.
        is_sent_once: Whether it is never tried again, since nothing is known of what its answers mean.
        idempotency_key: The idempotency key that it carries, if any.
        settle: Builds the request that checks the outcome of this one, if there is one; its value is the record if the
            effect is there, and `UNCHANGED` if it is not.
        template: The path behind the base URL, with names in the place of ids; None if it is not known.
    """

    method: str
    # A query may contain an external id, which may be personal data.
    url: str = attrs.field(repr=lambda url: repr(url.partition("?")[0]))
    judge: Callable[[Response], Verdict[T]] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    mutates: bool = False
    is_sent_once: bool = False
    idempotency_key: str | None = None
    settle: "Callable[[], Request[T | Unchanged]] | None" = attrs.field(default=None, repr=False)
    template: str | None = None


@attrs.frozen
class Server:
    """Where the API is, for events.

    Args:
        address: Its host.
        port: Its port.
        path: The path of the base URL, which is in front of every request's.
        is_instrumented: Returns whether OpenTelemetry's own instrumentation of aiohttp traces the requests.
    """

    address: str = ""
    port: int = 0
    path: str = ""
    is_instrumented: Callable[[], bool] = bool

    @classmethod
    def of(cls, base_url: str, is_instrumented: Callable[[], bool]) -> Self:
        """Return the server of a base URL that was checked."""
        url = urlsplit(base_url)
        return cls(url.hostname or "", url.port or _PORTS[url.scheme], url.path, is_instrumented)


_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class Outcome(Generic[T]):
    """How a call succeeded.

    Args:
        value: The result from its last answer.
        response: That answer.
        effect: What this call did: APPLIED, or less if the record was already as wanted.
        attempts: Requests sent.
        elapsed: Seconds from its first turn to its end.
        idempotency_key: The idempotency key that was sent, if any.
    """

    value: T = attrs.field(repr=False)
    response: Response
    effect: Effect
    attempts: int
    elapsed: float
    idempotency_key: str | None


class Progress(Protocol):
    """One attempt: what it carries, and where the transport records that it is about to write the first byte of it.

    Attributes:
        headers: Headers beside those of its request, which win over these.
        sent: Whether anything of it may have left.
    """

    headers: Mapping[str, str]
    sent: bool


class Send(Protocol):
    """Sends one request, once."""

    async def __call__(
        self, request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Send the request with this Authorization header, and return the complete answer.

        Raises:
            TransportError: No complete answer was received.
        """
        ...


class Authenticator(Protocol):
    """Provides the Authorization header, and is told when one was refused."""

    @property
    def header(self) -> Secret | None:
        """The header's value, or None if `renew` must fetch it first."""
        ...

    async def renew(self) -> Secret:
        """Fetch the header's value, once for all concurrent callers.

        Raises:
            ThredfiError: No token could be fetched; nothing was applied.
        """
        ...

    def refuse(self, header: Secret) -> bool:
        """Forget this header if it is still the current one; return whether another can be fetched."""
        ...


class Budget(Protocol):
    """The budget that pays for retries."""

    def spend(self, cost: int) -> bool:
        """Take tokens if enough are left; return whether they were."""
        ...

    def earn(self, tokens: int) -> None:
        """Put tokens back."""
        ...


class Clock(Protocol):
    """The source of time; tests can pass their own."""

    def monotonic(self) -> float:
        """Return seconds that never step, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The system's clock."""

    monotonic: "staticmethod[[], float]" = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)
