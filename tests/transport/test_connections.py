"""How long connections live, and which are lent: by the session's way and by the direct one."""

import asyncio
import random
from typing import Any

import pytest
from clocks import FakeClock
from faultserver import FaultServer, Healthy
from helpers import BUSINESS, CUSTOMER, ONCE, body, client_of

from thredfi_async import ThredfiClient
from thredfi_async._transport.connections import Connector, Protocol

pytestmark = pytest.mark.parametrize("way", ["1", "0"], ids=["direct", "session"])


@pytest.fixture(autouse=True)
def _by_this_way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send POSTs directly, or by way of the session."""
    monkeypatch.setenv("THREDFI_DIRECT_POST", way)


@pytest.fixture(autouse=True)
def _youngest(monkeypatch: pytest.MonkeyPatch) -> None:
    """End every connection a tenth before its maximum age."""
    monkeypatch.setattr(random, "random", lambda: 1.0)


async def archive(client: ThredfiClient) -> None:
    """Archive a customer."""
    assert (await client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False)).is_archived


async def gather(client: ThredfiClient, count: int) -> None:
    """Archive with this many calls at once."""
    await asyncio.gather(*(archive(client) for _ in range(count)))


def aging(server: FaultServer, clock: FakeClock, **settings: Any) -> ThredfiClient:
    """Return a client that tries once, by this clock."""
    return client_of(server.url, clock=clock, retry=ONCE, **settings)


async def test_an_old_connection_is_lent_no_more(clock: FakeClock) -> None:
    """From its age on, the next request takes another connection, in its first attempt, and the old one is closed."""
    async with (
        FaultServer([Healthy()], repeat_last=True) as server,
        aging(server, clock, max_connection_age=100.0) as client,
    ):
        await archive(client)
        clock.now += 89.9
        await archive(client)
        await client.customers.get(BUSINESS, CUSTOMER)
        assert server.connections == 1
        clock.now += 0.2
        await archive(client)
        clock.now += 90.1
        await client.customers.get(BUSINESS, CUSTOMER)
        assert [request.connection for request in server.requests] == [1, 1, 1, 2, 3]
        await server.until(lambda: server.open_connections == 1)


@pytest.mark.parametrize("count", [1, 7, 30])
async def test_no_old_connection_is_lent_at_any_concurrency(
    count: int, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls run at once, and while time goes on between them, none is lent a connection past its age."""
    lend, made, ages = Connector.lend, dict[Protocol, float](), list[float]()

    async def record(*arguments: Any) -> Any:
        connection: Any = await lend(*arguments)
        ages.append(clock.now - made.setdefault(connection.protocol, clock.now))
        clock.now += 1.0
        return connection

    monkeypatch.setattr(Connector, "lend", record)
    async with (
        FaultServer([Healthy()], repeat_last=True) as server,
        aging(server, clock, max_connection_age=count / 2 + 1) as client,
    ):
        await gather(client, 2 * count)
        await gather(client, 2 * count)
        assert len(ages) == len(server.requests) == 4 * count
        assert max(ages) < count / 2 + 1
        assert server.connections == len(made)


async def test_an_age_shorter_than_a_request(clock: FakeClock) -> None:
    """A new connection always serves the request that it was made for."""
    async with (
        FaultServer([Healthy()], repeat_last=True) as server,
        aging(server, clock, max_connection_age=1e-9) as client,
    ):
        for _ in range(3):
            clock.now += 1.0
            await archive(client)
        assert server.connections == 3


async def test_connections_of_any_age(clock: FakeClock) -> None:
    """Without a maximum, a connection serves for as long as it lives; by default, for 5 minutes at most."""
    async with FaultServer([Healthy()], repeat_last=True) as server:
        async with aging(server, clock, max_connection_age=None) as client:
            for _ in range(2):
                await archive(client)
                clock.now += 1e6
            assert server.connections == 1
        async with aging(server, clock) as client:
            for age, connections in ((0.0, 2), (269.0, 2), (2.0, 3)):
                clock.now += age
                await archive(client)
                assert server.connections == connections


async def test_connections_that_began_together_end_one_by_one(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends up to a tenth before its maximum age, so that not all are made anew at once."""
    parts = iter([0.0, 0.25, 0.5, 0.75])
    monkeypatch.setattr(random, "random", lambda: next(parts, 1.0))
    async with (
        FaultServer([Healthy()], repeat_last=True) as server,
        aging(server, clock, max_connection_age=1000.0) as client,
    ):
        await gather(client, 4)
        assert client._transport._session is not None
        connector = client._transport._session.connector
        assert isinstance(connector, Connector)
        pool = [each for each, _ in next(iter(connector._conns.values()))]
        ends = sorted(each.expires - clock.now for each in pool if isinstance(each, Protocol) and each.expires)
        assert ends == [925.0, 950.0, 975.0, 1000.0]
