"""Refused responses of every shape: the right error, and none of the server's words in its message."""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any

import pytest
from growth import assert_linear
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from thredfi_async import APIError, BadRequestError, NotFoundError, ServerError
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id, retry_after
from thredfi_async._interfaces import Response

HERE = "https://api.example/v1/customers/1/archive/?page=2"
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
    assert (error.is_enveloped, error.is_same_path) == (True, False)


@pytest.mark.parametrize(
    ("body", "is_enveloped"),
    [
        ({"error_code": "not_found"}, True),
        ({"error": "Not found."}, True),
        ({"error": "Not found.", "error_code": None}, True),
        ({"error": None, "error_code": "x"}, True),
        ({"detail": "Not found."}, False),
        ({"message": "Not found."}, False),
        ({"error": {"message": "Not found."}}, False),
        ({"error_code": ""}, False),
        ({"error_code": 5, "error": None}, False),
        ({"details": {"email": ["no"]}}, False),
        ({}, False),
        ([{"error_code": "x"}], False),
        ("error_code", False),
        (None, False),
        (b"<html>", False),
        (b"", False),
        (b'{"error_code": "x"', False),
        (b'{"error_code": "x", "error": "\xff"}', False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("status", [400, 403, 409, 503])
def test_what_is_the_apis_own_error(body: object, is_enveloped: bool, status: int) -> None:
    """The documented envelope is a JSON object with a code, or with a text as its error."""
    assert api_error(answer(body, status)).is_enveloped is is_enveloped


def test_an_envelope_that_is_cut_is_none() -> None:
    """A body with a flaw is no one's own, even if what came of it can be read."""
    error = api_error(Response(403, {}, b'{"error_code": "forbidden"}', "is cut short"))
    assert (error.is_enveloped, error.error_code) == (False, None)


@pytest.mark.parametrize(("detail", "message"), [("Not found.", "Not found."), (["no"], None), (5, None), (None, None)])
def test_a_frameworks_own_words(detail: object, message: str | None) -> None:
    """What the framework below the API says is a message for people, and not the API's envelope."""
    error = api_error(answer({"detail": detail}, 404))
    assert (str(error), error.message, error.is_enveloped) == ("404, a body, not the API's own error", message, False)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no body"),
        (b" \r\n\t", "no body"),
        (b"<html>", "an HTML page"),
        (b"\n <!DOCTYPE HTML><p>Jane", "an HTML page"),
        (b"<HEAD>", "an HTML page"),
        (b"<body class=x>", "an HTML page"),
        (b"<?xml version='1.0'?>", "a body"),
        (b"Forbidden", "a body"),
        (b"\0", "a body"),
    ],
    ids=repr,
)
def test_what_is_said_of_an_answer_outside_the_envelope(body: bytes, said: str) -> None:
    """The error's text says that the answer is not the API's own, and of what form it is."""
    error = api_error(answer(body, 403, {"X-Request-Id": "req-1"}))
    assert str(error) == f"403, {said}, not the API's own error, request id req-1"


LONGEST = 16_384


@pytest.mark.parametrize("size", [0, 1, LONGEST - 1, LONGEST, LONGEST + 1, 10 * LONGEST])
def test_an_error_keeps_16_kib_of_a_body(size: int) -> None:
    """An error is logged and sent anywhere, so it keeps no more of the body than can be looked at."""
    body = b"x" * size
    assert api_error(answer(body, 502)).body == body[:LONGEST]


def test_an_error_keeps_as_little_of_a_long_envelope() -> None:
    """A long envelope is still one, but none of its parts is longer than the body that is kept."""
    body = {"error_code": "c" * 20_000, "error": "m" * 20_000, "details": {"email": ["x" * 20_000]}}
    error = api_error(answer(body, 400), fields=("email",))
    assert (error.error_code, error.message, error.details) == ("c" * LONGEST, "m" * LONGEST, {})
    assert (len(error.body), error.is_enveloped) == (LONGEST, True)
    assert str(error) == "400, wrong fields: email"


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ({"email": ["no"]}, "400, code, wrong fields: email"),
        ({"email": ["no"], "Jane Doe": ["no"]}, "400, code, wrong fields: email and 1 more"),
        ({"Jane Doe": ["no"], "x": ["no"]}, "400, code, wrong fields: 2, see .details"),
        ({}, "400, code"),
        (["email"], "400, code"),
        ("email", "400, code"),
        (None, "400, code"),
        (5, "400, code"),
    ],
)
def test_only_names_of_fields_that_were_sent_are_shown(details: object, shown: str) -> None:
    """Other keys of `details` are only counted: a key may be personal data too."""
    error = api_error(answer({"error_code": "code", "details": details}), fields=("email",))
    assert str(error) == shown
    assert error.details == (details if isinstance(details, dict) else {})


