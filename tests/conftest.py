"""What every test has: both event loops, a clock that nobody waits for, and mocked answers that work."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest
from aioresponses import aioresponses
from clocks import FakeClock
from natsserver import NatsServer


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test on each of these loops."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415 - there is none for Windows

        factories["uvloop"] = uvloop.new_event_loop
    return factories


UNMEASURED = {"bulk", "cli", "docs", "worker"}
"""The folders of floors that the coverage gate for the core does not hold."""


def pytest_configure(config: pytest.Config) -> None:
    """Name what a marker expression can ask for; with `not` before it, it asks for all the rest."""
    config.addinivalue_line("markers", "uvloop: an asynchronous test in its run on uvloop (put there by conftest)")
    config.addinivalue_line("markers", "unmeasured: runs without coverage (put on folders by conftest)")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test with the loop and the folder that decide which process of `nox -s tests` it runs in."""
    callspec = getattr(item, "callspec", None)
    factory = callspec.params.get("_asyncio_loop_factory") if callspec else None
    if getattr(factory, "__module__", "").partition(".")[0] == "uvloop":
        item.add_marker("uvloop")
    if item.path.parent.name in UNMEASURED:
        item.add_marker("unmeasured")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that nobody waits for."""
    return FakeClock()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A real NATS server with JetStream and an empty store."""
    with NatsServer(tmp_path) as server:
        yield server


class _MockedResponse(aiohttp.ClientResponse):
    """aiohttp 3.14 asks for a `stream_writer` that aioresponses 0.7.9 does not give (pnuckowski/aioresponses#289)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": mock.Mock(), **kwargs})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Mocked answers, for units that need no wire."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _MockedResponse)
    with aioresponses() as mocked:
        yield mocked
