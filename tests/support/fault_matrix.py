"""The fault matrix: what fails, where and how often, and how one archive call ends.

Data only. `test_fault_matrix.py` runs every row over real sockets; `nox -s fault_matrix_page` writes the same table
to the page in `docs/`.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from faultserver import Answer, Cut, Endless, Healthy, Request, Step, Stray, bodies, faults
from faultserver.certificates import Certificate

Position = Literal["connect", "headers", "body"]
Hits = Literal["POST", "GET", "token", "connection", "CONNECT"]
Reach = Literal["direct", "refused", "unanswered", "unknown name", "silent name", "CONNECT", "refused CONNECT", "proxy"]

EVER: Final = None
OTHER: Final = "22222222-2222-4222-8222-222222222222"
_KIB: Final = 1024


def often(times: int | None) -> str:
    """Return in words how often a fault happens."""
    return "for ever" if times is None else {1: "once", 2: "twice"}.get(times, f"{times} times")


@dataclass(frozen=True, kw_only=True)
class Call:
    """The settings of the call and its client; the rest are the client's defaults, without jitter."""

    body: bool = True
    settle: bool = True
    key: str | None = None
    connect: float = 10.0
    read: float = 30.0
    deadline: float | None = 120.0
    queue: float | None = None
    max_attempts: int = 4
    budget: int = 500
    credentials: bool = False
    max_concurrency: int = 100
    max_body_kib: int = 8 * _KIB


@dataclass(frozen=True)
class Ends:
    """How the call ends, and what the server did and received by then.

    Args:
        how: `archived`, or the error with its status or phase.
        effect: Its effect; an archived call's is UNKNOWN if a GET had to show it, NOT_APPLIED if it was so before.
        attempts: Requests that the call counted.
        received: Requests whose headers the server read, in order; `POST*4` is four of them.
        applied: How often the server archived.
        connections: Connections that the server accepted.
        says: Words of the error, or of a note on it.
        waited: Seconds that the call slept between attempts, by a clock that skips sleeps.
    """

    how: str
    effect: str
    attempts: int
    received: str
    applied: int
    connections: int = 1
    says: str = ""
    waited: float = 0.0


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        name: The fault, in words.
        at: How far the request or its answer had come.
        times: How often it happens before the server works; EVER for always.
        fault: What the server does; None when the fault is in `reach`, `tls`, `before` or `rival`.
        ends: The expected end.
        hits: What the fault affects.
        then: What the server does after it, instead of working.
        post: The answer to the archive POST if the fault affects something else.
        get: The answer to a GET of the customer if the fault affects something else.
        token: The answer to a token request if the fault affects something else.
        call: The call's own settings.
        reach: How the client reaches the server, or fails to.
        tls: The server's certificate, if it speaks TLS.
        before: What happens to an earlier, good call on the same connection.
        archived: Whether the customer was archived before the call.
        rival: Another call that the server never answers: it has the client's only slot before this call, or
            waits for it behind this call's first attempt.
        pure: The end with aiohttp's parser in Python, where that one takes another view of the bytes.
    """

    name: str
    at: Position
    times: int | None
    fault: Step | None
    ends: Ends
    hits: Hits = "POST"
    then: tuple[Step, ...] = (Healthy(),)
    post: tuple[Step, ...] = (Healthy(),)
    get: tuple[Step, ...] = (Healthy(),)
    token: tuple[Step, ...] = (Healthy(),)
    call: Call = field(default_factory=Call)
    reach: Reach = "direct"
    tls: Certificate | None = None
    before: Step | None = None
    archived: bool = False
    rival: Literal["before", "behind"] | None = None
    pure: Ends | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The fault as often as it happens, and the steps after it; the last one repeats for ever."""
        if self.fault is None:
            return (Healthy(),)
        return (self.fault,) if self.times is None else (*(self.fault,) * self.times, *self.then)

    def __str__(self) -> str:
        return f"{self.name}, {often(self.times)}".replace(" ", "_")


def _archived(attempts: int, received: str, applied: int = 1, connections: int = 1, *, waited: float = 0.0) -> Ends:
    """Archived, as the server's own answer to a POST says."""
    return Ends("archived", "APPLIED", attempts, received, applied, connections, waited=waited)


def _found(attempts: int, received: str, applied: int = 1, connections: int = 1, *, waited: float = 0.0) -> Ends:
    """Archived, as a GET shows after an attempt that may have done it."""
    return Ends("archived", "UNKNOWN", attempts, received, applied, connections, waited=waited)


def _read_as_archived() -> Ends:
    """Archived, as a GET over another connection shows after an answer that proves nothing."""
    return _found(2, "POST GET", 1, 2)


def _lost(says: str, received: str = "POST*4 GET", applied: int = 0, connections: int = 5, attempts: int = 5) -> Ends:
    """No answer came, and a GET shows no change."""
    return Ends("ConnectionLostError", "UNKNOWN", attempts, received, applied, connections, says)


def _unread(says: str, received: str = "POST GET", applied: int = 0, connections: int = 2) -> Ends:
    """The POST's answer proves nothing, its connection is not used again, and a GET shows no change."""
    return Ends("ResponseDecodeError", "UNKNOWN", 2, received, applied, connections, says)


def _unreached(says: str, attempts: int = 4, connections: int = 0, how: str = "ConnectError") -> Ends:
    """Nothing was sent."""
    return Ends(how, "NOT_APPLIED", attempts, "", 0, connections, says)


def _refused(how: str, says: str = "", received: str = "POST", attempts: int = 1, *, waited: float = 0.0) -> Ends:
    """The server refused the request."""
    return Ends(how, "NOT_APPLIED", attempts, received, 0, says=says, waited=waited)


def _with(payload: Any, status: int = 200) -> Answer:
    return Answer.json(status, payload)


def _without(*names: str, **overrides: Any) -> Answer:
    """Return the requested customer, archived, with fields left out or overridden."""

    def fields_of(request: Request) -> dict[str, Any]:
        return {name: value for name, value in {**bodies.archived(request), **overrides}.items() if name not in names}

    return Answer.json(200, fields_of)


def _active(request: Request) -> dict[str, Any]:
    """Return the requested customer, still active, without texts that a body must have."""
    return {**bodies.active(request), "email": None, "notes": ""}


