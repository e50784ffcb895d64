"""What the command line says to do about an error: one sentence for each remedy."""

import pytest

from thredfi_async import AuthenticationError, NotFoundError, ThredfiError
from thredfi_async._outcomes import Remedy
from thredfi_async.cli.error_report import ADVICE, error_report
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
