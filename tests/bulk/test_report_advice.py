"""What a report advises about a reason is the remedy of the one table of errors."""

import pytest

from thredfi_async import NotFoundError, PermissionDeniedError, RequestTimeoutError, ServerError, ThredfiError
from thredfi_async._outcomes import TABLE, Remedy, classify, code_of
from thredfi_async.bulk.errors import BusinessSkippedError, CallInterruptedError, StillActiveError
from thredfi_async.bulk.report.advice import advice_on, remedy_of


@pytest.mark.parametrize(
    ("error", "enveloped"),
    [
        (NotFoundError("404", status=404, is_enveloped=True), True),
        (NotFoundError("404", status=404, is_enveloped=True, error_code="not_found"), True),
        (NotFoundError("404", status=404), False),
        (PermissionDeniedError("403", status=403, is_enveloped=True, error_code="permission_denied"), True),
        (PermissionDeniedError("403", status=403), False),
        (ServerError("503", status=503), False),
        (ServerError("500", status=500), False),
        (RequestTimeoutError("late", phase="read"), False),
    ],
)
def test_a_code_has_the_remedy_of_its_error(error: ThredfiError, enveloped: bool) -> None:
    """What is left of an error in a journal leads to the same remedy as the error itself."""
    assert remedy_of(code_of(error), enveloped=enveloped) is classify(error).remedy


def test_every_code_of_the_table_has_a_remedy() -> None:
    """Each code that the table, or a bulk run, gives is known to the report."""
    more = (BusinessSkippedError.row, CallInterruptedError.row, StillActiveError.row)
    for row in (*TABLE, *more):
        if row.code is not None and not row.token and row.transient is not False:
            assert remedy_of(row.code, enveloped=False) is row.remedy


@pytest.mark.parametrize(
    ("state", "code", "advice"),
    [
        ("rejected", "not_found", "Check both ids and the environment."),
        ("rejected", "something_new", "Fix the input and send it again."),
        ("rejected", None, "Fix the input and send it again."),
        ("failed", "business_skipped", "Check the partner's access to the business, then resume the run."),
        ("failed", "connect_error", "Check the network, and resume the run."),
        ("failed", "something_new", "Resume the run."),
        ("unknown", "not_found", "Resume the run; it asks the API first, and sends again only who is still active."),
        ("pending", None, "Resume the run; it asks the API about these first."),
    ],
)
def test_advice(state: str, code: str | None, advice: str) -> None:
    """It is a sentence that fits the state: what failed is resumed, and what is unknown is asked about first."""
    assert advice_on(state, code) == advice


def test_no_remedy_says_to_send_the_same_again() -> None:
    """A run is resumed; whatever a remedy says of a call does not stand in a report."""
    assert any("run the same again" in remedy.value for remedy in Remedy)
    for row in TABLE:
        assert "run the same again" not in advice_on("failed", row.code)
