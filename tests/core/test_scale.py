"""Very many calls at once: waiting for a turn spends no timeout."""

import asyncio
from uuid import UUID

import pytest
from faultserver import FaultServer, faults
from helpers import BUSINESS, body, client_of, connections_in_use, slots_in_use

from thredfi_async import CustomerRequest, Timeouts

CALLS = 5_000
CONNECTIONS = 10
LATENCY = 0.02


# uvloop would show the same.
@pytest.mark.long  # coverage would double its time
@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_five_thousand_calls_over_ten_connections() -> None:
    """With 20 ms for each answer the calls take ten seconds; with a read timeout of one second, none fails."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)  # which would turn ten seconds into a minute
    ids = [UUID(int=number, version=4) for number in range(CALLS)]
    request = CustomerRequest(**body())
    timeouts = Timeouts(read=1.0, deadline=5.0)
    answer = faults.good().applied().slow(LATENCY)
    async with FaultServer([answer], repeat_last=True) as server:
        async with client_of(server.url, timeouts=timeouts, max_connections=CONNECTIONS) as client:
            began = loop.time()
            done = await asyncio.gather(*(client.customers.archive(BUSINESS, each, request) for each in ids))
            took = loop.time() - began
            assert (slots_in_use(client), connections_in_use(client)) == (0, 0)
        assert [customer.id for customer in done] == ids
        assert (server.applied, server.connections) == (CALLS, CONNECTIONS)
    assert took >= CALLS / CONNECTIONS * LATENCY
