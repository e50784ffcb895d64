"""Throws everything at archive calls, and holds each statement that they make against the server's own record.

    nox -s fuzz -- --seed 1 --seconds 300

A raw-socket server answers as APIs, gateways and broken networks do: refusals in the API's envelope and out of it,
redirects, pages, strays, two answers at once, 1xx, cuts at any byte, silence, and requests that take effect only later.
Calls are cancelled, clients closed, clocks jump by years, and every part of the client raises now and then. It runs on
asyncio and uvloop, with aiohttp's C parser and its Python one. What a call says must be true, and nothing may be left
when its client is closed: no slot, task, timer or socket. The assumptions about gateways are those of docs/contract.md.
"""

import argparse
import asyncio
import collections
import contextlib
import gzip
import json
import logging
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, Self, cast
from unittest import mock
from uuid import UUID

import uvloop

from thredfi_async import (
    Customer,
    CustomerRequest,
    Effect,
    RawResponse,
    RetryPolicy,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._codec import converter

BUSINESS = "33333333-3333-4333-8333-333333333333"
NOTE = re.compile(r"with effect (NOT_APPLIED|UNKNOWN|APPLIED),")
NOT_PROCESSED = (407, 411, 413, 414, 417, 421, 426, 428, 429, 431)
REFUSALS = (400, 401, 403, 404, 405, 410, 418, 422, 451)
GATEWAY = (400, 401, 402, 403, 404, 405, 406, 409, 410, 418, 422, 425, 451, 499)
FAILURES = (408, 500, 501, 502, 503, 504, 520, 599)
FIELDS: dict[str, Any] = {
    name: "x"
    for name in CustomerRequest.FIELD_NAMES
    if name not in {"tax_exempt", "transaction_tags", "metadata", "payment_terms_days", "credit_limit_cents"}
} | {
    "email": "a@example.com",
    "country": "GB",
    "tax_exempt": True,
    "transaction_tags": [],
    "metadata": None,
    "payment_terms_days": 30,
    "credit_limit_cents": 1,
}
say = sys.stdout.write


@dataclass
class Record:
    """What the server knows: who is archived, and how often each key took effect."""

    archived: set[str] = field(default_factory=set[str])
    applied: collections.Counter[str] = field(default_factory=collections.Counter[str])

    def apply(self, customer: str, key: str) -> None:
        """Archive the customer on behalf of the request with this key."""
        self.archived.add(customer)
        self.applied[key] += 1


class Server:
    """The raw-socket server, in a thread of its own; every answer is drawn."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.record = Record()
        self.port = 0
        self.open = 0
        self.pending = 0
        self.calm = False
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._tasks = set[asyncio.Task[None]]()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            draw = self.random
            if not self.calm and draw.random() < 0.01:
                writer.write(_answer(503, _page(), **{"Retry-After": "0"}))
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, _CutError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        headers = dict(re.findall(r"^([\w-]+): (.*)\r$", head, re.MULTILINE))
        draw = self.random
        if not self.calm and draw.random() < 0.02:
            raise _CutError  # before the body: nothing was processed
        await reader.readexactly(int(headers.get("Content-Length", 0)))
        customer = target.split("/customers/")[1].partition("/")[0]
        if method == "POST":
            data = self._post(customer, headers.get("Idempotency-Key", ""), target)
        else:
            data = self._get(customer)
        if data is None:
            await self._until_gone(reader)
            return False
        if not self.calm:
            if draw.random() < 0.1:
                writer.write(
                    draw.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
                )
            if draw.random() < 0.08:
                writer.write(data[: draw.randrange(len(data))])
                await writer.drain()
                if draw.random() < 0.3:
                    await self._until_gone(reader)
                raise _CutError
            if draw.random() < 0.05:
                data += draw.choice(
                    (_answer(404, b""), _answer(404, _envelope("not_found")), self._good(_other(customer)))
                )
        writer.write(data)
        await writer.drain()
        return self.calm or draw.random() < 0.9

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                await reader.read()

    def _post(self, customer: str, key: str, target: str) -> bytes | None:  # noqa: C901, PLR0911, PLR0912 - one a fault
        draw, record = self.random, self.record

        def apply(chance: float) -> None:
            if draw.random() < chance:
                record.apply(customer, key)

        kind = "good" if self.calm else draw.choices(_KINDS, _WEIGHTS)[0]
        match kind:
            case "good" | "odd" | "encoded":
                record.apply(customer, key)
                return self._good(customer, kind)
            case "refused":
                # The API's own no: it has not applied it.
                return _answer(draw.choice(REFUSALS), _envelope("validation_error"))
            case "conflict":
                # A gateway that repeats a POST gets this for the second.
                apply(0.3)
                return _answer(draw.choice((400, 409)), _envelope("conflict"))
            case "gateway":
                apply(0.5)
                return _answer(
                    draw.choice(GATEWAY), draw.choice((_page(), b"", b'{"detail": "no"}', b'{"a": 1}', b"[]"))
                )
            case "not processed":
                body = draw.choice((_page(), b"", _envelope("throttled")))
                return _answer(draw.choice(NOT_PROCESSED), body, **self._wait())
            case "same path":
                place = draw.choice((target, target.rstrip("/"), f"https://other.example{target}"))
                return _answer(draw.choice((301, 302, 303, 307, 308)), b"", Location=place)
            case "elsewhere":
                apply(0.5)
                place = draw.choice(("/login/", "https://sso.example/", target + "?a=1", "", "http://["))
                return _answer(draw.choice((301, 302, 303, 307, 308, 304, 300)), b"", Location=place)
            case "failed":
                if draw.random() < 0.3:
                    self._later(customer, key)
                else:
                    apply(0.5)
                body = draw.choice((_page(), b"", _envelope("server_error")))
                return _answer(draw.choice(FAILURES), body, **self._wait())
            case "silent" | "cut":
                if draw.random() < 0.3:
                    self._later(customer, key)
                else:
                    apply(0.5)
                if kind == "cut":
                    raise _CutError
                return None
            case _:
                apply(0.5)
                return self._no_proof(customer)

    def _get(self, customer: str) -> bytes | None:
        draw = self.random
        if self.calm or draw.random() < 0.75:
            return _answer(200, _customer(customer, archived=customer in self.record.archived))
        match draw.randrange(6):
            case 0:
                return _answer(draw.choice(FAILURES), _page(), **self._wait())
            case 1:
                return _answer(draw.choice(GATEWAY), draw.choice((_page(), _envelope("no"))))
            case 2:
                return _answer(200, _customer(_other(customer), archived=True))
            case 3:
                raise _CutError
            case 4:
                return _answer(200, draw.choice((_page(), b"null", b"", b"[]", b'{"id": 5}')))
            case _:
                return None

    def _later(self, customer: str, key: str) -> None:
        """Let the request take effect when its call may be long over."""
        self.pending += 1

        def now() -> None:
            self.pending -= 1
            self.record.apply(customer, key)

        self._loop.call_later(self.random.random() * 0.2, now)

    def _wait(self) -> dict[str, str]:
        draw = self.random
        return (
            {"Retry-After": draw.choice(("0", "0", "1", "9" * 40, "Sun Nov  6 08:49:37 1994"))}
            if draw.random() < 0.3
            else {}
        )

    def _good(self, customer: str, kind: str = "good") -> bytes:
        draw, body = self.random, _customer(customer, archived=True)
        if kind == "odd":
            return draw.choice(
                (
                    _answer(200, b"\xef\xbb\xbf" + body),
                    _answer(201, body.replace(b'"x"', b'"\\ud83d"')),
                    _answer(200, body, **{f"X-{number}": "y" * 50 for number in range(300)}),
                    _answer(200, body, **{"X-Long": "z" * 60_000}),
                )
            )
        if kind == "encoded":
            half = draw.randrange(len(body))
            parts = [gzip.compress(body[:half]), gzip.compress(body[half:])]
            return _answer(200, b"".join(parts), **{"Content-Encoding": "gzip"})
        if draw.random() < 0.2:
            chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
        return _answer(200, body)

    def _no_proof(self, customer: str) -> bytes:
        """An answer with a success status that proves nothing, or whose end is not certain."""
        archived = _customer(customer, archived=True)
        return self.random.choice(
            (
                _answer(200, _page()),
                _answer(204, b""),
                _answer(200, b"null"),
                _answer(200, _customer(customer, archived=False)),
                _answer(200, _customer(_other(customer), archived=True)),
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Length: 7\r\n\r\n%s" % (len(archived), archived),
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%s" % archived,
                _answer(200, gzip.compress(archived)[:-6], **{"Content-Encoding": "gzip"}),
                b"garbage\r\n\r\n",
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            )
        )


class _CutError(Exception):
    """The connection is reset now."""


_KINDS = (
    "good", "odd", "encoded", "refused", "conflict", "gateway", "not processed", "same path", "elsewhere", "failed",
    "silent", "cut", "no proof",
)  # fmt: skip
_WEIGHTS = (20, 5, 5, 8, 6, 14, 8, 4, 8, 10, 3, 8, 10)


def _answer(status: int, body: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def _page() -> bytes:
    return b"<html><body>http://a?b=c " + b"http://a" * 50 + b"</body></html>"


def _envelope(code: str) -> bytes:
    return json.dumps({"error": "no", "error_code": code}).encode()


def _other(customer: str) -> str:
    return customer[:-1] + ("0" if customer[-1] != "0" else "1")


def _customer(customer: str, *, archived: bool) -> bytes:
    status = "ARCHIVED" if archived else "ACTIVE"
    return json.dumps(
        {"id": customer, "status": status, "is_active": not archived, "is_archived": archived, "notes": "x"}
    ).encode()


class JumpingClock:
    """A clock that is set now and then, by hours, days or years, forth and back."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._offset = 0.0

    def monotonic(self) -> float:
        if self._draw.random() < 0.002:
            raise ZeroDivisionError("secret")
        if self._draw.random() < 0.002:
            self._offset += self._draw.choice((-1, 1)) * self._draw.choice((3600.0, 86_400.0, 3.2e7, 3.2e9))
        return time.monotonic() + self._offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))


