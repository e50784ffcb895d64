"""What an answer means for the customer: only the answer itself can prove success."""

import json
from typing import Any, TypeVar
from uuid import RFC_4122, UUID

import pytest
from faultserver import bodies
from helpers import BUSINESS, CUSTOMER, OTHER, body

from thredfi_async import (
    UNSET,
    APIError,
    Customer,
    CustomerRequest,
    Effect,
    InvalidRequestError,
    ResponseDecodeError,
    ThredfiError,
)
from thredfi_async._codec.converter import Page
from thredfi_async._interfaces import Failure, Hidden, Next, Request, Response, Success, Unchanged, Verdict
from thredfi_async._outcomes import Standing, attempt_standing
from thredfi_async.resources._archiving import Archiving, Given, _is_archived, judge_customer, judge_page

T = TypeVar("T")

URL = f"https://api.example/v1/platform/businesses/{BUSINESS}/customers/{CUSTOMER}/"


def answer(payload: object, http: int = 200) -> Response:
    """Return an answer with these bytes, or this JSON."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Response(http, {"X-Request-Id": "req-1"}, content)


def about(http: int = 200, **overrides: Any) -> Response:
    """Return an answer about the customer, archived unless overridden."""
    return answer(bodies.customer(CUSTOMER, **overrides), http)


def archiving(customer: Any = None, key: str | None = "key", **headers: str) -> Archiving:
    """Return the archiving of one call."""
    return Archiving(URL, CUSTOMER, Hidden(Given(customer, key, headers)))


def value(verdict: Verdict[T]) -> T:
    """Return what a success says."""
    assert isinstance(verdict, Success)
    return verdict.value


def error(verdict: Verdict[Any]) -> ThredfiError:
    """Return how a failure failed."""
    assert isinstance(verdict, Failure)
    return verdict.error


def post(customer: Any = None) -> Request[Customer]:
    """Return the POST."""
    return archiving(customer or body()).first()


# Requests


@pytest.mark.parametrize("given", [body(), CustomerRequest(**body())], ids=["mapping", "request"])
def test_the_post(given: Any) -> None:
    """The POST goes to the path with its trailing slash, with the body as JSON and the key."""
    request = archiving(given, X_Own="1").first()
    assert (request.method, request.url, request.mutates) == ("POST", f"{URL}archive/", True)
    assert request.body is not None
    assert json.loads(request.body) == body()
    assert request.headers == {"X_Own": "1", "Content-Type": "application/json", "Idempotency-Key": "key"}
    assert request.idempotency_key == "key"


def test_a_field_left_out_on_purpose() -> None:
    """`UNSET` is not in the body, and None is refused."""
    request = post(body(notes=UNSET))
    assert request.body is not None
    assert "notes" not in json.loads(request.body)
    with pytest.raises(InvalidRequestError) as caught:
        post(body(notes=None))
    assert caught.value.problems == ("notes: must be a string, not NoneType",)


def test_keys_are_made_when_none_is_given() -> None:
    """Without a key of the caller's own, each call makes a new one."""
    keys = {archiving(body(), key=None).first().idempotency_key for _ in range(2)}
    assert len(keys) == 2
    assert None not in keys


def test_the_question() -> None:
    """The outcome is checked by a GET of the customer, with the caller's headers, that mutates nothing."""
    request = archiving(body(), X_Own="1").first()
    assert request.settle is not None
    question = request.settle()
    assert (question.method, question.url, question.mutates, question.body) == ("GET", URL, False, None)
    assert (question.headers, question.idempotency_key, question.settle) == ({"X_Own": "1"}, None, None)


# The answer to the POST


