"""The retry budget: the cost of retries and settling, what successes put back, and the cost of an API that is down."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock

import pytest
from clocks import LoopClock
from helpers import until
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async import (
    ConfigurationError,
    Customer,
    Effect,
    RateLimitedError,
    RetryBudget,
    RetryPolicy,
    ServerError,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._engine.availability import MANY
from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer, SeededCustomer

if TYPE_CHECKING:
    from thredfi_async._engine.retry_state import RetryState

ALWAYS_503 = Faults(rates={FaultKind.SERVER_ERROR: 1.0}, include_gets=True)
FAILURE = Fault(FaultKind.SERVER_ERROR, status=500)
THROTTLED = Fault(FaultKind.THROTTLE)


def client_of(server: MockServer, *, retry: RetryPolicy, **settings: Any) -> ThredfiClient:
    """Return a client that does not wait between attempts, unless its policy does."""
    usual: dict[str, Any] = {"clock": LoopClock()}
    return ThredfiClient(server.token, base_url=server.url, retry=retry, **usual | settings)


def answers_no_one(client: ThredfiClient) -> None:
    """Bring a client to where many attempts in a row got no answer."""
    for _ in range(MANY):
        client.customers._requests.pipeline.availability.went_unanswered(
            cast("RetryState", Mock(streak=-1, is_question=False)), 0.0
        )


async def archived(client: ThredfiClient, customer: SeededCustomer, **options: Any) -> Customer:
    """Archive one of the mock server's customers."""
    return await client.customers.archive(customer.business_id, customer.customer_id, customer.body, **options)


async def all_archived(
    client: ThredfiClient, customers: Sequence[SeededCustomer], **options: Any
) -> list[Customer | ThredfiError]:
    """Archive many customers at once; errors are among the results."""
    calls = (archived(client, customer, **options) for customer in customers)
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, Customer | ThredfiError) for end in ends)
    return [end for end in ends if isinstance(end, Customer | ThredfiError)]


def notes_of(error: BaseException | Customer) -> str:
    """Return all notes of an error as one text."""
    return "\n".join(getattr(error, "__notes__", ()))


# The budget alone


def test_budget_starts_full_and_is_spent_whole_or_not_at_all() -> None:
    """A cost above the balance is refused, and takes nothing."""
    budget = RetryBudget(20)
    assert budget.tokens == 20
    assert budget.spend(14)
    assert not budget.spend(14)
    assert budget.tokens == 6
    assert budget.spend(6)
    assert budget.tokens == 0
    assert not budget.spend(1)


def test_budget_takes_back_no_more_than_it_holds() -> None:
    """Ten thousand successes do not fill the budget above its capacity."""
    budget = RetryBudget(20)
    budget.spend(14)
    budget.earn(10_000)
    assert budget.tokens == 20


def test_budget_is_five_hundred_tokens_unless_said_otherwise() -> None:
    """The default capacity is 500 tokens, as in botocore's standard mode."""
    assert RetryBudget().tokens == 500


@pytest.mark.parametrize("capacity", [0, -1, 1.5, "500", True, None])
def test_capacity_that_cannot_be_is_refused(capacity: Any) -> None:
    """An invalid capacity is refused, and the message names the setting."""
    with pytest.raises(ConfigurationError, match=r"RetryBudget\.capacity must be a whole number of at least 1"):
        RetryBudget(capacity)


@given(st.integers(1, 600), st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=50))
def test_tokens_stay_between_nothing_and_the_capacity(capacity: int, steps: list[tuple[bool, int]]) -> None:
    """The balance stays between 0 and the capacity, whatever is spent and earned."""
    budget = RetryBudget(capacity)
    for is_cost, tokens in steps:
        before = budget.tokens
        if is_cost:
            assert budget.spend(tokens) == (before >= tokens)
        else:
            budget.earn(tokens)
        assert 0 <= budget.tokens <= capacity


# In calls


