"""Signals on every system: those of loops that take them, and of those that do not, as on Windows."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Generator
from typing import Any, NoReturn

import pytest

from thredfi_async.cli.progress.signals import Interruption, listening
from thredfi_async.cli.signals import STOP, taking


def _no_signals(*_: object) -> NoReturn:
    raise NotImplementedError


@pytest.fixture(params=["loop", "windows"])
async def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the running loop take signals, or none, as the loops of Windows."""
    if request.param == "windows":
        loop = asyncio.get_running_loop()
        try:
            monkeypatch.setattr(loop, "add_signal_handler", _no_signals)
            monkeypatch.setattr(loop, "remove_signal_handler", _no_signals)
        except AttributeError:
            pytest.skip("uvloop does not run on Windows")
    elif os.name == "nt":
        pytest.skip("loops take no signals on Windows")
    return str(request.param)


@contextlib.contextmanager
def handler(number: int, before: Any) -> Generator[None]:
    """Handle a signal in this way before and after."""
    found = signal.signal(number, before)
    try:
        yield
    finally:
        signal.signal(number, found)


async def until(done: Callable[[], object]) -> None:
    """Wait for what a signal does; it comes when it comes."""
    async with asyncio.timeout(5.0):
        while not done():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("name", [name for name in STOP if hasattr(signal, name)])
async def test_a_signal_is_taken_in_the_loop(way: str, name: str) -> None:
    """The name arrives in the loop's own thread and time, and the former handler is back afterwards."""
    number = getattr(signal, name)
    taken: list[str] = []
    before = signal.getsignal(number)
    with taking(STOP, taken.append):
        signal.raise_signal(number)
        await until(lambda: taken)
    assert (taken, signal.getsignal(number)) == ([name], before)


async def test_ctrl_c_drains_and_the_second_ends_at_once(way: str) -> None:
    """The first Ctrl-C cancels nothing on any system, and raises nothing."""
    said: list[str] = []
    interruption = Interruption(said.append, lambda: said.append("cancel"))
    with listening(interruption):
        signal.raise_signal(signal.SIGINT)
        await until(lambda: said == ["SIGINT"])
        signal.raise_signal(signal.SIGINT)
        await until(lambda: said == ["SIGINT", "cancel"])


async def test_an_ignored_signal_stays_ignored(way: str) -> None:
    """A signal that was ignored before is, also after."""
    taken: list[str] = []
    with handler(signal.SIGTERM, signal.SIG_IGN):
        with taking(STOP, taken.append):
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert (taken, signal.getsignal(signal.SIGTERM)) == ([], signal.SIG_IGN)


async def test_outside_of_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread no signal can be taken, with either kind of loop, and nothing fails for it."""

    async def take(*, windows: bool) -> None:
        if windows:
            monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", _no_signals)
        with taking(STOP, print):
            await asyncio.sleep(0)

    before = signal.getsignal(signal.SIGINT)
    for windows in (False, True):
        await asyncio.to_thread(asyncio.run, take(windows=windows))
    assert signal.getsignal(signal.SIGINT) is before


def test_asyncio_run_keeps_its_own_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.run` takes Ctrl-C itself; what it had is back when the signals are left, and after the run."""

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", _no_signals)
        monkeypatch.setattr(asyncio.get_running_loop(), "remove_signal_handler", _no_signals)
        own = signal.getsignal(signal.SIGINT)
        with taking(STOP, lambda _: None):
            assert signal.getsignal(signal.SIGINT) is not own
        assert signal.getsignal(signal.SIGINT) is own

    with handler(signal.SIGINT, signal.default_int_handler):
        asyncio.run(run())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