@pytest.mark.parametrize(
    "overrides",
    [{}, {"status": "ACTIVE"}, {"is_archived": False}, {"id": CUSTOMER.upper()}, {"notes": None}, {"new": 1}],
    ids=repr,
)
@pytest.mark.parametrize("status_code", [200, 201, 202, 299])
def test_proofs(overrides: dict[str, Any], status_code: int) -> None:
    """An answer proves success if it is about the customer and shows it archived, by the flag or by the status."""
    assert str(value(post().judge(about(status_code, **overrides))).id) == CUSTOMER


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "the body is empty or null"),
        (b"null", "the body is empty or null"),
        (b"<html>", "the body is not JSON"),
        (b"\xef\xbb\xbf{}", "not about the requested"),
        (b'{"id": "\\ud800"}', "not about the requested"),
        (b"[]", "not about the requested"),
        (b'"text"', "not about the requested"),
        (b"true", "not about the requested"),
        (b"{}", "not about the requested"),
        ({"id": None, "is_archived": True}, "not about the requested"),
        ({"id": 5, "is_archived": True}, "not about the requested"),
        ({"id": [CUSTOMER], "is_archived": True}, "not about the requested"),
        (bodies.customer(OTHER), "not about the requested"),
        (bodies.customer(CUSTOMER, archived=False), "does not say that the customer is archived"),
        ({"id": CUSTOMER}, "does not say that the customer is archived"),
        ({"id": CUSTOMER, "is_archived": "true"}, "does not say that the customer is archived"),
        ({"id": CUSTOMER, "is_archived": 1, "status": "archived"}, "does not say that the customer is archived"),
        ({"id": CUSTOMER, "is_archived": None, "status": ["ARCHIVED"]}, "does not say that the customer is archived"),
        ([bodies.customer(CUSTOMER)], "not about the requested"),
        ({"results": [bodies.customer(CUSTOMER)]}, "not about the requested"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_no_proof(payload: object, said: str) -> None:
    """Any other success leaves the effect UNKNOWN, and is not sent again."""
    problem = error(post().judge(answer(payload)))
    assert isinstance(problem, ResponseDecodeError)
    assert said in str(problem)
    assert str(problem).startswith("200, ")
    assert str(problem).endswith(", request id req-1")
    assert (problem.effect, problem.transient) == (Effect.UNKNOWN, False)
    assert problem.request_id == "req-1"


def test_a_proof_that_was_cut_is_none() -> None:
    """An incomplete answer proves nothing, since anything may follow."""
    whole = about()
    problem = error(post().judge(Response(200, {}, whole.body, "is cut short")))
    assert isinstance(problem, ResponseDecodeError)
    assert (str(problem), problem.effect) == ("200, the body is cut short", Effect.UNKNOWN)


@pytest.mark.parametrize(
    "overrides",
    [
        {"notes": 5},
        {"is_active": None},
        {"is_archived": None},
        {"created_at": "yesterday"},
        {"documents": [{"document_id": "none"}]},
        {"credit_limit": "100"},
        {"credit_limit_cents": 1.5},
    ],
    ids=repr,
)
def test_a_proof_that_cannot_be_read_whole(overrides: dict[str, Any]) -> None:
    """A proof that cannot be read completely is APPLIED; the error names the field and not its value."""
    unreadable = error(post().judge(about(**overrides)))
    assert isinstance(unreadable, ResponseDecodeError)
    assert (unreadable.effect, unreadable.transient) == (Effect.APPLIED, False)
    (problem,) = unreadable.problems
    assert problem.startswith(f"$.{next(iter(overrides))}")
    assert "yesterday" not in f"{unreadable}{problem}"


@pytest.mark.parametrize(
    ("status", "code", "standing"),
    [
        (400, "validation_error", Standing.NOT_APPLIED),
        (400, "already_archived", Standing.IN_DOUBT),
        (400, None, Standing.IN_DOUBT),
        (409, "conflict", Standing.IN_DOUBT),
        (409, "validation_error", Standing.IN_DOUBT),
        (404, "not_found", Standing.NOT_APPLIED),
        (422, "already_archived", Standing.NOT_APPLIED),
        (403, None, Standing.NOT_APPLIED),
        (503, None, Standing.UNKNOWN),
    ],
)
def test_refusals(status: int, code: str | None, standing: Standing) -> None:
    """Some refusals may mean that the customer is already archived, which the API does not document."""
    envelope = {"error": "words", "error_code": code, "details": {"email": ["no"]}}
    refusal = error(post().judge(answer(envelope, status)))
    assert isinstance(refusal, APIError)
    assert (refusal.status, refusal.error_code, refusal.is_enveloped) == (status, code, True)
    assert attempt_standing(refusal) is standing
    assert "wrong fields: email" in str(refusal)
    assert "words" not in str(refusal)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
@pytest.mark.parametrize("payload", [b"<html>", b"", {"detail": "Not found."}, {}], ids=repr)
def test_an_envelope_that_is_none(status: int, payload: object) -> None:
    """A gateway's refusal may stand in the place of any answer."""
    refusal = error(post().judge(answer(payload, status)))
    assert isinstance(refusal, APIError)
    assert (refusal.is_enveloped, attempt_standing(refusal)) == (False, Standing.IN_DOUBT)


@pytest.mark.parametrize(
    ("location", "standing"),
    [
        (f"{URL}archive", Standing.NOT_APPLIED),
        (f"{URL}archive/".replace("api.example", "other.example"), Standing.NOT_APPLIED),
        (f"{URL}archive/".replace("https:", "http:"), Standing.NOT_APPLIED),
        (URL, Standing.IN_DOUBT),
        ("/denied", Standing.IN_DOUBT),
        ("", Standing.IN_DOUBT),
    ],
)
def test_redirects(location: str, standing: Standing) -> None:
    """A redirect of the POST to its own path, on another host or with another slash, was not processed."""
    refusal = error(post().judge(Response(308, {"Location": location}, b"")))
    assert isinstance(refusal, APIError)
    assert attempt_standing(refusal) is standing


# The record before and afterwards


def test_a_record_that_is_archived_already() -> None:
    """If the record is already archived, nothing is posted."""
    assert value(archiving().first().judge(about())).is_archived


def test_a_record_that_is_active_becomes_the_body() -> None:
    """Fields that the contract would refuse are omitted."""
    request = archiving().first()
    assert (request.method, request.url, request.mutates, request.idempotency_key) == ("GET", URL, False, None)
    verdict = request.judge(about(archived=False, notes="", country="uk", email=None, vat_number=None))
    assert isinstance(verdict, Next)
    then = verdict.request
    assert (then.method, then.mutates, then.idempotency_key) == ("POST", True, "key")
    assert then.body is not None
    sent = json.loads(then.body)
    expected = body()
    for name in ("notes", "country", "email", "vat_number"):
        del expected[name]
    assert sent == expected


@pytest.mark.parametrize("status", [404, 409, 503])
def test_a_record_that_is_not_there(status: int) -> None:
    """A refused GET ends the call, and leaves nothing open."""
    request = archiving().first()
    assert (request.mutates, request.settle) == (False, None)
    assert isinstance(error(request.judge(answer({}, status))), APIError)


@pytest.mark.parametrize("payload", [bodies.customer(OTHER), b"<html>", b"null"], ids=["other", "html", "null"])
def test_a_record_that_is_none(payload: object) -> None:
    """If the record cannot be read, nothing is posted, and the effect is NOT_APPLIED."""
    for verdict in (archiving().first().judge(answer(payload)), judge_customer(answer(payload), CUSTOMER)):
        assert isinstance(error(verdict), ResponseDecodeError)
        assert error(verdict).effect is Effect.NOT_APPLIED


@pytest.mark.parametrize(
    ("overrides", "archived"),
    [
        ({}, True),
        ({"is_archived": False}, True),
        ({"status": "ACTIVE"}, True),
        ({"status": "DELETED", "is_archived": False}, False),
        ({"archived": False}, False),
    ],
)
def test_the_record_afterwards(overrides: dict[str, Any], archived: bool) -> None:
    """The later record is the call's result if it shows the customer archived, and UNCHANGED otherwise."""
    settle = post().settle
    assert settle is not None
    found = value(settle().judge(about(**overrides)))
    read = value(judge_customer(about(**overrides), CUSTOMER))
    assert found == (read if archived else Unchanged.UNCHANGED)
    assert _is_archived(read) is archived


def test_the_record_afterwards_that_is_none() -> None:
    """If the later record cannot be read, the verdict has the error."""
    settle = post().settle
    assert settle is not None
    assert isinstance(error(settle().judge(answer({}, 404))), APIError)
    assert isinstance(error(settle().judge(answer(bodies.customer(OTHER)))), ResponseDecodeError)


# Pages


def test_a_page() -> None:
    """A page has customers without documents, and the link to the next page."""
    item = bodies.customer(CUSTOMER)
    del item["documents"]
    verdict = judge_page(answer({"count": 1, "next": "https://x/", "previous": None, "results": [item]}))
    page = value(verdict)
    assert isinstance(page, Page)
    assert page.next == "https://x/"
    assert page.results[0].documents == ()


@pytest.mark.parametrize(
    "payload",
    [b"[]", b"{}", b"null", b"<html>", {"next": None}, {"next": 5, "results": []}, {"next": None, "results": {}}],
    ids=repr,
)
def test_a_page_that_is_none(payload: object) -> None:
    """An invalid page is a decode error without an effect."""
    problem = error(judge_page(answer(payload)))
    assert isinstance(problem, ResponseDecodeError)
    assert problem.effect is Effect.NOT_APPLIED


def test_a_page_that_is_refused() -> None:
    """A refused page is an API error."""
    assert isinstance(error(judge_page(answer({}, 403))), APIError)


def test_a_new_key_is_a_uuid_of_version_4() -> None:
    """A new key is made without uuid4, in the same form, and is unique."""
    made = [archiving(body(), None).first().idempotency_key for _ in range(500)]
    keys = [UUID(key) for key in made if key is not None]
    assert [str(key) for key in keys] == made
    assert {(key.version, key.variant) for key in keys} == {(4, RFC_4122)}
    assert len(set(keys)) == 500
