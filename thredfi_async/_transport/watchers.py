"""Finds out whether anything watches or replaces aiohttp's client: tracers, recorders, mocks.

Tracers add a `TraceConfig` to a session (OpenTelemetry, Sentry), or replace `ClientSession._request` and the session's
connector (Datadog). Recorders and mocks replace `_request` (vcrpy, aioresponses), or methods of the connector
(aiointercept). They do so before or after this package is imported, so what stood somewhere at some moment tells
nothing: a function is told from what it is made of.
"""
# This module is about names that are private to aiohttp:
# pyright: reportPrivateUsage=false

import os
import sys
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import aiohttp
import aiohttp.client
from multidict import CIMultiDict

KNOWN: Final = aiohttp.__version__.startswith("3.14.")
"""Whether a way around the session was checked against this aiohttp's internals."""
VARIABLE: Final = "THREDFI_DIRECT_POST"
"""The environment variable that sends every POST through the session, unless it is empty or 1."""

_FUNCTIONS: Final = (
    "ClientSession.request",
    "ClientSession._request",
    "ClientRequest.__init__",
    "ClientRequest.send",
    "ClientRequest.write_bytes",
    "ClientResponse.__init__",
    "ClientResponse.start",
    "TCPConnector.connect",
    "TCPConnector._create_connection",
    "TCPConnector._create_direct_connection",
    "TCPConnector._get_ssl_context",
)
"""What a session calls and a direct POST does not, or with a request of its own.

A direct POST calls the other methods of the connector and the protocol as a session does: what replaces them is called.
"""
_FOLDER: Final = Path(aiohttp.client.__file__).parent
# `os.environ` itself takes a microsecond for an answer.
_environment: Final[dict[Any, Any]] = vars(os.environ)["_data"]
_variable: Final = os.environ.encodekey(VARIABLE)
_on: Final = frozenset({None, os.environ.encodevalue(""), os.environ.encodevalue("1")})


_TRACER: Final = "opentelemetry.instrumentation.aiohttp_client"


def is_instrumented(session: aiohttp.ClientSession) -> bool:
    """Return whether OpenTelemetry's instrumentation of aiohttp makes a span for each request of a session."""
    # A stand-in for a session may have none.
    configs = getattr(session, "trace_configs", ())
    if not configs:
        return False
    return any(_TRACER in (getattr(each, "__module__", None) or "") for one in configs for each in one.on_request_start)


class Watchers:
    """Looks at one session, and at the classes of aiohttp that it uses.

    Args:
        session: The session: one of our own, without a proxy.
        connector: The connector that it was given.
        headers: The headers that it was given.
    """

    def __init__(
        self, session: aiohttp.ClientSession, connector: aiohttp.TCPConnector, headers: CIMultiDict[str]
    ) -> None:
        """Start without having looked."""
        self._session = session
        # A stand-in may have none.
        self._attributes: dict[str, object] = getattr(session, "__dict__", {})
        self._connector = connector
        self._headers = headers
        # These were found to be aiohttp's own: the objects themselves, wherever they stand.
        self._functions: tuple[object, ...] = (None,) * len(_FUNCTIONS)
        self._code: object = None

    def reason(self) -> str | None:
        """Return why POSTs must go through the session now; None if nothing would miss them there."""
        # This runs before every POST: to write the names out costs a third of a loop over them. A proxy says that it
        # equals what it stands for, hence `is`.
        session, attributes = self._session, self._attributes
        a, b, c, d, e, f, g, h, i, j, k = self._functions
        try:
            kind = type(session)
            request, response, connector = session._request_class, session._response_class, aiohttp.TCPConnector
            if (
                kind.request is a
                and kind._request is b
                and kind._request.__code__ is self._code
                and request.__init__ is c
                and request.send is d
                and request.write_bytes is e
                and response.__init__ is f
                and response.start is g
                and connector.connect is h
                and connector._create_connection is i
                and connector._create_direct_connection is j
                and connector._get_ssl_context is k
                and not session._trace_configs
                and not session._middlewares
                and session._connector is self._connector
                and session._default_proxy is None
                and session._default_headers == self._headers
                and "request" not in attributes
                and "_request" not in attributes
                and _environment.get(_variable) in _on
            ):
                return None
            return self._look()
        except AttributeError:
            return "the session, or a method of it, is not aiohttp's own"

    def _look(self) -> str | None:
        """Look closely, and keep functions that are aiohttp's own."""
        if not KNOWN:
            return f"aiohttp {aiohttp.__version__} has not been checked for a shorter way"
        if _environment.get(_variable) not in _on:
            return f"{VARIABLE} is set"
        session = self._session
        kinds: dict[str, type] = {
            "ClientSession": type(session),
            "ClientRequest": session._request_class,
            "ClientResponse": session._response_class,
            "TCPConnector": aiohttp.TCPConnector,
        }
        functions = list[Any]()
        for name in _FUNCTIONS:
            kind, _, method = name.partition(".")
            functions.append(getattr(kinds[kind], method))
            if not _is_own(functions[-1]):
                return f"{name} is not aiohttp's own"
        self._functions, self._code = tuple(functions), type(session)._request.__code__
        reasons = {
            "the session has trace configs": session._trace_configs,
            "the session has middlewares": session._middlewares,
            "the session has another connector": session._connector is not self._connector,
            "the session has a proxy": session._default_proxy is not None,
            "the session has other headers": session._default_headers != self._headers,
            "a method of the session was replaced": {"request", "_request"} & self._attributes.keys(),
        }
        return next((reason for reason, applies in reasons.items() if applies), None)


def _is_own(function: object) -> bool:
    """Return whether this is a function of aiohttp's, as its source has it.

    A mock takes its `__module__` from what it replaces, and a proxy its `__code__` too, but neither is a plain function
    of that module's source. Who changes a function's code in place leaves a note on it.
    """
    if type(function) is not FunctionType or vars(function):
        return False
    module = sys.modules.get(function.__module__)
    is_at_home = module is not None and function.__globals__ is vars(module)
    return is_at_home and Path(function.__code__.co_filename).parent == _FOLDER
