"""Handles requests: answers them, or throws a fault."""

from collections.abc import Callable
from typing import Any

import attrs
import msgspec
from aiohttp import web

from thredfi_async.mock_server.authentication import dead_token
from thredfi_async.mock_server.checks import RefusedError
from thredfi_async.mock_server.endpoints import Endpoints
from thredfi_async.mock_server.faults import Fault, FaultDeck, FaultKind
from thredfi_async.mock_server.paths import Route, match_path
from thredfi_async.mock_server.request_log import RequestLog
from thredfi_async.mock_server.store import NULLABLE
from thredfi_async.mock_server.wire import HTML, Call, Waits

_PROXY_PAGE = b"<!DOCTYPE html><html><head><title>%d</title></head><body><h1>Gateway</h1></body></html>"


@attrs.define(eq=False)
class Service:
    """The handler of every request.

    Args:
        endpoints: The endpoints.
        deck: The faults.
        requests: The record of received and applied requests.
        latency: Seconds that every request waits.
    """

    endpoints: Endpoints
    deck: FaultDeck
    requests: RequestLog
    latency: float
    waits: Waits = attrs.field(factory=Waits)
    outage: int | None = None
    """None without an outage, 0 if connections are reset, else the status that every request gets."""
    _received: int = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, or apply a fault to its connection."""
        self._received += 1
        call = Call(request, f"req-{self._received:012x}")
        route = match_path(call.path)
        self.requests.arrived(route.kind if route else "other")
        if self.outage == 0:
            return call.reset()
        try:
            if self.outage is not None:
                return self._proxy_page(call, self.outage)
            if route is None:
                return self._nowhere(call)
            return await self._serve(call, route)
        except RefusedError as problem:
            return self._answer(call, problem.status, problem.envelope(), headers=problem.headers)
        except ConnectionError:  # the client left before its request was whole
            return call.reset()

    async def _serve(self, call: Call, route: Route) -> web.Response:
        refusal, fault = None, None
        call.number = self.endpoints.find(route)
        try:
            self.endpoints.admit(call, route)
            fault = self.deck.draw(route.kind, route.customer_id)
        except RefusedError as problem:
            refusal = problem
        if fault is not None and fault.kind is FaultKind.RESET_BEFORE:
            self.endpoints.received(call, route, None)
            self.deck.thrown[fault.kind] += 1
            return call.reset()
        # Refused requests are read too: the record covers all that was received.
        raw = await call.body()
        self.endpoints.received(call, route, raw)
        if self.latency and not await self.waits.sleep(self.latency):
            return call.reset()
        if refusal is not None:
            raise refusal
        if fault is None:
            return self._answer(call, 200, self.endpoints.work(call, route, raw))
        return await self._throw(call, fault, lambda: self.endpoints.work(call, route, raw))

    async def _throw(self, call: Call, fault: Fault, work: Callable[[], bytes]) -> web.Response:
        """Throw a fault; an invalid request is still refused if the fault would apply it."""
        match fault.kind:
            case FaultKind.LATENCY:
                self.deck.thrown[fault.kind] += 1
                if not await self.waits.sleep(fault.seconds):
                    return call.reset()
                return self._answer(call, 200, work())
            case FaultKind.HANG:
                if fault.applied:
                    work()
                self.deck.thrown[fault.kind] += 1
                await self.waits.until_gone(call.request)
                return call.reset()
            case FaultKind.THROTTLE | FaultKind.SERVER_ERROR:
                self.deck.thrown[fault.kind] += 1
                return self._error(call, fault)
            case FaultKind.EXPIRED_TOKEN:
                self.deck.thrown[fault.kind] += 1
                self.endpoints.tokens.kill(call.headers.get("Authorization", "").partition(" ")[2].strip())
                raise dead_token()
            case _:
                body = work()
                self.deck.thrown[fault.kind] += 1
                return self._spoil(call, fault, body)

    def _error(self, call: Call, fault: Fault) -> web.Response:
        headers = fault.retry_headers()
        if fault.html:
            return self._proxy_page(call, fault.http_status, headers)
        if fault.kind is FaultKind.THROTTLE:
            problem = RefusedError(fault.http_status, "throttled", "Request was throttled.")
        else:
            problem = RefusedError(fault.http_status, "server_error", "Something went wrong.")
        return self._answer(call, problem.status, problem.envelope(), headers=headers)

    def _spoil(self, call: Call, fault: Fault, body: bytes) -> web.Response:
        match fault.kind:
            case FaultKind.RESET_AFTER:
                return call.reset()
            case FaultKind.TRUNCATED:
                return call.cut_short(body)
            case FaultKind.NOT_JSON:
                return self._proxy_page(call, 200)
            case FaultKind.NULL_FIELDS:
                return self._answer(call, 200, _with_nulls(body))
            case _:  # WRONG_ID, for endpoints that answer with a customer
                stranger = body if call.number is None else self.endpoints.store.stranger(call.number)
                return self._answer(call, 200, stranger)

    def _nowhere(self, call: Call) -> web.Response:
        if match_path(call.path + "/") is None:
            raise RefusedError(404, "not_found", "Not found.")
        # Django's APPEND_SLASH, with which a POST loses its body if the client follows.
        query = f"?{call.query}" if call.query and call.query.isascii() else ""
        return self._answer(call, 301, b"", media_type=HTML, headers={"Location": f"{call.path}/{query}"})

    def _proxy_page(self, call: Call, status: int, headers: dict[str, str] | None = None) -> web.Response:
        return self._answer(call, status, _PROXY_PAGE % status, media_type=HTML, headers=headers)

    def _answer(self, call: Call, status: int, body: bytes, **options: Any) -> web.Response:  # noqa: ANN401 - as Call.answer
        self.requests.statuses[status] += 1
        return call.answer(status, body, **options)


def _with_nulls(body: bytes) -> bytes:
    answer: dict[str, Any] = msgspec.json.decode(body)
    for item in answer.get("results", [answer]):
        for name in item.keys() & {*NULLABLE, "access_token"}:
            item[name] = None
    return msgspec.json.encode(answer)
