"""One call's state: its clock, its deadline, its effect, and its events."""

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest
from helpers import Recorder, notes

from thredfi_async import (
    APIError,
    CallEnded,
    ClientStateError,
    ConnectError,
    ConnectionLostError,
    Effect,
    Event,
    Hook,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryPolicy,
    ThredfiError,
    Timeouts,
)
from thredfi_async._codec.error_envelope import error_class
from thredfi_async._engine.call import Call
from thredfi_async._engine.deadlines import Deadlines
from thredfi_async._engine.hooks import Followers
from thredfi_async._engine.turns import Ticket
from thredfi_async._interfaces import Failure, Request, Response, Server, Success, Unchanged, Verdict
from thredfi_async._outcomes import Standing

TICKET = Ticket(0, 0, 1, math.inf, 0.0)

if TYPE_CHECKING:
    from clocks import FakeClock


def call_of(clock: "FakeClock", *hooks: Hook, settle: bool = True, **timeouts: Any) -> Call:
    """Return a new call."""
    policy = RetryPolicy()
    call = Call("operation", timeouts=Timeouts(**timeouts), settle=settle, policy=policy, budget=None, clock=clock)
    if (followers := Followers.of(hooks)) is not None:
        call.follow(followers, Server())
    return call


def request_of(*, mutates: bool = True, settles: bool = True) -> Request[str]:
    """Return a request that can be settled, or not."""

    def question() -> Request[str | Unchanged]:
        return Request(method="GET", url="http://x/", judge=lambda _: Success(Unchanged.UNCHANGED))

    return Request(
        method="POST",
        url="http://x/",
        judge=lambda _: Success("value"),
        mutates=mutates,
        idempotency_key="key",
        settle=question if settles else None,
    )


def answered(status: int, *, is_enveloped: bool = True) -> tuple[Verdict[str], Response]:
    """Return the verdict on an answer with this status."""
    response = Response(status, {"X-Request-Id": "req-1"}, b"")
    if status == 200:
        return Success("value"), response
    return Failure(error_class(status)(str(status), status=status, is_enveloped=is_enveloped)), response


def call_with(standing: Standing, clock: "FakeClock", *, settle: bool = True, settles: bool = True) -> Call:
    """Return a call that has this standing, after one attempt."""
    call = call_of(clock, settle=settle)
    call.turns_to(request_of(settles=settles))
    call.sent = True
    verdict: Verdict[str] = {
        Standing.NOT_APPLIED: answered(404)[0],
        Standing.IN_DOUBT: answered(409)[0],
        Standing.UNKNOWN: answered(503)[0],
        Standing.APPLIED: Success("value"),
    }[standing]
    call.attempted(request_of(settles=settles), verdict, None)
    return call


# Time


def test_a_call_that_waits_for_its_first_turn_has_no_deadline(clock: "FakeClock") -> None:
    """The deadline starts with the first turn."""
    call = call_of(clock, deadline=10.0, settle=False)
    assert call.time.remaining() == math.inf
    clock.now += 100
    call.time.has_turn(TICKET)
    assert call.time.remaining() == 10.0
    clock.now += 4
    call.time.has_turn(TICKET)
    assert call.time.remaining() == 6.0


def test_waits_are_summed_and_put_the_deadline_off(clock: "FakeClock") -> None:
    """Waits for turns count for `queue`, and not for `deadline`."""
    call = call_of(clock, deadline=10.0, queue=5.0, settle=False)
    assert call.time.queue_left == 5.0
    clock.now += 2
    call.time.has_waited(clock.now - 2)
    call.time.has_turn(TICKET)
    assert (call.time.queue_left, call.time.queued, call.time.remaining()) == (3.0, 2.0, 10.0)
    clock.now += 4
    call.time.has_waited(clock.now - 4)
    assert (call.time.queue_left, call.time.queued, call.time.remaining()) == (0.0, 6.0, 10.0)


def test_no_bounds(clock: "FakeClock") -> None:
    """None means no bound."""
    call = call_of(clock, deadline=None)
    call.time.has_turn(TICKET)
    clock.now += 1e9
    call.time.has_waited(0.0)
    assert (call.time.remaining(), call.time.queue_left) == (math.inf, None)


@pytest.mark.parametrize(("deadline", "kept"), [(20.0, 5.0), (40.0, 10.0), (400.0, 10.0), (0.4, 0.1)])
def test_time_is_kept_for_settling(deadline: float, kept: float, clock: "FakeClock") -> None:
    """A quarter of the deadline, at most 10 s, is reserved while the call can be settled, and no longer."""
    call = call_of(clock, deadline=deadline)
    call.time.has_turn(TICKET)
    assert call.time.remaining() == pytest.approx(deadline)
    call.turns_to(request_of(settles=False))
    assert call.time.remaining() == pytest.approx(deadline)
    call.turns_to(request_of())
    assert call.time.remaining() == pytest.approx(deadline - kept)
    call.attempted(request_of(), *answered(503))
    assert call.question() is not None
    assert call.time.remaining() == pytest.approx(deadline)


# The deadline


