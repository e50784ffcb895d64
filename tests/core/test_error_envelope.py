"""Refused responses of every shape: the right error, and none of the server's words in its message."""

import datetime as dt
import json
import math
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from thredfi_async import APIError, BadRequestError, NotFoundError, ServerError
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id, retry_after
from thredfi_async._interfaces import Response

quick = settings(derandomize=True, deadline=None, max_examples=150)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def answer(body: bytes | object, status: int = 400, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with this body: bytes unchanged, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, CIMultiDict(headers or {}), content)


# -- the envelope


def test_the_whole_envelope() -> None:
    """Code, message and details are attributes; the error's text has status, code, fields and request id."""
    body = {"error": "Jane is wrong", "error_code": "validation_error", "details": {"email": ["no"], "city": ["no"]}}
    response = answer(body, headers={"x-request-id": "req-1"})
    error = api_error(response, fields=("city", "email", "notes"))
    assert str(error) == "400, validation_error, wrong fields: email, city, request id req-1"
    assert type(error) is BadRequestError
    assert (error.status, error.error_code, error.message) == (400, "validation_error", "Jane is wrong")
    assert error.details == {"email": ["no"], "city": ["no"]}
    assert (error.request_id, error.retry_after, error.body) == ("req-1", None, response.body)


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ({"email": ["no"]}, "400, wrong fields: email"),
        ({"email": ["no"], "Jane Doe": ["no"]}, "400, wrong fields: email and 1 more"),
        ({"Jane Doe": ["no"], "x": ["no"]}, "400, wrong fields: 2, see .details"),
        ({}, "400"),
        (["email"], "400"),
        ("email", "400"),
        (None, "400"),
        (5, "400"),
    ],
)
def test_only_names_of_fields_that_were_sent_are_shown(details: object, shown: str) -> None:
    """Other keys of `details` are only counted: a key may be personal data too."""
    error = api_error(answer({"details": details}), fields=("email",))
    assert str(error) == shown
    assert error.details == (details if isinstance(details, dict) else {})


@pytest.mark.parametrize("code", ["validation_error", "E-42", "a.b", "x" * 64])
def test_codes_that_machines_read_are_shown(code: str) -> None:
    """A code is shown if it is short, ASCII and without spaces."""
    assert str(api_error(answer({"error_code": code}))) == f"400, {code}"


@pytest.mark.parametrize(
    "code", ["", "Jane Doe", "jane@example.com", "x" * 65, "4242", "_x", "code\n", "cödé", "\ud800"]
)
def test_codes_that_are_none_are_kept_and_not_shown(code: str) -> None:
    """An unusual code is kept on the attribute, and not shown."""
    error = api_error(answer({"error_code": code}))
    assert (str(error), error.error_code) == ("400", code)


@pytest.mark.parametrize("part", [None, 5, True, 1.5, ["x"], {"x": "y"}])
def test_parts_of_other_types_are_left_out(part: object) -> None:
    """A code or a message that is not text is dropped."""
    error = api_error(answer({"error_code": part, "error": part}))
    assert (str(error), error.error_code, error.message) == ("400", None, None)


ODD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \n",
    "null": b"null",
    "list": b'[{"error_code": "x"}]',
    "text": b'"error_code"',
    "number": b"5",
    "html": b"<html><body>502 Bad Gateway, Jane Doe</body></html>",
    "cut": b'{"error_code": "validation_er',
    "mark": b'\xef\xbb\xbf{"error_code": "',
    "no utf-8": b'{"error": "\xff\xfe"}',
    "half a utf-16": b"\xff\xfe{",
    "deep": b"[" * 100_000,
    "deep inside": b'{"details":' + b"[" * 100_000,
    "five thousand digits": b'{"details": {"n": ' + b"9" * 5000 + b"}}",
    "nuls": b"\0" * 10,
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_bodies_without_an_envelope(body: bytes) -> None:
    """Without an envelope, the error follows the status, and the body stays on it."""
    error = api_error(answer(body, status=502))
    assert type(error) is ServerError
    assert (str(error), error.error_code, error.message, error.details) == ("502", None, None, {})
    assert error.body == body


