"""An aiohttp.web service that archives a customer within a request.

export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=...
python examples/aiohttp_service.py
curl -X POST http://127.0.0.1:8080/businesses/BUSINESS_ID/customers/CUSTOMER_ID/archive
"""

import logging
import os
from collections.abc import AsyncIterator
from json import JSONDecodeError

from aiohttp import web
from aiohttp.typedefs import Handler
from http_answers import IN_A_REQUEST, answer_to, request_id_of

from thredfi_async import ThredfiClient, ThredfiError

CLIENT = web.AppKey("CLIENT", ThredfiClient)
REQUEST_ID = web.RequestKey("REQUEST_ID", str)
log = logging.getLogger(__name__)


async def client_for_life(app: web.Application) -> AsyncIterator[None]:
    """Own one client from start to end; it keeps the connections and the token."""
    async with ThredfiClient.from_env(timeouts=IN_A_REQUEST) as client:
        app[CLIENT] = client
        yield


@web.middleware
async def with_request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id, and send it with the answer and the calls to the API."""
    request[REQUEST_ID] = request_id_of(request.headers)
    response = await handler(request)
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    return response


@web.middleware
async def with_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn an error of the client into an HTTP answer."""
    try:
        return await handler(request)
    except ThredfiError as error:
        # Safe to log: the error's text quotes neither the API nor the caller.
        log.warning("request %s: %s, effect %s", request[REQUEST_ID], error, error.effect)
        answer = answer_to(error)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


async def archive(request: web.Request) -> web.Response:
    """Archive one customer, with the fields of the request's body, or with the API's own record."""
    try:
        fields = await request.json() if request.can_read_body else None
    except (JSONDecodeError, UnicodeDecodeError):
        return web.json_response({"archived": False, "problems": ["body: is not JSON"]}, status=400)
    archived = await request.app[CLIENT].customers.archive(
        request.match_info["business_id"],
        request.match_info["customer_id"],
        fields,
        idempotency_key=request.headers.get("Idempotency-Key"),
        headers={"X-Request-Id": request[REQUEST_ID]},
    )
    return web.json_response({"archived": True, "at": str(archived.archived_at)})


def make_app() -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[with_request_id, with_answers])
    app.cleanup_ctx.append(client_for_life)
    app.router.add_post("/businesses/{business_id}/customers/{customer_id}/archive", archive)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # On SIGTERM, requests in flight get this long to end, and only then is the client closed.
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), shutdown_timeout=10.0)
