"""What an answer or an error means for the customer: each standing, decided a second time."""

import pytest

from thredfi_async._codec.error_envelope import error_class
from thredfi_async._outcomes import (
    Fault,
    Remedy,
    Row,
    Standing,
    attempt_standing,
    classify,
    code_of,
    raised_at,
    says_archived,
)
from thredfi_async.bulk import errors as bulk_errors
from thredfi_async.errors import (
    APIError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    Effect,
    InternalError,
    InvalidRequestError,
    Phase,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiError,
    TransportError,
)
from thredfi_async.worker import errors as worker_errors

NOT_PROCESSED = {407, 411, 413, 414, 417, 421, 426, 428, 429, 431}
REDIRECTS = range(300, 400)


def refusal(status: int, code: str | None = None, *, is_enveloped: bool = True, is_same_path: bool = False) -> APIError:
    """Return the error for an answer with this status."""
    return error_class(status)(
        str(status), status=status, error_code=code, is_enveloped=is_enveloped, is_same_path=is_same_path
    )


def test_standings_are_ordered() -> None:
    """A call's standing is the highest of its attempts'."""
    assert Standing.NOT_APPLIED < Standing.IN_DOUBT < Standing.UNKNOWN < Standing.APPLIED


@pytest.mark.parametrize(
    ("standing", "effect"),
    [
        (Standing.NOT_APPLIED, Effect.NOT_APPLIED),
        (Standing.IN_DOUBT, Effect.UNKNOWN),
        (Standing.UNKNOWN, Effect.UNKNOWN),
        (Standing.APPLIED, Effect.APPLIED),
    ],
)
def test_what_a_caller_is_told(standing: Standing, effect: Effect) -> None:
    """A doubt that was not settled is UNKNOWN to a caller."""
    assert standing.effect is effect


@pytest.mark.parametrize("is_enveloped", [True, False])
@pytest.mark.parametrize("status", range(200, 600))
def test_every_status(status: int, is_enveloped: bool) -> None:
    """The API's own no is NOT_APPLIED; one from anywhere else is in doubt, unless its status says enough."""
    if status >= 500 or status == 408:
        expected = Standing.UNKNOWN
    elif status in NOT_PROCESSED or (is_enveloped and status not in {400, 409, *REDIRECTS}):
        expected = Standing.NOT_APPLIED
    else:
        expected = Standing.IN_DOUBT
    assert attempt_standing(refusal(status, is_enveloped=is_enveloped)) is expected


@pytest.mark.parametrize(
    ("status", "code", "standing"),
    [
        (400, "validation_error", Standing.NOT_APPLIED),
        (400, "already_archived", Standing.IN_DOUBT),
        (400, None, Standing.IN_DOUBT),
        (409, "validation_error", Standing.IN_DOUBT),
        (409, "conflict", Standing.IN_DOUBT),
        (422, "already_archived", Standing.NOT_APPLIED),
    ],
)
def test_refusals_that_may_mean_that_it_is_done(status: int, code: str | None, standing: Standing) -> None:
    """No one documents what archiving an archived customer answers, so these stay in doubt even in the envelope."""
    assert attempt_standing(refusal(status, code)) is standing


def test_wrong_fields_count_only_in_the_envelope() -> None:
    """A code without the envelope, as a caller's own error may have it, is no one's no."""
    assert attempt_standing(refusal(400, "validation_error", is_enveloped=False)) is Standing.IN_DOUBT


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
@pytest.mark.parametrize("is_enveloped", [True, False])
@pytest.mark.parametrize(("is_same_path", "standing"), [(True, Standing.NOT_APPLIED), (False, Standing.IN_DOUBT)])
def test_redirects(status: int, is_enveloped: bool, is_same_path: bool, standing: Standing) -> None:
    """A redirect to the same path was not processed; one to anywhere else may stand in the place of an answer."""
    assert attempt_standing(refusal(status, is_enveloped=is_enveloped, is_same_path=is_same_path)) is standing


