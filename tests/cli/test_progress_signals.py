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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP, and one process cannot send signals to itself")
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