@pytest.mark.parametrize("code", ["validation_error", "E-42", "a.b", "x" * 64])
def test_codes_that_machines_read_are_shown(code: str) -> None:
    """A code is shown if it is short, ASCII and without spaces."""
    assert str(api_error(answer({"error_code": code}))) == f"400, {code}"


@pytest.mark.parametrize("code", ["Jane Doe", "jane@example.com", "x" * 65, "4242", "_x", "code\n", "cödé", "\ud800"])
def test_codes_that_are_none_are_kept_and_not_shown(code: str) -> None:
    """An unusual code is kept on the attribute, and not shown."""
    error = api_error(answer({"error_code": code}))
    assert (str(error), error.error_code) == ("400", code)


@pytest.mark.parametrize("part", [None, 5, True, 1.5, ["x"], {"x": "y"}])
def test_parts_of_other_types_are_left_out(part: object) -> None:
    """A code or a message that is not text is dropped, and does not make an envelope."""
    error = api_error(answer({"error_code": part, "error": part}))
    assert (error.error_code, error.message, error.is_enveloped) == (None, None, False)
    assert str(error) == "400, a body, not the API's own error"


def test_an_empty_code_is_none() -> None:
    """A code that says nothing is no code."""
    error = api_error(answer({"error_code": "", "error": "words"}))
    assert (str(error), error.error_code, error.is_enveloped) == ("400", None, True)


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
    """Without an envelope, the error follows the status, and the beginning of the body stays on it."""
    error = api_error(answer(body, status=502))
    form = "no body" if not body.strip() else "an HTML page" if body.startswith(b"<html") else "a body"
    assert type(error) is ServerError
    assert str(error) == f"502, {form}, not the API's own error"
    assert (error.error_code, error.message, error.details, error.is_enveloped) == (None, None, {}, False)
    assert error.body == body[:LONGEST]


@quick
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from([400, 404, 409, 503]))
def test_no_body_raises(body: bytes, status: int) -> None:
    """Any bytes and any JSON give the error of the status."""
    error = api_error(answer(body, status))
    assert (error.status, error.body) == (status, body[:LONGEST])


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


