"""A FastAPI service that archives a customer within a request.

pip install thredfi-async fastapi uvicorn
export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=...
python examples/fastapi_service.py
curl -X POST http://127.0.0.1:8080/businesses/BUSINESS_ID/customers/CUSTOMER_ID/archive
"""

import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict
from uuid import UUID

import uvicorn
from fastapi import Body, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from http_answers import IN_A_REQUEST, answer_to, request_id_of

from thredfi_async import ThredfiClient, ThredfiError

log = logging.getLogger(__name__)


class State(TypedDict):
    """The state that the lifespan gives to every request."""

    client: ThredfiClient


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
    """Own one client from start to end; it keeps the connections and the token."""
    async with ThredfiClient.from_env(timeouts=IN_A_REQUEST) as client:
        yield {"client": client}


def the_client(request: Request) -> ThredfiClient:
    """Return the client for a path operation; a test can override this dependency."""
    client: ThredfiClient = request.state.client
    return client


app = FastAPI(title="Archive customers", lifespan=lifespan)


@app.middleware("http")
async def with_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every request an id, and send it with the answer and the calls to the API."""
    request.state.request_id = request_id_of(request.headers)
    response = await call_next(request)
    response.headers["X-Request-Id"] = request.state.request_id
    return response


@app.exception_handler(ThredfiError)
async def answer_error(request: Request, error: ThredfiError) -> JSONResponse:
    """Turn an error of the client into an HTTP answer."""
    # Safe to log: the error's text quotes neither the API nor the caller.
    log.warning("request %s: %s, effect %s", request.state.request_id, error, error.effect)
    answer = answer_to(error)
    return JSONResponse(dict(answer.body), answer.status, dict(answer.headers))


@app.post("/businesses/{business_id}/customers/{customer_id}/archive")
async def archive(  # noqa: PLR0913 - FastAPI maps arguments to parts of the request
    business_id: UUID,
    customer_id: UUID,
    request: Request,
    client: Annotated[ThredfiClient, Depends(the_client)],
    *,
    fields: Annotated[dict[str, Any] | None, Body()] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Archive one customer, with the fields of the request's body, or with the API's own record."""
    archived = await client.customers.archive(
        business_id,
        customer_id,
        fields,
        idempotency_key=idempotency_key,
        headers={"X-Request-Id": request.state.request_id},
    )
    return {"archived": True, "at": str(archived.archived_at)}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # On SIGTERM, requests in flight get this long to end, and only then is the client closed.
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), timeout_graceful_shutdown=10)