async def test_api_that_is_down_costs_five_hundred_calls_little_more_than_an_attempt_each() -> None:
    """500 concurrent calls to an API that always answers 503 send at most 540 requests; the notes say why."""
    asyncio.get_running_loop().set_debug(False)  # it keeps a stack of each callback: ten times as slow
    async with MockServer(500, faults=ALWAYS_503) as server:
        async with client_of(server, retry=RetryPolicy(no_wait=True)) as client:
            ends = await all_archived(client, server.customers)
        sent = server.requests.totals.total()
    assert all(isinstance(end, ServerError) and end.effect is Effect.UNKNOWN for end in ends)
    assert 500 < sent <= 540
    assert sum(end.attempts for end in ends if isinstance(end, ServerError)) == sent
    ended = [end for end in ends if "not tried again: the retry budget is empty" in notes_of(end)]
    assert len(ended) >= 460
    assert all("the outcome was not checked: the retry budget is empty" in notes_of(end) for end in ended)


async def test_without_a_budget_every_call_makes_all_its_attempts() -> None:
    """`budget=False`: 10 calls of 4 attempts and a question."""
    async with MockServer(10, faults=ALWAYS_503) as server:
        async with client_of(server, retry=RetryPolicy(no_wait=True, budget=False)) as client:
            ends = await all_archived(client, server.customers)
        assert server.requests.totals == {"archive": 40, "get": 10}
    assert not any("budget" in notes_of(end) for end in ends)


@pytest.mark.parametrize(("fault", "cost"), [(FAILURE, 14), (THROTTLED, 5)])
async def test_retry_costs_fourteen_and_five_after_a_429(fault: Fault, cost: int) -> None:
    """A call that fails does not put back what it spent: 14 tokens for a retry, and 5 after a 429."""
    budget = RetryBudget(100)
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, *[fault] * 3)
        retry = RetryPolicy(max_attempts=3, no_wait=True, budget=budget)
        async with client_of(server, retry=retry) as client:
            with pytest.raises((ServerError, RateLimitedError)):
                await archived(client, customer, settle=False)
    assert budget.tokens == 100 - 2 * cost


async def test_settling_costs_fourteen() -> None:
    """While the API answers no one, a failed call with one attempt and one settling request costs 14 tokens."""
    budget = RetryBudget(100)
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, FAILURE)
        async with client_of(server, retry=RetryPolicy(max_attempts=1, no_wait=True, budget=budget)) as client:
            answers_no_one(client)
            with pytest.raises(ServerError):
                await archived(client, customer)
        assert server.requests.of(customer.customer_id).reads == 1
    assert budget.tokens == 86


async def test_settling_is_left_out_when_the_budget_is_empty() -> None:
    """If the budget cannot pay for settling, the call stays UNKNOWN and a note says so, though the server archived."""
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, Fault(FaultKind.RESET_AFTER))
        retry = RetryPolicy(max_attempts=1, no_wait=True, budget=RetryBudget(13))
        async with client_of(server, retry=retry) as client:
            answers_no_one(client)
            with pytest.raises(ThredfiError) as caught:
                await archived(client, customer)
        assert server.requests.of(customer.customer_id).reads == 0
    assert caught.value.effect is Effect.UNKNOWN
    assert "the outcome was not checked: the retry budget is empty" in notes_of(caught.value)


async def test_success_brings_back_what_its_retries_cost() -> None:
    """After a 500 and a 429, a success puts 19 tokens back, so that a good API's rare errors cost nothing."""
    budget = RetryBudget(100)
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, FAILURE, THROTTLED)
        async with client_of(server, retry=RetryPolicy(no_wait=True, budget=budget)) as client:
            budget.spend(40)
            assert (await archived(client, customer)).is_archived
    assert budget.tokens == 60


