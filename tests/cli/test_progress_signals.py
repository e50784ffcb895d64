"""Signals to a bulk run: the first drains, the second ends it."""

import asyncio
import os
import signal

import pytest

from thredfi_async.cli.progress.signals import Interruption, listening


class Heard:
    """What an interruption has asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.interruption = Interruption(self.said.append, lambda: self.said.append("cancel"))


def test_the_first_drains_and_the_second_cancels() -> None:
    """Any signals do; more of them do no more."""
    heard = Heard()
    for name in ("SIGTERM", "SIGINT", "SIGINT"):
        heard.interruption.take(name)
    assert heard.said == ["SIGTERM", "cancel"]
    assert (heard.interruption.by, heard.interruption.at_once) == ("SIGTERM", True)


@pytest.mark.skipif(os.name == "nt", reason="loops take no signals on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_are_heard(number: signal.Signals) -> None:
    """Ctrl-C, a service manager's stop, and a terminal that is closed, for as long as the run lasts."""
    heard = Heard()
    before = signal.getsignal(number)
    with listening(heard.interruption):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5.0):
            while not heard.said:  # noqa: ASYNC110 - a signal comes when it comes
                await asyncio.sleep(0.001)
    assert heard.said == [number.name]
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
async def test_an_ignored_signal_stays_ignored() -> None:
    """`nohup thredfi bulk ...` goes on when the terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        heard = Heard()
        with listening(heard.interruption):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
        assert heard.said == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_in_a_thread() -> None:
    """Outside of the main thread no signal can be heard, and nothing fails for it."""

    async def hear() -> None:
        with listening(Heard().interruption):
            await asyncio.sleep(0)

    await asyncio.to_thread(asyncio.run, hear())
