"""Archive Thredfi customers from asyncio Python.

After every call you know whether the customer was archived, was not, or may have been.
"""

from thredfi_async._checks.identifiers import Identifier
from thredfi_async._engine.limiter import Limits
from thredfi_async._interfaces import Clock, SystemClock
from thredfi_async._transport.session import Ssl
from thredfi_async._version import __version__
from thredfi_async.auth import AccessToken, PartnerCredentials, TokenProvider
from thredfi_async.client import ClientSettings, ThredfiClient
from thredfi_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ConnectionLostError,
    Effect,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    Phase,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiError,
    TransportError,
    UnprocessableEntityError,
)
from thredfi_async.events import (
    Attempt,
    AttemptStarted,
    CallEnded,
    CallObserver,
    CallStarted,
    Event,
    Hook,
    RequestInfo,
    RetryScheduled,
    WorkEnded,
    WorkObserver,
    WorkStarted,
)
from thredfi_async.models import (
    UNSET,
    Customer,
    CustomerBody,
    CustomerPage,
    CustomerRequest,
    CustomerStatus,
    Document,
    RawResponse,
    Unset,
)
from thredfi_async.resources.customers import CustomerList, Customers, RawCustomers
from thredfi_async.retry import RetryBudget, RetryPolicy
from thredfi_async.settings import Environment, Timeouts
from thredfi_async.telemetry import LoggingHook

__all__ = [
    "UNSET",
    "APIError",
    "AccessToken",
    "Attempt",
    "AttemptStarted",
    "AuthenticationError",
    "BadRequestError",
    "CallEnded",
    "CallObserver",
    "CallStarted",
    "ClientSettings",
    "ClientStateError",
    "Clock",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectionLostError",
    "Customer",
    "CustomerBody",
    "CustomerList",
    "CustomerPage",
    "CustomerRequest",
    "CustomerStatus",
    "Customers",
    "Document",
    "Effect",
    "Environment",
    "Event",
    "Hook",
    "Identifier",
    "InternalError",
    "InvalidRequestError",
    "Limits",
    "LoggingHook",
    "NotFoundError",
    "PartnerCredentials",
    "PermissionDeniedError",
    "Phase",
    "RateLimitedError",
    "RawCustomers",
    "RawResponse",
    "RequestInfo",
    "RequestTimeoutError",
    "ResponseDecodeError",
    "RetryBudget",
    "RetryPolicy",
    "RetryScheduled",
    "ServerError",
    "Ssl",
    "SystemClock",
    "ThredfiClient",
    "ThredfiError",
    "Timeouts",
    "TokenProvider",
    "TransportError",
    "UnprocessableEntityError",
    "Unset",
    "WorkEnded",
    "WorkObserver",
    "WorkStarted",
    "__version__",
]