@quick
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from([400, 404, 409, 503]))
def test_no_body_raises(body: bytes, status: int) -> None:
    """Any bytes and any JSON give the error of the status."""
    error = api_error(answer(body, status))
    assert (error.status, error.body) == (status, body)


@quick
@given(
    st.dictionaries(
        st.sampled_from(["error", "error_code", "details", "Jane Doe"]),
        st.recursive(
            st.sampled_from(["Jane Doe", "Jane\nDoe", "jane doe@example.com", None, 5]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["Jane Doe", "jane doe@example.com", "email"]), inner, max_size=3)
            ),
        ),
    )
)
def test_no_words_of_the_server_are_shown(body: dict[str, Any]) -> None:
    """Personal data anywhere in the envelope does not appear in `str` and `repr`."""
    error = api_error(answer(body, headers={"X-Request-Id": "Jane Doe", "Location": "//Jane Doe"}), fields=("email",))
    assert "jane" not in (str(error) + repr(error)).lower()


# -- request ids


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("req-1", "req-1"),
        ("x" * 128, "x" * 128),
        ("x" * 129, None),
        ("", None),
        ("two words", None),
        ("x\ny", None),
        ("é", None),
        ("x\n", None),
    ],
)
def test_request_ids(value: str, taken: str | None) -> None:
    """An id is read if it can be shown in a log line."""
    response = answer(b"", headers={"X-REQUEST-ID": value})
    assert request_id(response) == taken
    assert api_error(response).request_id == taken


def test_no_request_id() -> None:
    """An answer may have no request id."""
    assert request_id(answer(b"")) is None


# -- redirects


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://api.thredfi.com/v1/", "api.thredfi.com"),
        ("//Other.Example:8443/x", "other.example"),
        ("https://[2001:db8::1]/x", "2001:db8::1"),
        ("https://jane:secret@other.example/", "other.example"),
        ("/v1/other/", "the same host"),
        ("?page=2", "the same host"),
        ("", "the same host"),
        ("https://[broken", "an invalid host"),
        ("https://Jane Doe, born 1970/", "an invalid host"),
        (f"https://{'x' * 254}/", "an invalid host"),
    ],
)
def test_redirects_name_their_host(location: str, place: str) -> None:
    """A redirect's error names the host, since the base URL is probably wrong, and no more of the location."""
    error = api_error(answer(b"", status=301, headers={"Location": location}))
    assert type(error) is APIError
    assert str(error) == f"301, a redirect to {place}, which is not followed: check base_url"


def test_a_redirect_to_nowhere() -> None:
    """A redirect may lack its location."""
    assert "the same host" in str(api_error(answer(b"", status=304)))


@pytest.mark.parametrize("status", [299, 400, 404])
def test_only_redirects_redirect(status: int) -> None:
    """A Location on an answer that is not a redirect is ignored."""
    error = api_error(answer(b"", status=status, headers={"Location": "https://other.example/"}))
    assert str(error) == str(status)


def test_class_by_status() -> None:
    """The error's class is that of the status."""
    assert type(api_error(answer(b"", status=404))) is NotFoundError


# -- Retry-After

