"""Fixtures of every test: both event loops, a fake clock, and mocked answers."""

import asyncio
import itertools
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest
from aioresponses import aioresponses
from clocks import FakeClock
from loops import FACTORIES
from natsserver import NatsServer


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test on each of these loops."""
    return FACTORIES


UNMEASURED = {"cli", "deploy", "docs", "worker"}
"""The test folders of floors without a coverage gate."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that select a process of `nox -s tests`; with `not`, they select all other tests."""
    config.addinivalue_line("markers", "long: runs without coverage, since shorter tests reach the same lines")
    config.addinivalue_line("markers", "uvloop: an asynchronous test in its run on uvloop (put there by conftest)")
    config.addinivalue_line("markers", "unmeasured: runs without coverage (put on folders by conftest)")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test with its loop and folder, which decide in which process of `nox -s tests` it runs."""
    callspec = getattr(item, "callspec", None)
    factory = callspec.params.get("_asyncio_loop_factory") if callspec else None
    if factory is not None and factory is FACTORIES.get("uvloop"):
        item.add_marker("uvloop")
    if UNMEASURED.intersection(parent.name for parent in item.path.parents):
        item.add_marker("unmeasured")


@pytest.fixture(scope="session", autouse=True)
def short_notes() -> Iterator[None]:
    """Let asyncio's debug mode note four frames of where each task, future and callback was made, and not the stack.

    The whole stack, which begins in pytest, takes more than half of the time of the asynchronous tests. What debug mode
    checks, it still does; and tracebacks are not made by this method.
    """
    extract = traceback.StackSummary.extract

    def shortly(frames: Iterator[Any], **how: Any) -> traceback.StackSummary:
        return extract(itertools.islice(frames, 4), **how)

    with mock.patch.object(traceback.StackSummary, "extract", shortly):
        yield


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock whose sleeps end at once."""
    return FakeClock()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """Run a real NATS server with JetStream and an empty store."""
    with NatsServer(tmp_path) as server:
        yield server


class _MockedResponse(aiohttp.ClientResponse):
    """Accepts the `stream_writer` that aiohttp 3.14 sets and aioresponses 0.7.9 lacks (pnuckowski/aioresponses#289)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": mock.Mock(), **kwargs})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Mock the answers, for units that need no network."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _MockedResponse)
    with aioresponses() as mocked:
        yield mocked
