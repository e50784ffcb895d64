import asyncio
from typing import Any

import pytest
from bulk_api import Api, all_of, item, items, refusal, states, until_it_stops

from thredfi_async import ClientStateError, ConfigurationError, ConnectError
from thredfi_async.bulk import (
    ArchiveResult,
    ArchiveRun,
    BulkStoppedError,
    BusinessSkippedError,
    StopPolicy,
    archive_many,
)


async def stopped(run: ArchiveRun) -> tuple[list[ArchiveResult], BulkStoppedError]:
    """The results until a run stops by policy, and why it does."""
    return await until_it_stops(run, BulkStoppedError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("failure_ratio", 0),
        ("failure_ratio", 1.5),
        ("min_items", 0),
        ("max_failures", True),
        ("outage_timeout", -1),
        ("outage_timeout", float("nan")),
        ("skip_business_after", 0),
    ],
)
def test_a_number_out_of_range(name: str, value: Any) -> None:
    """The error names the setting."""
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"^StopPolicy.{name} must be"):
        StopPolicy(**settings)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (refusal(401, "invalid_token"), "credentials_refused"),
        (refusal(401), "credentials_refused"),
        (refusal(302), "wrong_base_url"),
        (refusal(407), "proxy_refused"),
        (refusal(400, is_token_error=True), "credentials_refused"),
        (refusal(404, is_token_error=True), "wrong_base_url"),
        (ConnectError("bad certificate", transient=False), "certificate_refused"),
        (ClientStateError("closed"), "client_unusable"),
    ],
)
async def test_what_would_meet_every_item_stops_the_run(error: Exception, cause: str) -> None:
    """It ends at once, after the results of what was in flight, and nothing more is sent."""
    api = Api(lambda _, customer: error if customer == item(10).customer_id else None)
    results, why = await stopped(archive_many(api, items(1000), concurrency=4))
    assert (why.cause, why.resumable, why.__cause__) == (cause, True, error)
    assert len(results) == sum(api.calls.values()) < 20
    assert [result.state for result in results if result.error is not None] == ["failed"]


async def test_too_many_failures_of_late() -> None:
    """A run whose items mostly fail stops, once enough of them have been seen."""
    api = Api(lambda _, customer: refusal(404, "not_found") if customer.int % 4 else None)
    policy = StopPolicy(failure_ratio=0.5, min_items=20)
    results, why = await stopped(archive_many(api, items(1000), concurrency=1, stop=policy))
    assert why.cause == "failure_ratio"
    assert "15 of the last 20 items have failed" in why.reason
    assert len(results) == 20


async def test_failures_below_the_ratio() -> None:
    """Half of the items may fail, and the run goes on."""
    api = Api(lambda _, customer: refusal(404, "not_found") if customer.int % 2 else None)
    results = await all_of(archive_many(api, items(400), stop=StopPolicy(failure_ratio=0.6, min_items=20)))
    assert states(results).count("rejected") == 200


async def test_a_number_of_failures() -> None:
    """The run stops at `max_failures`, wherever they are."""
    api = Api(lambda _, customer: refusal(404, "not_found") if customer.int % 10 == 0 else None)
    results, why = await stopped(archive_many(api, items(1000), concurrency=1, stop=StopPolicy(max_failures=3)))
    assert (why.cause, states(results).count("rejected")) == ("max_failures", 3)


async def test_a_business_that_is_refused_is_parked() -> None:
    """After 403s in a row its items are held back unsent, and the other business's go on."""
    mine = {item(number, 0).customer_id for number in range(50)}
    api = Api(lambda _, customer: refusal(403, "permission_denied") if customer in mine else None)
    wanted = [item(number, 0 if number < 50 else 1) for number in range(100)]
    policy = StopPolicy(skip_business_after=5, failure_ratio=None)
    results = await all_of(archive_many(api, wanted, concurrency=1, stop=policy))
    assert states(results[50:]) == ["archived"] * 50
    assert states(results[:50]).count("rejected") == 5
    skipped = [result for result in results if result.code == "business_skipped"]
    assert len(skipped) == 45
    assert {(result.state, result.attempts) for result in skipped} == {("failed", 0)}
    assert isinstance(skipped[0].error, BusinessSkippedError)


async def test_a_success_between_refusals() -> None:
    """Only refusals in a row skip a business."""
    api = Api(lambda _, customer: refusal(403) if customer.int % 2 else None)
    results = await all_of(
        archive_many(api, items(60), concurrency=1, stop=StopPolicy(skip_business_after=5, failure_ratio=None))
    )
    assert {result.code for result in results} == {None, "http_403"}


@pytest.mark.parametrize("concurrency", [1, 2, 50])
async def test_a_run_whose_last_items_are_held_back_ends(concurrency: int) -> None:
    """When the last item ends without being sent, no worker waits for more."""
    api = Api(lambda _, __: refusal(403, "permission_denied"))
    async with asyncio.timeout(10):
        results = await all_of(
            archive_many(api, items(71), concurrency=concurrency, stop=StopPolicy(failure_ratio=None))
        )
    assert len(results) == 71
    assert sum(result.code == "business_skipped" for result in results) == 71 - sum(api.calls.values())
