"""The four endpoints: their access checks and what they do."""

import re
from typing import Any
from urllib.parse import urlencode

import attrs
import msgspec

from thredfi_async.mock_server.authentication import TokenBucket, Tokens, check_partner
from thredfi_async.mock_server.checks import RefusedError, customer_request, encode, require_media_type
from thredfi_async.mock_server.paths import METHODS, Route
from thredfi_async.mock_server.queries import PageRequest, page_request, token_request
from thredfi_async.mock_server.request_log import RequestLog
from thredfi_async.mock_server.store import Store
from thredfi_async.mock_server.wire import JSON, Call

_FORM = "application/x-www-form-urlencoded"
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", re.ASCII)


@attrs.frozen(eq=False)
class Endpoints:
    """The state that all endpoints share.

    Args:
        store: The customers.
        tokens: The valid tokens.
        bucket: The rate limit.
        requests: The record of received and applied requests.
        partner: The partner's UUID and API key.
        strict: Whether a body must have every field.
    """

    store: Store
    tokens: Tokens
    bucket: TokenBucket
    requests: RequestLog
    partner: tuple[str, str]
    strict: bool

    def admit(self, call: Call, route: Route) -> None:
        """Check a request's method, credentials, rate, business and customer.

        Raises:
            RefusedError: 405, 401, 429, 403 or 404, in this order.
        """
        allowed = METHODS[route.kind]
        if call.method != allowed:
            message = f"Method {call.method} not allowed."
            raise RefusedError(405, "method_not_allowed", message, headers={"Allow": allowed})
        authorization = call.headers.get("Authorization")
        if route.kind == "token":
            check_partner(authorization, *self.partner)
            return
        self.tokens.check(authorization)
        self.bucket.take()
        if self.store.seed.business(route.business_id) is None:
            raise RefusedError(403, "permission_denied", "The partner does not own this business.")
        if route.customer_id and call.number is None:
            raise RefusedError(404, "not_found", "No such customer.")

    def received(self, call: Call, route: Route, raw: bytes | None) -> None:
        """Record a request for a customer, whatever its result; the body is None if it was not read."""
        # Only existing customers have a record: made-up ids must not fill the memory.
        if call.number is None:
            return
        if route.kind == "get":
            self.requests.read(route.customer_id)
        elif call.method == METHODS["archive"]:
            self.requests.posted(route.customer_id, call.headers.get("Idempotency-Key"), raw)

    def find(self, route: Route) -> int | None:
        """Return the number of the path's customer; None if there is none, or it belongs to another business."""
        seed = self.store.seed
        number = seed.customer(route.customer_id) if route.customer_id else None
        return number if number is not None and seed.business_id(number) == route.business_id else None

    def work(self, call: Call, route: Route, raw: bytes) -> bytes:
        """Carry out an admitted request.

        Returns:
            The body of the success response.

        Raises:
            RefusedError: Its body or query is wrong, or the customer's state forbids it.
        """
        if call.number is not None:
            if route.kind == "archive":
                return self._archive(call, route, raw, call.number)
            return self.store.retrieve(call.number)
        if route.kind == "list":
            return self._list(call, route)
        require_media_type(call.headers.get("Content-Type"), _FORM)
        token_request(raw)
        lifetime = int(self.tokens.lifetime)
        return msgspec.json.encode(
            {"access_token": self.tokens.issue(), "token_type": "Bearer", "expires_in": lifetime}
        )

    def _archive(self, call: Call, route: Route, raw: bytes, number: int) -> bytes:
        key = call.headers.get("Idempotency-Key")
        replay = self.store.replay(number, key)
        if replay is not None:
            return replay
        require_media_type(call.headers.get("Content-Type"), JSON)
        answer = self.store.archive(number, customer_request(raw, strict=self.strict), key)
        self.requests.took_effect(route.customer_id)
        return answer

    def _list(self, call: Call, route: Route) -> bytes:
        wanted = page_request(call.query)
        business = self.store.seed.business(route.business_id) or 0
        count, results = self.store.page(business, wanted)
        last = wanted.page * wanted.page_size >= count
        page = {
            "count": count,
            "next": None if last else _page_url(call, wanted, wanted.page + 1),
            "previous": None if wanted.page == 1 else _page_url(call, wanted, wanted.page - 1),
            "results": results,
        }
        return encode(page)


def _page_url(call: Call, wanted: PageRequest, page: int) -> str:
    query: dict[str, Any] = {"page": page, "page_size": wanted.page_size}
    if wanted.include_archived:
        query["include_archived"] = "true"
    if wanted.external_id is not None:
        query["external_id"] = wanted.external_id
    # From the Host header, as Django does: the client may have come through a proxy.
    host = call.headers.get("Host", "")
    return f"http://{host if _HOST.fullmatch(host) else 'localhost'}{call.path}?{urlencode(query)}"
