"""Errors survive pickling, copying, and the way back from another process."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from pool_work import archived, given_back, raised

from thredfi_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ConnectionLostError,
    Effect,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiError,
    TransportError,
    UnprocessableEntityError,
)
from thredfi_async.mock_server import Fault, FaultKind, MockServer

REFUSED: dict[str, Any] = {
    "error_code": "code",
    "message": "words",
    "details": {"email": ["wrong"]},
    "retry_after": 1.5,
    "body": b"\xff body",
    "request_id": "req-1",
    "is_enveloped": True,
    "is_same_path": True,
}
ERRORS: list[ThredfiError] = [
    ThredfiError("summary", request_id="req-1"),
    ConfigurationError("summary"),
    ClientStateError("summary"),
    InternalError("summary"),
    InvalidRequestError(["email: wrong", "city: wrong"]),
    TransportError("summary"),
    ConnectError("summary", transient=False),
    ConnectionLostError("summary"),
    RequestTimeoutError("summary", phase="deadline"),
    ResponseDecodeError("summary", problems=["$.id: another"], request_id="req-1"),
    *(
        kind("summary", status=status, **REFUSED)
        for kind, status in (
            (APIError, 418),
            (BadRequestError, 400),
            (AuthenticationError, 401),
            (PermissionDeniedError, 403),
            (NotFoundError, 404),
            (ConflictError, 409),
            (UnprocessableEntityError, 422),
            (RateLimitedError, 429),
            (ServerError, 503),
        )
    ),
]


def _pickled(protocol: int) -> Callable[[ThredfiError], ThredfiError]:
    return lambda error: pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own


WAYS: dict[str, Callable[[ThredfiError], ThredfiError]] = {
    **{f"pickle {protocol}": _pickled(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def stamped(error: ThredfiError) -> ThredfiError:
    """Return an error with everything that a call or a caller may add."""
    twin = copy.deepcopy(error)
    twin.effect, twin.attempts, twin.idempotency_key = Effect.UNKNOWN, 3, "key-1"
    twin.is_token_error = twin.is_budget_empty = True
    twin.add_note("a first note")
    twin.add_note("a second note")
    return twin


def assert_whole(found: BaseException, error: ThredfiError) -> None:
    """Check that the class, message, attributes and notes are the same."""
    assert type(found) is type(error)
    assert (str(found), repr(found), found.args) == (str(error), repr(error), error.args)
    assert vars(found) == vars(error)
    assert isinstance(found, ThredfiError)
    assert type(found.effect) is Effect


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Yield one other process that shares nothing with this one."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_every_error_is_among_those_tried() -> None:
    """Every error class is tested here."""

    def below(kind: type[ThredfiError]) -> set[type[ThredfiError]]:
        own = [each for each in kind.__subclasses__() if each.__module__ == kind.__module__]
        return {kind}.union(*map(below, own))

    assert below(ThredfiError) == {type(error) for error in ERRORS}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_is_whole_after(error: ThredfiError, way: str) -> None:
    """Effect, attempts, key and notes survive too."""
    error = stamped(error)
    assert_whole(WAYS[way](error), error)


@pytest.mark.parametrize("way", WAYS)
def test_note_on_a_copy_is_none_on_the_original(way: str) -> None:
    """Callers of a failed token fetch get copies, and a note on one copy does not appear on the others."""
    error = stamped(ERRORS[0])
    WAYS[way](error).add_note("another")
    assert error.__notes__ == ["a first note", "a second note"]


def test_every_error_comes_home_whole_from_another_process(pool: ProcessPoolExecutor) -> None:
    """An error can be returned or raised there; a raised one has the other process's traceback as its cause."""
    for error in map(stamped, ERRORS):
        assert_whole(pool.submit(given_back, error).result(20), error)
        found = pool.submit(raised, error).exception(20)
        assert found is not None
        assert_whole(found, error)
        assert "raise error" in str(found.__cause__)


@pytest.mark.thredfi_mock_server(customers=1)
def test_error_of_a_call_comes_home_whole_from_another_process(
    pool: ProcessPoolExecutor, thredfi_mock_server: MockServer
) -> None:
    """After two attempts and settling in the other process, the error has its effect, key and notes here."""
    server, customer = thredfi_mock_server, thredfi_mock_server.customers[0]
    server.queue_faults(customer.customer_id, *[Fault(FaultKind.SERVER_ERROR)] * 2)
    ids = str(customer.business_id), str(customer.customer_id)
    error = pool.submit(archived, server.url, server.token, *ids, customer.body).exception(20)
    assert isinstance(error, ServerError)
    assert (error.status, error.error_code) == (503, "server_error")
    assert (error.effect, error.attempts, error.idempotency_key) == (Effect.UNKNOWN, 3, "key-1")
    assert error.request_id is not None
    assert error.__notes__ == ["the outcome was checked: the server shows no change; a request may still be in flight"]
    assert server.requests.of(customer.customer_id).keys == {"key-1"}