def _refusal(status: int, code: str = "server_error", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return faults.problem(status, code, named)


def _second_answer(customer_id: str) -> bytes:
    """Return a whole answer about this customer, to be put before another."""
    data = bodies.dump(bodies.customer(customer_id))
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data


_UNCHANGED: Final = "the server shows no change"
_SMALL: Final = Call(max_body_kib=64)
_RENEWED: Final = Call(credentials=True)
_BODYLESS: Final = Call(body=False)
_UNSETTLED: Final = Call(settle=False)
_IMPATIENT: Final = Call(read=0.1)
_HASTY: Final = Call(deadline=0.4)
_GOOD: Final = faults.good()
_ACTIVE: Final = Answer.json(200, bodies.active)
_ANOTHER: Final = Answer.json(200, bodies.customer(OTHER))
_PAGE: Final = faults.html()
_NOTHING: Final = Answer.content(503)
_RST: Final = Cut("request", "rst")
_APPLIED_RST: Final = Cut("request", "rst", applied=True)
_HANG: Final = Cut("request", "hang")
_APPLIED_HANG: Final = Cut("request", "hang", applied=True)
_INVALID_TOKEN: Final = _refusal(401, "invalid_token")
_FROM: Final = "Wed, 01 Jan 2025 00:00:00 GMT"
_UNTIL: Final = "Wed, 01 Jan 2025 00:00:03 GMT"
_ELSEWHERE: Final = "https://elsewhere.example/archive/"
_PATH: Final = (
    "/v1/platform/businesses/33333333-3333-4333-8333-333333333333"
    "/customers/11111111-1111-4111-8111-111111111111/archive/"
)
_BARE_404: Final = Answer.content(404)

# Few lines for each row, so that it reads like a table.
# fmt: off
CONNECTING: Final = (
    Row("refused", "connect", EVER, None, _unreached("ClientConnectorError"), reach="refused"),
    Row("refused", "connect", 1, None, _archived(2, "POST"), reach="refused"),
    Row("unknown host name", "connect", EVER, None, _unreached("DNSError"), reach="unknown name"),
    Row("unknown host name", "connect", 2, None, _archived(3, "POST"), reach="unknown name"),
    Row(
        "name server says nothing", "connect", EVER, None,
        _unreached("Timeouts.connect", 2, how="RequestTimeoutError connect"), reach="silent name",
        call=Call(connect=0.05, max_attempts=2),
    ),
    Row(
        "connecting hangs", "connect", EVER, None, _unreached("Timeouts.connect", how="RequestTimeoutError connect"),
        reach="unanswered", call=Call(connect=0.05),
    ),
    Row("connecting hangs", "connect", 1, None, _archived(2, "POST"), reach="unanswered", call=Call(connect=0.2)),
    Row(
        "connecting hangs past the deadline", "connect", EVER, None,
        _unreached("Timeouts.deadline", 1, how="RequestTimeoutError deadline"), reach="unanswered", call=_HASTY,
    ),
    Row("certificate expired", "connect", EVER, None, _unreached("has expired", 1, 1), tls="expired"),
    Row("certificate not yet valid", "connect", EVER, None, _unreached("not yet valid", 1, 1), tls="not-yet-valid"),
    Row("certificate of another host", "connect", EVER, None, _unreached("mismatch", 1, 1), tls="wrong-host"),
    Row("certificate self-signed", "connect", EVER, None, _unreached("self-signed", 1, 1), tls="self-signed"),
    Row(
        "certificate of an unknown authority", "connect", EVER, None, _unreached("local issuer", 1, 1),
        tls="unknown-authority",
    ),
    Row(
        "plain HTTP on the TLS port", "connect", EVER, Cut("accept", "fin", saying=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        _unreached("does not speak TLS on this port: check base_url", 1, 1), hits="connection", tls="good",
    ),
    Row(
        "plain HTTP on the TLS port", "connect", 1, Cut("accept", "fin", saying=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        _unreached("does not speak TLS on this port", 1, 1), hits="connection", tls="good",
    ),
    Row(
        "FIN in the TLS handshake", "connect", EVER, Cut("accept", "fin"), _unreached("ClientConnectorError", 4, 4),
        hits="connection", tls="good",
    ),
    Row(
        "hang in the TLS handshake", "connect", EVER, Cut("accept", "hang"),
        _unreached("Timeouts.connect", 2, 2, how="RequestTimeoutError connect"), hits="connection", tls="good",
        call=Call(connect=0.1, max_attempts=2),
    ),
    Row(
        "hang in the TLS handshake", "connect", 1, Cut("accept", "hang"), _archived(2, "POST", 1, 2), hits="connection",
        tls="good", call=Call(connect=0.2),
    ),
    Row(
        "proxy refuses connections", "connect", EVER, None, _unreached("ClientProxyConnectionError"),
        reach="refused CONNECT", tls="good",
    ),
    Row(
        "proxy wants credentials (407)", "connect", EVER, faults.proxy_refusal(),
        Ends("ConnectError", "NOT_APPLIED", 1, "CONNECT", 0, 0, "the proxy answered 407"),
        hits="CONNECT", reach="CONNECT",
    ),
    Row(
        "proxy cannot reach the API (502)", "connect", EVER, faults.html(502).closing(),
        Ends("ConnectError", "NOT_APPLIED", 4, "CONNECT*4", 0, 0, "the proxy answered 502"),
        hits="CONNECT", reach="CONNECT",
    ),
    Row(
        "proxy cannot reach the API (502)", "connect", 1, faults.html(502).closing(), _archived(2, "CONNECT*2 POST"),
        hits="CONNECT", reach="CONNECT",
    ),
    Row(
        "proxy answers CONNECT with no HTTP", "connect", EVER, faults.garbage_status_line(),
        Ends("ConnectError", "NOT_APPLIED", 4, "CONNECT*4", 0, 0, "no connection"), hits="CONNECT", reach="CONNECT",
    ),
    Row(
        "proxy closes on CONNECT", "connect", EVER, Cut("request", "fin"),
        Ends("ConnectError", "NOT_APPLIED", 4, "CONNECT*4", 0, 0, "no connection"), hits="CONNECT", reach="CONNECT",
    ),
    Row(
        "proxy says nothing to CONNECT", "connect", EVER, _HANG,
        Ends("RequestTimeoutError connect", "NOT_APPLIED", 2, "CONNECT*2", 0, 0, "Timeouts.connect"), hits="CONNECT",
        reach="CONNECT", call=Call(connect=0.1, max_attempts=2),
    ),
    Row("a proxy, but the API is on this machine", "connect", EVER, None, _archived(1, "POST"), reach="proxy"),
)

SENDING: Final = (
    Row("RST at accept", "connect", 1, Cut("accept", "rst"), _archived(2, "POST", 1, 2), hits="connection"),
    Row(
        "FIN at accept", "connect", EVER, Cut("accept", "fin"), _unreached("no connection", 4, 4),
        hits="connection",
    ),
    Row("FIN at accept", "connect", 3, Cut("accept", "fin"), _archived(4, "POST", 1, 4), hits="connection"),
    Row(
        "half-close at accept", "connect", EVER, Cut("accept", "half-close"), _unreached("no connection", 2, 2),
        hits="connection", call=Call(max_attempts=2),
    ),
    Row(
        "hang at accept", "connect", EVER, Cut("accept", "hang"),
        Ends("RequestTimeoutError read", "UNKNOWN", 2, "", 0, 2, "Timeouts.read"), hits="connection",
        call=Call(read=0.1, max_attempts=2, settle=False),
    ),
    Row(
        "RST at the first bytes", "headers", EVER, Cut("bytes", "rst"), _lost("Connection reset", "", 0, 4, 4),
        hits="connection", call=_UNSETTLED,
    ),
    Row(
        "FIN at the first bytes", "headers", EVER, Cut("bytes", "fin"), _lost("ServerDisconnected", "", 0, 4, 4),
        hits="connection", call=_UNSETTLED,
    ),
    Row(
        "FIN at the first bytes, of the question too", "headers", EVER, Cut("bytes", "fin"),
        _lost("checking the outcome failed with ConnectionLostError", "", 0, 6, 6), hits="connection",
    ),
    Row("RST after the headers", "headers", EVER, Cut("headers", "rst"), _lost("Connection reset")),
    Row("RST after the headers", "headers", 3, Cut("headers", "rst"), _archived(4, "POST*4", 1, 4)),
    Row("FIN after the headers", "headers", EVER, Cut("headers", "fin"), _lost("ServerDisconnected")),
    Row("half-close after the headers", "headers", EVER, Cut("headers", "half-close"), _lost("ServerDisconnected")),
    Row(
        "hang after the headers", "headers", EVER, Cut("headers", "hang"),
        Ends("RequestTimeoutError read", "UNKNOWN", 3, "POST*2 GET", 0, 3, _UNCHANGED),
        call=Call(read=0.1, max_attempts=2),
    ),
    Row("RST after the request", "headers", 1, _RST, _archived(2, "POST*2", 1, 2)),
    Row("RST after the request", "headers", EVER, _RST, _lost(_UNCHANGED)),
    Row("RST after it was applied", "headers", 1, _APPLIED_RST, _archived(2, "POST*2", 2, 2)),
    Row("RST after it was applied", "headers", EVER, _APPLIED_RST, _found(5, "POST*4 GET", 4, 5)),
    Row(
        "RST after it was applied, not settled", "headers", EVER, _APPLIED_RST,
        _lost("Connection reset", "POST*4", 4, 4, 4), call=_UNSETTLED,
    ),
    Row("FIN after the request", "headers", EVER, Cut("request", "fin"), _lost("ServerDisconnected")),
    Row(
        "FIN after it was applied", "headers", EVER, Cut("request", "fin", applied=True), _found(5, "POST*4 GET", 4, 5),
    ),
    Row("half-close after the request", "headers", 1, Cut("request", "half-close"), _archived(2, "POST*2", 1, 2)),
    Row("silence after the request", "headers", 1, _HANG, _archived(2, "POST*2", 1, 2), call=_IMPATIENT),
    Row(
        "silence after the request", "headers", EVER, _HANG,
        Ends("RequestTimeoutError read", "UNKNOWN", 3, "POST*2 GET", 0, 3, "no data for longer"),
        call=Call(read=0.1, max_attempts=2),
    ),
    Row(
        "silence after it was applied", "headers", EVER, _APPLIED_HANG, _found(3, "POST*2 GET", 2, 3),
        call=Call(read=0.1, max_attempts=2),
    ),
    Row(
        "idle connection closed before the call", "connect", 1, None, _archived(1, "POST", 1, 2),
        before=_GOOD.then("fin"),
    ),
    Row(
        "idle connection reset before the call", "connect", 1, None, _archived(1, "POST", 1, 2),
        before=_GOOD.then("rst"),
    ),
    Row(
        "idle connection reset as the request arrives", "headers", 1, Cut("bytes", "rst"), _archived(2, "POST", 1, 2),
        hits="connection", before=_GOOD,
    ),
    Row(
        "idle connection closed as the request arrives", "headers", 1, Cut("bytes", "fin"), _archived(2, "POST", 1, 2),
        hits="connection", before=_GOOD,
    ),
    Row(
        "idle connection closed as the request arrives, one attempt", "headers", 1, Cut("bytes", "fin"),
        _lost(_UNCHANGED, "GET", 0, 2, 2), hits="connection", before=_GOOD, call=Call(max_attempts=1),
    ),
)

ANSWER_HEADERS: Final = (
    Row("no HTTP", "headers", EVER, faults.garbage_status_line(), _lost("not HTTP")),
    Row("no HTTP", "headers", 1, faults.garbage_status_line(), _archived(2, "POST*2", 1, 2)),
    Row(
        "no HTTP after it was applied", "headers", EVER, faults.garbage_status_line().applied(),
        _found(5, "POST*4 GET", 4, 5),
    ),
    Row(
        "HTTP/2 frames", "headers", EVER, Answer.raw(bytes.fromhex("00000604") + bytes(11), "fin"), _lost("not HTTP"),
    ),
    Row("cut in the status line", "headers", EVER, _GOOD.cut("status"), _lost("ServerDisconnected")),
    Row("cut in the headers by FIN", "headers", EVER, _GOOD.cut("headers"), _lost("ServerDisconnected")),
    Row(
        "cut in the headers by RST", "headers", EVER, _GOOD.cut("headers", "rst").applied(),
        _found(5, "POST*4 GET", 4, 5),
    ),
    Row(
        "silence in the headers", "headers", 1, _GOOD.cut("headers", "hang"), _archived(2, "POST*2", 1, 2),
        call=_IMPATIENT,
    ),
    Row("two lengths", "headers", EVER, faults.two_lengths(), _lost("not HTTP")),
    *(
        Row(f"{what}{', applied' if applied else ''}", "headers", EVER, answer.applied() if applied else answer, ends)
        for what, answer in (
            ("a length and chunks", faults.lengths("Content-Length: {}", "Transfer-Encoding: chunked", chunked=True)),
            ("a length that is no number", faults.lengths("Content-Length: {}x")),
            ("a length with a sign", faults.lengths("Content-Length: +{}")),
            ("a length below zero", faults.lengths("Content-Length: -{}")),
            ("a list of lengths", faults.lengths("Content-Length: {0}, {0}")),
            ("a length that is empty", faults.lengths("Content-Length: ")),
        )
        for applied, ends in ((False, _lost("not HTTP")), (True, _found(5, "POST*4 GET", 4, 5)))
    ),
    Row("two lengths, applied", "headers", EVER, faults.two_lengths().applied(), _found(5, "POST*4 GET", 4, 5)),
    Row("a long head", "headers", EVER, faults.long_heads().applied(), _archived(1, "POST")),
    Row(
        "a long head, of the record", "headers", EVER, faults.long_heads(), _found(5, "POST*4 GET", 4, 5), hits="GET",
        post=(_APPLIED_RST,),
    ),
    Row("a header of a MiB", "headers", EVER, faults.huge_header(), _lost("not HTTP")),
    Row("1,000 headers", "headers", EVER, faults.many_headers(1000), _lost("not HTTP")),
    Row("headers without end", "headers", EVER, faults.endless_headers(), _lost("not HTTP")),
    Row("headers without end", "headers", 1, faults.endless_headers(), _archived(2, "POST*2", 1, 2)),
    Row(
        "100 and 103 before the answer", "headers", EVER, faults.informational(before=_GOOD.applied()),
        _archived(1, "POST"),
    ),
    Row(
        "103, and then silence", "headers", EVER, Cut("request", "hang", saying=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        Ends("RequestTimeoutError read", "UNKNOWN", 3, "POST*2 GET", 0, 3, "no data for longer"),
        call=Call(read=0.1, max_attempts=2),
    ),
    Row(
        "100, and then silence, applied", "headers", 1,
        Cut("request", "hang", saying=b"HTTP/1.1 100 Continue\r\n\r\n", applied=True),
        _archived(2, "POST*2", 2, 2), call=_IMPATIENT,
    ),
    Row(
        "101, as if it were a websocket", "headers", EVER, Answer.content(101, framing="none"),
        _lost("ServerDisconnected", connections=1),
    ),
    Row(
        "a status that does not exist (000)", "headers", EVER,
        Answer.raw(b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n").applied(), _found(5, "POST*4 GET", 4),
    ),
    Row("204", "headers", EVER, Answer.content(204, framing="none"), _unread("empty or null")),
    Row(
        "204 after it was applied", "headers", EVER, Answer.content(204, framing="none").applied(),
        _read_as_archived(),
    ),
    Row("204 with a body", "headers", EVER, faults.no_content_with_body(), _lost("not HTTP"), pure=_unread("empty")),
    *(
        Row(
            f"{status} to another host", "headers", EVER, faults.redirect(status, _ELSEWHERE),
            _refused(f"APIError {status}", "a redirect to elsewhere.example", "POST GET", 2),
        )
        for status in (301, 302, 303, 307, 308)
    ),
    *(
        Row(f"307 to {what}", "headers", EVER, faults.redirect(307, place), _refused("APIError 307", says))
        for what, place, says in (
            ("https", f"https://127.0.0.1{_PATH}", "a redirect to 127.0.0.1"),
            ("the same path of another host", f"https://elsewhere.example{_PATH}", "a redirect to elsewhere.example"),
            ("the path without its slash", _PATH.removesuffix("/"), "the same host"),
        )
    ),
    Row(
        "303 to the same path of another host", "headers", EVER,
        faults.redirect(303, f"https://elsewhere.example{_PATH}"), _refused("APIError 303", "", "POST GET", 2),
    ),
    Row(
        "308 to where it was sent", "headers", EVER, faults.redirect(308, _PATH),
        _refused("APIError 308", "", "POST GET", 2),
    ),
    Row(
        "308 to where it was sent, applied", "headers", EVER, faults.redirect(308, _PATH).applied(),
        _found(2, "POST GET"),
    ),
    Row(
        "307 to another path", "headers", EVER, faults.redirect(307, "/archive/"),
        _refused("APIError 307", "the same host", "POST GET", 2),
    ),
    Row("300 without a place", "headers", EVER, Answer.content(300), _refused("APIError 300", "", "POST GET", 2)),
    Row("304", "headers", EVER, Answer.content(304, framing="none"), _refused("APIError 304", "", "POST GET", 2)),
)

STATUSES: Final = (
    Row(
        "400 for a wrong field", "headers", EVER, _refusal(400, "validation_error"),
        _refused("BadRequestError 400", "validation_error"),
    ),
    Row(
        "400 for another reason", "headers", EVER, _refusal(400, "bad_state"),
        _refused("BadRequestError 400", _UNCHANGED, "POST GET", 2),
    ),
    Row(
        "400 for another reason, archived before", "headers", EVER, _refusal(400, "bad_state"),
        Ends("archived", "UNKNOWN", 2, "POST GET", 0), get=(_GOOD,), archived=True,
    ),
    Row(
        "400 with a page", "headers", EVER, faults.html(400),
        _refused("BadRequestError 400", _UNCHANGED, "POST GET", 2),
    ),
    Row(
        "401, the token is fixed", "headers", EVER, _INVALID_TOKEN,
        _refused("AuthenticationError 401", "invalid_token"),
    ),
    Row(
        "401, the token can be renewed", "headers", 1, _INVALID_TOKEN, _archived(2, "token POST token POST"),
        call=_RENEWED,
    ),
    Row(
        "401, the token can be renewed", "headers", EVER, _INVALID_TOKEN,
        _refused("AuthenticationError 401", "invalid_token", "token POST token POST", 2), call=_RENEWED,
    ),
    Row("403", "headers", EVER, _refusal(403, "permission_denied"), _refused("PermissionDeniedError 403")),
    Row("404", "headers", EVER, _refusal(404, "not_found"), _refused("NotFoundError 404")),
    Row("409", "headers", EVER, _refusal(409, "conflict"), _refused("ConflictError 409", _UNCHANGED, "POST GET", 2)),
    Row(
        "409, archived before", "headers", EVER, _refusal(409, "conflict"),
        Ends("archived", "UNKNOWN", 2, "POST GET", 0), get=(_GOOD,), archived=True,
    ),
    Row(
        "409, not settled", "headers", EVER, _refusal(409, "conflict"),
        Ends("ConflictError 409", "UNKNOWN", 1, "POST", 0), call=_UNSETTLED,
    ),
    Row(
        "409, and the question fails", "headers", EVER, _refusal(409, "conflict"),
        Ends("ConflictError 409", "UNKNOWN", 2, "POST GET", 0, says="failed with ServerError"), get=(_NOTHING,),
    ),
    Row(
        "409 after it was applied", "headers", EVER, _refusal(409, "conflict").applied(), _found(2, "POST GET"),
    ),
    *(
        Row(f"{status} in the envelope", "headers", EVER, _refusal(status), _refused(f"APIError {status}"))
        for status in (402, 405, 406, 410, 415, 423, 451)
    ),
    *(
        Row(f"{status} {form}", "headers", EVER, answer(status), _refused(f"APIError {status}"))
        for status in (407, 411, 413, 414, 417, 421, 426, 428, 431)
        for form, answer in (
            ("in the envelope", _refusal), ("with a page", faults.html), ("with nothing", Answer.content),
        )
    ),
    Row("429 with a page", "headers", EVER, faults.html(429), _refused("RateLimitedError 429", "", "POST*4", 4)),
    Row("429 with nothing", "headers", 1, Answer.content(429), _archived(2, "POST*2")),
    Row("422", "headers", EVER, _refusal(422, "unprocessable"), _refused("UnprocessableEntityError 422")),
    Row("408", "headers", 1, faults.html(408), _archived(2, "POST*2", 1, 2)),
    Row("408", "headers", EVER, faults.html(408), Ends("APIError 408", "UNKNOWN", 5, "POST*4 GET", 0, 5, _UNCHANGED)),
    Row(
        "408 in the envelope", "headers", EVER, _refusal(408),
        Ends("APIError 408", "UNKNOWN", 5, "POST*4 GET", 0, 5, _UNCHANGED),
    ),
    Row("408 after it was applied", "headers", EVER, faults.html(408).applied(), _found(5, "POST*4 GET", 4, 5)),
    Row("429", "headers", 1, _refusal(429), _archived(2, "POST*2")),
    Row("429", "headers", EVER, _refusal(429), _refused("RateLimitedError 429", "", "POST*4", 4)),
    Row("429 for 2 s", "headers", 1, _refusal(429, Retry_After="2"), _archived(2, "POST*2", waited=2.0)),
    Row(
        "429 for 2 s", "headers", EVER, _refusal(429, Retry_After="2"),
        _refused("RateLimitedError 429", "", "POST*4", 4, waited=6.0),
    ),
    Row(
        "429 until a date", "headers", 1, _refusal(429, Date=_FROM, Retry_After=_UNTIL),
        _archived(2, "POST*2", waited=3.0),
    ),
    Row("429 for 1,500 ms", "headers", 1, _refusal(429, retry_after_ms="1500"), _archived(2, "POST*2", waited=1.5)),
    Row("429 for NaN", "headers", 2, _refusal(429, Retry_After="nan"), _archived(3, "POST*3")),
    Row("429 for -5 s", "headers", 3, _refusal(429, Retry_After="-5"), _archived(4, "POST*4")),
    Row(
        "429 for longer than max_retry_after", "headers", 1, _refusal(429, Retry_After="121"),
        _refused("RateLimitedError 429", "max_retry_after"),
    ),
    Row(
        "429 for longer than the deadline", "headers", 1, _refusal(429, Retry_After="50"),
        _refused("RateLimitedError 429", "pass the deadline"), call=Call(deadline=40.0),
    ),
    Row("500", "headers", 1, _refusal(500), _archived(2, "POST*2")),
    Row("500", "headers", 3, _refusal(500), _archived(4, "POST*4")),
    Row("500", "headers", EVER, _refusal(500), Ends("ServerError 500", "UNKNOWN", 5, "POST*4 GET", 0, 1, _UNCHANGED)),
    Row("500 after it was applied", "headers", 1, _refusal(500).applied(), _archived(2, "POST*2", 2)),
    Row("500 after it was applied", "headers", EVER, _refusal(500).applied(), _found(5, "POST*4 GET", 4)),
    Row(
        "500 after it was applied, one attempt", "headers", EVER, _refusal(500).applied(), _found(2, "POST GET"),
        call=Call(max_attempts=1),
    ),
    Row(
        "501 with a page", "headers", EVER, faults.html(501),
        Ends("ServerError 501", "UNKNOWN", 2, "POST GET", 0, 1, _UNCHANGED),
    ),
    Row(
        "502 with a page", "headers", EVER, faults.html(502),
        Ends("ServerError 502", "UNKNOWN", 5, "POST*4 GET", 0, 1, _UNCHANGED),
    ),
    Row(
        "503 with nothing", "headers", EVER, _NOTHING,
        Ends("ServerError 503", "UNKNOWN", 5, "POST*4 GET", 0, 1, _UNCHANGED),
    ),
    Row("503 for 2 s", "headers", 1, _refusal(503, Retry_After="2"), _archived(2, "POST*2", waited=2.0)),
    Row(
        "503 for 2 s after it was applied", "headers", EVER, _refusal(503, Retry_After="2").applied(),
        _found(5, "POST*4 GET", 4, waited=8.0),
    ),
    Row(
        "503 for longer than max_retry_after", "headers", EVER, _refusal(503, Retry_After="121"),
        Ends("ServerError 503", "UNKNOWN", 1, "POST", 0, 1, "max_retry_after"),
    ),
    Row(
        "503 for a day, without a deadline", "headers", EVER, _refusal(503, Retry_After="86400"),
        Ends("ServerError 503", "UNKNOWN", 1, "POST", 0, 1, "the outcome was not checked"), call=Call(deadline=None),
    ),
    Row(
        "503 for longer than the deadline", "headers", EVER, _refusal(503, Retry_After="50"),
        Ends("ServerError 503", "UNKNOWN", 1, "POST", 0, 1, "the outcome was not checked"), call=Call(deadline=40.0),
    ),
    Row(
        "504 with a page", "headers", EVER, faults.html(504),
        Ends("ServerError 504", "UNKNOWN", 5, "POST*4 GET", 0, 1, _UNCHANGED),
    ),
    Row("520", "headers", EVER, faults.html(520), Ends("ServerError 520", "UNKNOWN", 2, "POST GET", 0, 1, _UNCHANGED)),
    Row(
        "500 with a body without end", "body", EVER, Endless(b"HTTP/1.1 500 Oops\r\n\r\n", b" " * 16_384),
        Ends("ServerError 500", "UNKNOWN", 5, "POST*4 GET", 0, 5, _UNCHANGED), call=_SMALL,
    ),
    Row(
        "500 with a bomb", "body", EVER, faults.decompression_bomb("gzip", 16, status=500),
        Ends("ServerError 500", "UNKNOWN", 5, "POST*4 GET", 0, 1, _UNCHANGED), call=_SMALL,
    ),
    Row("404 with a body cut short", "body", 1, _refusal(404).cut("body"), _archived(2, "POST*2", 1, 2)),
)

GATEWAYS: Final = (
    *(
        row
        for what, how, answer in (
            ("400 with nothing", "BadRequestError 400", Answer.content(400)),
            ("401 with a page", "AuthenticationError 401", faults.html(401)),
            ("403 with a page", "PermissionDeniedError 403", faults.html(403)),
            ("403 with nothing", "PermissionDeniedError 403", Answer.content(403)),
            ("404 with a page", "NotFoundError 404", faults.html(404)),
            ("404 with nothing", "NotFoundError 404", _BARE_404),
            ("405 with nothing", "APIError 405", Answer.content(405)),
            ("410 with a page", "APIError 410", faults.html(410)),
            ("422 with a page", "UnprocessableEntityError 422", faults.html(422)),
            ("499 with nothing", "APIError 499", Answer.content(499)),
            ("403 with a detail", "PermissionDeniedError 403", faults.detail(403)),
            ("404 with a detail", "NotFoundError 404", faults.detail(404)),
            ("400 with a list", "BadRequestError 400", _with([{"error_code": "no"}], 400)),
            ("403 with another error object", "PermissionDeniedError 403", _with({"error": {"code": 7}}, 403)),
            ("403 with a code that is no text", "PermissionDeniedError 403", _with({"error_code": 403}, 403)),
            ("403 with a code that is empty", "PermissionDeniedError 403", _with({"error_code": ""}, 403)),
            ("302 to a page for signing in", "APIError 302", faults.redirect(302, "/login/")),
            ("302 to another machine", "APIError 302", faults.redirect(302, "https://login.example/?next=a")),
            ("307 to the path with a query", "APIError 307", faults.redirect(307, f"{_PATH}?again=1")),
            ("303 to a path below", "APIError 303", faults.redirect(303, f"{_PATH}done/")),
        )
        for row in (
            Row(
                f"{what}, in the place of the request", "headers", EVER, answer,
                _refused(how, _UNCHANGED, "POST GET", 2),
            ),
            Row(f"{what}, in the place of the answer", "headers", EVER, answer.applied(), _found(2, "POST GET")),
            Row(
                f"{what}, in the place of every answer", "headers", EVER, answer.applied(),
                Ends(how, "UNKNOWN", 2, "POST GET", 1, says="checking the outcome failed with"), get=(answer,),
            ),
        )
    ),
    Row(
        "403 with a text as its error", "headers", EVER, _with({"error": "no"}, 403),
        _refused("PermissionDeniedError 403"),
    ),
    Row(
        "403 with a code alone", "headers", EVER, _with({"error_code": "no"}, 403),
        _refused("PermissionDeniedError 403", "403, no"),
    ),
    Row(
        "401 with a page, in the place of the answer, the token can be renewed", "headers", 1,
        faults.html(401).applied(), _archived(2, "token POST token POST", 2), call=_RENEWED,
    ),
    Row(
        "401 with a page, in the place of every answer, the token can be renewed", "headers", EVER,
        faults.html(401).applied(), _found(3, "token POST token POST GET", 2), call=_RENEWED,
    ),
    Row(
        "401 with a page, and then the API's own 403", "headers", 1, faults.html(401).applied(),
        _found(3, "token POST token POST GET"), call=_RENEWED, then=(_refusal(403),),
    ),
    Row(
        "403 with a page, not settled", "headers", EVER, faults.html(403).applied(),
        Ends("PermissionDeniedError 403", "UNKNOWN", 1, "POST", 1, says="an HTML page, not the API's own error"),
        call=_UNSETTLED,
    ),
    Row(
        "403 with a page, after a lost request", "headers", 1, _RST,
        Ends("PermissionDeniedError 403", "UNKNOWN", 3, "POST*2 GET", 0, 2, _UNCHANGED), then=(faults.html(403),),
    ),
    Row(
        "403 with a page, without an archive body", "headers", EVER, faults.html(403).applied(),
        _found(3, "GET POST GET"), call=_BODYLESS,
    ),
    *(
        Row(
            f"{status} with a page, in the place of the answer", "headers", EVER, faults.html(status).applied(),
            _found(5, "POST*4 GET", 4),
        )
        for status in (502, 504)
    ),
    *(
        Row(
            f"{status} with a page, in the place of the answer", "headers", EVER, faults.html(status).applied(),
            _found(2, "POST GET"),
        )
        for status in (501, 520, 599)
    ),
)

ANSWER_BODY: Final = (
    Row("cut by FIN", "body", EVER, _GOOD.cut("body"), _lost("ClientPayloadError")),
    Row("cut by FIN", "body", 1, _GOOD.cut("body"), _archived(2, "POST*2", 1, 2)),
    Row("cut by FIN after it was applied", "body", EVER, _GOOD.cut("body").applied(), _found(5, "POST*4 GET", 4, 5)),
    Row("cut by RST", "body", EVER, _GOOD.cut("body", "rst"), _lost("ClientPayloadError")),
    Row(
        "silence in it", "body", EVER, _GOOD.cut("body", "hang"),
        Ends("RequestTimeoutError read", "UNKNOWN", 3, "POST*2 GET", 0, 3, "no data"),
        call=Call(read=0.1, max_attempts=2),
    ),
    Row(
        "silence in it, applied", "body", 1, _GOOD.cut("body", "hang").applied(), _archived(2, "POST*2", 2, 2),
        call=_IMPATIENT,
    ),
    Row("length beyond it, then FIN", "body", EVER, faults.length_beyond_body(), _lost("ClientPayloadError")),
    Row(
        "length beyond it, then silence", "body", 1, faults.length_beyond_body(how="hang"),
        _archived(2, "POST*2", 1, 2), call=_IMPATIENT,
    ),
    Row("bad chunk size", "body", EVER, faults.bad_chunk_size(), _lost("lost")),
    Row("a chunk cut short", "body", EVER, faults.chunks_cut_short(), _lost("ClientPayloadError")),
    Row(
        "all chunks but the last, empty one", "body", EVER, faults.chunks_cut_short(whole_body=True),
        _lost("ClientPayloadError"),
    ),
    Row(
        "ended by FIN alone, and cut", "body", EVER, Answer.json(200, bodies.archived, framing="close").cut("body"),
        _unread("not JSON"),
    ),
    Row(
        "ended by FIN alone, and cut, applied", "body", EVER,
        Answer.json(200, bodies.archived, framing="close").cut("body").applied(), _read_as_archived(),
    ),
    Row(
        "dripped, never silent for long", "body", EVER, _GOOD.applied().drip(200, 0.005), _archived(1, "POST"),
        call=Call(read=0.2),
    ),
    Row(
        "dripped past Timeouts.read", "body", 1, _GOOD.applied().drip(400, 0.3), _archived(2, "POST*2", 2, 2),
        call=_IMPATIENT,
    ),
    Row(
        "dripped past the deadline", "body", EVER, _GOOD.drip(8, 0.02),
        Ends("RequestTimeoutError deadline", "UNKNOWN", 2, "POST GET", 0, 2, _UNCHANGED), call=_HASTY,
    ),
    Row(
        "dripped past the deadline, applied", "body", EVER, _GOOD.applied().drip(8, 0.02), _read_as_archived(),
        call=_HASTY,
    ),
    Row("empty", "body", EVER, faults.literal(b""), _unread("empty or null")),
    Row("empty, applied", "body", EVER, faults.literal(b"").applied(), _read_as_archived()),
    Row("null", "body", EVER, faults.literal(), _unread("empty or null")),
    Row("a list", "body", EVER, faults.literal(b"[]"), _unread("not about the requested")),
    Row("half a customer", "body", EVER, faults.literal(b'{"id": "1'), _unread("not JSON")),
    Row("a page", "body", EVER, _PAGE, _unread("not JSON")),
    Row(
        "a page, not settled", "body", EVER, _PAGE.applied(),
        Ends("ResponseDecodeError", "UNKNOWN", 1, "POST", 1, says="not JSON"), call=_UNSETTLED,
    ),
    Row("another customer", "body", EVER, _ANOTHER, _unread("not about the requested")),
    Row("another customer, applied", "body", EVER, _ANOTHER.applied(), _read_as_archived()),
    Row("no id", "body", EVER, _without("id"), _unread("not about the requested")),
    Row("still active", "body", EVER, _ACTIVE, _unread("does not say that the customer is archived")),
    Row("still active, yet applied", "body", EVER, _ACTIVE.applied(), _read_as_archived()),
    Row(
        "archived in words only", "body", EVER, _without(status="ACTIVE", is_archived="true"),
        _unread("does not say that the customer is archived"),
    ),
    Row(
        "a field that cannot be read", "body", EVER, _without(credit_limit="much").applied(),
        Ends("ResponseDecodeError", "APPLIED", 1, "POST", 1, says="$.credit_limit"),
    ),
    Row(
        "a required field that is null", "body", EVER, _without(is_active=None).applied(),
        Ends("ResponseDecodeError", "APPLIED", 1, "POST", 1, says="$.is_active"),
    ),
    Row(
        "a required field that is missing", "body", EVER, _without("is_archived").applied(),
        Ends("ResponseDecodeError", "APPLIED", 1, "POST", 1, says="$.is_archived"),
    ),
    Row(
        "documented texts that are null", "body", EVER, _without(email=None, notes=None).applied(),
        _archived(1, "POST"),
    ),
    Row("behind a byte order mark", "body", EVER, faults.byte_order_mark().applied(), _archived(1, "POST")),
    Row("an escaped lone surrogate", "body", EVER, faults.lone_surrogate().applied(), _archived(1, "POST")),
    Row(
        "an escaped lone surrogate, in the record", "body", EVER, faults.lone_surrogate(),
        _found(5, "POST*4 GET", 4, 5), hits="GET", post=(_APPLIED_RST,),
    ),
    Row("a charset that does not exist", "body", EVER, faults.charset().applied(), _archived(1, "POST")),
    Row("UTF-16", "body", EVER, faults.charset("utf-16", "utf-16"), _unread("not JSON")),
    Row("invalid UTF-8", "body", EVER, faults.invalid_utf8(), _unread("not JSON")),
    Row("invalid UTF-8, applied", "body", EVER, faults.invalid_utf8().applied(), _read_as_archived()),
    Row("a number of 5,000 digits", "body", EVER, faults.huge_number().applied(), _read_as_archived()),
    Row("NaN", "body", EVER, faults.not_a_number(), _unread("not JSON")),
    Row("nested 100,000 deep", "body", EVER, faults.deep_nesting(), _unread("not JSON")),
    Row(
        "without end", "body", EVER, faults.endless_body(), _unread("longer than max_body_bytes"),
        call=_SMALL,
    ),
    Row(
        "without end, not settled", "body", EVER, faults.endless_body(),
        Ends("ResponseDecodeError", "UNKNOWN", 1, "POST", 0, says="longer than max_body_bytes"),
        call=Call(settle=False, max_body_kib=64),
    ),
    Row("gzip, as it should be", "body", EVER, faults.encoded("gzip").applied(), _archived(1, "POST")),
    Row("gzip of two members", "body", EVER, faults.gzip_members(2).applied(), _archived(1, "POST")),
    Row(
        "gzip of a hundred members, padded with zeros", "body", EVER, faults.gzip_members(100, padding=7).applied(),
        _archived(1, "POST"),
    ),
    Row(
        "gzip of two members, in the record", "body", EVER, faults.gzip_members(2), _found(5, "POST*4 GET", 4, 5),
        hits="GET", post=(_APPLIED_RST,),
    ),
    Row(
        "gzip, and then something else", "body", EVER, faults.gzip_members(2, tail=b"{}").applied(),
        _read_as_archived(),
    ),
    Row("gzip cut short", "body", EVER, faults.truncated("gzip", 200), _unread("cut short")),
    Row("gzip without its checksum", "body", EVER, faults.truncated("gzip", -8), _unread("cut short")),
    Row("gzip in name only", "body", EVER, faults.mislabelled_encoding(), _unread("not the gzip")),
    Row(
        "a gzip bomb", "body", EVER, faults.decompression_bomb("gzip", 64), _unread("longer than max_body_bytes"),
        call=_SMALL,
    ),
    Row(
        "a gzip bomb, applied", "body", EVER, faults.decompression_bomb("gzip", 64).applied(), _read_as_archived(),
        call=_SMALL,
    ),
    *(
        row
        for encoding in ("br", "zstd")
        for row in (
            Row(
                f"{encoding}, not requested", "body", EVER, faults.encoded(encoding).applied(),
                _read_as_archived(),
            ),
            Row(f"{encoding} cut short", "body", EVER, faults.truncated(encoding, 3), _unread("not JSON")),
            Row(
                f"a {encoding} bomb", "body", EVER, faults.decompression_bomb(encoding, 64), _unread("not JSON"),
                call=_SMALL,
            ),
        )
    ),
    Row(
        "an encoding that does not exist", "body", EVER, faults.mislabelled_encoding("klingon").applied(),
        _archived(1, "POST"),
    ),
)

STRAYS: Final = (
    Row(
        "a 404", "connect", 1, None, _archived(1, "POST", 1, 2), before=Stray(_GOOD, _refusal(404)),
        call=Call(max_attempts=1),
    ),
    Row(
        "a 404 with nothing", "connect", 1, None, _archived(1, "POST", 1, 2), before=Stray(_GOOD, _BARE_404),
        call=Call(max_attempts=1),
    ),
    Row(
        "a 408 and FIN", "connect", 1, None, _archived(1, "POST", 1, 2),
        before=Stray(_GOOD, faults.html(408).closing()),
    ),
    Row(
        "an answer about another customer", "connect", 1, None, _archived(1, "POST", 1, 2),
        before=faults.stray(OTHER), call=Call(max_attempts=1),
    ),
    Row(
        "a customer still active, before a GET", "connect", 1, None, Ends("archived", "NOT_APPLIED", 1, "GET", 0, 2),
        before=Stray(_GOOD, _ACTIVE), get=(_GOOD,), archived=True, call=_BODYLESS,
    ),
    Row(
        "a 404 with nothing, and then the answer", "headers", EVER,
        _GOOD.applied().preceded_by(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        _found(2, "POST GET", 1, 2),
    ),
    Row(
        "a 404 with nothing, and the answer after the question", "headers", EVER,
        Stray(_BARE_404, _GOOD.applied()), _found(2, "POST GET"),
    ),
    Row(
        "two answers", "headers", 1, _GOOD.applied().preceded_by(_second_answer(OTHER)), _found(2, "POST GET", 1, 2),
    ),
    Row(
        "a 503 when it is accepted", "connect", 1, faults.full(2), _archived(2, "POST", 1, 2, waited=2.0),
        hits="connection",
    ),
    Row(
        "a 503 when it is accepted, and FIN", "connect", 1, faults.full(2, how="fin"),
        _archived(2, "POST", 1, 2, waited=2.0), hits="connection",
    ),
)

SETTLING: Final = (
    Row(
        "lost, then 404", "headers", 1, _RST, Ends("NotFoundError 404", "UNKNOWN", 3, "POST*2 GET", 0, 2, "404"),
        then=(_refusal(404),),
    ),
    Row("applied and lost, then 404", "headers", 1, _APPLIED_RST, _found(3, "POST*2 GET", 1, 2), then=(_refusal(404),)),
    Row(
        "applied and lost, then 404 to both", "headers", 1, _APPLIED_RST,
        Ends("NotFoundError 404", "UNKNOWN", 3, "POST*2 GET", 1, 2, "failed with NotFoundError"), then=(_refusal(404),),
        get=(_refusal(404),),
    ),
    Row(
        "lost, then 409", "headers", 1, _RST, Ends("ConflictError 409", "UNKNOWN", 3, "POST*2 GET", 0, 2, _UNCHANGED),
        then=(_refusal(409),),
    ),
    Row("applied and lost, then 409", "headers", 1, _APPLIED_RST, _found(3, "POST*2 GET", 1, 2), then=(_refusal(409),)),
    Row(
        "lost, then 400 for a wrong field", "headers", 1, _RST,
        Ends("BadRequestError 400", "UNKNOWN", 3, "POST*2 GET", 0, 2, _UNCHANGED),
        then=(_refusal(400, "validation_error"),),
    ),
    Row(
        "lost, then 401 to both", "headers", 1, _APPLIED_RST,
        Ends("AuthenticationError 401", "UNKNOWN", 3, "POST*2 GET", 1, 2, "failed with AuthenticationError"),
        then=(_INVALID_TOKEN,), get=(_INVALID_TOKEN,),
    ),
    Row(
        "applied and lost, then 403, not settled", "headers", 1, _APPLIED_RST,
        Ends("PermissionDeniedError 403", "UNKNOWN", 2, "POST*2", 1, 2), then=(_refusal(403),), call=_UNSETTLED,
    ),
    Row(
        "applied and lost, then 429 for too long", "headers", 1, _APPLIED_RST,
        Ends("RateLimitedError 429", "UNKNOWN", 2, "POST*2", 1, 2, "the outcome was not checked"),
        then=(_refusal(429, Retry_After="300"),),
    ),
    Row(
        "lost, then a redirect", "headers", 1, _RST, Ends("APIError 302", "UNKNOWN", 3, "POST*2 GET", 0, 2, _UNCHANGED),
        then=(faults.redirect(302, "/login/"),),
    ),
    Row(
        "lost, then a field that cannot be read", "headers", 1, _RST,
        Ends("ResponseDecodeError", "APPLIED", 2, "POST*2", 1, 2, "$.is_active"),
        then=(_without(is_active=None).applied(),),
    ),
    Row(
        "lost, then another customer", "headers", 1, _RST,
        Ends("ResponseDecodeError", "UNKNOWN", 3, "POST*2 GET", 0, 3, _UNCHANGED), then=(_ANOTHER,),
    ),
    Row(
        "applied and lost, then silence", "headers", 1, _APPLIED_RST, _found(3, "POST*2 GET", 2, 3),
        then=(_APPLIED_HANG,), call=Call(read=0.1, max_attempts=2),
    ),
    *(
        Row(
            f"the question is answered with {what}", "headers", EVER, answer,
            Ends("ResponseDecodeError", "UNKNOWN", 2, "POST GET", 1, 2, says), hits="GET", post=(_PAGE.applied(),),
        )
        for what, answer, says in (
            ("a customer still active", _ACTIVE, _UNCHANGED),
            ("404", _refusal(404), "failed with NotFoundError"),
            ("500", _refusal(500), "failed with ServerError"),
            ("401", _INVALID_TOKEN, "failed with AuthenticationError"),
            ("403", _refusal(403), "failed with PermissionDeniedError"),
            ("429", _refusal(429), "failed with RateLimitedError"),
            ("a redirect", faults.redirect(302, _ELSEWHERE), "failed with APIError"),
            ("another customer", _ANOTHER, "failed with ResponseDecodeError"),
            ("a page", _PAGE, "failed with ResponseDecodeError"),
            ("a field that cannot be read", _without(is_active=None), "failed with ResponseDecodeError"),
        )
    ),
    Row(
        "the question is answered with 401", "headers", 1, _INVALID_TOKEN, _found(3, "token POST GET token GET", 1, 2),
        hits="GET", post=(_PAGE.applied(),), call=_RENEWED,
    ),
    Row(
        "the question is met with silence", "headers", EVER, _HANG,
        Ends("ResponseDecodeError", "UNKNOWN", 2, "POST GET", 1, 2, "failed with RequestTimeoutError"), hits="GET",
        post=(_PAGE.applied(),), call=_IMPATIENT,
    ),
    Row(
        "the question's connection is reset", "headers", 1, Cut("headers", "rst"),
        _found(3, "POST GET*2", 1, 3), hits="GET", post=(_PAGE.applied(),),
    ),
    Row(
        "the question's connection is reset", "headers", EVER, Cut("headers", "rst"),
        Ends("ResponseDecodeError", "UNKNOWN", 3, "POST GET*2", 1, 3, "failed with ConnectionLostError"), hits="GET",
        post=(_PAGE.applied(),),
    ),
    Row(
        "the question's answer is cut", "body", EVER, _GOOD.cut("body"),
        Ends("ResponseDecodeError", "UNKNOWN", 3, "POST GET*2", 1, 3, "failed with ConnectionLostError"), hits="GET",
        post=(_PAGE.applied(),),
    ),
)

FINDING_THE_BODY: Final = (
    Row(
        "archived before", "body", EVER, _GOOD, Ends("archived", "NOT_APPLIED", 1, "GET", 0), hits="GET", archived=True,
        call=_BODYLESS,
    ),
    Row("active", "body", 1, _ACTIVE, _archived(2, "GET POST"), hits="GET", call=_BODYLESS),
    Row(
        "active, with texts that are null", "body", EVER, Answer.json(200, _active), _archived(2, "GET POST"),
        hits="GET", call=_BODYLESS,
    ),
    Row("503", "headers", 1, _NOTHING, _archived(3, "GET*2 POST"), hits="GET", call=_BODYLESS),
    Row("503", "headers", EVER, _NOTHING, _refused("ServerError 503", "503", "GET*4", 4), hits="GET", call=_BODYLESS),
    Row("404", "headers", EVER, _refusal(404), _refused("NotFoundError 404", "404", "GET"), hits="GET", call=_BODYLESS),
    Row("409", "headers", EVER, _refusal(409), _refused("ConflictError 409", "409", "GET"), hits="GET", call=_BODYLESS),
    Row(
        "another customer", "body", EVER, _ANOTHER, _refused("ResponseDecodeError", "not about", "GET"), hits="GET",
        call=_BODYLESS,
    ),
    Row("a page", "body", EVER, _PAGE, _refused("ResponseDecodeError", "not JSON", "GET"), hits="GET", call=_BODYLESS),
    Row(
        "silence", "headers", EVER, _HANG, Ends("RequestTimeoutError read", "NOT_APPLIED", 2, "GET*2", 0, 2, "no data"),
        hits="GET", call=Call(body=False, read=0.1, max_attempts=2),
    ),
    Row(
        "103, and then silence", "headers", EVER, Cut("request", "hang", saying=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        Ends("RequestTimeoutError read", "NOT_APPLIED", 2, "GET*2", 0, 2, "no data"), hits="GET",
        call=Call(body=False, read=0.1, max_attempts=2),
    ),
    Row(
        "cut", "body", EVER, _GOOD.cut("body"), Ends("ConnectionLostError", "NOT_APPLIED", 4, "GET*4", 0, 4, "lost"),
        hits="GET", call=_BODYLESS,
    ),
    Row("then the POST is lost", "headers", EVER, _RST, _lost(_UNCHANGED, "GET POST*4 GET", 0, 5, 6), call=_BODYLESS),
    Row(
        "then the POST is applied and lost", "headers", EVER, _APPLIED_RST, _found(6, "GET POST*4 GET", 4, 5),
        call=_BODYLESS,
    ),
    Row(
        "then the POST is refused with 409", "headers", EVER, _refusal(409),
        _refused("ConflictError 409", _UNCHANGED, "GET POST GET", 3), call=_BODYLESS,
    ),
)

TOKENS: Final = (
    Row("500", "headers", 1, _refusal(500), _archived(1, "token*2 POST"), hits="token", call=_RENEWED),
    Row(
        "500", "headers", EVER, _refusal(500), _refused("ServerError 500", "500", "token*4", 0), hits="token",
        call=_RENEWED,
    ),
    Row(
        "503 for 2 s", "headers", 1, _refusal(503, Retry_After="2"), _archived(1, "token*2 POST", waited=2.0),
        hits="token", call=_RENEWED,
    ),
    Row(
        "429 for too long", "headers", EVER, _refusal(429, Retry_After="300"),
        _refused("RateLimitedError 429", "max_retry_after", "token", 0), hits="token", call=_RENEWED,
    ),
    Row(
        "401: a wrong API key", "headers", EVER, _INVALID_TOKEN, _refused("AuthenticationError 401", "401", "token", 0),
        hits="token", call=_RENEWED,
    ),
    Row(
        "400", "headers", EVER, _refusal(400), _refused("BadRequestError 400", "400", "token", 0), hits="token",
        call=_RENEWED,
    ),
    Row(
        "409", "headers", EVER, _refusal(409), _refused("ConflictError 409", "409", "token", 0), hits="token",
        call=_RENEWED,
    ),
    Row(
        "a redirect", "headers", EVER, faults.redirect(307, _ELSEWHERE),
        _refused("APIError 307", "elsewhere", "token", 0), hits="token", call=_RENEWED,
    ),
    Row(
        "a page", "body", EVER, _PAGE, _refused("ResponseDecodeError", "no bearer token", "token", 0), hits="token",
        call=_RENEWED,
    ),
    Row(
        "null", "body", EVER, faults.literal(), _refused("ResponseDecodeError", "no bearer token", "token", 0),
        hits="token", call=_RENEWED,
    ),
    Row(
        "a lifetime below zero", "body", EVER, _with({"access_token": "t", "token_type": "Bearer", "expires_in": -1}),
        _refused("ResponseDecodeError", "expires_in", "token*4", 0), hits="token", call=_RENEWED,
    ),
    Row(
        "a lifetime of zero, once", "body", 1, _with({"access_token": "t", "token_type": "Bearer", "expires_in": 0}),
        _archived(1, "token*2 POST"), hits="token", call=_RENEWED,
    ),
    Row(
        "a lifetime written as text", "body", EVER,
        _with({"access_token": "t", "token_type": "Bearer", "expires_in": "3600"}), _archived(1, "token POST"),
        hits="token", call=_RENEWED,
    ),
    Row(
        "a token of another type", "body", EVER, _with({"access_token": "t", "token_type": "mac", "expires_in": 60}),
        _refused("ResponseDecodeError", "no bearer token", "token", 0), hits="token", call=_RENEWED,
    ),
    Row(
        "a token that no header can carry", "body", EVER, _with({"access_token": "t\n", "token_type": "Bearer"}),
        _refused("ResponseDecodeError", "no bearer token", "token", 0), hits="token", call=_RENEWED,
    ),
    Row("lost", "headers", 1, _RST, _archived(1, "token*2 POST", 1, 2), hits="token", call=_RENEWED),
    Row(
        "lost", "headers", EVER, _RST, Ends("ConnectionLostError", "NOT_APPLIED", 0, "token*4", 0, 4, "lost"),
        hits="token", call=_RENEWED,
    ),
    Row(
        "silence", "headers", EVER, _HANG,
        Ends("RequestTimeoutError read", "NOT_APPLIED", 0, "token*2", 0, 2, "no data"),
        hits="token", call=Call(credentials=True, read=0.1, max_attempts=2),
    ),
    Row(
        "cut", "body", EVER, faults.literal(b"{}").cut("body"),
        Ends("ConnectionLostError", "NOT_APPLIED", 0, "token*4", 0, 4, "lost"), hits="token", call=_RENEWED,
    ),
    Row(
        "without end", "body", EVER, faults.endless_body(),
        _refused("ResponseDecodeError", "no bearer token", "token", 0), hits="token",
        call=Call(credentials=True, max_body_kib=64),
    ),
    Row(
        "500 when the first one is refused", "headers", EVER, _refusal(401),
        _refused("ServerError 500", "500", "token POST token*4", 1), call=_RENEWED, token=(Healthy(), _refusal(500)),
    ),
    Row(
        "lost after the POST was lost and refused", "headers", 1, _APPLIED_RST,
        Ends("ConnectionLostError", "UNKNOWN", 2, "token POST*2 token*4", 1, 5, "failed with ConnectionLostError"),
        then=(_INVALID_TOKEN,), call=_RENEWED, token=(Healthy(), _RST),
    ),
)

LIMITS: Final = (
    Row(
        "silence past the deadline", "headers", EVER, _HANG,
        Ends("RequestTimeoutError deadline", "UNKNOWN", 2, "POST GET", 0, 2, _UNCHANGED), call=_HASTY,
    ),
    Row("silence past the deadline, applied", "headers", EVER, _APPLIED_HANG, _found(2, "POST GET", 1, 2), call=_HASTY),
    Row(
        "silence past the deadline, not settled", "headers", EVER, _APPLIED_HANG,
        Ends("RequestTimeoutError deadline", "UNKNOWN", 1, "POST", 1, 1, "Timeouts.deadline"),
        call=Call(deadline=0.1, settle=False),
    ),
    Row(
        "silence past the deadline, of both", "headers", EVER, _HANG,
        Ends("RequestTimeoutError deadline", "UNKNOWN", 2, "POST GET", 0, 2, "failed with RequestTimeoutError"),
        get=(_HANG,), call=_HASTY,
    ),
    Row(
        "silence of the token endpoint past the deadline", "headers", EVER, _HANG,
        Ends("RequestTimeoutError deadline", "NOT_APPLIED", 0, "token", 0, 1, "deadline"), hits="token",
        call=Call(credentials=True, deadline=0.1),
    ),
    Row(
        "no turn within Timeouts.queue", "connect", EVER, None,
        Ends("RequestTimeoutError queue", "NOT_APPLIED", 0, "", 0, 1, "Timeouts.queue"), rival="before",
        call=Call(max_concurrency=1, queue=0.05),
    ),
    Row(
        "no second turn within Timeouts.queue", "headers", EVER, _refusal(500).applied(),
        Ends("RequestTimeoutError queue", "UNKNOWN", 1, "POST", 1, 1, "Timeouts.queue"), rival="behind",
        call=Call(max_concurrency=1, queue=0.05),
    ),
    Row(
        "a budget for one retry", "headers", EVER, _NOTHING,
        Ends("ServerError 503", "UNKNOWN", 3, "POST*2 GET", 0, 1, "budget is empty"), call=Call(budget=27),
    ),
    Row(
        "a budget for a retry and the question", "headers", EVER, _refusal(500).applied(), _found(3, "POST*2 GET", 2),
        call=Call(budget=28, max_attempts=2),
    ),
    Row(
        "an empty budget, and a lost answer", "headers", 1, _APPLIED_RST, _found(2, "POST GET", connections=2),
        call=Call(budget=13, max_attempts=1),
    ),
    Row(
        "an empty budget, and an answer that proves nothing", "body", EVER, _PAGE.applied(), _read_as_archived(),
        call=Call(budget=13),
    ),
    Row(
        "an empty budget, and a gateway's 402", "headers", EVER, faults.html(402).applied(), _found(2, "POST GET"),
        call=Call(budget=13),
    ),
    Row("the caller's own key", "headers", 2, _APPLIED_RST, _archived(3, "POST*3", 3, 3), call=Call(key="my-key")),
)

# fmt: on

MATRIX: Final[dict[str, tuple[Row, ...]]] = {
    "Connecting": CONNECTING,
    "Sending": SENDING,
    "The answer's headers": ANSWER_HEADERS,
    "Statuses": STATUSES,
    "Gateways that refuse": GATEWAYS,
    "The answer's body": ANSWER_BODY,
    "Unrequested answers": STRAYS,
    "Settling": SETTLING,
    "Finding the body (an archive without one)": FINDING_THE_BODY,
    "The token endpoint": TOKENS,
    "Time, turns and budget": LIMITS,
}