@dataclass
class Findings:
    """What was seen, and what was false or left."""

    ends: collections.Counter[str] = field(default_factory=collections.Counter[str])
    false: list[str] = field(default_factory=list[str])

    def wrong(self, words: str) -> None:
        """Note a false statement, or something that was left."""
        self.false.append(words)
        say(f"FALSE: {words}\n")


@contextlib.contextmanager
def raising(client: ThredfiClient, draw: random.Random, chance: float) -> Generator[None]:
    """Let every part of the client raise now and then, before it does its work or after."""
    with contextlib.ExitStack() as stack:

        def wrap(target: Any, name: str, *, after: bool = False) -> None:
            real = getattr(target, name)

            def either(*args: Any, **more: Any) -> Any:
                result = real(*args, **more) if after else None
                if draw.random() < chance:
                    raise draw.choice((ZeroDivisionError("secret"), OSError(5, "secret"), RuntimeError("secret")))
                return result if after else real(*args, **more)

            stack.enter_context(mock.patch.object(target, name, either))

        limiter = client._limiter
        for name in ("acquire_nowait", "throttled", "answered_well", "cooldown"):
            wrap(limiter, name)
        wrap(limiter, "release", after=True)
        wrap(converter, "structure")
        wrap(converter, "encode")
        wrap(client._lifecycle, "started", after=True)
        wrap(client._authenticator, "refuse")
        wrap(client._authenticator, "renew")
        wrap(client._transport, "_check")
        wrap(client._transport, "_read")
        yield


