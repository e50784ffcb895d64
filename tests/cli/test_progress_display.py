"""How long work is shown: a bar on a terminal, lines in a log, events for a machine."""

import io
import json
import sys
from typing import Any

import pytest

from thredfi_async.cli.output import Output
from thredfi_async.cli.progress.display import Bar, Events, Lines, Silence, display
from thredfi_async.cli.progress.rate import Progress, Rate


def at(elapsed: float, done: int, total: int | None = None, **facts: Any) -> Progress:
    """A moment of some work."""
    return Progress(title="Archiving", elapsed=elapsed, done=done, total=total, **facts)


MOMENTS = [
    at(0.0, 0, 4000, outcomes="0 archived", notes=("0 in flight",), facts={"done": 0, "total": 4000}),
    at(10.0, 1000, 4000, outcomes="990 archived, 10 failed", notes=("50 in flight",), facts={"done": 1000}),
]


def rate(moments: int = 2) -> Rate:
    """The rate after so many of these moments."""
    made = Rate()
    for moment in MOMENTS[:moments]:
        made.see(moment.elapsed, moment.done)
    return made


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    def write(self, text: str, /) -> int:
        del text
        raise OSError(5, "Input/output error")


def test_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar only on a terminal that can be drawn on, and not where logs would garble it; plain lines on a dumb one."""
    people, machine = Output(json=False), Output(json=True)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display(people, logs=False), Lines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(display(people, logs=False), Bar)
    assert isinstance(display(people, logs=True), Lines)
    assert isinstance(display(machine, logs=False), Events)
    assert isinstance(display(machine, logs=False, only_bar=True), Silence)
    assert isinstance(display(people, logs=False, only_bar=True), Bar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display(people, logs=False), Lines)
    assert isinstance(display(people, logs=False, only_bar=True), Lines)
    people.quiet = machine.quiet = True
    assert isinstance(display(people, logs=False), Silence)
    assert isinstance(display(machine, logs=False), Events)
    people.quiet = False
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(display(people, logs=False), Lines)


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A log gets a whole line for each moment, on stderr, and sentences as they are; no rate before there is one."""
    lines = Lines()
    for number, moment in enumerate(MOMENTS, 1):
        lines.show(moment, rate(number))
    lines.say("draining", "Interrupted: ...", signal="SIGINT")
    lines.show(at(20.0, 1000, 4000, ends=True), rate())
    lines.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "0 of 4,000: 0 archived; 0 in flight",
        "1,000 of 4,000: 990 archived, 10 failed; 100/s, 30 s left, 50 in flight",
        "Interrupted: ...",
        "1,000 of 4,000: 100/s, nothing new is started",
    ]


def test_events(capsys: pytest.CaptureFixture[str]) -> None:
    """A machine gets an object a line, on stdout, with every figure and the version of their form."""
    events = Events(Output(json=True))
    for number, moment in enumerate(MOMENTS, 1):
        events.show(moment, rate(number))
    events.say("draining", "Interrupted: ...", signal="SIGINT")
    events.close()
    out, err = capsys.readouterr()
    assert err == ""
    first, second, third = map(json.loads, out.splitlines())
    assert {each["version"] for each in (first, second, third)} == {1}
    assert first.items() >= {"event": "progress", "done": 0, "total": 4000, "rate": None, "seconds_left": None}.items()
    assert second.items() >= {"rate": 100.0, "seconds_left": 30.0, "done": 1000}.items()
    assert third == {"event": "draining", "version": 1, "message": "Interrupted: ...", "signal": "SIGINT"}


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that reads one object gets nothing before it."""
    silence = Silence()
    silence.show(MOMENTS[0], rate(1))
    silence.say("draining", "Interrupted: ...")
    silence.close()
    assert capsys.readouterr() == ("", "")


def test_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows how far it is, the outcomes and the rate, and is left clean."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    bar = Bar()
    bar.show(MOMENTS[0], rate(1))
    bar.say("draining", "Interrupted: ...")
    bar.show(MOMENTS[1], rate())
    drawn = terminal.getvalue()
    assert all(text in drawn for text in ("Archiving", "1,000 of 4,000 25%", "990 archived, 10 failed", "30 s left"))
    assert "Interrupted: ..." in drawn
    bar.close()
    end = terminal.getvalue().removeprefix(drawn).rpartition("in flight")[2]
    assert "\x1b[?25h" in end  # the cursor is back
    assert end.endswith("\x1b[1A\x1b[2K" * 3)  # and so is the line where the bar began


@pytest.mark.parametrize("moment", [at(1.0, 7), at(1.0, 7, 0, warning=True)])
def test_the_bar_without_a_total(moment: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a known total, the bar counts."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Bar()
    bar.show(moment, rate(1))
    bar.close()
    assert "7" in terminal.getvalue()
    assert "%" not in terminal.getvalue()


def test_a_terminal_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work outlives the terminal that it was started on."""
    monkeypatch.setattr(sys, "stderr", Gone())
    bar: Any = Bar()
    bar.show(MOMENTS[0], rate(1))
    bar.say("draining", "Interrupted: ...")
    bar.close()
