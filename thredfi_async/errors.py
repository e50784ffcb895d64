"""The errors, and what the server may have done when one is raised.

```
ThredfiError                     .effect  .attempts  .request_id  .idempotency_key  .transient  .is_token_error
├── ConfigurationError           (ValueError)
├── ClientStateError             (RuntimeError) closed, or used from another loop or process
├── InternalError                an unexpected exception of a part
├── InvalidRequestError          (ValueError) .problems; nothing was sent
├── TransportError
│   ├── ConnectError             DNS, refused, TLS, proxy: nothing was sent
│   ├── ConnectionLostError      sent, and the answer never came or was cut short
│   └── RequestTimeoutError      (TimeoutError) .phase: queue | connect | read | deadline
├── APIError                     .status .error_code .message .details .retry_after .body .is_enveloped
│   ├── BadRequestError 400 · AuthenticationError 401 · PermissionDeniedError 403 · NotFoundError 404
│   ├── ConflictError 409 · UnprocessableEntityError 422 · RateLimitedError 429 · ServerError 5xx
└── ResponseDecodeError          .problems; a success status with an unexpected body
```

Errors hold plain values only, so that they pickle completely. Their `str` and `repr` quote nothing that the server or
the caller wrote: no token, no field value.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from thredfi_async._http_statuses import TRANSIENT

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
    "InternalError",
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
"""The bound of `Timeouts` that was reached."""


class Effect(enum.IntEnum):
    """What one call did to the customer's record, as far as the client knows.

    Effects are ordered: a call's effect is the highest over its attempts.
    """

    NOT_APPLIED = 0
    """This call certainly did not apply it."""
    UNKNOWN = 1
    """A request may have been applied, or may still be in flight."""
    APPLIED = 2
    """The server's answer confirms that it was applied."""

    def __str__(self) -> str:
        """Return the name: `NOT_APPLIED`, `UNKNOWN` or `APPLIED`."""
        return self.name


class ThredfiError(Exception):
    """The base class of every error that this library raises on purpose.

    Attributes:
        effect: What this call did to the record.
        attempts: Requests that this call sent, including refused ones.
        request_id: The `X-Request-Id` of the answer that caused the error, if any.
        idempotency_key: The key that the call's requests carried, if it already had one.
        transient: Whether the same call may succeed later, unchanged.
        is_token_error: Whether the error is about fetching a token and not about the customer: a `NotFoundError`
            then means the token endpoint.
        is_budget_empty: Whether the call was not retried, or its outcome not checked, because the retry budget was
            empty.
    """

    transient: bool = False
    is_token_error: bool = False
    is_budget_empty: bool = False

    def __init__(self, summary: str, *, request_id: str | None = None) -> None:
        """Store the message that `str` shows, and the answer's request id."""
        super().__init__(summary)
        self.effect: Effect = Effect.NOT_APPLIED
        self.attempts: int = 0
        self.request_id: str | None = request_id
        self.idempotency_key: str | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by value, whatever arguments a subclass's constructor takes."""
        state = self.__dict__.copy()
        if "__notes__" in state:
            # `copy` shares the other values, but a note on the copy must not appear on the original.
            state["__notes__"] = list(state["__notes__"])
        return _restore, (type(self), self.args, state)


def _restore(cls: type[ThredfiError], args: tuple[object, ...], state: Mapping[str, object]) -> ThredfiError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(ThredfiError, ValueError):
    """A setting is not valid; the message names it and says what to do."""


class ClientStateError(ThredfiError, RuntimeError):
    """The client is closed, or was used from an event loop or process that is not its own."""


class InternalError(ThredfiError):
    """A part of this library, or one that the caller supplied, raised an unexpected exception.

    The message names the exception and where it was raised, without its words, which may quote data.
    """


class InvalidRequestError(ThredfiError, ValueError):
    """The caller's input breaks the contract; nothing was sent.

    Attributes:
        problems: All invalid fields, each as `path: what is wrong`, without the value.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Store all problems."""
        super().__init__("; ".join(problems))
        self.problems: tuple[str, ...] = tuple(problems)


class TransportError(ThredfiError):
    """No complete answer was received."""

    transient = True


class ConnectError(TransportError):
    """No connection could be made (DNS, refused, TLS, proxy): nothing was sent, or nothing of it was read."""

    def __init__(self, summary: str, *, transient: bool = True) -> None:
        """Store the message, and whether a retry may help (a bad certificate stays bad)."""
        super().__init__(summary)
        self.transient: bool = transient


class ConnectionLostError(TransportError):
    """The request was sent, but its answer never came, was cut short, or was not HTTP."""


class RequestTimeoutError(TransportError, TimeoutError):
    """A bound of `Timeouts` was reached.

    Attributes:
        phase: Which bound: `queue` (no turn came), `connect`, `read` (silence), or `deadline`.
    """

    def __init__(self, summary: str, *, phase: Phase) -> None:
        """Store the message and the bound's name."""
        super().__init__(summary)
        self.phase: Phase = phase


class APIError(ThredfiError):
    """The server refused the request.

    Attributes:
        status: The HTTP status.
        error_code: The envelope's machine-readable code, if the answer had the envelope.
        message: The envelope's message for people; written by the server, and may quote data.
        details: The envelope's `details`, usually field names with their problems; written by the server too.
        retry_after: How long the server asks to wait, in seconds, if it does.
        body: The answer's body as received, 16 KiB at most; written by the server too.
        is_enveloped: Whether the answer has the API's own envelope. Any other answer may come from a gateway that
            forwarded the request and refused its answer.
        is_same_path: Whether the answer is a redirect to the path that was asked for (https, the slash, another host).
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
        is_enveloped: bool = False,
        is_same_path: bool = False,
    ) -> None:
        """Store the message, which quotes nothing, and the answer's parts."""
        super().__init__(summary, request_id=request_id)
        self.status: int = status
        self.error_code: str | None = error_code
        self.message: str | None = message
        self.details: Mapping[str, object] = details or {}
        self.retry_after: float | None = retry_after
        self.body: bytes = body
        self.is_enveloped: bool = is_enveloped
        self.is_same_path: bool = is_same_path
        self.transient: bool = status in TRANSIENT


class BadRequestError(APIError):
    """400: the data is invalid; fix it and send it again."""


class AuthenticationError(APIError):
    """401: the token or the credentials were refused, also with one fresh token if one can be fetched."""


class PermissionDeniedError(APIError):
    """403: the token has no access to this business."""


class NotFoundError(APIError):
    """404: the business or customer does not exist."""


class ConflictError(APIError):
    """409: a duplicate, or the record's state does not allow the request."""


class UnprocessableEntityError(APIError):
    """422: the request is well-formed, but its content was refused."""


class RateLimitedError(APIError):
    """429: too many requests."""


class ServerError(APIError):
    """5xx: the server, or a proxy in front of it, failed."""


class ResponseDecodeError(ThredfiError):
    """A success status with an unexpected body; the request is never sent again.

    Attributes:
        problems: What is wrong with the body, by path, without the values.
    """

    def __init__(self, summary: str, *, problems: Sequence[str] = (), request_id: str | None = None) -> None:
        """Store the message and the body's problems."""
        super().__init__(summary, request_id=request_id)
        self.problems: tuple[str, ...] = tuple(problems)