def test_a_status_out_of_range() -> None:
    """Undefined statuses count as failures with an unknown effect."""
    assert attempt_standing(ServerError("999", status=999)) is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("error", "standing"),
    [
        (ConnectError("refused"), Standing.NOT_APPLIED),
        (ConnectionLostError("lost"), Standing.UNKNOWN),
        (TransportError("whatever"), Standing.NOT_APPLIED),
        (ConfigurationError("no"), Standing.NOT_APPLIED),
        (ClientStateError("no"), Standing.NOT_APPLIED),
        (InternalError("no"), Standing.NOT_APPLIED),
        (InvalidRequestError(["no"]), Standing.NOT_APPLIED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_attempt_without_an_answer(error: ThredfiError, standing: Standing) -> None:
    """Only a request that can have left the machine may have been applied."""
    assert attempt_standing(error) is standing


@pytest.mark.parametrize(
    ("phase", "standing"),
    [("queue", Standing.NOT_APPLIED), ("connect", Standing.NOT_APPLIED), ("read", Standing.UNKNOWN)],
)
def test_an_attempt_that_timed_out(phase: Phase, standing: Standing) -> None:
    """A read timeout comes after sending; queue and connect timeouts come before."""
    assert attempt_standing(RequestTimeoutError("late", phase=phase)) is standing


@pytest.mark.parametrize("effect", Effect)
def test_whoever_read_the_answer_knows_its_effect(effect: Effect) -> None:
    """A ResponseDecodeError carries the effect that the code that read the answer determined."""
    error = ResponseDecodeError("odd")
    error.effect = effect
    assert attempt_standing(error).effect is effect
    assert attempt_standing(error) is not Standing.IN_DOUBT


def test_an_api_error_of_a_callers_own_claims_nothing() -> None:
    """An API error that was built without its envelope is in doubt, whatever effect somebody wrote on it."""
    error = BadRequestError("400", status=400)
    error.effect = Effect.NOT_APPLIED
    assert attempt_standing(error) is Standing.IN_DOUBT


@pytest.mark.parametrize(
    ("flag", "status", "says"),
    [
        (True, None, True),
        (False, "ARCHIVED", True),
        (None, "ARCHIVED", True),
        (False, "ACTIVE", False),
        ("true", "archived", False),
        (1, ["ARCHIVED"], False),
    ],
)
def test_what_a_record_says(flag: object, status: object, says: bool) -> None:
    """A record says that it is archived by its flag or by its status, and by nothing that is only like them."""
    assert says_archived(flag, status) is says


def test_where_an_exception_was_raised() -> None:
    """The class and the innermost place are named, and none of the exception's words."""

    def fail() -> None:
        raise ValueError("Jane Doe")

    with pytest.raises(ValueError, match="Jane") as raised:
        fail()
    line = fail.__code__.co_firstlineno + 1
    assert raised_at(raised.value) == f"ValueError ({__file__}, line {line})"


# -- the table: whose fault, whether a run stops, what to do


def token_error(error: ThredfiError) -> ThredfiError:
    """Make it an error of fetching a token."""
    error.is_token_error = True
    return error


@pytest.mark.parametrize("is_enveloped", [True, False])
@pytest.mark.parametrize(
    ("status", "stops"),
    [(status, "wrong_base_url") for status in REDIRECTS] + [(401, "credentials_refused"), (407, "proxy_refused")],
)
def test_a_status_that_every_customer_would_meet_stops_a_run(status: int, stops: str, is_enveloped: bool) -> None:
    """A redirect, a 401 and a 407 stop a run, in any form."""
    assert classify(refusal(status, is_enveloped=is_enveloped)).stops == stops


@pytest.mark.parametrize("is_enveloped", [True, False])
@pytest.mark.parametrize("status", [*range(200, 300), *range(400, 600)])
def test_no_other_status_stops_a_run(status: int, is_enveloped: bool) -> None:
    """One customer's answer is that customer's, or its business's after a 403 in any form."""
    row = classify(refusal(status, is_enveloped=is_enveloped))
    assert (row.stops is None) is (status not in {401, 407})
    assert row.skips_business is (status == 403)
    lasting = 400 <= status < 500 and status not in {401, 407, 408, 429}
    assert row.is_refusal is (is_enveloped and (lasting or status < 300))


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 405, 410])
def test_a_wrong_base_path_is_not_the_credentials_fault(status: int) -> None:
    """What a token endpoint answers to a wrong path says to check the base URL."""
    row = classify(token_error(refusal(status, is_enveloped=False)))
    assert (row.stops, row.remedy) == ("wrong_base_url", Remedy.CHECK_BASE_URL)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_refused_credentials(status: int) -> None:
    """What the token endpoint refuses is the credentials."""
    row = classify(token_error(refusal(status)))
    assert (row.stops, row.fault, row.remedy) == ("credentials_refused", Fault.TOKEN, Remedy.RENEW_CREDENTIALS)


@pytest.mark.parametrize(
    "error",
    [refusal(503), refusal(429), refusal(500), ConnectError("x"), ConnectionLostError("x"), ThredfiError("x")],
)
def test_a_token_that_may_come_later_stops_no_run(error: ThredfiError) -> None:
    """A token endpoint that fails for now is the API's fault."""
    error.transient = True
    row = classify(token_error(error))
    assert (row.stops, row.fault) == (None, Fault.API)


@pytest.mark.parametrize(
    ("error", "fault", "stops", "code"),
    [
        (ConfigurationError("x"), Fault.SETTINGS, "client_unusable", "configuration"),
        (ClientStateError("x"), Fault.CLIENT, "client_unusable", "client_closed"),
        (ConnectError("x", transient=False), Fault.SETTINGS, "certificate_refused", "connect_error"),
        (ConnectError("x"), Fault.API, None, "connect_error"),
        (ConnectionLostError("x"), Fault.API, None, "connection_lost"),
        (RequestTimeoutError("x", phase="read"), Fault.API, None, "timeout_read"),
        (ResponseDecodeError("x"), Fault.API, None, "decode_error"),
        (InvalidRequestError(["x"]), Fault.ITEM, None, "invalid_request"),
        (InternalError("x"), Fault.CLIENT, None, "internal_error"),
        (ThredfiError("x"), Fault.API, None, "error"),
        (refusal(404, "not_found"), Fault.ITEM, None, "not_found"),
        (refusal(404, "NOT A CODE"), Fault.ITEM, None, "http_404"),
    ],
)
def test_whose_fault(error: ThredfiError, fault: Fault, stops: str | None, code: str) -> None:
    """Each error has a row, and one code for machines."""
    row = classify(error)
    assert (row.fault, row.stops, code_of(error)) == (fault, stops, code)


def test_errors_of_higher_floors_have_rows_of_their_own() -> None:
    """Each class of bulk and worker says in the same form what it means."""
    for module in (bulk_errors, worker_errors):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                row = vars(kind).get("row")
                assert isinstance(row, Row), name
                assert row.code is not None, name
