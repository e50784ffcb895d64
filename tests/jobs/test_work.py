"""Work that hooks follow: who is told, what headers it has, and what failing hooks do to it."""

import logging
from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from faultserver import FaultServer, Healthy, faults
from helpers import BUSINESS, CUSTOMER, Recorder, body, client_of

from thredfi_async import ThredfiClient, WorkEnded, WorkObserver, WorkStarted
from thredfi_async._jobs.work import FollowedWork, followers_of
from thredfi_async.bulk import ArchiveItem, BulkStoppedError, archive_many

RUN = WorkStarted(kind="run", name="archive")


class Follower(Recorder):
    """A hook that follows work, and is its own observer."""

    def __init__(self, name: str = "", headers: Any = None, log: list[str] | None = None) -> None:
        super().__init__()
        self.name = name
        self.offered = headers
        self.log: list[str] = [] if log is None else log
        self.started: list[WorkStarted] = []
        self.done: list[WorkEnded] = []

    def on_work(self, started: WorkStarted, /) -> WorkObserver | None:
        self.started.append(started)
        self.log.append(f"{self.name} begins")
        return None if self.name == "no" else self

    def headers(self) -> Mapping[str, str]:
        if isinstance(self.offered, Exception):
            raise self.offered
        offered: Mapping[str, str] = self.offered
        return offered

    def on_end(self, ended: WorkEnded, /) -> None:
        self.log.append(f"{self.name} ends")
        self.done.append(ended)


def test_who_follows_is_told() -> None:
    """Hooks are told of start and end, the end in the opposite order; one that returns None is told no more."""
    log: list[str] = []
    hooks = [Recorder(), *(Follower(name, {}, log) for name in ("first", "no", "last"))]
    work = FollowedWork.begin(followers_of(ThredfiClient("secret-token", hooks=hooks)), RUN)
    work.end(WorkEnded(outcome="completed"))
    assert log == ["first begins", "no begins", "last begins", "last ends", "first ends"]


def test_a_stand_in_for_a_client() -> None:
    """What is no client of ours has no hooks, whatever its attributes are."""
    assert [followers_of(each) for each in (object(), mock.Mock())] == [(), ()]


def test_headers_are_checked(caplog: pytest.LogCaptureFixture) -> None:
    """Headers of all observers go together; what cannot be sent, or raises, is left out and logged."""
    offers = [{"traceparent": "00-a-b-01"}, {"baggage": "a\nb"}, RuntimeError("secret"), {"tracestate": "x=1"}]
    client = ThredfiClient("secret-token", hooks=[Follower(headers=each) for each in offers])
    with caplog.at_level(logging.WARNING, "thredfi_async"):
        found = FollowedWork.begin(followers_of(client), RUN).headers()
    assert found == {"traceparent": "00-a-b-01", "tracestate": "x=1"}
    assert [record.getMessage() for record in caplog.records] == [
        "headers of the hook Follower are left out: headers[baggage]: must be visible ASCII characters, and not empty",
        "the hook Follower raised RuntimeError",
    ]


async def test_a_bulk_run_is_followed() -> None:
    """A run is told from its start to its end, with its items by state."""
    hook = Follower(headers={})
    async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[hook]) as client:
        _ = [each async for each in archive_many(client, [ArchiveItem(BUSINESS, CUSTOMER, body())])]
    assert hook.started == [RUN]
    assert hook.done == [WorkEnded(outcome="completed", counts={"archived": 1})]


async def test_a_bulk_run_that_stops_is_followed() -> None:
    """A run that stops is told with its error."""
    hook = Follower(headers={})
    async with FaultServer([faults.problem(401)]) as server, client_of(server.url, hooks=[hook]) as client:
        with pytest.raises(BulkStoppedError):
            _ = [each async for each in archive_many(client, [ArchiveItem(BUSINESS, CUSTOMER, body())])]
    (done,) = hook.done
    assert (done.outcome, done.error) == ("stopped", "BulkStoppedError")
