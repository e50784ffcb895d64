"""Archive Thredfi customers from asyncio Python.

After every call you know whether the customer was archived, was not, or may have been.
"""

# Python 3.15 loads these when they are used (PEP 810): `thredfi --version` needs none of them.
__lazy_modules__: list[str] = [
    "thredfi_async._checks.identifiers",
    "thredfi_async._client_settings",
    "thredfi_async._engine.limits",
    "thredfi_async._interfaces",
    "thredfi_async._transport.options",
    "thredfi_async.auth",
    "thredfi_async.client",
    "thredfi_async.errors",
    "thredfi_async.events",
    "thredfi_async.models",
    "thredfi_async.resources._listing",
    "thredfi_async.resources.customers",
    "thredfi_async.retry",
    "thredfi_async.settings",
    "thredfi_async.telemetry",
]
from thredfi_async._checks.identifiers import Identifier
from thredfi_async._client_settings import ClientSettings
from thredfi_async._engine.limits import Limits
from thredfi_async._interfaces import Clock, SystemClock
from thredfi_async._transport.options import Ssl
from thredfi_async._version import __version__
from thredfi_async.auth import AccessToken, PartnerCredentials, TokenProvider
from thredfi_async.client import ThredfiClient
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
    CallContext,
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
from thredfi_async.resources._listing import CustomerList
from thredfi_async.resources.customers import Customers, RawCustomers
from thredfi_async.retry import RetryBudget, RetryPolicy
from thredfi_async.settings import Environment, Timeouts
from thredfi_async.telemetry import LoggingHook, OpenTelemetryHook, PrometheusHook

__all__ = [
    "UNSET",
    "APIError",
    "AccessToken",
    "Attempt",
    "AttemptStarted",
    "AuthenticationError",
    "BadRequestError",
    "CallContext",
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
    "OpenTelemetryHook",
    "PartnerCredentials",
    "PermissionDeniedError",
    "Phase",
    "PrometheusHook",
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
