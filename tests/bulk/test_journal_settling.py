from pathlib import Path

import pytest
from bulk_api import Api, down, item, items, refusal
from clocks import FakeClock

from thredfi_async.bulk import BulkStoppedError, ItemState, Journal, read_journal
from thredfi_async.bulk.journal import Outcome
from thredfi_async.bulk.settling import Settlement, settle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal in which forty outcomes are not known, and one is."""
    where = tmp_path / "run.db"
    with Journal.open(where) as journal:
        journal.record(
            Outcome(
                business_id=each.business_id,
                customer_id=each.customer_id,
                state=ItemState.UNKNOWN if number else ItemState.FAILED,
            )
            for number, each in enumerate(items(41))
        )
    return where


async def test_settling(path: Path) -> None:
    """Each is asked about once, and what turns out archived is final from then on."""
    api = Api(
        asked=lambda _, customer: refusal(404, "not_found") if customer == item(1).customer_id else None,
        archived={item(number).customer_id for number in range(30)},
    )
    seen: list[int] = []
    with Journal.open(path) as journal:
        found = await settle(api, journal, concurrency=7, on_progress=lambda progress: seen.append(progress.asked))
    assert found == Settlement(asked=40, archived=28, still_active=11, unanswered=1)
    assert (set(api.questions.values()), len(api.calls), seen) == ({1}, 0, [40])
    with read_journal(path) as view:
        assert dict(view.totals()) == {"archived": 28, "failed": 1, "unknown": 12}
        assert view.by_reason()["unknown", "still_active"] == 11


@pytest.mark.parametrize(("error", "cause"), [(refusal(401), "credentials_refused"), (down(), "api_unavailable")])
async def test_an_api_that_does_not_answer(path: Path, error: Exception, cause: str, clock: FakeClock) -> None:
    """Settling probes it until the outage timeout, then stops; the journal is as it was."""
    api = Api(asked=lambda _, __: error)
    with Journal.open(path) as journal, pytest.raises(BulkStoppedError) as caught:
        await settle(api, journal, concurrency=3, clock=clock)
    assert caught.value.cause == cause
    assert api.questions.total() < 60
    assert clock.now - 1000.0 < 660.0
    with read_journal(path) as view:
        assert dict(view.totals()) == {"failed": 1, "unknown": 40}