async def test_success_that_was_asked_for_brings_back_the_question_too() -> None:
    """If settling shows the customer archived, its cost is put back."""
    budget = RetryBudget(100)
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, Fault(FaultKind.RESET_AFTER))
        async with client_of(server, retry=RetryPolicy(max_attempts=1, no_wait=True, budget=budget)) as client:
            budget.spend(40)
            answers_no_one(client)
            assert (await archived(client, customer)).is_archived
    assert budget.tokens == 60


async def test_success_without_retries_brings_back_one() -> None:
    """A success without retries puts back one token, so that an API that has recovered refills the budget."""
    budget = RetryBudget(100)
    async with MockServer(10) as server, client_of(server, retry=RetryPolicy(budget=budget)) as client:
        budget.spend(40)
        await all_archived(client, server.customers)
    assert budget.tokens == 70


async def test_cancelled_call_brings_nothing_back() -> None:
    """The tokens that a cancelled call has spent are lost."""
    budget = RetryBudget(100)
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, FAILURE, Fault(FaultKind.HANG))
        async with client_of(server, retry=RetryPolicy(no_wait=True, budget=budget)) as client:
            call = asyncio.create_task(archived(client, customer))
            await until(lambda: server.requests.of(customer.customer_id).requests == 2)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    assert budget.tokens == 86


async def test_budget_given_to_two_clients_is_shared_between_them() -> None:
    """If one client spends a shared budget, the other cannot retry."""
    retry = RetryPolicy(no_wait=True, budget=RetryBudget(42))
    async with MockServer(2) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, *[FAILURE] * 4)
        server.queue_faults(second.customer_id, *[FAILURE] * 4)
        async with client_of(server, retry=retry) as one, client_of(server, retry=retry) as other:
            with pytest.raises(ServerError) as spent:
                await archived(one, first, settle=False)
            with pytest.raises(ServerError) as refused:
                await archived(other, second, settle=False)
    assert (spent.value.attempts, refused.value.attempts) == (4, 1)
    assert "not tried again: the retry budget is empty" in notes_of(refused.value)


async def test_clients_with_the_default_policy_have_a_budget_each() -> None:
    """Clients share the default policy, but each has its own budget."""
    async with MockServer(14, faults=ALWAYS_503) as server:
        retry = RetryPolicy(no_wait=True)
        async with client_of(server, retry=retry) as one, client_of(server, retry=retry) as other:
            ends = await all_archived(one, server.customers[:13], settle=False)
            assert any("the retry budget is empty" in notes_of(end) for end in ends)
            with pytest.raises(ServerError) as caught:
                await archived(other, server.customers[13], settle=False)
    assert caught.value.attempts == 4


async def test_call_with_a_policy_of_its_own_pays_from_the_budget_of_that_policy() -> None:
    """`budget=True` uses the client's budget, False none, and a `RetryBudget` itself."""
    own = RetryBudget(14)
    async with MockServer(1, faults=ALWAYS_503) as server:
        customer = server.customers[0]
        async with client_of(server, retry=RetryPolicy(no_wait=True, budget=RetryBudget(1))) as client:
            attempts: list[int] = []
            for budget in (own, False, True):
                with pytest.raises(ServerError) as caught:
                    await archived(client, customer, retry=RetryPolicy(no_wait=True, budget=budget), settle=False)
                attempts.append(caught.value.attempts)
    assert attempts == [2, 4, 4]
    assert own.tokens == 0


async def test_wait_that_the_deadline_forbids_is_not_paid_for() -> None:
    """A retry that the deadline prevents costs nothing."""
    budget = RetryBudget(100)
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, FAILURE)
        retry = RetryPolicy(backoff_initial=60.0, backoff_max=60.0, jitter=lambda: 1.0, budget=budget)
        async with client_of(server, retry=retry, timeouts=Timeouts(deadline=5.0)) as client:
            with pytest.raises(ServerError) as caught:
                await archived(client, customer, settle=False)
    assert "would pass the deadline" in notes_of(caught.value)
    assert budget.tokens == 100
