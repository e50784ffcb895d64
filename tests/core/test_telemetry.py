"""The logging hook: each event at its level, with the event on the record; and hooks that fail."""

import io
import logging
import logging.handlers
import sys
from typing import Any

import attrs
import pytest
from clocks import FakeClock

from thredfi_async import (
    Attempt,
    CallEnded,
    ConfigurationError,
    Effect,
    Event,
    Hook,
    LoggingHook,
    RetryPolicy,
    RetryScheduled,
    ThredfiClient,
    Timeouts,
)
from thredfi_async._engine.call import Call
from thredfi_async._engine.hooks import Followers
from thredfi_async._interfaces import Server

ATTEMPT = Attempt(
    operation="customers.archive",
    number=2,
    method="POST",
    status=503,
    error="ServerError",
    effect=Effect.UNKNOWN,
    elapsed=0.25,
    request_id="req-1",
    idempotency_key="key-1",
)
RETRY = RetryScheduled(
    operation="customers.archive", attempts=2, wait=1.5, error="ServerError", idempotency_key="key-1"
)
ENDED = CallEnded(
    operation="customers.archive",
    outcome="failed",
    effect=Effect.UNKNOWN,
    attempts=4,
    elapsed=3.0,
    queued=1.0,
    error="ServerError",
    request_id="req-1",
    idempotency_key="key-1",
)
TOLD: list[tuple[Event, int, str]] = [
    (ATTEMPT, logging.DEBUG, "customers.archive attempt 2: 503 in 0.250 s"),
    (
        attrs.evolve(ATTEMPT, status=None, error="ConnectError"),
        logging.DEBUG,
        "customers.archive attempt 2: ConnectError in 0.250 s",
    ),
    (
        attrs.evolve(ATTEMPT, limit="the API grants about 198 requests a second"),
        logging.DEBUG,
        "customers.archive attempt 2: 503 in 0.250 s; the API grants about 198 requests a second",
    ),
    (RETRY, logging.INFO, "customers.archive: retrying in 1.500 s after ServerError"),
    (
        ENDED,
        logging.WARNING,
        "customers.archive failed: effect UNKNOWN, 4 attempts, 3.000 s, error ServerError, key key-1",
    ),
    (
        attrs.evolve(ENDED, outcome="succeeded", effect=Effect.APPLIED, error=None),
        logging.DEBUG,
        "customers.archive succeeded: effect APPLIED, 4 attempts, 3.000 s, error None, key key-1",
    ),
    (
        attrs.evolve(ENDED, outcome="cancelled", error=None),
        logging.INFO,
        "customers.archive cancelled: effect UNKNOWN, 4 attempts, 3.000 s, error None, key key-1",
    ),
]


def call_of(clock: FakeClock, *hooks: Hook) -> Call:
    """Return a call that tells these hooks."""
    call = Call("customers.get", timeouts=Timeouts(), settle=True, policy=RetryPolicy(), budget=None, clock=clock)
    followers = Followers.of(hooks)
    assert followers is not None
    call.follow(followers, Server())
    return call


@pytest.mark.parametrize(("event", "level", "message"), TOLD, ids=[type(event).__name__ for event, _, _ in TOLD])
def test_every_event_has_its_line(caplog: pytest.LogCaptureFixture, event: Event, level: int, message: str) -> None:
    """Each event has its level and its message, and the record holds the event itself."""
    with caplog.at_level(logging.DEBUG, "thredfi_async"):
        LoggingHook().on_event(event)
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("thredfi_async", level, message)
    assert vars(record)["thredfi_event"] is event


def test_events_of_a_later_version(caplog: pytest.LogCaptureFixture) -> None:
    """An event of an unknown kind is ignored."""
    later: Any = object()
    with caplog.at_level(logging.DEBUG, "thredfi_async"):
        LoggingHook().on_event(later)
    assert caplog.records == []


@pytest.mark.parametrize("event", [ATTEMPT, RETRY])
def test_small_events_do_not_disturb(caplog: pytest.LogCaptureFixture, event: Event) -> None:
    """At the usual level, attempts and retries are not logged."""
    with caplog.at_level(logging.WARNING, "thredfi_async"):
        LoggingHook().on_event(event)
    assert caplog.records == []


def test_a_logger_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    """The events can go to any logger."""
    logger = logging.getLogger("mine.archive")
    with caplog.at_level(logging.DEBUG, "mine.archive"):
        LoggingHook(logger).on_event(RETRY)
    assert [record.name for record in caplog.records] == ["mine.archive"]


class Failing:
    """A hook that raises an exception with a secret."""

    def on_event(self, event: Event, /) -> None:
        raise RuntimeError("hunter2")


class Keeping:
    """A hook that keeps its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)


def test_a_failing_hook_disturbs_nobody(caplog: pytest.LogCaptureFixture, clock: FakeClock) -> None:
    """A hook's exception is logged by name only; other hooks and the call continue."""
    kept = Keeping()
    call = call_of(clock, Failing(), kept)
    clock.now += 2.0
    call.ended("succeeded")
    assert [(type(event), event.operation) for event in kept.events] == [(CallEnded, "customers.get")]
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert record.getMessage() == "the hook Failing raised RuntimeError"
    assert "hunter2" not in caplog.text


def test_a_hook_that_wants_to_stop_the_program_does(clock: FakeClock) -> None:
    """A KeyboardInterrupt from a hook propagates."""

    class Interrupted:
        def on_event(self, event: Event, /) -> None:
            raise KeyboardInterrupt

    call = call_of(clock, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        call.ended("succeeded")


def quiet_logger(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """Return the library's logger without handlers, not even the test's own, until the test ends."""
    logger = logging.getLogger("thredfi_async")
    # Not in a fixture: pytest adds its handlers to a logger that does not propagate before the test's own code runs.
    quiet: dict[str, Any] = {"handlers": [], "propagate": False, "level": logging.NOTSET}
    for name, value in quiet.items():
        monkeypatch.setattr(logger, name, value)
    return logger


@pytest.mark.parametrize(("value", "level"), [("debug", logging.DEBUG), (" INFO ", logging.INFO)])
def test_a_log_by_the_environment(value: str, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`THREDFI_LOG` shows a client's calls on standard error, once, however many clients there are."""
    logger = quiet_logger(monkeypatch)
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("THREDFI_LOG", value)
    for client in (ThredfiClient("a"), ThredfiClient("a"), ThredfiClient("a", hooks=[LoggingHook()])):
        (hook,) = client._pipeline.hooks
        hook.on_event(RETRY)
    assert logger.level == level
    lines = shown.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("INFO thredfi_async: customers.archive: retrying in 1.500 s after ServerError")


def test_a_log_that_the_program_has(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A program with handlers of its own gets the records there, and nothing on standard error."""
    kept = logging.handlers.BufferingHandler(10)
    quiet_logger(monkeypatch).addHandler(kept)
    monkeypatch.setenv("THREDFI_LOG", "info")
    (hook,) = ThredfiClient("a")._pipeline.hooks
    hook.on_event(RETRY)
    assert (len(kept.buffer), capsys.readouterr().err) == (1, "")


def test_a_log_that_no_one_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is none is refused in a sentence; an empty one counts as unset."""
    monkeypatch.setenv("THREDFI_LOG", "verbose")
    with pytest.raises(ConfigurationError, match=r"^THREDFI_LOG must be debug or info$"):
        ThredfiClient("a")
    monkeypatch.setenv("THREDFI_LOG", "")
    assert ThredfiClient("a")._pipeline.hooks == ()