async def test_the_alarm_rings_when_no_time_remains(clock: "FakeClock") -> None:
    """The deadline expires when no time remains, unless it is off."""
    call = call_of(clock, deadline=0.01, settle=False)
    call.time.has_turn(TICKET)
    was_off = asyncio.Event()

    async def work() -> None:
        with Deadlines().scope() as deadline:
            call.time.watch(deadline)
            call.time.set_deadline(off=True)
            await asyncio.sleep(0.03)
            was_off.set()
            call.time.set_deadline()
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        await work()
    assert was_off.is_set()
    error = call.time.deadline_error()
    assert isinstance(error, RequestTimeoutError)
    assert error.phase == "deadline"


async def test_an_interruption_rings_it_at_once(clock: "FakeClock") -> None:
    """An interruption expires the deadline at once, even if it is off or the call is watched only later."""
    call = call_of(clock, deadline=None)
    call.time.interrupt()

    async def work(*, off: bool) -> None:
        with Deadlines().scope() as deadline:
            call.time.watch(deadline)
            call.time.set_deadline(off=off)
            await asyncio.sleep(1)

    for off in (True, False):
        with pytest.raises(TimeoutError):
            await work(off=off)
    assert isinstance(call.time.deadline_error(), ClientStateError)


async def test_an_interruption_after_the_alarm_has_rung(clock: "FakeClock") -> None:
    """A call that is already ending does not break the closing of its client."""
    call = call_of(clock, deadline=None)
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()

    async def work() -> None:
        with Deadlines().scope() as deadline:

            def interrupt() -> None:
                assert deadline.expired()
                call.time.interrupt()
                interrupted.set()

            call.time.watch(deadline)
            deadline.reschedule(loop.time() - 1)
            loop.call_at(loop.time() - 0.5, interrupt)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert interrupted.is_set()
    call.time.watch(None)
    call.time.interrupt()


# Effects

APPLIED_ERROR = ResponseDecodeError("odd")
APPLIED_ERROR.effect = Effect.APPLIED
UNKNOWN_ERROR = ResponseDecodeError("no proof")
UNKNOWN_ERROR.effect = Effect.UNKNOWN


@pytest.mark.parametrize(
    ("status", "is_enveloped", "effect"),
    [
        (200, False, Effect.APPLIED),
        (301, False, Effect.UNKNOWN),
        (400, True, Effect.UNKNOWN),
        (404, True, Effect.NOT_APPLIED),
        (404, False, Effect.UNKNOWN),
        (408, True, Effect.UNKNOWN),
        (409, True, Effect.UNKNOWN),
        (429, False, Effect.NOT_APPLIED),
        (500, True, Effect.UNKNOWN),
        (503, False, Effect.UNKNOWN),
    ],
)
@pytest.mark.parametrize("sent", [True, False])
def test_the_effect_of_an_answer(
    status: int, is_enveloped: bool, effect: Effect, sent: bool, clock: "FakeClock"
) -> None:
    """An answer determines the effect, whatever the transport saw leave."""
    call = call_of(clock)
    call.sent = sent
    verdict, response = answered(status, is_enveloped=is_enveloped)
    call.attempted(request_of(), verdict, response)
    assert call.effect is effect


@pytest.mark.parametrize(
    ("error", "effect"),
    [
        (ConnectError("refused"), Effect.NOT_APPLIED),
        (ConnectionLostError("lost"), Effect.UNKNOWN),
        (RequestTimeoutError("late", phase="read"), Effect.UNKNOWN),
        (RequestTimeoutError("late", phase="connect"), Effect.NOT_APPLIED),
        (UNKNOWN_ERROR, Effect.UNKNOWN),
        (APPLIED_ERROR, Effect.APPLIED),
    ],
)
def test_the_effect_of_no_answer(error: ThredfiError, effect: Effect, clock: "FakeClock") -> None:
    """Without an answer, the effect is UNKNOWN only if something was sent that could change a record."""
    for sent, mutates in ((True, True), (True, False), (False, True)):
        call = call_of(clock)
        call.sent = sent
        call.attempted(request_of(mutates=mutates), Failure(error), None)
        assert call.effect is (effect if sent and mutates else Effect.NOT_APPLIED)


@pytest.mark.parametrize(
    ("sent", "mutates", "effect"),
    [(True, True, Effect.UNKNOWN), (True, False, Effect.NOT_APPLIED), (False, True, Effect.NOT_APPLIED)],
)
def test_the_effect_of_what_was_cut_off(sent: bool, mutates: bool, effect: Effect, clock: "FakeClock") -> None:
    """A request that had begun to leave may have arrived."""
    call = call_of(clock)
    call.sent = sent
    call.cut_off(request_of(mutates=mutates), asyncio.CancelledError(), clock.now)
    assert call.effect is effect


def test_effects_only_grow(clock: "FakeClock") -> None:
    """A doubt stays after a 404, UNKNOWN after a doubt, and APPLIED after a cut."""
    call = call_of(clock)
    call.sent = True
    for status, standing in (
        (404, Standing.NOT_APPLIED),
        (409, Standing.IN_DOUBT),
        (404, Standing.IN_DOUBT),
        (503, Standing.UNKNOWN),
        (409, Standing.UNKNOWN),
        (200, Standing.APPLIED),
    ):
        call.attempted(request_of(), *answered(status))
        assert (call._standing, call.effect) == (standing, standing.effect)
    call.cut_off(request_of(), asyncio.CancelledError(), clock.now)
    assert call.effect is Effect.APPLIED


