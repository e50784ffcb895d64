"""An answer, HTTP or not, and the faults in sending it."""

import asyncio
import http
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from . import bodies
from .wire import Connection, Ending, Point, Request

AnswerPoint = Literal["status", "headers", "body"]
Framing = Literal["length", "chunked", "close", "none"]
Headers = dict[str, str] | list[tuple[str, str]] | None
Body = bytes | Callable[[Request], bytes]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: made by `json`, `content` or `raw`, changed by the methods below them."""

    render: Callable[[Request], bytes]
    at: Point = "request"
    is_applied: bool = False
    cut_at: AnswerPoint | None = None
    kept: int | None = None
    ending: Ending = "keep"
    drip_size: int = 0
    drip_pause: float = 0.0
    delay: float = 0.0
    gate: asyncio.Event | None = None

    @classmethod
    def json(cls, status: int, payload: Any, headers: Headers = None, *, framing: Framing = "length") -> "Answer":
        """Make a JSON answer; a callable payload gets the request, which has the id to echo."""

        def body(request: Request) -> bytes:
            return bodies.dump(payload(request) if callable(payload) else payload)

        typed = [("Content-Type", "application/json"), *pairs(headers)]
        return cls.content(status, body, typed, framing=framing)

    @classmethod
    def content(
        cls, status: int, body: Body = b"", headers: Headers = None, *, framing: Framing = "length"
    ) -> "Answer":
        """Make an answer with this body and framing; `none` frames nothing, `close` ends by FIN."""

        def render(request: Request) -> bytes:
            data = body(request) if callable(body) else body
            return head(status, [*pairs(headers), *_framing(framing, len(data))]) + framed(framing, data)

        return cls(render=render, ending="fin" if framing == "close" else "keep")

    @classmethod
    def raw(cls, data: Body, ending: Ending = "keep") -> "Answer":
        """Make an answer of exactly these bytes, HTTP or not."""
        return cls(render=data if callable(data) else lambda _: data, ending=ending)

    def applied(self) -> "Answer":
        """Count the request as applied before the answer."""
        return replace(self, is_applied=True)

    def cut(self, at: AnswerPoint, how: Ending = "fin", *, keep: int | None = None) -> "Answer":
        """End within the status line, the headers, or the framed body (after half of it, or `keep` bytes)."""
        return replace(self, cut_at=at, kept=keep, ending=how)

    def then(self, how: Ending) -> "Answer":
        """End the connection after the complete answer, without announcing it."""
        return replace(self, ending=how)

    def closing(self) -> "Answer":
        """Announce `Connection: close`, and close."""
        return replace(self.after_status(b"Connection: close\r\n"), ending="fin")

    def drip(self, size: int = 1, pause: float = 0.0) -> "Answer":
        """Send it in pieces of so many bytes, with so many seconds between them."""
        return replace(self, drip_size=size, drip_pause=pause)

    def slow(self, seconds: float) -> "Answer":
        """Delay it by so many seconds."""
        return replace(self, delay=seconds)

    def held(self, gate: asyncio.Event) -> "Answer":
        """Delay it until the test opens the gate."""
        return replace(self, gate=gate)

    def preceded_by(self, data: bytes) -> "Answer":
        """Send these bytes before it, such as informational answers."""

        def render(request: Request) -> bytes:
            return data + self.render(request)

        return replace(self, render=render)

    def after_status(self, lines: bytes) -> "Answer":
        """Put these header lines first."""

        def render(request: Request) -> bytes:
            status, line_end, rest = self.render(request).partition(b"\r\n")
            return status + line_end + lines + rest

        return replace(self, render=render)

    async def play(self, conn: Connection) -> None:
        request = await conn.read_body()
        if self.is_applied:
            conn.apply()
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.gate is not None:
            await self.gate.wait()
        data = self._what_is_sent(self.render(request))
        size = self.drip_size or max(len(data), 1)
        for start in range(0, len(data), size):
            await conn.send(data[start : start + size])
            if self.drip_size:
                await asyncio.sleep(self.drip_pause)
        await conn.end(self.ending)

    def _what_is_sent(self, data: bytes) -> bytes:
        headers, blank, body = data.partition(b"\r\n\r\n")
        match self.cut_at:
            case None:
                return data
            case "status":
                return headers[: len(b"HTTP/1.1 20")]
            case "headers":
                return headers[:-4]
            case "body":
                return headers + blank + body[: len(body) // 2 if self.kept is None else self.kept]


def head(status: int, headers: Headers) -> bytes:
    """Return a status line and headers, up to the blank line."""
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in pairs(headers))]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def framed(framing: Framing, body: bytes) -> bytes:
    """Return the body as sent: unchanged, or in two chunks, so that one can be missing."""
    if framing != "chunked":
        return body
    middle = len(body) // 2
    return (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part) + b"0\r\n\r\n"
    )


def _framing(framing: Framing, length: int) -> list[tuple[str, str]]:
    match framing:
        case "length":
            return [("Content-Length", str(length))]
        case "chunked":
            return [("Transfer-Encoding", "chunked")]
        case "close":
            return [("Connection", "close")]
        case "none":
            return []


def pairs(headers: Headers) -> list[tuple[str, str]]:
    """Yield the headers as they are sent, one by one."""
    return list(headers.items()) if isinstance(headers, dict) else headers or []
