"""Measures the parts of one archive call of this client, in this process; prints their CPU seconds as JSON.

It measures twice: in layers, each with all below it, 64 calls at once against the server; and each part's real
function alone, with everything that it calls replaced by a prepared answer.
"""

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from itertools import count, pairwise
from typing import Any, Final, TypeVar, cast

import aiohttp
import attrs
from measure import cpu_time
from multidict import CIMultiDictProxy
from work import BUSINESS, TOKEN, Work, answer, works

from thredfi_async import CustomerRequest, RetryPolicy, ThredfiClient, Timeouts
from thredfi_async._codec import converter
from thredfi_async._engine.access_tokens import StaticToken
from thredfi_async._engine.availability import Availability
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._interfaces import Hidden, Progress, Request, Response, Secret, Send, Success, SystemClock, Verdict
from thredfi_async._transport.options import TransportOptions
from thredfi_async._transport.session import AiohttpTransport
from thredfi_async.models import Customer
from thredfi_async.resources._archiving import Archiving, Given
from thredfi_async.resources._requests import CustomerRequests
from thredfi_async.retry import RetryBudget

T = TypeVar("T")

_TIMES: Final = 3000
_AT_ONCE: Final = 64
_REACH: Final = TransportOptions(timeouts=Timeouts(), max_connections=_AT_ONCE, max_body_bytes=8 << 20)
LAYERS: Final = ("transport", "pipeline", "answer", "request", "body")


class Reading(AiohttpTransport):
    """The transport, which also times the reading of the body, most of which arrives with the head."""

    def __init__(self, options: TransportOptions) -> None:
        super().__init__(options)
        self.readings: list[float] = []

    async def _read(
        self,
        status: int,
        headers: CIMultiDictProxy[str],
        stream: aiohttp.StreamReader,
        retire: Callable[[], None],
    ) -> Response:
        began = time.perf_counter()
        answer = await super()._read(status, headers, stream, retire)
        self.readings.append(time.perf_counter() - began)
        return answer


class Unwatched:
    """Progress that is not observed."""

    headers: Mapping[str, str] = {}
    sent = False


class Immediate:
    """Replaces the pipeline: takes the call and ends it."""

    async def run(self, *_: object) -> None:
        """Do nothing."""