# Settling


@pytest.mark.parametrize(
    ("standing", "settle", "settles", "asked"),
    [
        (Standing.UNKNOWN, True, True, True),
        (Standing.IN_DOUBT, True, True, True),
        (Standing.NOT_APPLIED, True, True, False),
        (Standing.APPLIED, True, True, False),
        (Standing.UNKNOWN, False, True, False),
        (Standing.IN_DOUBT, False, True, False),
        (Standing.UNKNOWN, True, False, False),
        (Standing.IN_DOUBT, True, False, False),
    ],
)
def test_when_it_is_asked(standing: Standing, settle: bool, settles: bool, asked: bool, clock: "FakeClock") -> None:
    """An open outcome is checked if that is wanted and possible, and only once."""
    call = call_with(standing, clock, settle=settle, settles=settles)
    assert (call.question() is not None) is asked
    assert call.question() is None


def test_it_is_not_asked_without_a_request_or_after_an_interruption(clock: "FakeClock") -> None:
    """Without a request, or after an interruption, no outcome is checked."""
    call = call_of(clock)
    call.attempted(request_of(), *answered(503))
    assert call.effect is Effect.UNKNOWN
    assert call.question() is None
    call.turns_to(request_of())
    call.time.interrupt()
    assert call.question() is None


@pytest.mark.parametrize(
    ("standing", "effect"),
    [
        (Standing.NOT_APPLIED, Effect.NOT_APPLIED),
        (Standing.IN_DOUBT, Effect.NOT_APPLIED),
        (Standing.UNKNOWN, Effect.UNKNOWN),
        (Standing.APPLIED, Effect.APPLIED),
    ],
)
def test_a_record_without_the_effect(standing: Standing, effect: Effect, clock: "FakeClock") -> None:
    """A record that shows nothing removes a doubt, since the answer had come; a lost request may be on its way."""
    call = call_with(standing, clock)
    assert call.effect is standing.effect
    call.was_unchanged()
    assert call.effect is effect


# The end


def test_an_error_is_stamped_with_the_whole_call(clock: "FakeClock") -> None:
    """An error gets the state of the whole call, whatever values it had before."""
    call = call_with(Standing.UNKNOWN, clock)
    error = APIError("no", status=404)
    error.effect, error.attempts, error.idempotency_key = Effect.APPLIED, 9, "another"
    call.attempts = 3
    call.stamp(error)
    assert (error.effect, error.attempts, error.idempotency_key) == (Effect.UNKNOWN, 3, "key")


@pytest.mark.parametrize(("error", "ending"), [(asyncio.CancelledError(), "was cancelled"), (RuntimeError(), "failed")])
def test_what_is_not_ours_gets_a_note(error: BaseException, ending: str, clock: "FakeClock") -> None:
    """A foreign exception gets a note with effect, attempts and key."""
    call = call_of(clock)
    call.turns_to(request_of())
    call.annotate(error)
    assert notes(error) == f"thredfi-async: operation {ending} with effect NOT_APPLIED, attempts 0, idempotency key key"


def test_a_call_before_its_first_request_has_no_key(clock: "FakeClock") -> None:
    """A call has no key before its first request."""
    hook = Recorder()
    call = call_of(clock, hook)
    clock.now += 3
    call.ended("cancelled")
    assert call.idempotency_key is None
    assert hook.events == [
        CallEnded(
            operation="operation",
            outcome="cancelled",
            effect=Effect.NOT_APPLIED,
            attempts=0,
            elapsed=3.0,
            queued=0.0,
            error=None,
            request_id=None,
            idempotency_key=None,
        )
    ]


def test_an_outcome_sums_up(clock: "FakeClock") -> None:
    """An outcome covers the call from its first turn to its end."""
    call = call_of(clock)
    clock.now += 5
    call.time.has_turn(TICKET)
    call.turns_to(request_of())
    call.attempts = 2
    verdict, response = answered(200)
    call.attempted(request_of(), verdict, response)
    clock.now += 3
    outcome = call.outcome("value")
    assert outcome.response is response
    assert (outcome.value, outcome.effect, outcome.attempts, outcome.elapsed) == ("value", Effect.APPLIED, 2, 3.0)
    assert outcome.idempotency_key == "key"


def test_every_hook_hears_every_event(clock: "FakeClock", caplog: pytest.LogCaptureFixture) -> None:
    """A hook that fails is named in the log, without its message or frames."""

    class Broken:
        def on_event(self, event: Event, /) -> None:
            raise ValueError("secret")

    first, last = Recorder(), Recorder()
    call = call_of(clock, first, Broken(), last)
    with caplog.at_level(logging.DEBUG):
        call.will_retry(ConnectError("no"), 0.5)
    assert first.events == last.events == first.retries
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("the hook Broken raised ValueError", None)
    ]
