"""What can go wrong, and what the server may have done by then.

```
ThredfiError                     .effect  .attempts  .request_id  .idempotency_key  .transient  .is_token_error
├── ConfigurationError           (ValueError)
├── ClientStateError             (RuntimeError) closed, or used from another loop or process
├── InvalidRequestError          (ValueError) .problems; nothing was sent
├── TransportError
│   ├── ConnectError             DNS, refused, TLS, proxy: nothing was sent
│   ├── ConnectionLostError      sent, and the answer never came or was cut short
│   └── RequestTimeoutError      (TimeoutError) .phase: queue | connect | read | deadline
├── APIError                     .status .error_code .message .details .retry_after .body
│   ├── BadRequestError 400 · AuthenticationError 401 · PermissionDeniedError 403 · NotFoundError 404
│   ├── ConflictError 409 · UnprocessableEntityError 422 · RateLimitedError 429 · ServerError 5xx
└── ResponseDecodeError          .problems; a success status with a body that is not what was asked for
```

Errors hold plain values only, so that they pickle whole, and their `str` and `repr` quote nothing that the server or
the caller wrote: no token, no field's value.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from thredfi_async._statuses import TRANSIENT

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectionLostError",
    "Effect",
    "InvalidRequestError",
    "NotFoundError",
    "PermissionDeniedError",
    "Phase",
    "RateLimitedError",
    "RequestTimeoutError",
    "ResponseDecodeError",
    "ServerError",
    "ThredfiError",
    "TransportError",
    "UnprocessableEntityError",
]

Phase: TypeAlias = Literal["queue", "connect", "read", "deadline"]
"""Which bound of `Timeouts` was reached."""


class Effect(enum.IntEnum):
    """What one call did to the customer's record, as far as the client can truly say.

    Effects are ordered: a call's effect is the highest over its attempts.
    """

    NOT_APPLIED = 0
    """Certainly not applied by this call."""
    UNKNOWN = 1
    """A request may have been applied, or may still be on its way."""
    APPLIED = 2
    """The server's own answer says that it is done."""

    def __str__(self) -> str:
        """Give the name: `NOT_APPLIED`, `UNKNOWN` or `APPLIED`."""
        return self.name


class ThredfiError(Exception):
    """The root of every error that this library raises on purpose.

    Attributes:
        effect: What this call did to the record.
        attempts: Requests that this call sent, the refused ones too.
        request_id: The `X-Request-Id` of the answer that the error comes from, if there was one.
        idempotency_key: The key that the call's requests carried, if it had come to have one.
        transient: Whether the same call may well succeed later, unchanged.
        is_token_error: Whether it says why there was no token, and nothing of what the call was about: a
            `NotFoundError` is about the token endpoint then, and not about the customer.
    """

    transient: bool = False
    is_token_error: bool = False

    def __init__(self, summary: str, *, request_id: str | None = None) -> None:
        """Take the sentence that `str` shows, and the answer's request id."""
        super().__init__(summary)
        self.effect: Effect = Effect.NOT_APPLIED
        self.attempts: int = 0
        self.request_id: str | None = request_id
        self.idempotency_key: str | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by value, whatever a subclass's constructor asks for."""
        state = self.__dict__.copy()
        if "__notes__" in state:
            # `copy` takes the rest as it is, but a note on the copy is not one on the original.
            state["__notes__"] = list(state["__notes__"])
        return _restore, (type(self), self.args, state)


def _restore(cls: type[ThredfiError], args: tuple[object, ...], state: Mapping[str, object]) -> ThredfiError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(ThredfiError, ValueError):
    """A setting that cannot work; the sentence names it and says what to do."""


class ClientStateError(ThredfiError, RuntimeError):
    """The client is closed, or was used from another event loop or process than its own."""


class InvalidRequestError(ThredfiError, ValueError):
    """The caller's input breaks the contract; nothing was sent.

    Attributes:
        problems: Every wrong field at once, each as `path: what is wrong`, without the value.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Take all that is wrong."""
        super().__init__("; ".join(problems))
        self.problems: tuple[str, ...] = tuple(problems)


class TransportError(ThredfiError):
    """No whole answer was received."""

    transient = True


class ConnectError(TransportError):
    """No connection could be made (DNS, refused, TLS, proxy), so nothing was sent."""

    def __init__(self, summary: str, *, transient: bool = True) -> None:
        """Take the sentence, and whether another try may help (a bad certificate stays bad)."""
        super().__init__(summary)
        self.transient: bool = transient


class ConnectionLostError(TransportError):
    """The request was on its way, and its answer never came, was cut short, or was not HTTP."""


class RequestTimeoutError(TransportError, TimeoutError):
    """A bound of `Timeouts` was reached.

    Attributes:
        phase: Which bound: `queue` (never had its turn), `connect`, `read` (silence), or `deadline`.
    """

    def __init__(self, summary: str, *, phase: Phase) -> None:
        """Take the sentence and the bound's name."""
        super().__init__(summary)
        self.phase: Phase = phase


class APIError(ThredfiError):
    """The server answered, and its answer was no.

    Attributes:
        status: The HTTP status.
        error_code: The envelope's machine-readable code, if the answer had the envelope.
        message: The envelope's sentence for people; the server's words, which may quote data.
        details: The envelope's `details`, usually field names with their problems; the server's words too.
        retry_after: How long the server asks to wait, in seconds, if it said so.
        body: The answer's body, bounded, as it came; the server's words too.
    """

    def __init__(  # noqa: PLR0913 - an answer has that many parts, all by name
        self,
        summary: str,
        *,
        status: int,
        error_code: str | None = None,
        message: str | None = None,
        details: Mapping[str, object] | None = None,
        retry_after: float | None = None,
        body: bytes = b"",
        request_id: str | None = None,
    ) -> None:
        """Take the sentence that quotes nothing, and the answer's parts."""
        super().__init__(summary, request_id=request_id)
        self.status: int = status
        self.error_code: str | None = error_code
        self.message: str | None = message
        self.details: Mapping[str, object] = details or {}
        self.retry_after: float | None = retry_after
        self.body: bytes = body
        self.transient: bool = status in TRANSIENT


class BadRequestError(APIError):
    """400: the data is invalid; mend it and send it again."""


class AuthenticationError(APIError):
    """401: the token or the credentials were refused, after one fresh token was tried where one can be had."""


class PermissionDeniedError(APIError):
    """403: the token does not reach this business."""


class NotFoundError(APIError):
    """404: there is no such business or customer."""


class ConflictError(APIError):
    """409: a duplicate, or the record's state does not allow it."""


class UnprocessableEntityError(APIError):
    """422: well-formed, and refused for its content."""


class RateLimitedError(APIError):
    """429: too many requests."""


class ServerError(APIError):
    """5xx: the server, or a proxy before it, failed."""


class ResponseDecodeError(ThredfiError):
    """A success status with a body that is not what was asked for; never sent again.

    Attributes:
        problems: What is wrong with the body, addressed by path, without the values.
    """

    def __init__(self, summary: str, *, problems: Sequence[str] = (), request_id: str | None = None) -> None:
        """Take the sentence and the body's problems."""
        super().__init__(summary, request_id=request_id)
        self.problems: tuple[str, ...] = tuple(problems)
