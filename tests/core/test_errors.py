"""The error tree: its shape, the effect of an attempt, and pickling and copying."""

import copy
import pickle
import re
from collections.abc import Callable
from functools import partial

import pytest

from thredfi_async import errors
from thredfi_async._codec.error_envelope import error_class
from thredfi_async._http_statuses import TRANSIENT
from thredfi_async.errors import (
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


def api_error(kind: type[APIError], status: int) -> APIError:
    """Return an API error with every part filled in."""
    return kind(
        f"{status}, some_code",
        status=status,
        error_code="some_code",
        message="words of the server",
        details={"email": ["no good"]},
        retry_after=1.5,
        body=b'{"error": "words of the server"}',
        request_id="req-1",
        is_enveloped=True,
        is_same_path=True,
    )


EXAMPLES: list[ThredfiError] = [
    ThredfiError("a root", request_id="req-1"),
    ConfigurationError("a setting"),
    ClientStateError("closed"),
    InternalError("a part raised ValueError (a.py, line 1)"),
    InvalidRequestError(["email: is wrong", "city: is missing"]),
    TransportError("no answer"),
    ConnectError("a bad certificate", transient=False),
    ConnectionLostError("lost"),
    RequestTimeoutError("too late", phase="read"),
    api_error(APIError, 302),
    api_error(BadRequestError, 400),
    api_error(AuthenticationError, 401),
    api_error(PermissionDeniedError, 403),
    api_error(NotFoundError, 404),
    api_error(ConflictError, 409),
    api_error(UnprocessableEntityError, 422),
    api_error(RateLimitedError, 429),
    api_error(ServerError, 503),
    ResponseDecodeError("no customer", problems=["$.id: is missing"], request_id="req-1"),
]


def subclasses(kind: type[ThredfiError]) -> set[type[ThredfiError]]:
    """Return the library's own subclasses, at any depth."""
    own = {each for each in kind.__subclasses__() if each.__module__ == errors.__name__}
    return own.union(*(subclasses(each) for each in own))


def drawn_tree() -> dict[str, str]:
    """Return the tree of the module's docstring: each name with its parent's."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").split("```")[1].strip().splitlines():
        branch = re.search(r"[├└]", line)
        depth = branch.start() if branch else -1
        path = [(at, name) for at, name in path if at < depth]
        for name in re.findall(r"\b[A-Z]\w*Error\b", line.partition("(")[0]):
            parents[name] = path[-1][1] if path else ""
        path.append((depth, re.findall(r"\w+Error\b", line)[0]))
    return parents


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    """The tree in the docstring shows every class under its own parent."""
    real = {each.__name__: each.__bases__[0].__name__ for each in subclasses(ThredfiError)}
    assert drawn_tree() == {"ThredfiError": "", **real}


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (ConfigurationError, ValueError),
        (ClientStateError, RuntimeError),
        (InvalidRequestError, ValueError),
        (RequestTimeoutError, TimeoutError),
    ],
)
def test_builtin_bases(ours: type[ThredfiError], builtin: type[Exception]) -> None:
    """Python's built-in error classes catch these too, as the docstring says."""
    assert issubclass(ours, builtin)
    assert re.search(rf"{ours.__name__} +\({builtin.__name__}\)", errors.__doc__ or "")


def test_every_class_has_an_example() -> None:
    """Every error class has an example, so that the tests below cover it."""
    assert {type(each) for each in EXAMPLES} == subclasses(ThredfiError) | {ThredfiError}


def pickled(error: ThredfiError, protocol: int) -> ThredfiError:
    """Return the error after pickling and unpickling."""
    twin: ThredfiError = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
    return twin


COPIES: dict[str, Callable[[ThredfiError], ThredfiError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle{protocol}": partial(pickled, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_are_copied_and_pickled_whole(
    example: ThredfiError, duplicate: Callable[[ThredfiError], ThredfiError]
) -> None:
    """A copy has the class, the message, every attribute, the call's effect, attempts and key, and the notes."""
    error = copy.copy(example)
    error.effect = Effect.UNKNOWN
    error.attempts = 3
    error.idempotency_key = "key-1"
    error.is_budget_empty = error.is_token_error = True
    error.add_note("a note")
    twin = duplicate(error)
    assert twin is not error
    assert type(twin) is type(error)
    assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)
    assert vars(twin) == vars(error)
    assert (twin.effect, twin.attempts, twin.idempotency_key) == (Effect.UNKNOWN, 3, "key-1")
    assert twin.__notes__ == ["a note"]


def test_a_copy_goes_its_own_way() -> None:
    """Changes to one caller's copy of a shared failure do not show on another's."""
    error = ConnectError("shared")
    twin = copy.copy(error)
    twin.attempts = 7
    twin.effect = Effect.UNKNOWN
    assert (error.attempts, error.effect) == (0, Effect.NOT_APPLIED)


class DemandingError(APIError):
    """A user's subclass whose constructor takes other arguments."""

    def __init__(self, *, reason: str) -> None:
        super().__init__("mine", status=418)
        self.reason = reason


def test_a_users_subclass_pickles_without_a_word_about_it() -> None:
    """Pickling does not call the constructor, whatever arguments it takes."""
    twin = pickle.loads(pickle.dumps(DemandingError(reason="tea")))  # noqa: S301
    assert (type(twin), twin.reason, twin.status) == (DemandingError, "tea", 418)


def test_a_new_error_has_done_nothing() -> None:
    """A new error has no effect, no attempts and no key."""
    error = ThredfiError("a sentence")
    assert (error.is_token_error, error.is_budget_empty) == (False, False)
    assert (error.effect, error.attempts, error.request_id, error.idempotency_key, error.transient) == (
        Effect.NOT_APPLIED,
        0,
        None,
        None,
        False,
    )


def test_the_servers_words_are_not_shown() -> None:
    """The message, the details and the body are attributes; `str` and `repr` do not show them."""
    error = api_error(BadRequestError, 400)
    assert (error.message, error.body) == ("words of the server", b'{"error": "words of the server"}')
    for shown in (str(error), repr(error)):
        assert "words" not in shown
        assert "no good" not in shown


def test_details_are_never_none() -> None:
    """An answer without details has empty ones."""
    assert APIError("400", status=400).details == {}


def test_an_answer_is_not_the_apis_own_unless_it_is_known_to_be() -> None:
    """An API error that is built by hand claims neither the envelope nor a harmless redirect."""
    error = APIError("400", status=400)
    assert (error.is_enveloped, error.is_same_path) == (False, False)


def test_effects_are_ordered() -> None:
    """A call's effect is the highest of its attempts'."""
    assert Effect.NOT_APPLIED < Effect.UNKNOWN < Effect.APPLIED
    assert max(Effect.NOT_APPLIED, Effect.UNKNOWN, Effect.NOT_APPLIED) is Effect.UNKNOWN


def expected_class(status: int) -> type[APIError]:
    """The table of statuses, defined a second time."""
    named = {
        400: BadRequestError,
        401: AuthenticationError,
        403: PermissionDeniedError,
        404: NotFoundError,
        409: ConflictError,
        422: UnprocessableEntityError,
        429: RateLimitedError,
    }
    return named.get(status, APIError if status < 500 else ServerError)


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status(status: int) -> None:
    """Each status has its class and its `transient`."""
    kind = error_class(status)
    error = kind("no", status=status)
    assert kind is expected_class(status)
    assert error.transient is (status in {408, 429, 500, 502, 503, 504})


def test_a_status_out_of_range_is_a_servers_fault() -> None:
    """Undefined statuses count as failures of the server."""
    assert error_class(999) is ServerError


def test_transient_statuses() -> None:
    """Exactly these six statuses are retried."""
    assert frozenset({408, 429, 500, 502, 503, 504}) == TRANSIENT


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (TransportError("x"), True),
        (ConnectError("x"), True),
        (ConnectError("x", transient=False), False),
        (ConnectionLostError("x"), True),
        (RequestTimeoutError("x", phase="read"), True),
        (ResponseDecodeError("x"), False),
        (ClientStateError("x"), False),
        (InternalError("x"), False),
        (ConfigurationError("x"), False),
        (InvalidRequestError(["x"]), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ThredfiError) else str(value),
)
def test_what_may_succeed_later(error: ThredfiError, transient: bool) -> None:
    """Transport errors are transient; certificates, states, settings and undecodable answers are not."""
    assert error.transient is transient


def test_all_problems_are_in_the_sentence() -> None:
    """An InvalidRequestError shows every problem, and lists them."""
    error = InvalidRequestError(["email: is wrong", "city: is missing"])
    assert str(error) == "email: is wrong; city: is missing"
    assert error.problems == ("email: is wrong", "city: is missing")
