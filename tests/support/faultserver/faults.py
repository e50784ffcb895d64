"""Ready-made answers that no HTTP library would send, by kind of fault: framing, encoding, content, place.

An answer's body is by default the requested customer, archived: only the fault can make the client reject it.
`.applied()` means that the server archived.
"""

from collections.abc import Callable
from typing import Any

from . import bodies
from .answer import Answer, Headers, framed, head, pairs
from .content_encoding import Encoding, bomb, encode
from .steps import Cut, Endless, Stray
from .wire import Ending, Point, Request

Payload = Callable[[Request], Any]

_JSON = [("Content-Type", "application/json")]
_CHUNKED = [*_JSON, ("Transfer-Encoding", "chunked")]


def good() -> Answer:
    """Return the requested customer, archived."""
    return Answer.json(200, bodies.archived)


# Framing


def garbage_status_line(line: bytes = b"HTTP/1.1 two-hundred fine") -> Answer:
    """Return a first line that is not HTTP, before a good answer."""
    return Answer.raw(lambda request: line + b"\r\n" + _well_framed(request).partition(b"\r\n")[2])


def two_lengths(difference: int = 7) -> Answer:
    """Return two different Content-Length headers."""

    def render(request: Request) -> bytes:
        body = _body(request)
        lengths = [("Content-Length", str(len(body))), ("Content-Length", str(len(body) + difference))]
        return head(200, [*_JSON, *lengths]) + body

    return Answer.raw(render, "fin")


def lengths(*lines: str, chunked: bool = False) -> Answer:
    """Return a good body behind headers that leave open where it ends; `{}` in them is its length."""

    def render(request: Request) -> bytes:
        body = _body(request)
        named = [line.format(len(body)).split(": ", 1) for line in lines]
        return head(200, [*_JSON, *((name, value) for name, value in named)]) + framed(
            "chunked" if chunked else "length", body
        )

    return Answer.raw(render, "fin")


def length_beyond_body(extra: int = 100, how: Ending = "fin") -> Answer:
    """Return a Content-Length that exceeds the body (`how` may be `hang`)."""

    def render(request: Request) -> bytes:
        body = _body(request)
        return head(200, [*_JSON, ("Content-Length", str(len(body) + extra))]) + body

    return Answer.raw(render, how)


def bad_chunk_size(size: bytes = b"xyz", how: Ending = "fin") -> Answer:
    """Return a chunk whose size is not a hexadecimal number."""

    def render(request: Request) -> bytes:
        return head(200, _CHUNKED) + size + b"\r\n" + _body(request) + b"\r\n0\r\n\r\n"

    return Answer.raw(render, how)


def chunks_cut_short(how: Ending = "fin", *, whole_body: bool = False) -> Answer:
    """Return a chunked body that ends within a chunk, or after all of them but without the last, empty one."""

    def render(request: Request) -> bytes:
        chunks = framed("chunked", _body(request)).removesuffix(b"0\r\n\r\n")
        return head(200, _CHUNKED) + (chunks if whole_body else chunks[:-10])

    return Answer.raw(render, how)


def no_content_with_body() -> Answer:
    """Return a 204 that announces a body, and has it."""
    return Answer.json(204, bodies.archived)


def huge_header(size: int = 1 << 20) -> Answer:
    """Return a good answer with a header of a MiB."""
    return Answer.json(200, bodies.archived, {"X-Filler": "x" * size})


def many_headers(count: int = 100_000) -> Answer:
    """Return a good answer with very many headers."""
    return Answer.json(200, bodies.archived, [(f"X-{number}", "x") for number in range(count)])


def long_heads(size: int = 60_000, count: int = 900) -> Answer:
    """Return a good answer whose head is as long as gateways make it, within the client's bounds."""
    return Answer.json(200, bodies.archived, [("X-Filler", "x" * size), *((f"X-{n}", "x") for n in range(count))])


def endless_headers() -> Endless:
    """Return an endless header block."""
    return Endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n")


def endless_body() -> Endless:
    """Return an endless chunked body."""
    return Endless(head(200, _CHUNKED), framed("chunked", b" " * 32_768).removesuffix(b"0\r\n\r\n"))


def informational(*statuses: int, before: Answer | None = None) -> Answer:
    """Return informational answers, such as 100 or 103, and then a good one (or `before`)."""
    return (before or good()).preceded_by(b"".join(head(status, None) for status in statuses or (100, 103)))


def stray(customer_id: str, *, pause: float = 0.02, first: Answer | None = None) -> Stray:
    """Return a good answer, and on the idle connection one about another customer, archived."""
    return Stray(first or good(), Answer.json(200, bodies.customer(customer_id)), pause)


# Encoding


def encoded(encoding: Encoding, *, status: int = 200, payload: Payload = bodies.archived) -> Answer:
    """Return a well-formed body in an encoding, requested or not."""
    return _encoded(encoding, lambda request: encode(encoding, bodies.dump(payload(request))), status)


