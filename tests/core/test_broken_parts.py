"""An exception in any part, at any of its uses, ends the call accounted for: its effect is true, its slot is free."""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from clocks import FakeClock
from helpers import Recorder, notes

from thredfi_async import (
    ConnectionLostError,
    Effect,
    Event,
    InternalError,
    RetryBudget,
    RetryPolicy,
    ThredfiError,
    Timeouts,
)
from thredfi_async._codec.error_envelope import error_class
from thredfi_async._engine.access_tokens import StaticToken
from thredfi_async._engine.availability import Availability
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.deadlines import Deadlines
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._engine.steady_clock import SteadyClock
from thredfi_async._interfaces import (
    Failure,
    Hidden,
    Outcome,
    Progress,
    Request,
    Response,
    Secret,
    Success,
    Unchanged,
    Verdict,
)

T = TypeVar("T")
WORDS = "Jane Doe, token abc"
PARTS = [
    "authenticator",
    "budget",
    "clock",
    "deadlines",
    "hook",
    "jitter",
    "judge",
    "lifecycle",
    "limiter",
    "prepare",
    "question",
    "retire",
    "send",
    "settle",
]
NEVER_RAISES = {"enter", "leave", "ticket", "release"}
"""What only counts or gives back: if this could fail, nothing could be promised."""

Step = tuple[int | None, bool]
"""A status, or None for a lost answer, and whether the server archived the customer."""
SCRIPTS: dict[str, Sequence[Step]] = {
    "good": [(200, True)],
    "a second attempt": [(503, False), (200, True)],
    "throttled": [(429, False), (200, True)],
    "a refused token": [(401, False), (200, True)],
    "late": [(408, True), (200, True)],
    "lost": [(None, True)] * 4,
    "lost before": [(None, False)] * 4,
    "in doubt, done": [(409, True)],
    "in doubt": [(409, False)],
    "refused": [(404, False)],
}


class Breaker:
    """Raises at one use of one part."""

    def __init__(self, part: str, use: int, *, afterwards: bool) -> None:
        self.has_broken = False
        self._part = part
        self._left = use
        self._afterwards = afterwards

    def used(self, part: str, *, afterwards: bool) -> None:
        """Count a use before or after the part's work."""
        if part == self._part and afterwards is self._afterwards:
            self._left -= 1
            if self._left == 0:
                self.has_broken = True
                raise ZeroDivisionError(WORDS)

    def around(self, part: str, work: Callable[..., T]) -> Callable[..., T]:
        """Return the function, which may break before its work or after it."""

        def broken(*args: Any, **options: Any) -> T:
            self.used(part, afterwards=False)
            result = work(*args, **options)
            try:
                self.used(part, afterwards=True)
            except ZeroDivisionError:
                if asyncio.iscoroutine(result):
                    result.close()
                raise
            return result

        return broken


class Brittle:
    """Stands in for an object; each of its methods may break."""

    def __init__(self, part: str, inner: object, breaker: Breaker) -> None:
        self._part = part
        self._inner = inner
        self._breaker = breaker

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name in NEVER_RAISES:
            return value
        if callable(value):
            return self._breaker.around(self._part, value)
        return self._breaker.around(self._part, lambda: value)()


class Renewing(StaticToken):
    """A token that can be replaced."""

    def refuse(self, header: Secret) -> bool:
        return header is self.header


