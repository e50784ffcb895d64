"""Switches the client's defences off, one at a time, and shows which behavioural test fails.

    nox -s mutants [-- NAME...]

Each mutant is a copy of the package with an exact piece of source replaced; the replacement fails if the piece is
missing or occurs twice. Exit status 1: a mutant survived, or a test fails without one.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import thredfi_async

TESTS = Path(__file__).parents[1] / "tests"
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+?)(?: - .*)?$", re.MULTILINE)
say = sys.stdout.write
SHOWN = 4


@dataclass(frozen=True)
class Mutant:
    """One defence switched off: the file, the source, its replacement, and the tests that must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _behaviour(*names: str) -> tuple[str, ...]:
    return tuple(f"core/test_behaviour.py::test_{name}" for name in names)


MACHINE = "core/test_adaptive_limits.py::TestLimiterMachine"
MUTANTS = (
    Mutant(
        "settle",
        "_engine/call.py",
        "if not is_open or self.interrupted or not self._can_be_settled():",
        "if True:",
        _behaviour("lost_answer_is_settled_by_asking"),
    ),
    Mutant(
        "budget",
        "retry.py",
        "if cost > self._tokens:",
        "if cost < 0:",
        ("core/test_budget.py::test_api_that_is_down_costs_five_hundred_calls_little_more_than_an_attempt_each",),
    ),
    Mutant(
        "budget: what a success brings back",
        "_engine/call.py",
        "self._budget.earn(self._spent or 1)",
        "self._budget.earn(1)",
        ("core/test_budget.py::test_success_brings_back_what_its_retries_cost",),
    ),
    Mutant(
        "probe: only while others wait",
        "_engine/availability.py",
        "if self._unanswered >= MANY and not self.answers_no_one:",
        "if self._unanswered >= 10**9 and not self.answers_no_one:",
        (
            "core/test_availability.py::test_an_outage_costs_no_more_than_was_in_flight",
            "core/test_availability.py::test_a_dead_api_costs_little_more_than_an_attempt_each",
        ),
    ),
    Mutant(
        "probe: one call is not many",
        "_engine/availability.py",
        "if call.streak != self._streak:",
        "if True:",
        ("core/test_availability.py::test_one_call_that_fails_often_is_not_many",),
    ),
    Mutant(
        "retry: free by evidence",
        "_engine/call.py",
        "return is_free or self.pay(cost_of(error))",
        "return self.pay(cost_of(error))",
        ("core/test_availability.py::test_a_drained_budget_keeps_no_probe_back",),
    ),
    Mutant(
        "cooldown",
        "_engine/limiter.py",
        "if seconds > self.cooldown():",
        "if seconds > math.inf:",
        (
            "core/test_cooldown.py::test_one_429_holds_back_two_hundred_calls_and_they_resume_gradually",
            "core/test_cooldown.py::test_cooldown_outlives_the_call_that_was_told_of_it",
        ),
    ),
    Mutant(
        "cooldown: bounded by max_retry_after",
        "_engine/pipeline.py",
        "hold = asked if not self.retry.no_wait and asked <= self.retry.max_retry_after else 0.0",
        "hold = asked",
        (
            "core/test_cooldown.py::test_longer_retry_after_than_is_waited_for_starts_no_cooldown",
            "core/test_cooldown.py::test_without_waiting_no_cooldown_begins",
        ),
    ),
    Mutant(
        "pace after the cooldown",
        "_engine/limiter.py",
        "self.next = self.begins + self._ramp * math.sqrt(self._given / self._count)",
        "self.next = self.begins",
        (
            "core/test_adaptive_limits.py::test_slots_after_a_cooldown_come_at_a_growing_pace",
            "core/test_cooldown.py::test_one_429_holds_back_two_hundred_calls_and_they_resume_gradually",
        ),
    ),
    Mutant(
        "halving",
        "_engine/limiter.py",
        "self._window = max(1.0, self._window / 2)",
        "pass",
        (
            "core/test_adaptive_limits.py::test_window_halves_once_for_answers_of_one_moment_and_grows_back",
            MACHINE,
        ),
    ),
    Mutant(
        "one halving a generation",
        "_engine/limiter.py",
        "if generation == self._halvings:",
        "if generation <= self._halvings:",
        (
            "core/test_adaptive_limits.py::test_window_halves_once_for_answers_of_one_moment_and_grows_back",
            MACHINE,
        ),
    ),
    Mutant(
        "returning calls first",
        "_engine/limiter.py",
        "(self._returning if returning else self._arriving).append(turn)",
        "self._arriving.append(turn)",
        (MACHINE,),
    ),
    Mutant(
        "slot of a cancelled waiter",
        "_engine/limiter.py",
        "turn.exception() is None:\n            self.release()",
        "turn.exception() is None:\n            pass",
        (
            "core/test_adaptive_limits.py::test_cancellation_in_the_moment_of_the_turn_hands_the_slot_on",
            "core/test_adaptive_limits.py::test_waiter_cancelled_at_any_moment_loses_no_slot",
            MACHINE,
        ),
    ),
    Mutant(
        "slot of a call that is cancelled in the queue",
        "_engine/pipeline.py",
        "self.limiter.leave(turn)",
        "pass",
        ("core/test_cancellation.py::test_in_the_moment_of_the_first_turn",),
    ),
    Mutant(
        "slot released while sleeping",
        "_engine/pipeline.py",
        "            if call.holds_slot:\n                self._give_turn_back(call)\n            if self.availability",
        "            if self.availability",
        _behaviour("no_slot_is_held_while_a_call_sleeps"),
    ),
    Mutant(
        "id echo check",
        "resources/_archiving.py",
        "if not isinstance(found, str) or found.lower() != customer_id:",
        "if not isinstance(found, str):",
        _behaviour("answer_about_another_customer_is_no_success"),
    ),
    Mutant(
        "archived check",
        "resources/_archiving.py",
        'if says_archived(record.get("is_archived"), record.get("status")):',
        "if record:",
        _behaviour("answer_that_does_not_say_archived_is_no_success"),
    ),
    Mutant(
        "body bound",
        "_transport/session.py",
        "if len(content) > bound:",
        "if bound < 0:",
        _behaviour("body_over_the_bound_is_not_read"),
    ),
    Mutant(
        "body bound after decompression",
        "_transport/gzip.py",
        "if len(plain) > bound:",
        "if bound < 0:",
        _behaviour("body_over_the_bound_is_not_read"),
    ),
    Mutant(
        "redirect refusal",
        "_transport/session.py",
        "allow_redirects=False,",
        "allow_redirects=True,",
        ("transport/test_direct_post.py::test_the_session_follows_no_redirect_either",),
    ),
    Mutant(
        "requests for watchers",
        "_transport/watchers.py",
        "if not _is_own(functions[-1]):",
        "if False:",
        ("transport/test_watchers.py::test_a_function_that_was_replaced",),
    ),
    Mutant(
        "age of connections",
        "_transport/connections.py",
        "self._now() < protocol.expires",
        "True",
        ("transport/test_connections.py::test_an_old_connection_is_lent_no_more",),
    ),
    Mutant(
        "key stability",
        "_engine/pipeline.py",
        "await self.send(request, header",
        'await self.send(attrs.evolve(request, headers={**request.headers, "Idempotency-Key": str(began)}), header',
        _behaviour("every_attempt_carries_the_same_key_and_the_same_bytes"),
    ),
    Mutant(
        "effect classification: 5xx",
        "_outcomes.py",
        "if not is_answer(status):\n        return Standing.UNKNOWN",
        "if not is_answer(status):\n        return Standing.NOT_APPLIED",
        _behaviour("server_error_is_unknown_without_asking"),
    ),
    Mutant(
        "effect classification: lost",
        "_outcomes.py",
        'case ConnectionLostError() | RequestTimeoutError(phase="read"):\n            return Standing.UNKNOWN',
        'case ConnectionLostError() | RequestTimeoutError(phase="read"):\n            return Standing.NOT_APPLIED',
        _behaviour("lost_answer_is_unknown_without_asking", "lost_answer_is_settled_by_asking"),
    ),
    Mutant(
        "effect: the highest of all attempts",
        "_engine/call.py",
        "self._standing = max(self._standing, standing)",
        "self._standing = standing",
        _behaviour("effect_of_a_call_is_the_highest_of_its_attempts"),
    ),
    Mutant(
        "effect of what was cut off",
        "_engine/call.py",
        "self._standing = max(self._standing, Standing.UNKNOWN)",
        "pass",
        _behaviour("cancellation_tells_effect_and_key", "deadline_cuts_what_is_running"),
    ),
    Mutant(
        "401 replay",
        "_engine/pipeline.py",
        "and header is not None and self.authenticator.refuse(header):",
        "and header is not None and self.authenticator.refuse(header) is None:",
        _behaviour("refused_token_is_replaced_and_the_call_replayed_once"),
    ),
    Mutant(
        "401 replay: once",
        "_engine/pipeline.py",
        "return await self._attempt(call, request, again=True)",
        "return await self._attempt(call, request)",
        _behaviour("token_refused_twice_ends_the_call"),
    ),
    Mutant(
        "one token for all",
        "_engine/access_tokens.py",
        "if self._renewal is None or self._renewal.done():",
        "if self._header is None:",
        _behaviour("one_token_is_fetched_for_all_who_wait_and_outlives_the_one_who_asked"),
    ),
    Mutant(
        "shield of the token's fetch",
        "_engine/access_tokens.py",
        "await asyncio.shield(self._renewal)",
        "await self._renewal",
        _behaviour("one_token_is_fetched_for_all_who_wait_and_outlives_the_one_who_asked"),
    ),
    Mutant(
        "deadline",
        "_engine/call.py",
        "self._scope.reschedule(None if remaining == math.inf else now + remaining)",
        "self._scope.reschedule(None if remaining > 0 else now + remaining)",
        _behaviour("deadline_cuts_what_is_running"),
    ),
    Mutant(
        "note on a cancellation",
        "_engine/call.py",
        'self.annotate(error)\n                self.ended("cancelled")',
        'self.ended("cancelled")',
        _behaviour("cancellation_tells_effect_and_key"),
    ),
    Mutant(
        "next links of the same origin only",
        "resources/_requests.py",
        "if _origin(urlsplit(absolute)) == _origin(urlsplit(here)):",
        "if absolute:",
        _behaviour("next_link_to_another_origin_is_not_followed"),
    ),
    Mutant(
        "presigned URLs hidden",
        "_transport/redaction.py",
        'return body if not kept else b"".join([*kept, body[done:]])',
        "return body",
        ("core/test_secrets.py::test_no_mark_shows_anywhere",),
    ),
    Mutant(
        "credentials hidden",
        "_transport/redaction.py",
        "if len(secret) >= _SHORTEST:",
        "if not secret:",
        ("core/test_secrets.py::test_no_mark_shows_anywhere",),
    ),
    Mutant(
        "errors pickle",
        "errors.py",
        "error.__dict__.update(state)",
        "error.__dict__.update({**state, 'attempts': 0})",
        ("core/test_process_pool.py::test_error_of_a_call_comes_home_whole_from_another_process",),
    ),
)


