"""What the command line says to do about an error: one sentence for each remedy."""

import re

import pytest

from thredfi_async import (
    APIError,
    AuthenticationError,
    ConnectionLostError,
    Effect,
    InvalidRequestError,
    NotFoundError,
    ThredfiError,
)
from thredfi_async._outcomes import Remedy
from thredfi_async.cli.error_report import ADVICE, error_report
from thredfi_async.cli.formatting import sentence
from thredfi_async.cli.output import Output
from thredfi_async.cli.session import Session


def test_every_remedy_has_a_sentence() -> None:
    """None is missing, and none is left of a remedy that is gone."""
    assert set(ADVICE) == set(Remedy)
    assert all(ADVICE.values())


def token(error: ThredfiError) -> ThredfiError:
    """Make it an error of fetching a token."""
    error.is_token_error = True
    return error


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (AuthenticationError("401", status=401), Remedy.RENEW_CREDENTIALS),
        (token(AuthenticationError("401", status=401)), Remedy.RENEW_CREDENTIALS),
        (token(NotFoundError("404", status=404)), Remedy.CHECK_BASE_URL),
        (NotFoundError("404", status=404), Remedy.CHECK_BASE_URL),
        (NotFoundError("404", status=404, is_enveloped=True), Remedy.CHECK_IDS),
    ],
)
def test_a_wrong_base_path_is_told_from_wrong_credentials(error: ThredfiError, remedy: Remedy) -> None:
    """Only what refuses the credentials says to check them."""
    assert error_report(error, Session(out=Output(json=True))).advice == ADVICE[remedy]


def test_every_remedy_names_what_to_use() -> None:
    """Each is one sentence that names an option, a variable or a command; none names a class of Python."""
    told = re.compile(r"--[a-z]|THREDFI_|BUSINESS_ID|HTTPS_PROXY|thredfi |run the same again")
    assert [remedy for remedy, advice in ADVICE.items() if not told.search(advice)] == []
    assert not any(re.search(r"Error\b|UNSET|[.!] |\.$", advice) for advice in ADVICE.values())


@pytest.mark.parametrize("status", [301, 308])
def test_a_redirect_is_not_met_again(status: int) -> None:
    """After a redirect to another host, the address comes first: the same command would meet the same."""
    error = APIError(f"{status}", status=status)
    error.effect, error.idempotency_key = Effect.UNKNOWN, "k-1"
    session = Session(out=Output(json=False), look="thredfi get a b")
    advice = error_report(error, session).advice
    assert advice == (
        f"{ADVICE[Remedy.CHECK_BASE_URL]}; then look with: thredfi get a b; "
        "if it is not archived, run the same again with --idempotency-key k-1"
    )


def test_an_answer_that_was_lost_is_looked_for_first() -> None:
    """Where the same command may do better, nothing comes before the look."""
    error = ConnectionLostError("lost")
    error.effect = Effect.UNKNOWN
    session = Session(out=Output(json=False), look="thredfi get a b")
    assert error_report(error, session).advice == "look with: thredfi get a b"


def test_the_effect_is_told_where_there_was_one() -> None:
    """A call that could have changed something says whether it did; a machine always gets it."""
    session = Session(out=Output(json=False))
    error = NotFoundError("404", status=404, is_enveloped=True)
    told = error_report(error, session)
    assert (told.as_json()["effect"], "Effect" in told.as_text()[1].plain) == ("NOT_APPLIED", False)
    session.known.begins(None)
    assert "Effect: NOT_APPLIED" in [line.plain for line in error_report(error, session).as_text()][1]
    told = error_report(InvalidRequestError("wrong"), session)
    assert not any(line.plain.startswith("Effect") for line in told.as_text())


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "a."), ("a.", "a."), ("a...", "a."), ("is it 'b'?", "is it 'b'?"), ("a!", "a!")],
)
def test_one_full_stop(text: str, shown: str) -> None:
    """Whatever a message ends with, a sentence has one end."""
    assert sentence(text) == shown
