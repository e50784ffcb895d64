"""What an answer or an error means for the customer; every such decision is made here."""

import enum
import re
import traceback
from collections.abc import Container, Sequence
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from thredfi_async._http_statuses import (
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    NOT_PROCESSED,
    PROXY_AUTHENTICATION,
    REDIRECTS,
    REQUEST_TIMEOUT,
    SERVER_FAULT,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
)
from thredfi_async.errors import (
    APIError,
    ClientStateError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    Effect,
    InternalError,
    InvalidRequestError,
    RequestTimeoutError,
    ResponseDecodeError,
    ThredfiError,
)

_ARCHIVED: Final = "ARCHIVED"
_WRONG_FIELDS: Final = "validation_error"


class Standing(enum.IntEnum):
    """What one archive attempt may have done; a call's standing is the highest over its attempts."""

    NOT_APPLIED = 0
    """Not sent, or refused by the API itself."""
    IN_DOUBT = 1
    """Answered, but not by the API for certain: a gateway may have forwarded the request and refused the answer.

    The request is no longer on its way, so that the record tells: if it is active, nothing was applied.
    """
    UNKNOWN = 2
    """Not answered, or answered with a server's failure: the request may still be on its way."""
    APPLIED = 3
    """The server's own answer says that it is done."""

    @property
    def effect(self) -> Effect:
        """What a caller may be told of it."""
        return _EFFECTS[self]


_EFFECTS: Final = {
    Standing.NOT_APPLIED: Effect.NOT_APPLIED,
    Standing.IN_DOUBT: Effect.UNKNOWN,
    Standing.UNKNOWN: Effect.UNKNOWN,
    Standing.APPLIED: Effect.APPLIED,
}
_STANDINGS: Final = {
    Effect.NOT_APPLIED: Standing.NOT_APPLIED,
    Effect.UNKNOWN: Standing.UNKNOWN,
    Effect.APPLIED: Standing.APPLIED,
}


def is_answer(status: int) -> bool:
    """Return whether a status is an answer, and no failure of a server on the way."""
    return status < SERVER_FAULT and status != REQUEST_TIMEOUT


def says_archived(flag: object, status: object) -> bool:
    """Return whether a record shows its customer as archived, by its `is_archived` or its `status`."""
    return flag is True or status == _ARCHIVED


def attempt_standing(error: ThredfiError) -> Standing:
    """Return what one archive attempt may have done, judged by the error it ended in."""
    match error:
        case APIError():
            return _answered(error)
        case ConnectionLostError() | RequestTimeoutError(phase="read"):
            return Standing.UNKNOWN
        case _:
            # Never sent, or decided by the code that read the answer (a ResponseDecodeError carries its own effect).
            return _STANDINGS[error.effect]


def change_standing(error: ThredfiError) -> Standing:
    """Return what one request may have done of which nothing is known but that it may change something.

    Only the API's own envelope says that it was refused.
    """
    if isinstance(error, APIError):
        return Standing.NOT_APPLIED if is_answer(error.status) and error.is_enveloped else Standing.UNKNOWN
    return attempt_standing(error)


def _answered(error: APIError) -> Standing:
    status = error.status
    if not is_answer(status):
        return Standing.UNKNOWN
    if status in NOT_PROCESSED:
        return Standing.NOT_APPLIED
    if status in REDIRECTS:
        return Standing.NOT_APPLIED if error.is_same_path else Standing.IN_DOUBT
    if not error.is_enveloped:
        return Standing.IN_DOUBT
    # No one documents what archiving an archived customer answers: it may be one of these.
    open_ = status == CONFLICT or (status == BAD_REQUEST and error.error_code != _WRONG_FIELDS)
    return Standing.IN_DOUBT if open_ else Standing.NOT_APPLIED


class Fault(enum.Enum):
    """Whose fault an error is."""

    ITEM = enum.auto()
    """The customer's data or its business: other customers may be served."""
    API = enum.auto()
    """The API, or what is between it and the client."""
    SETTINGS = enum.auto()
    """The client's settings, such as its base URL: every customer would meet it."""
    CLIENT = enum.auto()
    """The client itself, which is closed or has a bug."""
    TOKEN = enum.auto()
    """The credentials, or the token made of them."""