SHAPES: dict[str, Callable[[int], bytes]] = {
    "page": lambda size: b"<html>" * (size // 6),
    "spaces": lambda size: b" " * size,
    "brackets": lambda size: b"[" * size,
    "cut text": lambda size: b'{"error": "' + b"x" * size,
    "escapes": lambda size: b'{"error": "' + b"\\u0041" * (size // 6) + b'"}',
    "backslashes": lambda size: b'{"error": "' + b"\\" * size,
    "details": lambda size: b'{"details": {' + b", ".join(b'"%d": 1' % each for each in range(size // 10)) + b"}}",
    "one key": lambda size: b'{"error_code": "' + b"a" * size + b'"}',
    "digits": lambda size: b'{"details": ' + b"9" * size + b"}",
    "no utf-8": lambda size: b"\xff" * size,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_an_error_is_linear(shape: str) -> None:
    """However a refused body is made, eight times its size takes about eight times as long."""
    assert_linear(lambda body: api_error(answer(body, 403), url=HERE, fields=("email",)), SHAPES[shape], 65_536)


HEADERS: dict[str, Callable[[int], str]] = {
    "digits": lambda size: "9" * size,
    "points": lambda size: "1." * (size // 2),
    "spaces": lambda size: " " * size,
    "commas": lambda size: "Sat, " * (size // 5),
    "zone": lambda size: "Sat, 01 Jan 2000 00:00:00 +" + "9" * size,
    "colons": lambda size: "1 Jan 2000 " + "00:" * (size // 3),
    "parentheses": lambda size: "(" * size,
    "path": lambda size: "https://a/" + "../" * (size // 3),
    "host": lambda size: "https://" + "a." * (size // 2),
    "at signs": lambda size: "https://" + "@" * size,
    "slashes": lambda size: "/" * size,
}


@pytest.mark.parametrize("shape", HEADERS)
@pytest.mark.parametrize("name", ["Retry-After", "retry-after-ms", "Date", "X-Request-Id", "Location"])
def test_reading_headers_is_linear(name: str, shape: str) -> None:
    """However a header is made, eight times its size takes about eight times as long."""
    usual = {"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}

    def read(value: str) -> None:
        api_error(answer(b"", 301, {**usual, name: value}), url=HERE)

    assert_linear(read, HEADERS[shape], 8_192)


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
    error = api_error(answer({"error": "no"}, status=status, headers={"Location": "https://other.example/"}))
    assert (str(error), error.is_same_path) == (str(status), False)


@pytest.mark.parametrize(
    ("location", "is_same"),
    [
        (HERE.replace("archive/", "archive"), True),
        (HERE.replace("https:", "http:"), True),
        (HERE.replace("api.example", "other.example:8443"), True),
        ("//other.example/v1/customers/1/archive/?page=2", True),
        ("/v1/customers/1/archive?page=2", True),
        ("archive?page=2", False),
        ("?page=2", False),
        ("?page=3", False),
        ("/v1/customers/1/archive/", False),
        ("/v1/customers/1/", False),
        ("/", False),
        ("", False),
        ("https://[broken", False),
        (HERE.replace("https://api.example", "HTTPS://API.example:443"), False),
        (HERE.replace("https://api.example", "https://user@api.example:0443"), False),
        (HERE.replace("https://api.example", "https://api.example:99999"), False),
        (HERE.replace("https://api.example", "javascript:"), False),
        ("https://api.example/V1/customers/1/archive/?page=2", False),
        ("/v1/customers/1/archive/?page=2" + "x" * 10_000, False),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_to_the_same_path(location: str, is_same: bool, status: int) -> None:
    """Another scheme, host or slash is the same path; anything else may stand in the place of an answer."""
    error = api_error(answer(b"", status=status, headers={"Location": location}), url=HERE)
    assert error.is_same_path is is_same


def test_a_redirect_without_anything_to_compare() -> None:
    """Without a Location, or without the URL that was asked for, no redirect leads to the same path."""
    assert not api_error(answer(b"", status=307), url=HERE).is_same_path
    assert not api_error(answer(b"", status=307, headers={"Location": HERE})).is_same_path


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
        ({"Retry-After": "1000000000000"}, 1e12),
        ({"Retry-After": "1" * 13}, 1e12),
        ({"Retry-After": "9" * 500}, 1e12),
        ({"Retry-After": "0" * 500 + "7"}, 7.0),
        ({"Retry-After": "1.0000000001"}, 1.0000000001),
        ({"retry-after-ms": "9" * 500}, 1e9),
        ({"Retry-After": "Sat Jan  1 00:00:00 2000", "Date": DATE}, 60.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00", "Date": DATE}, 60.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 -0000", "Date": DATE}, 60.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": "Fri Dec 31 23:59:00 1999"}, 60.0),
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
        "soon",
        "Sat, 32 Jan 2000 00:00:00 GMT",
        "Sat, 01 Jan 2000 25:00:00 GMT",
        "Sat, 01 Jan 99999 00:00:00 GMT",
        "Sat, 01 Jan 2000 00:00:00 +9999",
        "Sat, 01 Jan 2000 00:00:00 +" + "9" * 20,
        "Sat, 01 Jan 2000 00:00:00 +" + "9" * 5000,
    ],
)
def test_garbage_is_ignored(value: str) -> None:
    """A value that is neither ASCII digits nor a date is ignored, also as milliseconds or as Date."""
    assert retry_after({"Retry-After": value}) is None
    assert retry_after({"retry-after-ms": value}) is None
    assert retry_after({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": value}) in {0.0, None}


@pytest.mark.parametrize(("value", "seconds"), [("1" * 5000, 1e12), ("1." + "0" * 5000, 1.0), ("0" * 5000, 0.0)])
def test_numbers_of_any_length_are_numbers(value: str, seconds: float) -> None:
    """A number with very many digits is one still, if a very large one: the server did ask for a pause."""
    assert retry_after({"Retry-After": value}) == seconds


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
