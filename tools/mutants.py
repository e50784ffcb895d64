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
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", re.MULTILINE)
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
VERDICT = tuple(
    f"bulk/test_verdict.py::test_{name}"
    for name in (
        "green_and_zero_mean_that_every_customer_is_archived",
        "exit_codes_and_json_agree",
        "each_step_leads_somewhere",
    )
)
MUTANTS = (
    Mutant(
        "settle",
        "_engine/call.py",
        "if not is_open or self.time.interrupted or settle is None:",
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
        "budget.earn(self.retries.spent or 1)",
        "budget.earn(1)",
        ("core/test_budget.py::test_success_brings_back_what_its_retries_cost",),
    ),
    Mutant(
        "probe: only while others wait",
        "_engine/availability.py",
        "if self._unanswered >= MANY and not self.answers_no_one and is_down:",
        "if self._unanswered >= 10**9 and not self.answers_no_one and is_down:",
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
        "journal: one API",
        "bulk/journal/api.py",
        "if other is not None and not allow_host_change:",
        "if False:",
        ("bulk/test_engine.py::test_a_journal_belongs_to_one_api",),
    ),
    Mutant(
        "workbook: a row of formulas is not blank",
        "bulk/readers/table.py",
        "and line not in self.keeps:",
        ":",
        ("bulk/readers/test_workbooks.py::test_a_row_of_formulas_alone",),
    ),
    Mutant(
        "budget: a 429 is free",
        "_engine/retry_state.py",
        "is_free = is_paced if self._is_throttled else",
        "is_free = is_proven if self._is_throttled else",
        ("core/test_availability.py::test_a_gateway_that_refuses_everyone_for_a_while",),
    ),
    Mutant(
        "retry: free by evidence",
        "_engine/retry_state.py",
        "return is_free or self.pay(cost_of(error))",
        "return self.pay(cost_of(error))",
        ("core/test_availability.py::test_a_drained_budget_keeps_no_probe_back",),
    ),
    Mutant(
        "cooldown",
        "_engine/controller.py",
        "self._held_until = max(self._held_until, now + hold)",
        "pass",
        (
            "core/test_cooldown.py::test_one_429_holds_back_two_hundred_calls_and_they_resume_gradually",
            "core/test_cooldown.py::test_cooldown_outlives_the_call_that_was_told_of_it",
        ),
    ),
    Mutant(
        "cooldown: bounded by max_retry_after",
        "_engine/attempts.py",
        "hold = asked if not self.retry.no_wait and asked <= self.retry.max_retry_after else 0.0",
        "hold = asked",
        (
            "core/test_cooldown.py::test_longer_retry_after_than_is_waited_for_starts_no_cooldown",
            "core/test_cooldown.py::test_without_waiting_no_cooldown_begins",
        ),
    ),
    Mutant(
        "opening",
        "_engine/controller.py",
        "            self.opening.begin(self._held_until)",
        "            pass",
        ("core/test_adaptive_limits.py::test_slots_after_a_cooldown_do_not_come_all_at_once",),
    ),
    Mutant(
        "one reaction a generation",
        "_engine/controller.py",
        "if ticket.generation != self._generation:\n            return",
        "if False:\n            return",
        ("core/test_controller.py::test_one_client_uses_what_is_granted",),
    ),
    Mutant(
        "the burst is no rate",
        "_engine/bound.py",
        "total / (seconds + burst)",
        "total / seconds",
        (
            "core/test_controller.py::test_a_limit_that_changes_is_found",
            "core/test_controller.py::test_retry_after_costs_little_once_it_has_settled",
            "core/test_controller.py::test_four_clients_share_a_bucket",
        ),
    ),
    Mutant(
        "accidents are company",
        "_engine/bound.py",
        "time >= _NOT_AT_ONCE and self._accidents <= _EXCUSED",
        "time >= _NOT_AT_ONCE and False",
        ("core/test_controller.py::test_a_client_that_is_busy_when_it_opens_finds_the_same",),
    ),
    Mutant(
        "never sure of a number at once",
        "_engine/at_once.py",
        "is_sure=count == self._last",
        "is_sure=True",
        ("core/test_controller.py::test_a_number_at_once_that_may_be_a_rate_is_probed_soon",),
    ),
    Mutant(
        "a number at once does not settle",
        "_engine/controller.py",
        "if self._at_once.is_unsettled:",
        "if False:",
        (
            "core/test_controller.py::test_a_bound_of_requests_at_once_settles_before_more_are_sent",
            "core/test_controller.py::test_an_opening_at_an_api_that_counts_what_it_refuses",
        ),
    ),
    Mutant(
        "early refusals",
        "_engine/rate_estimate.py",
        "(in_flight - 1 if is_early else 0)",
        "0",
        ("core/test_rate_estimate.py::test_those_that_are_granted_but_not_answered_yet_count",),
    ),
    Mutant(
        "company",
        "_engine/bound.py",
        "self.is_alone, self._alike = not is_accident or is_excused, 0",
        "self.is_alone, self._alike = True, 0",
        (
            "core/test_controller.py::test_one_that_joins_late_gets_its_share",
            "core/test_controller.py::test_what_one_leaves_is_filled_in",
        ),
    ),
    Mutant(
        "solitude",
        "_engine/bound.py",
        "self.is_alone = self._is_doubted = self._alike >= _ALIKE",
        "self.is_alone = self._is_doubted = False",
        ("core/test_controller.py::test_a_client_that_is_left_alone_stays_near_the_top",),
    ),
    Mutant(
        "a share goes by what others do",
        "_engine/rate_estimate.py",
        "elif hold >= PAUSES and not pace.is_alone:",
        "elif False:",
        ("core/test_controller.py::test_who_opened_first_loses_its_advantage",),
    ),
    Mutant(
        "who opened first",
        "_engine/rate_estimate.py",
        "time < _STILL_EMPTY and not self._has_begun_again:",
        "False:",
        ("core/test_controller.py::test_who_opened_first_loses_its_advantage",),
    ),
    Mutant(
        "many calls that are always refused",
        "_engine/refused_again.py",
        "return again.part >= _NEARLY_ALL and first.part <= again.part - _FEWER",
        "return False",
        ("core/test_availability.py::test_many_calls_that_are_always_refused",),
    ),
    Mutant(
        "a limit is taken for calls that are always refused",
        "_engine/refused_again.py",
        "return again.part >= _NEARLY_ALL and first.part <= again.part - _FEWER",
        "return again.part >= _FEWER",
        (
            "core/test_refused_again.py::test_a_limit_refuses_both_alike",
            "core/test_availability.py::test_a_limit_is_not_taken_for_calls_that_are_always_refused",
        ),
    ),
    Mutant(
        "what a quota granted before it was used up is compared with what returns",
        "_engine/refused_again.py",
        "elif self._again.is_begun:",
        "else:",
        ("core/test_refused_again.py::test_a_quota_refuses_both_alike",),
    ),
    Mutant(
        "a ragged opening",
        "_engine/at_once.py",
        "if self._alike < _ALIKE:",
        "if True:",
        ("core/test_controller.py::test_what_is_served_at_once_is_found_after_a_ragged_opening",),
    ),
    Mutant(
        "answers that come after a refusal",
        "_engine/rate_estimate.py",
        "self._opening_count += 1",
        "pass",
        ("core/test_controller.py::test_one_client_uses_what_is_granted",),
    ),
    Mutant(
        "a number at once that is a little too high",
        "_engine/at_once.py",
        "elif not self._has_missed:",
        "elif bound.time > _HELD_FOR and not self._has_missed:",
        (
            "core/test_controller.py::test_a_number_at_once_is_refused_once_within_it",
            "core/test_controller.py::test_any_number_at_once_is_found",
        ),
    ),
    Mutant(
        "refusals that are missing between two cuts",
        "_engine/tally.py",
        "self._missing += _EACH - apart",
        "self._missing = _EACH - apart",
        ("core/test_tally.py::test_two_refusals_between_cuts_on_average_tell_of_noise",),
    ),
    Mutant(
        "a 503 of the limit",
        "_engine/retry_state.py",
        "or (is_limited and is_few and is_unavailable(error))",
        "",
        ("core/test_availability.py::test_a_gateway_that_refuses_with_503",),
    ),
    Mutant(
        "503s without end",
        "_engine/retry_state.py",
        "is_few = self.throttled < self.policy.max_attempts - 1",
        "is_few = True",
        ("core/test_availability.py::test_a_request_that_is_refused_whenever_it_is_sent",),
    ),
    Mutant(
        "a row of refusals after a reaction",
        "_engine/controller.py",
        "if is_dead or (not self._was_granted if is_news else self._row >= _ROW):",
        "if is_dead or (not self._was_granted and (is_news or self._row >= _ROW)):",
        ("core/test_controller.py::test_a_second_that_counts_what_it_refuses_may_begin_at_any_moment",),
    ),
    Mutant(
        "refusals at random",
        "_engine/tally.py",
        "self._lost += refused",
        "pass",
        ("core/test_controller.py::test_refusals_at_random_do_not_slow_it_down",),
    ),
    Mutant(
        "company is no noise",
        "_engine/tally.py",
        "if top < _MORE_THAN * self._tested:",
        "if False:",
        ("core/test_tally.py::test_cuts_that_do_not_help",),
    ),
    Mutant(
        "what a window counts",
        "_engine/rate_estimate.py",
        "if time <= hold and count >= _COUNTS and is_same else 0",
        "if False else 0",
        ("core/test_controller.py::test_one_client_uses_what_is_granted",),
    ),
    Mutant(
        "returning calls first, always",
        "_engine/waiting.py",
        "not (self._has_returned and arriving)",
        "True",
        (MACHINE,),
    ),
    Mutant(
        "odd calls last",
        "_engine/waiting.py",
        "        if is_odd:",
        "        if False:",
        (MACHINE,),
    ),
    Mutant(
        "refusals of calls that are always refused teach a limit",
        "_engine/retry_state.py",
        "return self._oddity >= _ODD",
        "return False",
        ("core/test_availability.py::test_calls_that_are_always_refused_hold_up_no_other",),
    ),
    Mutant(
        "what was learned from them stays",
        "_engine/limiter.py",
        "self._controller.retract(known)",
        "pass",
        (
            "core/test_availability.py::test_calls_that_are_always_refused_hold_up_no_other",
            "core/test_availability.py::test_calls_that_are_always_refused_come_first",
        ),
    ),
    Mutant(
        "a quota that is used up at the start",
        "_engine/controller.py",
        "is_dead = hold <= 0.0 and",
        "is_dead = False and",
        ("core/test_availability.py::test_a_quota_that_is_used_up_at_the_start",),
    ),
    Mutant(
        "idle time counts for a quota",
        "_engine/controller.py",
        "            self.quota.count_anew()",
        "            pass",
        ("core/test_availability.py::test_a_client_that_was_idle_finds_a_quota",),
    ),
    Mutant(
        "an outage of 429s is a quota",
        "_engine/quota.py",
        "self.is_new and refused > _LONG",
        "False",
        ("core/test_availability.py::test_an_outage_of_429s_is_forgotten",),
    ),
    Mutant(
        "a 503 of the limit is an outage",
        "_engine/availability.py",
        "is_down = not is_limit or",
        "is_down = True or",
        ("core/test_availability.py::test_a_large_burst_before_bare_503s",),
    ),
    Mutant(
        "it waits for ever for an API that refuses all",
        "_engine/attempts.py",
        "time.refused_left(refused) if refused else math.inf",
        "math.inf",
        ("core/test_availability.py::test_calls_that_are_always_refused_hold_up_no_other",),
    ),
    Mutant(
        "many refusals at random",
        "_engine/tally.py",
        "if even is not None and (now >= self._noise_ends or pace <= _COLLAPSED * self._peak):",
        "if False:",
        ("core/test_availability.py::test_refusals_at_random",),
    ),
    Mutant(
        "a limit refuses evenly",
        "_engine/even_refusals.py",
        "and fast.part <= (slow.part + by_limit) / 2",
        "",
        ("core/test_even_refusals.py",),
    ),
    Mutant(
        "company in its opening refuses evenly",
        "_engine/even_refusals.py",
        "if now < self._starts:",
        "if False:",
        ("core/test_even_refusals.py",),
    ),
    Mutant(
        "a slow limit with a Retry-After refuses evenly",
        "_engine/tally.py",
        "even = None if is_told else self._even",
        "even = self._even",
        ("core/test_controller.py::test_a_slow_limit_with_a_retry_after_is_no_noise",),
    ),
    Mutant(
        "what seems even is never refuted",
        "_engine/tally.py",
        "self._refuted_above = most_now(even)",
        "self._refuted_above = 1.0",
        ("core/test_tally.py",),
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
        "_engine/attempts.py",
        "            if call.time.holds_slot:\n                call.time.holds_slot = False\n"
        "                self.limiter.release()\n            if self.availability",
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
        "_engine/attempts.py",
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
        "_engine/attempts.py",
        "and header is not None and self.authenticator.refuse(header):",
        "and header is not None and self.authenticator.refuse(header) is None:",
        _behaviour("refused_token_is_replaced_and_the_call_replayed_once"),
    ),
    Mutant(
        "401 replay: once",
        "_engine/attempts.py",
        "return await self.make(call, request, again=True)",
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
        "_engine/call_time.py",
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
        "resources/_listing.py",
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
    Mutant(
        "verdict: green though lines are invalid",
        "bulk/verdict.py",
        "if counts.rejected or counts.failed or counts.invalid_lines:",
        "if counts.rejected or counts.failed:",
        VERDICT,
    ),
    Mutant(
        "verdict: green though none is archived",
        "bulk/verdict.py",
        "return Outcome.ARCHIVED if counts.successes else Outcome.EMPTY",
        "return Outcome.ARCHIVED",
        VERDICT,
    ),
    Mutant(
        "verdict: at its end though lines were not started",
        "bulk/verdict.py",
        "if not read or counts.pending or counts.not_started != 0:",
        "if not read or counts.pending:",
        VERDICT,
    ),
    Mutant(
        "verdict: at its end though the source was not read",
        "bulk/verdict.py",
        "if not read or counts.pending or counts.not_started != 0:",
        "if counts.pending or counts.not_started != 0:",
        VERDICT,
    ),
    Mutant(
        "verdict: what is unknown counts after what is rejected",
        "bulk/verdict.py",
        "if counts.unknown:\n        return Outcome.UNKNOWN",
        "if counts.unknown and not counts.rejected:\n        return Outcome.UNKNOWN",
        VERDICT,
    ),
    Mutant(
        "verdict: a stop counts after what is open",
        "bulk/verdict.py",
        "if stopped is not None:\n        return Outcome.STOPPED",
        "if stopped is not None and read:\n        return Outcome.STOPPED",
        VERDICT,
    ),
    Mutant(
        "verdict: resumable at its end",
        "bulk/verdict.py",
        "return Step.RESUME in self.steps or Step.RETRY in self.steps",
        "return True",
        VERDICT,
    ),
    Mutant(
        "verdict: lines that were not started are not counted",
        "bulk/line_counts.py",
        "not_started = None if lines is None else max(lines - started - invalid_lines - duplicates, 0)",
        "not_started = None if lines is None else 0",
        ("bulk/test_verdict.py::test_lines_that_were_not_started", "cli/test_bulk_next.py"),
    ),
    Mutant(
        "verdict: repeated and invalid lines count as not started",
        "bulk/line_counts.py",
        "max(lines - started - invalid_lines - duplicates, 0)",
        "max(lines - started, 0)",
        ("bulk/test_verdict.py::test_lines_that_were_not_started",),
    ),
    Mutant(
        "verdict: items that are missing are not missed",
        "bulk/line_counts.py",
        "max(items - started, 0)",
        "0",
        ("bulk/test_journal_verdict.py::test_items_that_are_missing",),
    ),
    Mutant(
        "verdict: lines that were only counted are taken for all there are",
        "bulk/journal_verdict.py",
        'read=ended or (counts.not_started == 0 and run.get(CHECKED) == "1"),',
        "read=ended or counts.not_started == 0,",
        ("bulk/test_journal_verdict.py::test_all_lines_have_outcomes",),
    ),
    Mutant(
        "verdict: settling leaves an interruption behind",
        "bulk/settling.py",
        'SETTLED if stopped is None and is_interruption(run.get("stopped_reason")) else stopped',
        "stopped",
        ("cli/test_bulk_settle.py::test_a_run_that_did_not_end",),
    ),
    Mutant(
        "report: values are not escaped",
        "bulk/report/page.py",
        "environment.finalize = _shown",
        "pass",
        ("bulk/test_report.py::test_the_page_holds_no_control_character",),
    ),
    Mutant(
        "next: a run leads on to the address that redirects",
        "cli/bulk/commands.py",
        'if self._metadata.run.get("stopped_cause") != "wrong_base_url":',
        "if True:",
        ("cli/test_connection.py::test_a_redirect_to_another_host",),
    ),
    Mutant(
        "cli: the environment's proxy is passed by",
        "cli/settings.py",
        "return checked_proxy(environment_proxy(base_url))",
        "return None",
        ("cli/test_connection.py::test_a_proxy",),
    ),
    Mutant(
        "cli: a password of a proxy stands in argv",
        "cli/settings.py",
        'if "@" in self.proxy:',
        "if False:",
        ("cli/test_connection.py::test_a_proxy_of_no_use",),
    ),
    Mutant(
        "cli: no one is told that others can read the credentials",
        "cli/settings.py",
        "if not stat.S_ISREG(mode) or not mode & (stat.S_IRGRP | stat.S_IROTH):",
        "if True:",
        ("cli/test_settings.py::test_a_file_of_credentials_that_others_can_read",),
    ),
    Mutant(
        "cli: the demo counts what Ctrl-C has cancelled",
        "cli/demo/play.py",
        'case CallEnded() if event.outcome != "cancelled":',
        "case CallEnded():",
        ("cli/test_demo.py::test_demo_on_a_terminal",),
    ),
    Mutant(
        "cli: after a redirect the same is advised",
        "cli/error_report.py",
        "if look is not None and error.effect is Effect.UNKNOWN and row.fault in _COMES_FIRST:",
        "if False:",
        ("cli/test_error_report.py::test_a_redirect_is_not_met_again",),
    ),
    Mutant(
        "next: what a terminal must not get is lost in quotes",
        "cli/formatting.py",
        "if printable(text) == text:",
        "if True:",
        ("cli/test_formatting.py::test_what_is_pasted_is_what_was_meant",),
    ),
    Mutant(
        "verdict: the page in another colour",
        "bulk/report/assets/page.html",
        "status-{{ verdict.colour }}",
        "status-green",
        ("bulk/test_verdict.py::test_the_page_shows_the_verdict",),
    ),
    Mutant(
        "pace: a resumed run forgets it",
        "cli/bulk/resume.py",
        "speed=self.speed.after(said)",
        "speed=self.speed",
        ("cli/test_bulk_next.py::test_a_run_that_stopped_goes_on",),
    ),
    Mutant(
        "pace: settling forgets it",
        "cli/bulk/settle.py",
        "speed = self.speed.after(metadata)",
        "speed = self.speed",
        ("cli/test_bulk_next.py::test_settling_goes_at_the_runs_pace",),
    ),
    Mutant(
        "next: a foreign journal says where credentials are sent",
        "cli/bulk/commands.py",
        "    if not own:\n        return Connection()\n",
        "",
        ("cli/test_bulk_next.py::test_a_journal_of_another_user_does_not_say_where_credentials_go",),
    ),
    Mutant(
        "journal: schema",
        "bulk/journal/format.py",
        "if frozenset(_plain(*row) for row in found) != _expected() or not is_sound(connection):",
        "if not is_sound(connection):",
        ("bulk/journal/test_foreign.py::test_another_schema",),
    ),
    Mutant(
        "journal: values",
        "bulk/journal/soundness.py",
        "return not any(",
        "return True or not any(",
        ("bulk/journal/test_foreign.py::test_what_one_refuses_all_refuse",),
    ),
    Mutant(
        "journal: facts",
        "bulk/journal/facts.py",
        "if not _is_fact(name, fact):",
        "if False:",
        ("bulk/journal/test_facts.py::test_a_wrong_fact",),
    ),
    Mutant(
        "journal: a writer is not seen",
        "bulk/journal/lock.py",
        'return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY',
        "return False",
        ("bulk/journal/test_lock.py", "bulk/test_verdict.py::test_a_run_that_is_running"),
    ),
    Mutant(
        "journal: facts wait in the log",
        "bulk/journal/journal.py",
        "self._checkpoints.now() if of_facts else self._checkpoints.when_due()",
        "self._checkpoints.when_due()",
        ("bulk/journal/test_on_disk.py::test_a_copy_made_at_once",),
    ),
    Mutant(
        "journal: no room for the last words",
        "bulk/journal/journal.py",
        "self._reserve.release()  # for",
        "pass  # for",
        ("bulk/journal/test_on_disk.py::test_room_for_the_last_words",),
    ),
    Mutant(
        "journal: another file is read as the source",
        "bulk/readers/fingerprint.py",
        "if self.size is None or self.size == size:",
        "if True:",
        ("bulk/test_readers.py::test_an_expected_file_is_looked_at_before_it_is_read",),
    ),
    Mutant(
        "journal: queries without an end",
        "bulk/journal/view.py",
        "return self._steps > _STEPS_A_BYTE * (size + _STEPS)",
        "return size < 0",
        ("bulk/journal/test_foreign.py::test_a_query_is_bounded_by_the_file",),
    ),
    Mutant(
        "journal: another user's",
        "bulk/journal/trust.py",
        "    if problem is not None:\n        raise",
        "    if False:\n        raise",
        ("bulk/journal/test_foreign.py::test_another_user_can_write_it",),
    ),
    Mutant(
        "journal: hard links",
        "bulk/journal/trust.py",
        "if found.st_nlink > 1:",
        "if False:",
        ("bulk/journal/test_on_disk.py::test_two_writers_through_a_hard_link",),
    ),
    Mutant(
        "journal: real path",
        "bulk/journal/files.py",
        "return str(Path(path).resolve())",
        "return str(path)",
        (
            "bulk/journal/test_on_disk.py::test_two_writers_through_a_symbolic_link",
            "bulk/journal/test_on_disk.py::test_a_relative_path_and_another_folder",
        ),
    ),
    Mutant(
        "journal: refused log",
        "bulk/journal/connect.py",
        'if mode != "wal":',
        "if mode is None:",
        ("bulk/journal/test_on_disk.py::test_a_disk_without_a_log",),
    ),
    Mutant(
        "journal: checkpoints",
        "bulk/journal/checkpoint.py",
        "if self._clock() >= self._due:",
        "if False:",
        ("bulk/journal/test_on_disk.py::test_a_copy_made_during_a_run",),
    ),
    Mutant(
        "journal: the last checkpoint",
        "bulk/journal/checkpoint.py",
        'self._execute("PRAGMA wal_checkpoint(TRUNCATE)")',
        "pass",
        ("bulk/journal/test_on_disk.py::test_a_program_that_has_it_open_at_the_end",),
    ),
    Mutant(
        "store: a second customer of one line",
        "bulk/journal/store.py",
        "if inserted < len(new):",
        "if False:",
        ("bulk/journal/test_settings.py::test_items_without_lines_have_places",),
    ),
    Mutant(
        "store: an outcome in place of a more certain one",
        "bulk/journal/statements.py",
        "WHEN 'unknown' THEN excluded.state <> 'failed'",
        "WHEN 'unknown' THEN 1",
        ("bulk/test_journal.py::test_outcomes_from_elsewhere",),
    ),
    Mutant(
        "store: rows after a rollback",
        "bulk/journal/journal.py",
        "self._stale = True",
        "pass",
        ("bulk/journal/test_on_disk.py::test_what_was_rolled_back_is_nowhere",),
    ),
    Mutant(
        "readers: pages",
        "bulk/readers/parquet_pages.py",
        "if held > MOST_HELD:",
        "if False:",
        ("bulk/readers/test_parquet_bounds.py::test_small_files_take_little_memory",),
    ),
    Mutant(
        "readers: rows",
        "bulk/readers/parquet_rows.py",
        "if sum(weights.values()) > LONGEST_ROW:",
        "if False:",
        ("bulk/readers/test_parquet_bounds.py::test_a_row_that_is_too_long_leaves_the_others",),
    ),
    Mutant(
        "readers: links",
        "bulk/readers/invalid_lines_file.py",
        "_require_own(path, found)\n        self._behind",
        "self._behind",
        ("bulk/readers/test_invalid_lines_place.py::test_a_link_that_comes_later_is_refused",),
    ),
    Mutant(
        "readers: encodings",
        "bulk/readers/scan.py",
        "if self._first_wrong is None or (",
        "if True or (",
        ("bulk/readers/test_corpus.py::test_an_encoding_that_comes_late_spoils_all",),
    ),
    Mutant(
        "readers: spoiled values",
        "bulk/readers/values.py",
        "if problem is not None and not self._as_is:",
        "if False:",
        ("bulk/readers/test_values.py::test_text_that_may_have_been_spoiled",),
    ),
    Mutant(
        "readers: second header",
        "bulk/readers/table.py",
        "if columns_of(texts, self._rules).is_header:",
        "if False:",
        ("bulk/readers/test_corpus.py::test_a_file_that_is_not_read_gets_a_sentence",),
    ),
    Mutant(
        "output: escapes",
        "cli/output.py",
        "return super().render(_printable(renderable) if isinstance(renderable, Text) else renderable, options)",
        "return super().render(renderable, options)",
        ("cli/test_escapes.py::test_whatever_is_drawn", "cli/test_escapes.py::test_styles_stay_where_they_were"),
    ),
    Mutant(
        "output: formulas",
        "_checks/text.py",
        'return _FORMULA.sub("\'", printable(text))',
        "return printable(text)",
        ("core/test_text.py::test_no_cell_is_computed", "bulk/test_report.py::test_no_cell_is_a_formula"),
    ),
    Mutant(
        "bulk: a witness for those who fail",
        "bulk/engine/scheduler.py",
        "        return self._end() or self._question(now) or self._last(now)",
        "        return self._end() or self._last(now)",
        ("bulk/engine/test_fairness.py::test_the_last_customers_are_of_a_dead_business",),
    ),
    Mutant(
        "bulk: a witness resets",
        "bulk/engine/judge.py",
        "is_probe=job.is_probe)\n        self._evidence.clear()",
        "is_probe=job.is_probe)",
        ("bulk/engine/test_fairness.py::test_a_failure_of_long_ago_shortens_no_outage",),
    ),
    Mutant(
        "bulk: failures count only while others are served",
        "bulk/engine/judge.py",
        "        if self._served > job.served:\n",
        "        if True:\n",
        ("bulk/engine/test_fairness.py::test_few_customers_in_a_long_outage",),
    ),
    Mutant(
        "bulk: second tries and new items take turns",
        "bulk/engine/scheduler.py",
        "self._tries_again = not self._tries_again or not self._queue.new",
        "self._tries_again = True",
        ("bulk/engine/test_fairness.py::test_tries_leave_new_items_their_turn",),
    ),
    Mutant(
        "bulk: the outage timeout",
        "bulk/engine/scheduler.py",
        "or now < self._deadline() or not",
        "or now < self._deadline() + 30.0 or not",
        ("bulk/engine/test_fairness.py::test_the_outage_timeout_is_exact",),
    ),
    Mutant(
        "bulk: hopeless calls are cut",
        "bulk/engine/scheduler.py",
        "        self.is_hopeless = True",
        "        self.is_hopeless = False",
        ("bulk/engine/test_fairness.py::test_an_api_that_hangs_is_given_up_in_time",),
    ),
    Mutant(
        "bulk: read on past a broken business",
        "bulk/engine/judge.py",
        "            self._read_on += self._read_on_step",
        "            self._read_on += 0",
        ("bulk/engine/test_fairness.py::test_a_broken_business_first_in_the_file",),
    ),
    Mutant(
        "bulk: sound businesses have every second turn",
        "bulk/engine/ready_queue.py",
        "        self._is_turn_of_doubtful = not self._is_turn_of_doubtful\n",
        "        self._is_turn_of_doubtful = True\n",
        ("bulk/engine/test_fairness.py::test_slow_doubt_leaves_sound_businesses_their_turn",),
    ),
    Mutant(
        "bulk: doubt fills no window",
        "bulk/engine/judge.py",
        "        return self._failing + self._queue.doubtful + self._businesses.new\n",
        "        return 0\n",
        ("bulk/engine/test_fairness.py::test_many_broken_businesses_before_a_sound_one",),
    ),
    Mutant(
        "bulk: a question is not asked for ever",
        "bulk/engine/scheduler.py",
        "min(_LONGEST_QUESTION, max(0.0, self._deadline() - now))",
        "1e9",
        (
            "bulk/engine/test_fairness.py::test_a_slow_question_stops_no_call",
            "bulk/engine/test_fairness.py::test_a_question_that_is_never_answered",
        ),
    ),
    Mutant(
        "bulk: few failures in a row are the items' own",
        "bulk/engine/businesses.py",
        "        return self.aside is not None or max(self.refused, self.failing) > _OWN\n",
        "        return self.aside is not None\n",
        ("bulk/engine/test_fairness.py::test_forbidden_businesses_in_a_row_are_no_failure_ratio",),
    ),
    Mutant(
        "bulk: probes from both ends",
        "bulk/engine/businesses.py",
        "        return self.new.popleft() if self.probes % 4 else self.new.pop()\n",
        "        return self.new.popleft()\n",
        ("bulk/engine/test_fairness.py::test_a_block_of_customers_who_always_fail",),
    ),
    Mutant(
        "bulk: patience before what fails is given up",
        "bulk/engine/judge.py",
        "        return self._policy.outage_timeout * (_PATIENCE_AT_END if self._has_ended else _PATIENCE)\n",
        "        return 0.0\n",
        ("bulk/engine/test_fairness.py::test_a_short_outage_of_a_single_business",),
    ),
    Mutant(
        "bulk: nothing that failed is left",
        "bulk/engine/judge.py",
        "            if not self._failing:\n",
        "            if False:\n",
        ("bulk/engine/test_fairness.py::test_an_old_failure_begins_no_outage",),
    ),
    Mutant(
        "bulk: the client's own cancellation",
        "bulk/engine/worker_pool.py",
        "            if not _is_cancelled():\n                # The",
        "            if False:\n                # The",
        ("bulk/engine/test_fairness.py::test_a_client_that_raises_a_cancellation",),
    ),
    Mutant(
        "bulk: the client's own timeout",
        "bulk/engine/worker_pool.py",
        "        except ThredfiError:\n            raise  # a client",
        "        except ZeroDivisionError:\n            raise  # a client",
        ("bulk/engine/test_fairness.py::test_a_probe_keeps_the_clients_own_timeout",),
    ),
    Mutant(
        "bulk: probes of businesses end",
        "bulk/engine/scheduler.py",
        "or self._question(now) or self._last(now) or self._start(now)",
        "or self._question(now) or self._start(now) or self._last(now)",
        ("bulk/engine/test_fairness.py::test_probes_of_businesses_end",),
    ),
    Mutant(
        "bulk: half an outage uses up no item",
        "bulk/engine/judge.py",
        "job.rounds += 0.25 if self._recovered > _RECOVERING else 1.0",
        "job.rounds += 1.0",
        ("bulk/engine/test_fairness.py::test_half_an_outage",),
    ),
    Mutant(
        "bulk: a last probe before the end",
        "bulk/engine/scheduler.py",
        "        elif not self._is_last_call and now >= self._last_call():",
        "        elif False:",
        ("bulk/engine/test_fairness.py::test_an_outage_shorter_than_the_timeout",),
    ),
    Mutant(
        "bulk: a stop behind a broken source",
        "bulk/engine/engine.py",
        "self._results.error is None or self._results.error is self._broken_off",
        "self._results.error is None",
        ("bulk/engine/test_runs.py::test_a_stop_after_the_source_broke_off",),
    ),
    Mutant(
        "bulk: a business is set aside",
        "bulk/engine/businesses.py",
        "        if self._limit is None or known.failing < self._limit:",
        "        if True:",
        ("bulk/engine/test_fairness.py::test_a_broken_business_in_the_middle",),
    ),
    Mutant(
        "bulk: a business comes back",
        "bulk/engine/businesses.py",
        "            if len(known) and not known.is_probing and (now is None or known.probe_at <= now):",
        "            if False:",
        ("bulk/engine/test_fairness.py::test_a_business_that_comes_back",),
    ),
    Mutant(
        "TLS: the reason of an end is waited for",
        "_transport/connections.py",
        "for _ in range(_UNTIL_LOST):",
        "for _ in range(0):",
        ("transport/test_direct_post.py::test_the_reason_of_an_end_is_waited_for",),
    ),
    Mutant(
        "JSON: no NaN",
        "_codec/json.py",
        "json.JSONDecoder(parse_constant=_no_constant)",
        "json.JSONDecoder()",
        ("core/test_codec_json.py::test_what_the_lenient_reader_refuses",),
    ),
    Mutant(
        "JSON: what nests too deeply is one error",
        "_codec/json.py",
        "    except (ValueError, RecursionError):\n        pass\n    try:\n        return LENIENT",
        "    except ValueError:\n        pass\n    try:\n        return LENIENT",
        ("core/test_codec_json.py::test_what_the_lenient_reader_refuses",),
    ),
    Mutant(
        "lock: on Windows it goes once it is closed",
        "bulk/journal/lock.py",
        "                is_open_here = True",
        "                pass",
        ("bulk/journal/test_lock.py::test_the_lock_goes_where_open_files_stay",),
    ),
    Mutant(
        "signals: on Windows Ctrl-C drains",
        "cli/signals.py",
        "            loop.call_soon_threadsafe(call)",
        "            pass",
        ("cli/test_signals.py::test_ctrl_c_drains_and_the_second_ends_at_once",),
    ),
    Mutant(
        "signals: what is ignored stays so",
        "cli/signals.py",
        "if number is None or signal.getsignal(number) is signal.SIG_IGN:",
        "if number is None:",
        ("cli/test_signals.py::test_an_ignored_signal_stays_ignored",),
    ),
    Mutant(
        "signals: the handler from before comes back",
        "cli/signals.py",
        "signal.signal(number, handler if handler is not None else signal.SIG_DFL)",
        "pass",
        ("cli/test_signals.py::test_a_signal_is_taken_in_the_loop",),
    ),
    Mutant(
        "output: no escape sequences on a console without VT",
        "cli/output.py",
        "if self.legacy_windows:",
        "if False:",
        ("cli/test_escapes.py::test_a_console_without_vt_sequences",),
    ),
    Mutant(
        "worker: numbers of a message keep their digits",
        "worker/payload.py",
        "value = UNAMBIGUOUS.decode(payload.decode())",
        "value = __import__('json').loads(payload.decode(), parse_int=float)",
        ("worker/test_command.py::test_large_integers",),
    ),
    Mutant(
        "worker: no field counts that is there twice",
        "_codec/json.py",
        "if len(found) != len(pairs):",
        "if False:",
        ("worker/test_command.py::test_a_field_that_is_there_twice",),
    ),
    Mutant(
        "worker: a server that another one tells of gets no password in clear",
        "worker/servers.py",
        "if host is None or self._settings.is_plain_secret_for(host):",
        "if host is None:",
        ("worker/test_servers.py::test_a_password_stays_where_it_was_allowed",),
    ),
    Mutant(
        "worker: no call waits for longer than the bound on a Retry-After",
        "worker/handler.py",
        "if not isinstance(client, ThredfiClient) or client.retry.max_retry_after <= seconds:",
        "if True:",
        ("worker/test_handler.py::test_no_call_waits_for_longer_than_the_bound",),
    ),
    Mutant(
        "worker: what a frozen worker cannot know",
        "worker/in_flight.py",
        "if now > self.held_until:",
        "if False:",
        ("worker/test_worker.py::test_a_worker_that_was_frozen",),
    ),
    Mutant(
        "worker: what a broker that was killed forgets",
        "worker/completion.py",
        "or in_flight.was_stored_by(decision.archived_at)",
        "or False",
        ("worker/test_worker.py::test_what_a_delivery_that_the_broker_forgot_may_have_done",),
    ),
    Mutant(
        "worker: a message of a stream that is there no more is not acknowledged",
        "worker/in_flight.py",
        "message.is_gone = message.is_gone or message.stored_at < at",
        "pass",
        ("worker/test_worker.py::test_a_queue_that_is_created_anew",),
    ),
    Mutant(
        "worker: a stream that stores only some messages",
        "worker/broker.py",
        "if self._failing[stream] == is_failing:",
        "if True:",
        ("worker/test_broker.py::test_a_stream_that_stores_some_messages",),
    ),
    Mutant(
        "worker: a letter whose message has left the queue is kept",
        "worker/dead_letters.py",
        "if not queued.is_new and not await self._is_queued(queued.sequence, letter.original):",
        "if False:",
        ("worker/test_dead_letters.py::test_what_has_left_the_queue_is_kept",),
    ),
    Mutant(
        "worker: a line of a server has an end",
        "worker/nats_client.py",
        "len(self.buf) > _LONGEST_LINE:",
        "False:",
        ("worker/test_tolerant_client.py::test_a_server_without_an_end",),
    ),
    Mutant(
        "worker: refused requests for messages are spaced",
        "worker/fetcher.py",
        "self._next_backoff = min(_WAIT_MAX, self.backoff * 2 or _WAIT_INITIAL)",
        "self._next_backoff = 0.0",
        ("worker/test_fetcher.py::test_a_refusal_is_told_and_not_repeated_at_once",),
    ),
    Mutant(
        "fanout: a stream that is created anew is read from its beginning",
        "worker/fanout/collect.py",
        "if self.queue_depth.epoch != before.epoch or self.queue_depth.outcomes < self.next - 1:",
        "if False:",
        ("worker/test_fanout.py::test_following_a_stream_that_is_created_anew",),
    ),
    Mutant(
        "worker: a version is exact",
        "worker/payload.py",
        'type(fields["version"]) is not int or ',
        "",
        ("worker/test_command.py::test_one_problem",),
    ),
    Mutant(
        "worker: no dead letter exceeds the broker's limit",
        "worker/events.py",
        "if at_most is None or len(letter) + _HEADERS <= at_most:",
        "if letter:",
        ("worker/test_events.py::test_a_dead_letter_that_is_too_large",),
    ),
    Mutant(
        "worker: no login before TLS",
        "worker/nats_client.py",
        "        if initial_connection and self._needs_tls and not self.is_encrypted:",
        "        if False:",
        ("worker/test_tls.py::test_a_server_without_tls_gets_no_login",),
    ),
    Mutant(
        "worker: a cancellation that nats-py swallows",
        "worker/nats_client.py",
        "        if task is not None and task.cancelling() > before:",
        "        if False:",
        ("worker/test_connection.py::test_a_cancellation_that_comes_with_the_answer_is_not_lost",),
    ),
    Mutant(
        "worker: a task of nats-py that ends",
        "worker/nats_client.py",
        "            task.add_done_callback(self._one_has_ended)",
        "            pass",
        ("worker/test_connection.py::test_whatever_ends_it",),
    ),
    Mutant(
        "worker: the bound on health connections",
        "worker/health.py",
        "        for oldest in self.connections[:-_MOST_CONNECTIONS]:",
        "        for oldest in []:",
        ("worker/test_health.py::test_half_open_connections_use_up_nothing",),
    ),
    Mutant(
        "bulk: a late request",
        "bulk/engine/outcomes.py",
        "    if error.effect is Effect.UNKNOWN or job.doubt_since is not None:",
        "    if error.effect is Effect.UNKNOWN:",
        ("bulk/test_journal.py::test_a_refusal_in_a_later_session",),
    ),
    Mutant(
        "bulk: a cut call's own effect",
        "bulk/engine/worker_pool.py",
        "    effect, attempts = effect_of(error)\n    if effect",
        "    effect, attempts = Effect.NOT_APPLIED, 0\n    if effect",
        (
            "bulk/engine/test_runs.py::test_a_cut_call_keeps_its_own_effect",
            "bulk/engine/test_properties.py::test_a_run_ends_and_every_item_has_one_true_outcome",
        ),
    ),
    Mutant(
        "bulk: the next worker is woken",
        "bulk/engine/worker_pool.py",
        "                self.notify()\n            try:",
        "                pass\n            try:",
        ("bulk/engine/test_fairness.py::test_as_many_calls_are_in_flight_as_may_be",),
    ),
    Mutant(
        "bulk: a taken result makes room",
        "bulk/engine/engine.py",
        "        if result is not None and self._scheduler.taken():\n            self._pool.notify()",
        "        if result is not None:\n            self._scheduler.taken()",
        ("bulk/test_engine.py::test_a_consumer_that_takes_nothing",),
    ),
    Mutant(
        "bulk: places of first calls",
        "bulk/engine/failure_rate.py",
        "        job.number = self._begun\n",
        "        job.number = self._begun - self._begun % 997 + self._failures % 997\n",
        ("bulk/test_policy.py", "bulk/engine/test_fairness.py::test_few_customers_who_always_fail_stop_no_run"),
    ),
    Mutant(
        "bulk: a broken-off source",
        "bulk/input.py",
        "    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):",
        "    if isinstance(error, Exception):",
        ("bulk/engine/test_runs.py::test_a_source_that_breaks_off_is_an_error",),
    ),
    Mutant(
        "files: hidden rows",
        "bulk/readers/workbook_records.py",
        "if isinstance(made, ArchiveItem) and line in self._hidden:",
        "if isinstance(made, ArchiveItem) and line in ():",
        ("bulk/readers/test_corpus.py::test_a_file_is_read_as_it_is_meant",),
    ),
    Mutant(
        "files: a column named letter by letter",
        "bulk/readers/columns.py",
        "        if self._exact.get(key, name) != name:\n            return None\n",
        "",
        ("bulk/readers/test_corpus.py::test_a_file_is_read_as_it_is_meant",),
    ),
    Mutant(
        "cli: no single effect of a run",
        "cli/session.py",
        "        self.effect = None\n",
        "        self.effect = self.effect\n",
        ("cli/test_interrupted.py::test_behind_a_run", "cli/test_interrupted.py::test_the_demo"),
    ),
    Mutant(
        "breaker: a probe alone",
        "_jobs/circuit_breaker.py",
        "            return not self.is_probing and now >= self._probe_at",
        "            return now >= self._probe_at",
        ("jobs/test_circuit_breaker.py",),
    ),
    Mutant(
        "breaker: the ramp",
        "_jobs/circuit_breaker.py",
        "            self._room = 1\n",
        "            self._room = None\n",
        ("jobs/test_circuit_breaker.py",),
    ),
    Mutant(
        "breaker: waits grow",
        "_jobs/circuit_breaker.py",
        "min(self._wait_max * slow, self._wait * 2.0)",
        "self._wait",
        ("jobs/test_circuit_breaker.py",),
    ),
    Mutant(
        "telemetry: no attempt has a span twice",
        "telemetry/_tracer.py",
        "        if info.is_instrumented:",
        "        if False:",
        ("telemetry/test_opentelemetry.py::test_no_span_twice",),
    ),
    Mutant(
        "telemetry: no request is measured twice",
        "telemetry/_meter.py",
        "event.request is not None and event.request.is_instrumented:",
        "False:",
        ("telemetry/test_opentelemetry.py::test_no_span_twice",),
    ),
    Mutant(
        "telemetry: a call begins when it is made",
        "telemetry/_tracer.py",
        "time.time_ns() - int(started.queued * 1e9) if started.queued > _NO_WAIT else None",
        "None",
        ("telemetry/test_opentelemetry.py::test_the_time_in_the_queue_is_part_of_a_call",),
    ),
    Mutant(
        "telemetry: what is not sampled stays so",
        "telemetry/_tracer.py",
        "partial(_leave, context.attach(inside), inside)",
        "partial(_leave, context.attach(around), around)",
        ("telemetry/test_opentelemetry.py::test_what_happens_in_a_call_that_is_not_sampled",),
    ),
    Mutant(
        "telemetry: the surrounding span comes back",
        "telemetry/_tracer.py",
        "    if context.get_current() is inside:",
        "    if False:",
        ("telemetry/test_opentelemetry.py::test_a_call_is_part_of_what_surrounds_it",),
    ),
    Mutant(
        "telemetry: a span that ends elsewhere",
        "telemetry/_tracer.py",
        "    if context.get_current() is inside:",
        "    if True:",
        ("telemetry/test_opentelemetry.py::test_a_span_that_ends_elsewhere",),
    ),
    Mutant(
        "telemetry: the calls of a run are traces of their own",
        "telemetry/_tracer.py",
        "        if run is not None and run is trace.get_current_span(around):",
        "        if False:",
        ("telemetry/test_opentelemetry.py::test_the_calls_of_a_run_are_linked_to_it",),
    ),
    Mutant(
        "telemetry: a message goes on with its trace",
        "telemetry/_tracer.py",
        "started.headers.items()})",
        "()})",
        ("telemetry/test_opentelemetry.py::test_work_that_hooks_follow",),
    ),
    Mutant(
        "telemetry: headers of a message in any case",
        "telemetry/_tracer.py",
        "{name.lower(): value",
        "{name: value",
        ("telemetry/test_opentelemetry.py::test_work_that_hooks_follow",),
    ),
    Mutant(
        "telemetry: a call that fails is an error",
        "telemetry/_tracer.py",
        'self.leave(failed=event.outcome == "failed")',
        "self.leave(failed=False)",
        ("telemetry/test_opentelemetry.py::test_a_failure_holds_nothing_of_a_customer",),
    ),
    Mutant(
        "telemetry: baggage stays here",
        "telemetry/_tracer.py",
        "propagator or TraceContextTextMapPropagator()",
        "propagator or __import__('opentelemetry.propagate').propagate.get_global_textmap()",
        ("telemetry/test_opentelemetry.py::test_baggage_stays_here_unless_it_is_asked_for",),
    ),
    Mutant(
        "telemetry: no ids in a template",
        "_engine/call_events.py",
        "_info(where, request.method, request.template,",
        "_info(where, request.method, request.url,",
        (
            "telemetry/test_opentelemetry.py::test_a_call_and_its_attempts",
            "core/test_hooks.py::test_what_requests_are_about",
        ),
    ),
    Mutant(
        "telemetry: repeated requests are counted",
        "_engine/call_events.py",
        "self._resends + 1 if request is self._sent_last else 0",
        "0",
        ("telemetry/test_opentelemetry.py::test_a_call_and_its_attempts",),
    ),
    Mutant(
        "telemetry: an attempt that is cut off ends",
        "_engine/call.py",
        "        if self.events is not None and self.has_token:",
        "        if False:",
        ("telemetry/test_opentelemetry.py::test_a_call_that_is_cut_off",),
    ),
    Mutant(
        "telemetry: an error is its status",
        "telemetry/_instruments.py",
        "event.status is not None and event.status >= _ERROR_STATUS",
        "False",
        ("telemetry/test_opentelemetry.py::test_a_call_and_its_attempts",),
    ),
    Mutant(
        "telemetry: cooldowns of several clients are not added",
        "telemetry/_instruments.py",
        'max(values) if instrument.field == "cooldown" else sum(values)',
        "sum(values)",
        ("telemetry/test_prometheus.py::test_several_clients",),
    ),
    Mutant(
        "telemetry: gauges keep no client alive",
        "telemetry/_instruments.py",
        "(*alive, weakref.ref(client))",
        "(*alive, lambda: client)",
        (
            "telemetry/test_opentelemetry.py::test_a_client_that_is_gone",
            "telemetry/test_prometheus.py::test_a_client_that_is_gone",
        ),
    ),
    Mutant(
        "telemetry: one hook for each registry",
        "telemetry/prometheus.py",
        "        except ValueError:\n            raise ConfigurationError(",
        "        except ZeroDivisionError:\n            raise ConfigurationError(",
        ("telemetry/test_prometheus.py::test_one_hook_for_each_registry",),
    ),
    Mutant(
        "telemetry: the collector's variables switch it off",
        "cli/otel.py",
        'if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":',
        "if False:",
        ("cli/test_otel.py::test_who_asks_for_nothing",),
    ),
    Mutant(
        "telemetry: a refused variable is not quoted",
        "cli/otel.py",
        "({type(error).__name__})",
        "({error})",
        ("cli/test_otel.py::test_a_variable_that_is_not_valid",),
    ),
    Mutant(
        "telemetry: an outcome carries its trace",
        "worker/in_flight.py",
        "NO_HEADERS if self.work is None else self.work.headers()",
        "NO_HEADERS",
        ("cli/test_otel.py::test_a_message_and_its_call",),
    ),
    Mutant(
        "hooks: what is offered is checked",
        "_engine/hooks.py",
        "    if problems := headers_problems(given):",
        "    if problems := []:",
        ("core/test_hooks.py::test_headers_that_cannot_be_sent",),
    ),
    Mutant(
        "hooks: a value that cannot be sent, of a known name",
        "_engine/hooks.py",
        " or not is_visible or not 0 < len(value) <= LONGEST",
        "",
        ("core/test_hooks.py::test_a_name_that_was_good_before",),
    ),
    Mutant(
        "hooks: what raises changes no call",
        "_engine/hooks.py",
        "    except Exception as error:  # noqa: BLE001 - a failing hook must not change the call's result",
        "    except ZeroDivisionError as error:",
        ("core/test_hooks.py::test_hooks_that_raise",),
    ),
    Mutant(
        "hooks: a call's own header wins",
        "_transport/direct_post.py",
        "{**progress.headers, **request.headers}",
        "{**request.headers, **progress.headers}",
        ("core/test_hooks.py::test_every_attempt_carries_what_is_offered",),
    ),
    Mutant(
        "hooks: a call's own header wins in the session",
        "_transport/session.py",
        "                        **progress.headers,\n                        **request.headers,\n",
        "                        **request.headers,\n                        **progress.headers,\n",
        ("core/test_hooks.py::test_every_attempt_carries_what_is_offered",),
    ),
    Mutant(
        "totals: a row without ids is no customer",
        "bulk/readers/table.py",
        "(fits and self._has_no_id(cells, line))",
        "False",
        ("bulk/readers/test_rows_without_ids.py::test_a_row_without_either_id",),
    ),
    Mutant(
        "totals: one id makes a row a customer's",
        "bulk/readers/table.py",
        "not all(_is_blank(each) or _is_total(each) for each in ids)",
        "not any(_is_blank(each) or _is_total(each) for each in ids)",
        ("bulk/readers/test_rows_without_ids.py::test_a_row_with_one_of_the_ids",),
    ),
    Mutant(
        "totals: one column of ids does not tell",
        "bulk/readers/table.py",
        "has_none = len(ids) > 1 or ",
        "has_none = True or ",
        ("bulk/readers/test_rows_without_ids.py::test_where_one_column_has_ids",),
    ),
    Mutant(
        "totals: a formula that was not calculated",
        "bulk/readers/table.py",
        "        if self.keeps_all or not all(",
        "        if not all(",
        ("bulk/readers/test_workbooks.py::test_ids_that_formulas_would_give",),
    ),
    Mutant(
        "correction: what was typed wrongly goes",
        "cli/bulk/correction.py",
        "if name == _COLUMN and ours in columns:",
        "if False:",
        ("cli/test_bulk_correction.py::test_what_was_typed_wrongly_is_taken_out",),
    ),
    Mutant(
        "correction: a business for all goes where a column has it",
        "cli/bulk/correction.py",
        "self._drops_business = has_business and proposal.business",
        "self._drops_business = False",
        ("cli/test_bulk_correction.py::test_what_was_typed_wrongly_is_taken_out",),
    ),
    Mutant(
        "correction: a business for all is asked for",
        "cli/bulk/correction.py",
        "self._asks_business = not has_business and not proposal.business",
        "self._asks_business = False",
        ("cli/test_bulk_correction.py::test_a_business_for_all_is_asked_for_where_no_column_has_one",),
    ),
    Mutant(
        "correction: the columns of a file stay",
        "cli/bulk/correction.py",
        "return kept if dropped == set(columns) else None",
        "return kept",
        ("cli/test_bulk_correction.py::test_columns_of_a_file_are_not_changed",),
    ),
    Mutant(
        "other business: a column of others is warned of",
        "bulk/readers/candidates.py",
        "return bool(look.seen - {given})",
        "return False",
        ("cli/test_bulk_correction.py::test_a_column_of_other_businesses_is_warned_of",),
    ),
    Mutant(
        "other business: the one given is none",
        "bulk/readers/candidates.py",
        "return bool(look.seen - {given})",
        "return True",
        ("cli/test_bulk_correction.py::test_the_same_business_is_not_warned_of",),
    ),
    Mutant(
        "other business: far below the first rows",
        "bulk/readers/candidates.py",
        "for rows in (first, islice(table.rows, _MOST)) for row in rows)",
        "for rows in (first,) for row in rows)",
        ("cli/test_bulk_correction.py::test_a_business_far_below",),
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