class Remedy(enum.Enum):
    """What to do about an error; the value is the sentence for Python, and the command line has its own."""

    CHECK_BASE_URL = "check base_url: something else than the API may answer there"
    RENEW_CREDENTIALS = "check the credentials, and that they belong to this environment"
    CHECK_ACCESS = "check the partner's access to the business"
    CHECK_IDS = "check both ids and the environment"
    FIX_INPUT = "fix the input and send it again"
    FIX_SETTINGS = "fix the setting that is named"
    CHECK_RECORD = "look at the record before anything else"
    CHECK_CERTIFICATE = "check base_url, and the certificate that is trusted there"
    CHECK_PROXY = "check the proxy and its credentials"
    CHECK_NETWORK = "check the network, and run the same again"
    MAKE_A_CLIENT = "make another client"
    ALLOW_MORE_TIME = "run the same again, with longer timeouts if need be"
    RUN_AGAIN = "run the same again"
    RUN_AGAIN_LATER = "run the same again later"
    REPORT_BUG = "look at what is named, and report it if it is not yours"
    FREE_JOURNAL = "let the other run end first"
    FIX_JOURNAL = "do what the message says about the journal"
    FIX_SOURCE = "name the source that the run began with"
    CHECK_BROKER = "check the broker's address and credentials"


StopReason: TypeAlias = Literal[
    "credentials_refused", "client_unusable", "certificate_refused", "wrong_base_url", "proxy_refused"
]
"""Why a run cannot go on after an error, since every customer would meet it."""


@attrs.frozen
class Row:
    """What an error of a kind means; the first row that fits an error decides.

    Args:
        kind: The error's class.
        fault: Whose fault it is.
        remedy: What to do about it.
        code: The machine-readable reason; None for one that the answer gives.
        statuses: The HTTP statuses that it is for; None for all.
        transient: True for errors that may pass, False for lasting ones, None for both.
        enveloped: True for answers in the API's own envelope, False for all others, None for both.
        token: Whether it is for errors of fetching a token, or for all others.
        stops: Why a run stops for it, if it does.
        skips_business: Whether it is about the business: several of them in a row set it aside.
        is_general: Whether it can hardly be the fault of one business, though it may pass.
    """

    kind: type[ThredfiError]
    fault: Fault
    remedy: Remedy
    code: str | None = attrs.field(default=None, kw_only=True)
    statuses: Container[int] | None = attrs.field(default=None, kw_only=True)
    transient: bool | None = attrs.field(default=None, kw_only=True)
    enveloped: bool | None = attrs.field(default=None, kw_only=True)
    token: bool = attrs.field(default=False, kw_only=True)
    stops: StopReason | None = attrs.field(default=None, kw_only=True)
    skips_business: bool = attrs.field(default=False, kw_only=True)
    is_general: bool = attrs.field(default=False, kw_only=True)

    def fits(self, error: ThredfiError) -> bool:
        """Return whether the row is about this error."""
        if not isinstance(error, self.kind) or error.is_token_error is not self.token:
            return False
        if self.transient not in {None, error.transient}:
            return False
        if not isinstance(error, APIError):
            return True
        return self.enveloped in {None, error.is_enveloped} and (self.statuses is None or error.status in self.statuses)

    @property
    def is_refusal(self) -> bool:
        """Whether this very customer was refused, by the API or by the check before sending, and would be again."""
        return self.fault is Fault.ITEM


