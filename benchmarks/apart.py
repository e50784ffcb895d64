"""Takes one archive call of this client apart, in this process; prints the CPU seconds of its parts as JSON.

The real functions run by themselves, one kind at a time, with whatever they call inside replaced by an answer at hand.
What goes over the wire runs 64 at once against the server, as the whole call does.
"""

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, Final, cast

import aiohttp
from measure import cpu_time
from work import BUSINESS, TOKEN, Work, answer, works

from thredfi_async import CustomerRequest, RetryPolicy, ThredfiClient, Timeouts, _converter
from thredfi_async._lifetime import Lifetime
from thredfi_async._pipeline import CallOptions, Pipeline
from thredfi_async._ports import Progress, Request, Response, SystemClock, Verdict
from thredfi_async.auth import StaticToken
from thredfi_async.limits import Limiter
from thredfi_async.models import Customer
from thredfi_async.resources._archiving import Archiving
from thredfi_async.resources._requests import CustomerRequests
from thredfi_async.retry import RetryBudget
from thredfi_async.transport import AiohttpTransport, TransportOptions

_TIMES: Final = 3000
_AT_ONCE: Final = 64


class Reading(AiohttpTransport):
    """The transport, with a stopwatch at its reading of the body, which has mostly come with the head."""

    def __init__(self, options: TransportOptions) -> None:
        super().__init__(options)
        self.readings: list[float] = []

    async def _read(self, response: aiohttp.ClientResponse, session: aiohttp.ClientSession) -> Response:
        began = time.perf_counter()
        answer = await super()._read(response, session)
        self.readings.append(time.perf_counter() - began)
        return answer


class Unwatched:
    """Progress that nobody looks at."""

    sent = False


class Immediate:
    """In the pipeline's place: takes the call and ends it."""

    async def run(self, *_: object) -> None:
        """Do nothing."""


def alone(work: Callable[[], object]) -> float:
    """CPU seconds of a function, called again and again."""
    gc.collect()
    began = cpu_time()
    for _ in range(_TIMES):
        work()
    return (cpu_time() - began) / _TIMES


async def in_turn(work: Callable[[], Awaitable[object]]) -> float:
    """CPU seconds of a coroutine function, awaited again and again."""
    gc.collect()
    began = cpu_time()
    for _ in range(_TIMES):
        await work()
    return (cpu_time() - began) / _TIMES


async def at_once(work: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """CPU seconds of a coroutine function, 64 under way at once; the first of each are the warm-up."""
    numbers = count()

    async def again() -> None:
        while next(numbers) < _TIMES:
            await work()

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    gc.collect()
    began = cpu_time()
    await asyncio.gather(*(again() for _ in range(_AT_ONCE)))
    return (cpu_time() - began) / _TIMES


async def on_the_wire(url: str, request: Request[Customer]) -> tuple[float, float]:
    """CPU seconds of sending a request and of reading its answer's body."""
    transport = Reading(TransportOptions(timeouts=Timeouts(), max_connections=_AT_ONCE, max_body_bytes=8 << 20))
    headers, timeouts = {"Authorization": f"Bearer {TOKEN}"}, transport._options.timeouts
    progress: Progress = Unwatched()
    whole = await at_once(lambda: transport.send(request, headers, timeouts, progress))
    await transport.aclose()
    reading = statistics.median(transport.readings)
    return whole - reading, reading


async def in_the_pipeline(response: Response, work: Work) -> dict[str, float]:
    """CPU seconds of what stands around an attempt: limiter, authentication, and the state of the call."""
    limiter, token = Limiter(_AT_ONCE, time.monotonic), StaticToken(TOKEN)
    verdict = Verdict[Customer](cast("Customer", work))
    request = Request[Customer](method="POST", url="", judge=lambda _: verdict)

    async def send(*_: object) -> Response:
        return response

    pipeline = Pipeline(
        send=send,
        authenticator=token,
        limiter=limiter,
        lifetime=Lifetime(),
        timeouts=Timeouts(),
        retry=RetryPolicy(),
        budget=RetryBudget(),
        clock=SystemClock(),
    )
    options = CallOptions()

    def turn() -> None:
        limiter.acquire_nowait()
        limiter.answered_well()
        limiter.release()

    limited, authenticated = alone(turn), alone(lambda: token.header)
    around = await in_turn(lambda: pipeline.run("customers.archive", lambda: request, options))
    return {"limiter": limited, "auth": authenticated, "call state, alarm, retry entry": around - limited - authenticated}


async def parts(url: str) -> dict[str, float]:
    """CPU seconds of every part, and of the whole call."""
    work = works()[0]
    body = CustomerRequest(**work.fields)
    before, after = answer()
    content = (before + str(work.customer_id).encode() + after).partition(b"\r\n\r\n")[2]
    response = Response(200, {}, content)
    path = f"{url}/v1/platform/businesses/{BUSINESS}/customers/{work.customer_id}/"
    archiving = Archiving(path, str(work.customer_id), body, None, {})
    requests, options = CustomerRequests(cast("Pipeline", Immediate()), url), CallOptions()

    def asked() -> Awaitable[object]:
        return requests.archive(BUSINESS, work.customer_id, body, options, idempotency_key=None, headers=None)

    encode, first = alone(lambda: _converter.encode(body)), alone(archiving.first)
    parsed, request = _converter.parse(content), archiving.first()
    decode, structure = alone(lambda: _converter.parse(content)), alone(lambda: _converter.structure(parsed, Customer))
    sending, reading = await on_the_wire(url, request)
    found = {
        "validation of the body": alone(lambda: CustomerRequest(**work.fields)),
        "ids and URL": await in_turn(asked),
        "encode": encode,
        "key and headers": first - encode,
        **await in_the_pipeline(response, work),
        "aiohttp": sending,
        "read": reading,
        "decode": decode,
        "structure": structure,
        "is it the customer asked for?": alone(lambda: request.judge(response)) - decode - structure,
    }
    async with ThredfiClient(TOKEN, base_url=url, max_connections=_AT_ONCE) as client:
        call = client.customers.archive
        whole = await at_once(lambda: call(BUSINESS, work.customer_id, CustomerRequest(**work.fields)))
    return {**found, "the rest": whole - sum(found.values()), "the whole call": whole}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    print(json.dumps(asyncio.run(parts(parser.parse_args().url))))