class Case:
    """One call against a server that follows a script."""

    def __init__(self, script: Sequence[Step], breaker: Breaker) -> None:
        self.is_archived = False
        self.recorder = Recorder()
        self.limiter = Limiter(1, SteadyClock(FakeClock()).monotonic)
        self.lifecycle = Lifecycle()
        self._steps = iter(script)
        self._breaker = breaker

    def run(self) -> "asyncio.Task[Outcome[str]]":
        """Start the call."""
        brittle, around = self._brittle, self._breaker.around
        pipeline = Pipeline(
            send=self._send,
            authenticator=brittle("authenticator", Renewing(Hidden("token"))),
            limiter=brittle("limiter", self.limiter),
            availability=brittle("availability", Availability(SteadyClock(FakeClock()), self.limiter)),
            lifecycle=brittle("lifecycle", self.lifecycle),
            timeouts=Timeouts(),
            retry=RetryPolicy(jitter=around("jitter", lambda: 1.0)),
            budget=brittle("budget", RetryBudget()),
            clock=brittle("clock", FakeClock()),
            hooks=(self, self.recorder),
            deadlines=brittle("deadlines", Deadlines()),
        )
        return asyncio.create_task(pipeline.run("operation", around("prepare", self._prepare), CallOptions()))

    def on_event(self, event: Event, /) -> None:
        """Break as a hook."""
        self._breaker.around("hook", lambda: event)()

    def _brittle(self, part: str, inner: object) -> Any:
        return Brittle(part, inner, self._breaker)

    async def _send(
        self, request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress
    ) -> Response:
        del authorization, timeouts
        self._breaker.used("send", afterwards=False)
        progress.sent = True
        await asyncio.sleep(0)
        status, is_archived = next(self._steps) if request.mutates else (200, self.is_archived)
        self.is_archived = self.is_archived or is_archived
        self._breaker.used("send", afterwards=True)
        if status is None:
            raise ConnectionLostError("lost")
        return Response(status, {}, b"", None, self._breaker.around("retire", lambda: None))

    def _prepare(self) -> Request[str]:
        around = self._breaker.around
        judge, settle = around("judge", self._judge), around("settle", self._question)
        return Request(method="POST", url="http://x/", judge=judge, mutates=True, idempotency_key="key", settle=settle)

    def _question(self) -> Request[str | Unchanged]:
        return Request(method="GET", url="http://x/", judge=self._breaker.around("question", self._found))

    def _judge(self, response: Response) -> Verdict[str]:
        if response.status == 200:
            return Success("archived")
        return Failure(error_class(response.status)("no", status=response.status, is_enveloped=True))

    def _found(self, _: Response) -> Verdict[str | Unchanged]:
        return Success("found" if self.is_archived else Unchanged.UNCHANGED)


def assert_true(case: Case, error: ThredfiError) -> None:
    """Check the error's statement against what the server did, and that it shows no words of the exception."""
    assert error.effect is not (Effect.NOT_APPLIED if case.is_archived else Effect.APPLIED)
    assert WORDS not in "".join(traceback.format_exception(error)) + notes(error)
    if isinstance(error, InternalError):
        assert "ZeroDivisionError (" in str(error)
        assert (error.__cause__, error.__context__, error.transient) == (None, None, False)


@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_breaks(part: str, script: Sequence[Step], afterwards: bool) -> None:
    """Wherever a part breaks, the call ends with a true effect and one event, and everything is given back."""
    use = 0
    while True:
        use += 1
        breaker = Breaker(part, use, afterwards=afterwards)
        case = Case(script, breaker)
        (end,) = await asyncio.gather(case.run(), return_exceptions=True)
        if isinstance(end, ThredfiError):
            assert_true(case, end)
            assert (case.recorder.ended.outcome, case.recorder.ended.effect) == ("failed", end.effect)
        else:
            assert isinstance(end, Outcome)
            assert case.is_archived
            assert case.recorder.ended.outcome == "succeeded"
        # A limiter that breaks after it gave out a slot has given it to no one.
        assert case.limiter.in_use == 0 or (part == "limiter" and afterwards)
        assert (case.limiter.waiting, case.lifecycle._calls, case.lifecycle._running) == (0, 0, set())
        if not breaker.has_broken:
            break


async def test_a_judge_without_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no verdict says nothing: the call does not claim that the request was applied."""
    case = Case([(404, False)], Breaker("", 0, afterwards=False))

    def judge(_: Response) -> None:
        """Forget to return."""

    monkeypatch.setattr(case, "_judge", judge)
    with pytest.raises(InternalError) as raised:
        await case.run()
    assert raised.value.effect is Effect.UNKNOWN
    assert (case.limiter.in_use, case.lifecycle._calls) == (0, 0)


async def test_what_is_no_exception_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit is not taken for a failure of a part: it passes with a note that has the effect."""

    class Leave(BaseException):
        pass

    case = Case([(200, True)], Breaker("", 0, afterwards=False))

    def judge(_: Response) -> Verdict[str]:
        raise Leave

    monkeypatch.setattr(case, "_judge", judge)
    with pytest.raises(Leave) as raised:
        await case.run()
    assert "operation failed with effect UNKNOWN, attempts 1, idempotency key key" in notes(raised.value)
    assert (case.recorder.ended.outcome, case.recorder.ended.effect) == ("failed", Effect.UNKNOWN)
    assert (case.limiter.in_use, case.lifecycle._calls) == (0, 0)
