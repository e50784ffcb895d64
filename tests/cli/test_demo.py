"""`thredfi demo`, which is the main job: it shows what the client is for, and checks every claim."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from thredfi_async import Effect, RawResponse, ServerError
from thredfi_async.cli import main
from thredfi_async.cli.demo.checks import Verdicts
from thredfi_async.cli.demo.plan import SLOTS, planned_faults
from thredfi_async.cli.demo.play import Play, play
from thredfi_async.cli.demo.show import conclusion
from thredfi_async.mock_server import FaultKind, MockServer, seeded_customers

Capture = pytest.CaptureFixture[str]
COMMAND = [sys.executable, "-m", "thredfi_async", "demo"]


def test_demo() -> None:
    """The demo archives 500 customers, shows how, and says in its last line that all of them are archived."""
    run = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    *lines, last = run.stdout.splitlines()
    assert last == "All 500 customers are archived, says the server itself."
    assert sum(line.startswith(("✓", "ok")) for line in lines) == 5
    assert max(map(len, lines)) <= 80


def test_demo_for_machines(capsys: Capture) -> None:
    """As JSON, the same: every kind of fault was thrown, every check passed, and the figures agree."""
    assert main(["demo", "--customers", "60", "--seed", "7", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert result["passed"]
    assert (result["archived"], result["succeeded"], result["failed"]) == (60, 60, 0)
    assert set(result["faults"]) == set(FaultKind)
    assert all(result["faults"].values())
    assert all(check["passed"] for check in result["checks"])
    assert result["requests"] == 60 + result["retries"] + result["settled"] + result["refused_tokens"]
    assert result["settled"] == result["faults"]["not_json"] + result["faults"]["wrong_id"]


@pytest.mark.parametrize("customers", [20, 33, 500, 5000])
def test_plan(customers: int) -> None:
    """Whatever the size, every kind of fault is planned, and expiring tokens are far apart."""
    targets = seeded_customers(customers)
    plan = planned_faults(targets, seed=3)
    kinds = Counter(fault.kind for faults in plan.values() for fault in faults)
    assert set(kinds) == set(FaultKind)
    expiring = [
        position
        for position, target in enumerate(targets)
        if any(fault.kind is FaultKind.EXPIRED_TOKEN for fault in plan.get(target.customer_id, ()))
    ]
    assert all(later - earlier >= 5 * SLOTS for earlier, later in pairwise(expiring))


def test_demo_on_a_terminal() -> None:
    """On a terminal there is a progress bar, and Ctrl-C ends it with 130 and no stack trace."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([*COMMAND, "--customers", "5000"], stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        while b"of 5,000" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        shown += _rest(ours)
    assert process.returncode == 130
    told = re.search(rb"Interrupted, when ([\d,]+) of 5,000 customers were done\. They were invented", shown)
    assert told is not None
    # What the signal has cancelled is not done.
    assert int(told[1].replace(b",", b"")) < 5000
    assert b"Effect" not in shown
    assert b"Traceback" not in shown


def played() -> tuple[Play, Verdicts, MockServer]:
    """A small demo run, and verdicts on it by a record that can be changed."""
    server = MockServer(20)
    targets = list(server.customers)
    result = asyncio.run(play(20, 1, lambda: None))
    shown = [each.parsed for each in result.results if isinstance(each, RawResponse)]
    for target, each in zip(targets, result.results, strict=True):
        assert each.idempotency_key is not None
        server.requests.posted(str(target.customer_id), each.idempotency_key, b"body")
        server.requests.took_effect(str(target.customer_id))
    for kind in FaultKind:
        server.faults_thrown[kind] += 1
    return result, Verdicts(server=server, targets=targets, results=result.results, shown=shown, active=0), server


def failed(verdicts: Verdicts) -> set[str]:
    """The checks that do not hold."""
    return {check.name for check in verdicts.checks() if not check.passed}


def test_the_checks_can_fail() -> None:
    """Each check fails when what it claims is not so; the demo would say it, and end in 1."""
    result, verdicts, server = played()
    customer = str(verdicts.targets[0].customer_id)
    assert failed(verdicts) == set()
    assert failed(replace(verdicts, active=1)) == {"archived"}
    assert failed(replace(verdicts, shown=[LookupError(), *verdicts.shown[1:]])) == {"archived"}
    swapped = [result.results[1], result.results[0], *result.results[2:]]
    assert failed(replace(verdicts, results=swapped)) == {"true_statements", "one_key_one_body"}
    server.requests.took_effect(customer)
    assert failed(verdicts) == {"applied_once"}
    server.requests.posted(customer, None, b"another body")
    server.faults_thrown[FaultKind.HANG] = 0
    assert failed(verdicts) == {"applied_once", "one_key_one_body", "every_fault"}
    lost = replace(result, checks=verdicts.checks())
    assert not lost.passed
    assert "what was claimed is not so: one_key_one_body" in conclusion(lost).plain


@pytest.mark.parametrize(
    ("effect", "applied", "true"),
    [
        (Effect.NOT_APPLIED, False, True),
        (Effect.NOT_APPLIED, True, False),
        (Effect.UNKNOWN, False, True),
        (Effect.UNKNOWN, True, True),
        (Effect.APPLIED, True, True),
        (Effect.APPLIED, False, False),
    ],
)
def test_a_failed_call_is_held_to_its_word(effect: Effect, applied: bool, true: bool) -> None:
    """NOT_APPLIED means not applied, APPLIED means applied, and UNKNOWN is true either way."""
    server = MockServer(1)
    error = ServerError("503", status=503)
    error.effect = effect
    if applied:
        server.requests.took_effect(str(server.customers[0].customer_id))
    verdicts = Verdicts(server=server, targets=server.customers, results=[error], shown=[LookupError()], active=1)
    assert ("true_statements" not in failed(verdicts)) is true


def test_a_failed_check_ends_in_one(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code says whether every check has passed."""
    monkeypatch.setattr("thredfi_async.cli.demo.checks.Verdicts.archived", 19)
    assert main(["demo", "--customers", "20"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("19 of 20 customers are archived, says the server;")


def _rest(terminal: int) -> bytes:
    """What the terminal still shows, until its writer has closed it."""
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux's way to say that the other side is closed
            part = b""
        if not part:
            os.close(terminal)
            return shown
        shown += part