class FailingHook:
    """A hook that fails."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def on_event(self, _: object, /) -> None:
        if self._draw.random() < 0.1:
            raise ZeroDivisionError("secret")


async def one_round(  # noqa: C901, PLR0912 - one branch a thing that is drawn
    server: Server, draw: random.Random, found: Findings
) -> None:
    """Make some calls with one client, close it, and hold all that was said against the record."""
    record = server.record
    calls = draw.choice((1, 5, 30, 60))
    server.calm = draw.random() < 0.1
    customers = [str(UUID(int=draw.getrandbits(128), version=4)) for _ in range(calls)]
    before = {each for each in customers if draw.random() < 0.15}
    record.archived |= before
    keys = [f"key-{draw.getrandbits(64)}" for _ in customers]
    settings: dict[str, Any] = {
        "timeouts": Timeouts(
            connect=2.0, read=0.15, deadline=draw.choice((0.05, 0.4, 2.0, 5.0)), queue=draw.choice((None, 0.3))
        ),
        "retry": RetryPolicy(
            max_attempts=draw.choice((1, 2, 4)),
            backoff_initial=0.005,
            throttle_initial=0.005,
            backoff_max=0.01,
            budget=draw.random() < 0.5,
            max_retry_after=2.0,
        ),
        "max_connections": draw.choice((1, 4, 50)),
        "max_body_bytes": draw.choice((1 << 16, 8 << 20)),
    }
    if draw.random() < 0.3:
        settings["clock"] = JumpingClock(draw)
    if draw.random() < 0.3:
        settings["hooks"] = [FailingHook(draw)]
    if draw.random() < 0.3:
        settings["token_provider"] = _provider(draw)
    else:
        settings["token"] = "token"
    tasks_before = asyncio.all_tasks()
    client = ThredfiClient(base_url=f"http://127.0.0.1:{server.port}", **settings)
    chaos = raising(client, draw, 0.02) if draw.random() < 0.3 else contextlib.nullcontext()
    with chaos:
        ends = await _gathered(client, customers, keys, draw)
    for _ in range(400):
        if server.pending == 0:
            break
        await asyncio.sleep(0.005)
    for customer, key, end in zip(customers, keys, ends, strict=True):
        _hold(customer, key, end, record, found)
    left = asyncio.all_tasks() - tasks_before
    if left:
        found.wrong(f"{len(left)} tasks are left: {left}")
    if client._limiter.in_use or client._limiter.waiting:
        found.wrong(f"{client._limiter.in_use} slots are in use, {client._limiter.waiting} calls wait")
    if client._lifecycle._calls or client._lifecycle._running:
        found.wrong(f"{client._lifecycle._calls} calls are counted still")
    if client._deadlines._timer is not None or client._limiter._timer is not None:
        found.wrong("a timer is left")
    for _ in range(400):
        if server.open == 0:
            break
        await asyncio.sleep(0.005)
    else:
        found.wrong(f"{server.open} sockets are open")


async def _gathered(client: ThredfiClient, customers: list[str], keys: list[str], draw: random.Random) -> list[Any]:
    async def archive(customer: str, key: str) -> Any:
        raw = client.customers.with_raw_response
        body = FIELDS if draw.random() < 0.8 else None
        try:
            return await raw.archive(BUSINESS, customer, body, idempotency_key=key, settle=draw.random() < 0.8)
        except BaseException as error:  # noqa: BLE001 - with its notes: a task makes a new cancellation of its own
            return error

    tasks = [asyncio.create_task(archive(*each)) for each in zip(customers, keys, strict=True)]
    closing: Awaitable[None] | None = None
    if draw.random() < 0.3:
        closing = asyncio.create_task(_after(draw.random() * 0.3, client.aclose(drain=draw.choice((0.0, 0.05, 1.0)))))
    for task in tasks:
        if draw.random() < 0.15:
            asyncio.get_running_loop().call_later(draw.random() * 0.3, task.cancel)
    try:
        async with asyncio.timeout(60):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
    except TimeoutError:
        ends = [AssertionError("a call did not end") for _ in tasks]
    if closing is not None:
        await closing
    await client.aclose(drain=0.0)
    return ends


async def _after(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    await asyncio.sleep(seconds)
    await work


def _provider(draw: random.Random) -> Callable[[], Awaitable[str]]:
    async def provider() -> str:
        await asyncio.sleep(0)
        match draw.randrange(12):
            case 0:
                raise ZeroDivisionError("secret")
            case 1:
                return "a token\n"
            case 2:
                await asyncio.sleep(0.3)
            case _:
                pass
        return f"token-{draw.getrandbits(32)}"

    return provider


def _hold(  # noqa: C901 - one branch a kind of end
    customer: str, key: str, end: object, record: Record, found: Findings
) -> None:
    """Hold what one call says against the record."""
    applied = record.applied[key]
    match end:
        case RawResponse():
            answer = cast("RawResponse[Customer]", end)
            parsed, already = answer.parsed, answer.already_archived
            found.ends["archived already" if already else "archived"] += 1
            if str(parsed.id) != customer or not (parsed.is_archived or parsed.status == "ARCHIVED"):
                found.wrong(f"success with another record: {parsed!r} for {customer}")
            if customer not in record.archived:
                found.wrong(f"success, and the customer is active: {customer}")
            if already and applied:
                found.wrong(f"'already archived', and this call did it {applied} times")
            return
        case asyncio.CancelledError():
            match_ = NOTE.search("\n".join(getattr(end, "__notes__", ())))
            effect = Effect[match_[1]] if match_ else None
        case ThredfiError():
            effect = end.effect
            if "secret" in "".join((str(end), repr(end), *getattr(end, "__notes__", ()))):
                found.wrong(f"an error shows what a part said: {end!r}")
        case _:
            effect = None
            found.wrong(f"a call ended in {end!r}")
    found.ends[f"{type(end).__name__} {effect.name if effect is not None else 'without a word'}"] += 1
    # A call that was cancelled before it began has nothing to say.
    if effect is Effect.NOT_APPLIED and applied:
        found.wrong(f"NOT_APPLIED, and applied {applied} times: {end!r} {getattr(end, '__notes__', ())}")
    if effect is Effect.APPLIED and not applied:
        found.wrong(f"APPLIED, and never applied: {end!r}")
    if effect is None and applied:
        found.wrong(f"nothing is said, and applied {applied} times: {end!r}")


async def rounds(seed: int, seconds: float) -> Findings:
    """Run rounds until the time is over."""
    found = Findings()
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        with Server(seed * 1_000_003 + number) as server:
            for _ in range(10):
                number += 1
                say_once = len(found.false)
                await one_round(server, random.Random(seed * 1_000_003 + number), found)
                if len(found.false) > say_once:
                    say(f"  in round {number} of seed {seed}\n")
                if time.monotonic() >= until:
                    break
    say(f"  {number} rounds, {found.ends.total()} calls\n")
    for end, count in sorted(found.ends.items()):
        say(f"    {count:7}  {end}\n")
    return found


def main() -> int:
    """Run one part, or all of them in processes of their own."""
    logging.disable()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"))
    options = parser.parse_args()
    if options.loop is not None:
        runner = uvloop.run if options.loop == "uvloop" else asyncio.run
        return 1 if runner(rounds(options.seed, options.seconds)).false else 0
    failed = 0
    for loop in ("asyncio", "uvloop"):
        for parser_name, pure in (("C", ""), ("Python", "1")):
            say(f"{loop}, aiohttp's {parser_name} parser, seed {options.seed}\n")
            sys.stdout.flush()
            command = [sys.executable, __file__, "--loop", loop, "--seed", str(options.seed)]
            env = {**os.environ} | ({"AIOHTTP_NO_EXTENSIONS": pure} if pure else {})
            failed += subprocess.run([*command, "--seconds", str(options.seconds / 4)], env=env, check=False).returncode
    say(f"{failed} of 4 parts failed\n" if failed else "0 false, 0 left\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