def run(mutant: Mutant | None, tests: Sequence[str]) -> list[str]:
    """Run tests against a copy of the package, with one replacement or none; return which failed."""
    with tempfile.TemporaryDirectory(prefix="thredfi-mutant-") as folder:
        home = Path(folder)
        without = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(Path(thredfi_async.__file__).parent, home / "thredfi_async", ignore=without)
        shutil.copytree(TESTS, home / "tests", ignore=without)
        shutil.copy(TESTS.parent / "pyproject.toml", home)
        if mutant is not None:
            file = home / "thredfi_async" / mutant.file
            source = file.read_text(encoding="utf-8")
            if (found := source.count(mutant.old)) != 1:
                raise SystemExit(f"{mutant.name}: {mutant.file} has this {found} times instead of once:\n{mutant.old}")
            file.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
        # The copy comes before the installed package; one event loop is enough.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=20", "-k", "not uvloop"]
        done = subprocess.run(
            [*command, *(f"tests/{test}" for test in tests)],
            cwd=home,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    failed = FAILED.findall(done.stdout)
    if done.returncode not in {0, 1} or (done.returncode == 1) != bool(failed):
        raise SystemExit(f"pytest itself failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return failed


def main() -> int:
    """Run all mutants, or the named ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="the beginning of a mutant's name; all mutants by default")
    names: list[str] = parser.parse_args().names
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name.startswith(tuple(names))]
    if not chosen:
        parser.error("there is no such mutant")
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    if failed := run(None, tests):
        say(f"without any mutant, these tests fail: {', '.join(failed)}\n")
        return 1
    say(f"without any mutant, all of {len(tests)} tests pass\n")
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(run, chosen, [mutant.tests for mutant in chosen])
        for mutant, failed in zip(chosen, results, strict=True):
            survivors += not failed
            more = f"          and {len(failed) - SHOWN} more\n" if len(failed) > SHOWN else ""
            tests = [f"          {test}\n" for test in failed[:SHOWN]]
            say(f"\n{'noticed ' if failed else 'SURVIVED'}  {mutant.name}\n{''.join(tests)}{more}")
            sys.stdout.flush()
    say(f"\n{len(chosen)} mutants, {survivors} survived\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
