"""What an answer or an error means for the customer: each standing, decided a second time."""

import pytest

from thredfi_async._codec.error_envelope import error_class
from thredfi_async._outcomes import Standing, attempt_standing, raised_at, says_archived
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
    """Nobody documents what archiving an archived customer answers, so these stay in doubt even in the envelope."""
    assert attempt_standing(refusal(status, code)) is standing


def test_wrong_fields_count_only_in_the_envelope() -> None:
    """A code without the envelope, as a caller's own error may have it, is nobody's no."""
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