def again(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a function, called repeatedly."""
    gc.collect()
    began = cpu_time()
    for _ in range(_TIMES):
        work()
    return (cpu_time() - began) / _TIMES


async def in_turn(work: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU seconds of a coroutine function, awaited repeatedly."""
    gc.collect()
    began = cpu_time()
    for _ in range(_TIMES):
        await work()
    return (cpu_time() - began) / _TIMES


async def at_once(work: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """Return the CPU seconds of a coroutine function, 64 in flight at once; the first ones warm up."""
    numbers = count()

    async def one_by_one() -> None:
        while next(numbers) < _TIMES:
            await work()

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    gc.collect()
    began = cpu_time()
    await asyncio.gather(*(one_by_one() for _ in range(_AT_ONCE)))
    return (cpu_time() - began) / _TIMES


async def layers(url: str, work: Work) -> dict[str, float]:
    """Return the CPU seconds of the call in layers: what each adds to the ones before it, 64 at once."""
    options, call = CallOptions(), _archiving(url, work)
    request = call.first()
    verdict = Success(cast("Customer", work))

    def judge(_: Response) -> Verdict[Customer]:
        return verdict

    unread = attrs.evolve(request, judge=judge)
    transport = AiohttpTransport(_REACH)
    pipeline = _pipeline(transport.send, Limiter(_AT_ONCE, time.monotonic), StaticToken(Hidden(TOKEN)))
    authorization, progress = Hidden(f"Bearer {TOKEN}"), Unwatched()
    async with ThredfiClient(TOKEN, base_url=url, max_connections=_AT_ONCE) as client:
        archive = client.customers.archive
        body = CustomerRequest(**work.fields)
        sums = [
            await at_once(lambda: transport.send(request, authorization, _REACH.timeouts, progress)),
            await at_once(lambda: pipeline.run("customers.archive", lambda: unread, options)),
            await at_once(lambda: pipeline.run("customers.archive", lambda: request, options)),
            await at_once(lambda: archive(BUSINESS, work.customer_id, body)),
            await at_once(lambda: archive(BUSINESS, work.customer_id, CustomerRequest(**work.fields))),
        ]
    await transport.aclose()
    added = [sums[0], *(after - before for before, after in pairwise(sums))]
    return dict(zip(LAYERS, added, strict=True))


async def alone(url: str, work: Work) -> dict[str, float]:
    """Return the CPU seconds of every part by itself."""
    call, body = _archiving(url, work), CustomerRequest(**work.fields)
    requests, options = CustomerRequests(cast("Pipeline", Immediate()), url), CallOptions()
    request, content = call.first(), _content(work)
    parsed, response = converter.parse(content), Response(200, {}, content)
    encode, decode = again(lambda: converter.encode(body)), again(lambda: converter.parse(content))
    structure = again(lambda: converter.structure(parsed, Customer))

    def asked() -> Awaitable[object]:
        return requests.archive(BUSINESS, work.customer_id, Hidden(Given(body, None, None)), options)

    return {
        **await _on_the_wire(request),
        **await _in_the_pipeline(response),
        "decode": decode,
        "structure": structure,
        "is it the customer asked for?": again(lambda: request.judge(response)) - decode - structure,
        "ids and URL": await in_turn(asked),
        "encode": encode,
        "key and headers": again(call.first) - encode,
        "validation": again(lambda: CustomerRequest(**work.fields)),
    }


async def _on_the_wire(request: Request[Customer]) -> dict[str, float]:
    transport, authorization = Reading(_REACH), Hidden(f"Bearer {TOKEN}")
    whole = await at_once(lambda: transport.send(request, authorization, _REACH.timeouts, Unwatched()))
    await transport.aclose()
    reading = statistics.median(transport.readings)
    return {"aiohttp": whole - reading, "read": reading}


async def _in_the_pipeline(response: Response) -> dict[str, float]:
    limiter, token = Limiter(_AT_ONCE, time.monotonic), StaticToken(Hidden(TOKEN))
    verdict = Success(cast("Customer", response))
    request = Request[Customer](method="POST", url="", judge=lambda _: verdict)

    async def send(request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        del request, authorization, timeouts, progress
        return response

    def turn() -> None:
        limiter.acquire_nowait()
        limiter.answered_well(limiter.ticket)
        limiter.release()

    pipeline, options = _pipeline(send, limiter, token), CallOptions()
    limited, authenticated = again(turn), again(lambda: token.header)
    around = await in_turn(lambda: pipeline.run("customers.archive", lambda: request, options))
    return {"limiter": limited, "auth": authenticated, "clock, alarm, retry entry": around - limited - authenticated}


def _pipeline(send: Send, limiter: Limiter, token: StaticToken) -> Pipeline:
    clock = SystemClock()
    return Pipeline(
        send=send,
        authenticator=token,
        limiter=limiter,
        availability=Availability(clock, limiter),
        lifecycle=Lifecycle(),
        timeouts=_REACH.timeouts,
        retry=RetryPolicy(),
        budget=RetryBudget(),
        clock=clock,
    )


def _archiving(url: str, work: Work) -> Archiving:
    path = f"{url}/v1/platform/businesses/{BUSINESS}/customers/{work.customer_id}/"
    return Archiving(path, str(work.customer_id), Hidden(Given(CustomerRequest(**work.fields), None, None)))


def _content(work: Work) -> bytes:
    before, after = answer()
    return (before + str(work.customer_id).encode() + after).partition(b"\r\n\r\n")[2]


async def main(url: str) -> None:
    """Measure, and print."""
    work = works()[0]
    print(json.dumps({"layers": await layers(url, work), "alone": await alone(url, work)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    asyncio.run(main(parser.parse_args().url))
