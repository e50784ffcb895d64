"""Where a bulk run sends to, and the question before it."""

import io
import sys

import pytest

from thredfi_async import Environment
from thredfi_async.cli.bulk.endpoint import Endpoint, confirm
from thredfi_async.cli.error_report import ReportedError

PRODUCTION = Endpoint(Environment.PRODUCTION.value)


@pytest.mark.parametrize(
    ("url", "host", "asks", "words"),
    [
        ("https://api.thredfi.com", "api.thredfi.com", True, "PRODUCTION, api.thredfi.com"),
        ("https://API.thredfi.com/v2", "api.thredfi.com", True, "PRODUCTION"),
        ("https://sandbox.thredfi.com", "sandbox.thredfi.com", False, "the sandbox"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", False, "on this machine"),
        ("http://[::1]:8000", "[::1]:8000", False, "on this machine"),
        ("http://localhost", "localhost", False, "on this machine"),
        ("https://sandbox.thredfi.com:8443", "sandbox.thredfi.com:8443", True, "neither the sandbox nor this machine"),
        ("https://gateway.example/api", "gateway.example", True, "neither the sandbox nor this machine"),
    ],
)
def test_what_is_at_stake(url: str, host: str, asks: bool, words: str) -> None:
    """Only the sandbox and this machine go without a question."""
    target = Endpoint(url)
    assert (target.host, target.needs_confirmation) == (host, asks)
    assert words in str(target)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "fine"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False)])
def test_the_question(answer: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names number and host, it needs a yes, and anything else sends nothing."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", terminal)
    if fine:
        confirm(PRODUCTION, "10 customers", yes=False, stdin_is_taken=False, json=False)
    else:
        with pytest.raises(ReportedError, match="nothing was sent"):
            confirm(PRODUCTION, "10 customers", yes=False, stdin_is_taken=False, json=False)
    assert terminal.getvalue().startswith("Archive 10 customers at PRODUCTION, api.thredfi.com? [y/N]")


@pytest.mark.parametrize(("stdin_is_taken", "json"), [(False, False), (True, False), (False, True)])
def test_nobody_to_ask(stdin_is_taken: bool, json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script, a machine, and a piped source need a yes before."""
    if stdin_is_taken or json:
        monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
        monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ReportedError, match=r"needs a yes.* at PRODUCTION, api") as caught:
        confirm(PRODUCTION, "10 customers", yes=False, stdin_is_taken=stdin_is_taken, json=json)
    assert "--yes" in str(caught.value.failure.advice)


def test_no_question() -> None:
    """Neither after --yes nor where nothing real is at stake."""
    confirm(PRODUCTION, "10 customers", yes=True, stdin_is_taken=True, json=True)
    confirm(Endpoint("http://127.0.0.1:8000"), "10 customers", yes=False, stdin_is_taken=True, json=True)