DATE = "Fri, 31 Dec 1999 23:59:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "30"}, 30.0),
        ({"RETRY-AFTER": " 30 "}, 30.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "007"}, 7.0),
        ({"Retry-After": "999999999999"}, 999_999_999_999.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "0.5"}, 0.0005),
        ({"retry-after-ms": "1500", "Retry-After": "30"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "30"}, 30.0),
        ({"retry-after-ms": "-1", "Retry-After": "30"}, 30.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": DATE}, 60.0),
        ({"Retry-After": "Saturday, 01-Jan-00 00:00:00 GMT", "Date": DATE}, 60.0),
        ({"Retry-After": "Sat, 01 Jan 2000 01:00:00 +0100", "Date": DATE}, 60.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:00:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": "yesterday"}, 0.0),
        ({}, None),
    ],
)
def test_the_three_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After is read as seconds, as a date relative to the answer's Date, or as milliseconds, which win."""
    assert retry_after(CIMultiDict(headers)) == seconds
    assert api_error(answer(b"", status=429, headers=headers)).retry_after == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "Infinity",
        "-inf",
        "-1",
        "-0.5",
        "+5",
        "1e9",
        "1_000",
        "0x10",
        "1,5",
        ".5",
        "5.",
        "5 seconds",
        "5;6",
        "1 2",
        "\u0663",
        "\uff15",
        "\u00b2",
        "1" * 13,
        "1" * 5000,
        "1.0000000001",
        "soon",
        "Fri Dec 31 23:59:00 1999",
        "Sat, 01 Jan 2000 00:00:00",
        "Sat, 01 Jan 2000 00:00:00 -0000",
        "Sat, 32 Jan 2000 00:00:00 GMT",
        "Sat, 01 Jan 2000 25:00:00 GMT",
        "Sat, 01 Jan 99999 00:00:00 GMT",
        "Sat, 01 Jan 2000 00:00:00 +9999",
        "Sat, 01 Jan 2000 00:00:00 +" + "9" * 20,
        "Sat, 01 Jan 2000 00:00:00 +" + "9" * 5000,
    ],
)
def test_garbage_is_ignored(value: str) -> None:
    """A value that is neither ASCII digits nor an aware date is ignored, also as milliseconds or as Date."""
    assert retry_after({"Retry-After": value}) is None
    assert retry_after({"retry-after-ms": value}) is None
    assert retry_after({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": value}) in {0.0, None}


def test_a_date_without_a_date_counts_from_now() -> None:
    """Without a Date header, the system's clock is used."""
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3600)
    found = retry_after({"Retry-After": format_datetime(soon, usegmt=True)})
    assert found is not None
    assert 3500 < found <= 3600


INSTANTS = st.datetimes(
    min_value=dt.datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis requires naive bounds
    max_value=dt.datetime(9999, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(dt.UTC),
).map(lambda moment: moment.replace(microsecond=0))


@quick
@given(INSTANTS, INSTANTS)
def test_a_wrong_clock_does_no_harm(date: dt.datetime, until: dt.datetime) -> None:
    """The wait is the difference of the server's own two dates, whatever its clock shows."""
    headers = {"Date": format_datetime(date, usegmt=True), "Retry-After": format_datetime(until, usegmt=True)}
    assert retry_after(headers) == max(0.0, (until - date).total_seconds())


@quick
@given(st.decimals(min_value=0, max_value=10**11, places=3))
def test_any_number_of_seconds(seconds: Any) -> None:
    """Any decimal number of seconds is read exactly."""
    text = f"{seconds:f}"
    assert retry_after({"Retry-After": text}) == float(text)
    assert retry_after({"retry-after-ms": text}) == float(text) / 1000


_DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Monday", "", "x"]),
    st.integers(-1, 40),
    st.sampled_from(["Jan", "January", "13", "Fub", ""]),
    st.integers(-1, 100_000),
    st.integers(-1, 100),
    st.integers(-1, 100),
    st.integers(-1, 100),
    st.sampled_from(["GMT", "UTC", "EST", "Z", ""]) | st.integers(-(10**25), 10**25).map("{:+d}".format),
)
_WORDS = st.text() | st.text("0123456789+-:, _.eE") | _DATES


@quick
@given(_WORDS, _WORDS, _WORDS)
@example("Mon, 01 Jan 2020 00:00:00 +" + "9" * 17, "", "")
def test_no_header_raises(after: str, milliseconds: str, date: str) -> None:
    """Any three headers give a finite wait that is not negative, or None."""
    found = retry_after({"Retry-After": after, "retry-after-ms": milliseconds, "Date": date})
    assert found is None or (math.isfinite(found) and found >= 0)