# A table: one line for each row.
# fmt: off
TABLE: Final[Sequence[Row]] = (
    # Fetching a token. These are a token endpoint's answers to a wrong path, whatever the credentials are.
    Row(APIError, Fault.SETTINGS, Remedy.CHECK_BASE_URL, token=True, statuses={*REDIRECTS, NOT_FOUND, 405, 410},
        stops="wrong_base_url"),
    Row(APIError, Fault.SETTINGS, Remedy.CHECK_PROXY, token=True, statuses={PROXY_AUTHENTICATION},
        stops="proxy_refused"),
    Row(ResponseDecodeError, Fault.SETTINGS, Remedy.CHECK_BASE_URL, code="decode_error", token=True, transient=False,
        stops="wrong_base_url"),
    Row(ConnectError, Fault.SETTINGS, Remedy.CHECK_CERTIFICATE, code="connect_error", token=True, transient=False,
        stops="certificate_refused"),
    Row(ConfigurationError, Fault.SETTINGS, Remedy.FIX_SETTINGS, code="configuration", token=True,
        stops="client_unusable"),
    Row(ClientStateError, Fault.CLIENT, Remedy.MAKE_A_CLIENT, code="client_closed", token=True,
        stops="client_unusable"),
    Row(ThredfiError, Fault.TOKEN, Remedy.RENEW_CREDENTIALS, token=True, transient=False, stops="credentials_refused"),
    Row(ConnectError, Fault.API, Remedy.CHECK_NETWORK, code="connect_error", token=True, is_general=True),
    Row(ConnectionLostError, Fault.API, Remedy.RUN_AGAIN, code="connection_lost", token=True, is_general=True),
    Row(ThredfiError, Fault.API, Remedy.RUN_AGAIN_LATER, token=True, is_general=True),
    # Answers about a customer, by status, whatever the form of the body.
    Row(APIError, Fault.SETTINGS, Remedy.CHECK_BASE_URL, statuses=REDIRECTS, stops="wrong_base_url"),
    Row(APIError, Fault.TOKEN, Remedy.RENEW_CREDENTIALS, statuses={UNAUTHORIZED}, stops="credentials_refused"),
    Row(APIError, Fault.SETTINGS, Remedy.CHECK_PROXY, statuses={PROXY_AUTHENTICATION}, stops="proxy_refused"),
    Row(APIError, Fault.API, Remedy.RUN_AGAIN_LATER, statuses={REQUEST_TIMEOUT, TOO_MANY_REQUESTS, 502, 503, 504},
        is_general=True),
    Row(APIError, Fault.API, Remedy.RUN_AGAIN_LATER, statuses=range(SERVER_FAULT, 1000)),
    Row(APIError, Fault.ITEM, Remedy.CHECK_ACCESS, statuses={FORBIDDEN}, enveloped=True, skips_business=True),
    # The other answers have a form too: a gateway's page rejects no customer, though many say enough of a business.
    Row(APIError, Fault.API, Remedy.CHECK_ACCESS, statuses={FORBIDDEN}, skips_business=True),
    Row(APIError, Fault.API, Remedy.CHECK_BASE_URL, enveloped=False),
    Row(APIError, Fault.ITEM, Remedy.CHECK_IDS, statuses={NOT_FOUND}),
    Row(APIError, Fault.ITEM, Remedy.CHECK_RECORD, statuses={CONFLICT}),
    Row(APIError, Fault.ITEM, Remedy.FIX_INPUT),
    # No answer, or none that can be read.
    Row(ConnectError, Fault.SETTINGS, Remedy.CHECK_CERTIFICATE, code="connect_error", transient=False,
        stops="certificate_refused"),
    Row(ConnectError, Fault.API, Remedy.CHECK_NETWORK, code="connect_error", is_general=True),
    Row(ConnectionLostError, Fault.API, Remedy.RUN_AGAIN, code="connection_lost", is_general=True),
    Row(RequestTimeoutError, Fault.API, Remedy.ALLOW_MORE_TIME, is_general=True),
    Row(ResponseDecodeError, Fault.API, Remedy.CHECK_BASE_URL, code="decode_error"),
    # Before sending, and whatever else.
    Row(InvalidRequestError, Fault.ITEM, Remedy.FIX_INPUT, code="invalid_request"),
    Row(ConfigurationError, Fault.SETTINGS, Remedy.FIX_SETTINGS, code="configuration", stops="client_unusable"),
    Row(ClientStateError, Fault.CLIENT, Remedy.MAKE_A_CLIENT, code="client_closed", stops="client_unusable"),
    Row(InternalError, Fault.CLIENT, Remedy.REPORT_BUG, code="internal_error"),
    Row(ThredfiError, Fault.API, Remedy.RUN_AGAIN),
)
# fmt: on


@runtime_checkable
class Classified(Protocol):
    """An error of a higher floor, whose class has its own row."""

    row: Row


def classify(error: ThredfiError) -> Row:
    """Return what an error means: its class's own row, or the first of the table that fits it."""
    if isinstance(error, Classified):
        return error.row
    return next(row for row in TABLE if row.fits(error))


_CODE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)


def is_code(value: object) -> bool:
    """Return whether this can be a machine-readable reason: lower-case ASCII, 64 characters at most."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def code_of(error: ThredfiError) -> str:
    """Return an error's machine-readable reason: the API's own code if it has one, never customer data.

    It has lower-case ASCII letters, digits and `_.-`, 64 characters at most.
    """
    match error:
        case APIError():
            code = error.error_code
            return code if code is not None and is_code(code) else f"http_{error.status}"
        case RequestTimeoutError():
            return f"timeout_{error.phase}"
        case _:
            return classify(error).code or "error"


def raised_at(error: Exception) -> str:
    """Return an exception's class and where it was raised: all that may be shown, since its words may quote data."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} ({frame.f_code.co_filename}, line {line})"