def truncated(encoding: Encoding, keep: int, *, payload: Payload = bodies.archived) -> Answer:
    """Return an encoded body with only the first `keep` bytes, or without the last ones if `keep` is negative.

    The framing is correct: for HTTP nothing is missing. With 8 bytes or fewer nothing can be decoded; a gzip
    body without its last 8 can be decoded completely, but lacks the checksum.
    """
    return _encoded(encoding, lambda request: encode(encoding, bodies.dump(payload(request)))[:keep])


def decompression_bomb(encoding: Encoding, mebibytes: int = 256, *, status: int = 200) -> Answer:
    """Return a small body that decompresses to hundreds of MiB."""
    return _encoded(encoding, lambda _: bomb(encoding, mebibytes), status)


def gzip_members(members: int = 2, *, padding: int = 0, tail: bytes = b"") -> Answer:
    """Return a gzip body of several members, zeros behind each, and something behind all of them."""

    def body(request: Request) -> bytes:
        plain = _body(request)
        size = -(-len(plain) // members)
        parts = [plain[start : start + size] for start in range(0, len(plain), size)]
        return b"".join(encode("gzip", part) + bytes(padding) for part in parts) + tail

    return _encoded("gzip", body)


def mislabelled_encoding(name: str = "gzip") -> Answer:
    """Return plain JSON that is labelled with an encoding, known or not."""
    return _encoded(name, _body)


# Content


def charset(name: str = "klingon", codec: str = "utf-8") -> Answer:
    """Return a good body, written in `codec`, that is labelled with another charset or an unknown one."""
    headers = {"Content-Type": f"application/json; charset={name}"}
    return Answer.content(200, lambda request: _body(request).decode().encode(codec), headers)


def byte_order_mark() -> Answer:
    """Return a good body behind a BOM."""
    return _content(lambda request: b"\xef\xbb\xbf" + _body(request))


def invalid_utf8() -> Answer:
    """Return a good body in which one text is not UTF-8."""
    return _spliced("notes", b'"caf\xe9 \xff\xfe"')


def lone_surrogate(text: bytes = rb'"\ud83d"') -> Answer:
    """Return a good body in which one text is half of a surrogate pair, escaped, as JavaScript writes it."""
    return _spliced("notes", text)


def huge_number(digits: int = 5000) -> Answer:
    """Return a good body in which one integer has more digits than Python converts."""
    return _spliced("credit_limit_cents", b"9" * digits)


def not_a_number(literal: bytes = b"NaN") -> Answer:
    """Return a good body with a number that is not JSON."""
    return _spliced("outstanding_balance", literal)


def deep_nesting(depth: int = 100_000) -> Answer:
    """Return a good body in which one field is nested too deeply for any recursive parser."""
    return _spliced("metadata", b"[" * depth + b"]" * depth)


def literal(body: bytes = b"null") -> Answer:
    """Return a JSON answer with exactly this body: `null`, nothing, `[]`, half a customer."""
    return _content(lambda _: body)


def html(status: int = 200, headers: Headers = None) -> Answer:
    """Return a proxy's page instead of an answer."""
    page = b"<!doctype html><title>proxy</title><h1>Something is in the way</h1>"
    return Answer.content(status, page, [("Content-Type", "text/html"), *pairs(headers)])


def problem(status: int, error_code: str = "server_error", headers: Headers = None) -> Answer:
    """Return an error in the API's own envelope."""
    return Answer.json(status, bodies.problem(error_code), headers)


def detail(status: int, text: str = "Not found.") -> Answer:
    """Return an error as a web framework words it, which is not the API's envelope."""
    return Answer.json(status, {"detail": text})


# Place


def redirect(status: int, location: str) -> Answer:
    """Return a redirect: to the same origin with a path, to another with a URL."""
    return Answer.content(status, b"", {"Location": location})


def proxy_refusal() -> Answer:
    """Return a 407 to CONNECT and absolute-form alike."""
    return html(407, {"Proxy-Authenticate": 'Basic realm="proxy"'}).closing()


def full(seconds: int = 2, *, at: Point = "accept", how: Ending = "half-close") -> Cut:
    """Return a 503 of a server that is full, before it has read any request."""
    page = b"full"
    said = head(503, {"Retry-After": str(seconds), "Content-Length": str(len(page)), "Connection": "close"}) + page
    return Cut(at, how, saying=said)


def plain_text_on_tls_port() -> Cut:
    """Return an HTTP server's answer to a TLS handshake; the client has to use `server.https_url`."""
    return Cut("bytes", "fin", saying=head(400, {"Content-Length": "0", "Connection": "close"}))


def _body(request: Request) -> bytes:
    return bodies.dump(bodies.archived(request))


def _well_framed(request: Request) -> bytes:
    return good().render(request)


def _content(body: Callable[[Request], bytes]) -> Answer:
    return Answer.content(200, body, _JSON)


def _encoded(name: str, body: Callable[[Request], bytes], status: int = 200) -> Answer:
    return Answer.content(status, body, [*_JSON, ("Content-Encoding", name)])


def _spliced(name: str, value: bytes) -> Answer:
    """Return a good body in which one field's value is these bytes."""
    marker = "@@spliced@@"

    def body(request: Request) -> bytes:
        payload = {**bodies.archived(request), name: marker}
        return bodies.dump(payload).replace(bodies.dump(marker), value)

    return _content(body)
