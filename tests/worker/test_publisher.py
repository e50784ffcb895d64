"""Publications that wait for the stream's acknowledgement."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from virtual_time import run_virtually

from thredfi_async.worker.publisher import Publisher


class Silent:
    """A connection on which no answer comes."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_wait: list[bool] = []

    async def publish(self, _: str, __: bytes, *, reply: str, may_wait: bool, **___: object) -> None:
        self.sent.append(reply)
        self.may_wait.append(may_wait)


def test_each_ends_when_its_own_time_is_over() -> None:
    """One timer looks after all that wait: each ends after its own five seconds, and none waits for ever."""
    connection: Any = Silent()

    async def all_of_them() -> Sequence[float]:
        publishing = Publisher(connection)
        loop = asyncio.get_running_loop()

        async def one(start: float) -> float:
            await asyncio.sleep(start)
            began = loop.time()
            with pytest.raises(TimeoutError):
                await publishing.publish("s", b"", {}, stream="S")
            return loop.time() - began

        return await asyncio.gather(one(0.0), one(3.0), one(3.0), one(9.0))

    assert run_virtually(all_of_them()) == pytest.approx([5.0] * 4)
    assert len(set(connection.sent)) == 4


def test_a_few_are_sent_at_once() -> None:
    """A message waits for others only while many wait for their acknowledgement: their publishers may do no more."""
    connection: Any = Silent()

    async def all_of_them() -> None:
        publishing = Publisher(connection)

        async def one() -> None:
            with pytest.raises(TimeoutError):
                await publishing.publish("s", b"", {}, stream="S")

        await one()
        await one()
        await asyncio.gather(*(one() for _ in range(10)))

    run_virtually(all_of_them())
    assert connection.may_wait == [False] * 10 + [True] * 2
