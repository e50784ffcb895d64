"""Marked secrets and marked personal data are put everywhere and searched for everywhere, however a call ends."""

import asyncio
import base64
import copy
import gc
import io
import json
import logging
import pickle
import sys
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import quote

import pytest
from clocks import LoopClock
from faultserver import Answer, Cut, FaultServer, Healthy, Request, bodies, faults, ports
from rich.pretty import pretty_repr

from thredfi_async import (
    AccessToken,
    APIError,
    CustomerRequest,
    Document,
    Event,
    LoggingHook,
    PartnerCredentials,
    RetryPolicy,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._transport.redaction import redacted

BUSINESS = "33333333-3333-4333-8333-333333333333"
CUSTOMER = "11111111-1111-4111-8111-111111111111"
PARTNER = "22222222-2222-4222-8222-222222222222"

TOKEN = "marked.token/eyJhbGciOi+secret"
API_KEY = "marked-api-key-5f1d7c"
BASIC = base64.b64encode(f"{PARTNER}:{API_KEY}".encode()).decode()
PROXY_PASSWORD = "marked-proxy-password"
SIGNATURE = "markedsignature%2Babc"
URL = f"https://files.example.com/contract.pdf?X-Amz-Expires=60&X-Amz-Signature={SIGNATURE}"
SECRETS = (TOKEN, TOKEN.replace("/", "\\/"), quote(TOKEN, safe=""), API_KEY, BASIC, PROXY_PASSWORD, "markedsignature")
"""Tokens, keys and presigned URLs: must not appear anywhere."""

PERSON = "Markedperson"
"""Personal data: in every text of a body, in every key, and in every word of the server."""

BODY: dict[str, Any] = {
    **{name: f"{PERSON} {name}" for name, value in bodies.customer_request().items() if isinstance(value, str)},
    "email": f"{PERSON}@example.com",
    "country": "GB",
    "tax_exempt": False,
    "transaction_tags": [f"{PERSON} tag", {f"{PERSON} key": f"{PERSON} value"}],
    "metadata": {f"{PERSON} key": {f"{PERSON}_key": f"{PERSON} value"}},
    "payment_terms_days": 30,
    "credit_limit_cents": 100,
}


def words(request: Request) -> str:
    """Return a message that quotes a person, a presigned URL, and the request's credentials."""
    key = API_KEY if BASIC in str(request.header("Authorization")) else ""
    escaped = URL.replace("/", "\\/")
    return f"{PERSON} has {request.header('Authorization')} {key} and {URL} and {escaped}"


def envelope(request: Request) -> dict[str, Any]:
    """Return the error envelope with all marks."""
    said = words(request)
    return {
        "error": said,
        "error_code": f"{PERSON} code",
        "details": {"email": [said], f"{PERSON}@example.com": [said], "nested": {f"{PERSON} key": [URL]}},
    }


def record(request: Request, **overrides: Any) -> dict[str, Any]:
    """Return the requested customer, archived, with a mark in every text field."""
    own = {**BODY, "display_name": PERSON, "full_address": PERSON, "address_string": PERSON}
    document = bodies.document(url=URL, file_name=f"{PERSON}.pdf")
    extra = {"not_documented": f"{PERSON} extra", f"{PERSON} key": 1, "documents": [document]}
    customer = bodies.customer_id_in(request.path) or ""
    return {**bodies.customer(customer), **own, **extra, **overrides}


def refusal(status: int, **headers: str) -> Answer:
    """Return a refusal that quotes all marks."""
    return Answer.json(status, envelope, {"X-Request-Id": "req-1", **headers})


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SUCCESS = Answer.json(200, record)


def active(request: Request) -> dict[str, Any]:
    """Return the same customer, still active."""
    return record(request, is_archived=False, is_active=True, status="ACTIVE")


def unreadable(request: Request) -> dict[str, Any]:
    """Return the same customer, with fields of the wrong type."""
    return record(request, email={PERSON: PERSON}, archived_at=PERSON, documents=[{"url": [URL]}, PERSON])


def stranger(request: Request) -> dict[str, Any]:
    """Return the same customer with another id."""
    return record(request, id=BUSINESS)


ACTIVE = Answer.json(200, active)
BAD_FIELDS = Answer.json(200, unreadable)
HTML = Answer.content(502, lambda request: f"<h1>{words(request)}</h1>".encode(), {"Content-Type": "text/html"})
ONCE = RetryPolicy(max_attempts=1, no_wait=True)
SOON = Timeouts(connect=0.2, read=0.1, deadline=2.0)


class Observer:
    """Keeps everything visible of a call: events, log records, reprs."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seen = io.StringIO()
        self.scans = 1

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)
        if self.scans:
            # During a call, when its own objects are alive: frames and their contents.
            self.scans -= 1
            self.see(*(repr(thing) for thing in gc.get_objects() if _is_ours(thing)))
            self.see(*(repr(value) for value in _globals_of_ours()))

    def see(self, *texts: str) -> None:
        self.seen.write("\n".join(texts) + "\n")


class Everything(logging.Handler):
    """Formats every record completely: message, arguments, traceback, and extra attributes."""

    def __init__(self, seen: Observer) -> None:
        super().__init__(logging.DEBUG)
        self._observer = seen

    def emit(self, record: logging.LogRecord) -> None:
        self._observer.see(logging.Formatter().format(record), repr(vars(record)))


def _is_ours(thing: object) -> bool:
    module = getattr(type(thing), "__module__", None)
    return isinstance(module, str) and module.startswith("thredfi_async") and ".mock_server" not in module


def _globals_of_ours() -> Iterator[object]:
    """Return what outlives a call: all objects that our modules hold."""
    for name, module in list(sys.modules.items()):
        if name.startswith("thredfi_async") and ".mock_server" not in name:
            yield from (value for key, value in vars(module).items() if not key.startswith("__"))


@pytest.fixture
def observer() -> Iterator[Observer]:
    """Watch all loggers at DEBUG, including asyncio's and aiohttp's."""
    # `gc.get_objects` then returns only objects made from here on, not the half million of the whole suite.
    gc.freeze()
    seen = Observer()
    handler, root = Everything(seen), logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("asyncio", "aiohttp", "aiohttp.client", "thredfi_async"))]
    levels = [logger.level for logger in loggers]
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield seen
    gc.unfreeze()
    root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def chain(error: BaseException) -> list[BaseException]:
    """Return an exception with its causes and contexts, including suppressed ones."""
    found: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead:
        one = ahead.pop()
        if one is not None and one not in found:
            found.append(one)
            ahead += [one.__cause__, one.__context__]
    return found


def shown(error: BaseException) -> str:
    """Return all that a log, a console or an error tracker shows of an exception."""
    parts: list[str] = []
    for one in chain(error):
        parts += [repr(one), str(one), repr(one.args), *getattr(one, "__notes__", ())]
        parts += traceback.format_exception(one)
    return "\n".join(parts)


def pickled(error: BaseException) -> str:
    """Return a pickle's bytes as text; JSON in it is unescaped once, so that an escape cannot hide a mark."""
    data = pickle.dumps(error, protocol=0).decode("latin-1")
    return data + data.replace("\\\\", "\\") + data.replace("\\", "")


def without_server_words(error: BaseException) -> BaseException:
    """Return the same error without the three attributes that may quote the server."""
    twin = copy.copy(error)
    if isinstance(twin, APIError):
        twin.message, twin.details, twin.body, twin.error_code = None, {}, b"", None
    return twin


def assert_nothing_shows(observer: Observer, *ends: object) -> None:
    """Check for marks: none in the output, and in a pickle personal data only in the server's own words."""
    for end in ends:
        observer.see(repr(end), str(end))
        if isinstance(end, BaseException):
            observer.see(shown(end), pickled(without_server_words(end)))
            everything = pickled(end) + repr(vars(end))
            assert not [secret for secret in SECRETS if secret in everything]
    observer.see(*map(repr, observer.events), *(pickled_event(event) for event in observer.events))
    seen = observer.seen.getvalue()
    for mark in (*SECRETS, PERSON, PERSON.lower()):
        assert mark not in seen, seen[max(0, seen.index(mark) - 300) : seen.index(mark) + 100]


def pickled_event(event: Event) -> str:
    """Return an event's pickle, as text."""
    return pickle.dumps(event, protocol=0).decode("latin-1")


Scenario = Callable[[Observer], Awaitable[object]]


@asynccontextmanager
async def client_of(observer: Observer, url: str, **settings: Any) -> AsyncGenerator[ThredfiClient]:
    """Yield a client with both hooks, and check its own repr too."""
    if not settings.keys() & {"credentials", "token_provider"}:
        settings["token"] = TOKEN
    settings = {"retry": ONCE, "timeouts": SOON, "clock": LoopClock(), **settings}
    async with ThredfiClient(base_url=url, hooks=[observer, LoggingHook()], **settings) as client:
        observer.see(repr(client), repr(client.customers), repr(vars(client)))
        yield client


async def archive(client: ThredfiClient, body: Any = BODY, **options: Any) -> object:
    """Archive, and return the result or the exception."""
    try:
        return await client.customers.archive(BUSINESS, CUSTOMER, body, **options)
    except (ThredfiError, asyncio.CancelledError) as error:
        return error


def by_script(*script: Any, body: Any = BODY, retry: RetryPolicy = ONCE, **options: Any) -> Scenario:
    """Make one archive call against a server with this script."""

    async def play(observer: Observer) -> object:
        async with (
            FaultServer(script, repeat_last=True) as server,
            client_of(observer, server.url, retry=retry) as client,
        ):
            return await archive(client, body, **options)

    return play


def by_token(*answers: Any) -> Scenario:
    """Make one archive call with partner credentials, against a token endpoint with this script."""

    async def play(observer: Observer) -> object:
        routes = {("POST", bodies.TOKEN_PATH): answers, ("POST", bodies.ARCHIVE_SUFFIX): [SUCCESS]}
        async with FaultServer(routes=routes, repeat_last=True) as server:
            credentials = PartnerCredentials(PARTNER, API_KEY)
            observer.see(repr(credentials))
            async with client_of(observer, server.url, credentials=credentials) as client:
                return await archive(client)

    return play


class ProviderError(Exception):
    """An exception of a caller's own code, which may quote anything."""


def by_provider(provide: Callable[[], Awaitable[Any]]) -> Scenario:
    """Make three calls that wait for the same token of a provider."""

    async def play(observer: Observer) -> object:
        async with (
            FaultServer([SUCCESS], repeat_last=True) as server,
            client_of(observer, server.url, token_provider=provide) as client,
        ):
            ends = await asyncio.gather(*(archive(client) for _ in range(3)))
            assert_nothing_shows(observer, *ends)
            return ends[0]

    return play


async def provide_nothing() -> str:
    """Fail, and quote what the provider was given."""
    try:
        json.loads(API_KEY)
    except ValueError as error:
        error.add_note(f"no luck with {API_KEY}")
        raise ProviderError(f"{PERSON} has {TOKEN} and {URL}") from error
    return ""


async def provide_what_no_header_carries() -> str:
    """Return an invalid token."""
    return f"{TOKEN}\r\n{PERSON}"


async def provide_a_token() -> AccessToken:
    """Return a valid token."""
    return AccessToken(TOKEN, 3600.0)


async def cancelled(observer: Observer) -> object:
    """Make a call that is cancelled while it waits for its answer."""
    async with FaultServer([Cut("request", "hang")]) as server, client_of(observer, server.url) as client:
        call = asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, BODY))
        await server.until(lambda: bool(server.requests) and server.requests[0].complete)
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        return caught.value


async def closed_meanwhile(observer: Observer) -> object:
    """Make a call that the client's closing ends."""
    async with FaultServer([Cut("request", "hang")]) as server, client_of(observer, server.url) as client:
        call = asyncio.create_task(archive(client))
        await server.until(lambda: bool(server.requests))
        await client.aclose(drain=0.01)
        return await call


async def by_proxy_that_refuses(observer: Observer) -> object:
    """Use a proxy that quotes its password in a refusal."""
    page = Answer.content(407, f"{PROXY_PASSWORD} {URL}".encode()).closing()
    async with FaultServer([page], repeat_last=True) as server:
        proxy = server.url.replace("http://", f"http://user:{PROXY_PASSWORD}@")
        async with client_of(observer, "https://api.example.com", proxy=proxy) as client:
            return await archive(client)


async def by_proxy_that_is_not_there(observer: Observer) -> object:
    """Use a proxy address that does not answer."""
    with ports.refused() as url:
        proxy = url.replace("http://", f"http://user:{PROXY_PASSWORD}@")
        async with client_of(observer, "https://api.example.com", proxy=proxy) as client:
            return await archive(client)


async def refused_connection(observer: Observer) -> object:
    """Use a server that is not there."""
    with ports.refused() as url:
        async with client_of(observer, url) as client:
            return await archive(client)


async def with_a_bad_hook(observer: Observer) -> object:
    """Use a hook that raises what it can see of the caller."""

    class BadHook:
        def on_event(self, event: Event, /) -> None:
            raise RuntimeError(f"{PERSON} {TOKEN}")

    async with (
        FaultServer([SUCCESS]) as server,
        ThredfiClient(TOKEN, base_url=server.url, hooks=[BadHook(), observer]) as client,
    ):
        return await archive(client)


async def listing(observer: Observer) -> object:
    """List a page whose next link leads to another origin, with a secret in it."""
    page = {
        "count": 1,
        "next": URL,
        "previous": None,
        "results": [record(Request("GET", f"/customers/{CUSTOMER}/", [], 1))],
    }
    async with FaultServer([Answer.json(200, page)]) as server, client_of(observer, server.url) as client:
        pages = client.customers.list(BUSINESS, external_id=f"{PERSON} external")
        observer.see(repr(await anext(pages)))
        with pytest.raises(ThredfiError) as caught:
            await anext(pages)
        return caught.value


async def raw(observer: Observer) -> object:
    """Return a raw response, which has the headers too."""
    answer = Answer.json(200, record, {"Set-Cookie": f"session={TOKEN}", "X-Person": PERSON})
    async with FaultServer([answer]) as server, client_of(observer, server.url) as client:
        return await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, BODY)


# A key that looks like a field's name is shown: `metadata.crm_id` helps, and is not personal data.
WRONG_BODY = {
    **BODY,
    "email": [PERSON],
    "country": PERSON,
    f"{PERSON} field": PERSON,
    "metadata": {f"{PERSON} key": {PERSON}, f"{PERSON}@example.com": b"", 1: PERSON},
    "transaction_tags": [{f"{PERSON}'s": float("nan")}],
}
SCENARIOS: dict[str, Scenario] = {
    "success": by_script(SUCCESS),
    "success with a model": by_script(SUCCESS, body=CustomerRequest(**BODY)),
    "success without a body": by_script(ACTIVE, SUCCESS, body=None),
    "success after retries": by_script(HTML, refusal(429), SUCCESS, retry=RetryPolicy(no_wait=True)),
    "success with a raw response": raw,
    "success with a provider": by_provider(provide_a_token),
    "success with a hook that raises": with_a_bad_hook,
    "400": by_script(refusal(400), ACTIVE),
    "401": by_script(refusal(401)),
    "403": by_script(refusal(403)),
    "404": by_script(refusal(404)),
    "409, settled": by_script(refusal(409), ACTIVE),
    "409 with the record": by_script(Answer.json(409, record), ACTIVE),
    "422": by_script(refusal(422)),
    "429": by_script(refusal(429, **{"Retry-After": "7"})),
    "500, settling refused": by_script(refusal(500), refusal(403)),
    "502 of a proxy": by_script(HTML),
    "503 gzip": by_script(faults.encoded("gzip", status=503, payload=envelope)),
    "redirect": by_script(faults.redirect(307, f"https://user:{TOKEN}@files.example.com/{PERSON}?{SIGNATURE}")),
    "redirect nowhere": by_script(faults.redirect(302, f"https://[{TOKEN}/{PERSON}")),
    "fields that cannot be read": by_script(BAD_FIELDS),
    "not JSON": by_script(Answer.content(200, lambda request: words(request).encode()), ACTIVE),
    "another customer": by_script(Answer.json(200, stranger), ACTIVE),
    "null": by_script(faults.literal(), ACTIVE),
    "cut": by_script(SUCCESS.cut("body"), ACTIVE),
    "reset": by_script(Cut("request", "rst")),
    "garbage": by_script(Answer.raw(lambda request: words(request).encode() + b"\r\n\r\n", "fin")),
    "garbage in a header": by_script(
        Answer.raw(lambda request: f"HTTP/1.1 200 OK\r\n{words(request)}\r\n\r\n".encode(), "fin")
    ),
    "bad chunk": by_script(Answer.raw(lambda request: CHUNKED + words(request).encode() + b"\r\n", "fin")),
    "silence": by_script(Cut("request", "hang")),
    "deadline": by_script(Cut("request", "hang"), timeouts=Timeouts(deadline=0.1), settle=False),
    "wrong body": by_script(Healthy(), body=WRONG_BODY),
    "wrong arguments": by_script(
        Healthy(),
        idempotency_key=f"{TOKEN}\n{PERSON}",
        headers={"Authorization": TOKEN, "X-A": f"{PERSON}\n", f"{PERSON} name": ""},
    ),
    "list": listing,
    "cancelled": cancelled,
    "closed": closed_meanwhile,
    "connection refused": refused_connection,
    "proxy refuses": by_proxy_that_refuses,
    "proxy is not there": by_proxy_that_is_not_there,
    "token refused": by_token(refusal(401)),
    "token endpoint down": by_token(refusal(503)),
    "token unreadable": by_token(Answer.json(200, {"access_token": [TOKEN], "token_type": PERSON})),
    "token that no header carries": by_token(
        Answer.json(200, {"access_token": f"{TOKEN} {PERSON}", "token_type": "bearer"})
    ),
    "token not JSON": by_token(Answer.content(200, lambda request: words(request).encode())),
    "token lost": by_token(Cut("request", "rst")),
    "token and success": by_token(Answer.json(200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 60})),
    "provider raises": by_provider(provide_nothing),
    "provider gives what is none": by_provider(provide_what_no_header_carries),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_no_mark_shows_anywhere(name: str, observer: Observer) -> None:
    """However the call ends, no mark is in a log record, repr, str, note, traceback, event or pickle."""
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 0.001  # asyncio's debug mode logs handles and tasks, whether too slow or not
    end = await SCENARIOS[name](observer)
    assert observer.events or "wrong" in name
    assert_nothing_shows(observer, end)


def locals_of_ours(error: BaseException) -> Iterator[str]:
    """Return the locals of our frames, as rich and structlog print them: containers and attrs classes from inside."""
    for one in chain(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_globals.get("__name__", "").startswith("thredfi_async"):
                yield from (f"{name} = {pretty_repr(value)}" for name, value in frame.f_locals.items())


@pytest.mark.parametrize("name", SCENARIOS)
async def test_no_local_of_our_frames_shows_a_mark(name: str, observer: Observer) -> None:
    """Tools that print the locals of a traceback's frames find neither secrets nor personal data in ours."""
    end = await SCENARIOS[name](observer)
    if isinstance(end, BaseException):
        seen = "\n".join(locals_of_ours(end))
        assert seen
        assert not [mark for mark in (*SECRETS, PERSON) if mark in seen]


@pytest.mark.parametrize("name", ["success", "500, settling refused"])
async def test_object_of_a_call_under_way_shows_no_mark(name: str, observer: Observer) -> None:
    """No `repr` of our objects that are alive at any event shows a mark."""
    observer.scans = 100
    assert_nothing_shows(observer, await SCENARIOS[name](observer))
    assert "Request(" in observer.seen.getvalue()


async def test_words_of_the_server_stand_in_their_attributes_alone(observer: Observer) -> None:
    """The server's words are in message, details and body, with the secrets hidden."""
    error = await by_script(refusal(403))(observer)
    assert isinstance(error, APIError)
    assert PERSON in str(error.message)
    assert f"{PERSON}@example.com" in error.details
    assert json.loads(error.body)["error"] == error.message
    assert b"https://files.example.com/contract.pdf?[hidden]" in error.body
    assert "Bearer [hidden]" in str(error.message)
    assert pickle.loads(pickle.dumps(error)).body == error.body  # noqa: S301 - our own


def test_settings_that_are_refused_are_not_quoted() -> None:
    """A refused token, key or URL may be valid in another place, so it is not quoted."""
    makers: list[Callable[[], object]] = [
        lambda: ThredfiClient(f"{TOKEN} {PERSON}"),
        lambda: ThredfiClient(TOKEN, base_url=f"https://user:{PROXY_PASSWORD}@api.example.com"),
        lambda: ThredfiClient(TOKEN, base_url=f"https://api.example.com/?{TOKEN}"),
        lambda: ThredfiClient(TOKEN, credentials=PartnerCredentials(PARTNER, API_KEY)),
        lambda: PartnerCredentials(API_KEY, API_KEY),
        lambda: PartnerCredentials(PARTNER, f"{API_KEY}\n"),
        lambda: AccessToken(f"{TOKEN}\n"),
        lambda: CustomerRequest.from_mapping(WRONG_BODY),
        lambda: ThredfiClient.from_env({"THREDFI_TOKEN": TOKEN, "THREDFI_API_KEY": API_KEY}),
        lambda: ThredfiClient.from_env({}, proxy=f"http://user:{PROXY_PASSWORD}@proxy.example"),
        lambda: ThredfiClient(credentials=cast("Any", (PARTNER, API_KEY))),
        lambda: ThredfiClient(token_provider=cast("Any", TOKEN)),
        lambda: AccessToken("token", cast("Any", TOKEN)),
        lambda: AccessToken(cast("Any", 3600), cast("Any", TOKEN)),
        lambda: ThredfiClient("token").customers.list(
            BUSINESS, headers={"X": TOKEN}, external_id=PERSON, timeouts=cast("Any", 3)
        ),
    ]
    for make in makers:
        with pytest.raises(ThredfiError) as caught:
            make()
        everything = shown(caught.value) + pickled(caught.value) + "\n".join(locals_of_ours(caught.value))
        assert not [mark for mark in (*SECRETS, PERSON) if mark in everything]


def test_models_and_credentials_show_nothing_of_their_own() -> None:
    """The reprs and strs of the caller's objects show no marks."""
    things = [
        CustomerRequest(**BODY),
        Document(url=URL, file_name=PERSON),
        PartnerCredentials(PARTNER, API_KEY),
        AccessToken(TOKEN),
        ThredfiClient(TOKEN, proxy=f"http://user:{PROXY_PASSWORD}@127.0.0.1"),
    ]
    text = "".join(repr(thing) + str(thing) for thing in things)
    assert not [mark for mark in (*SECRETS, PERSON) if mark in text]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"no secrets", b"no secrets"),
        (b"Bearer 0123456789 x", b"Bearer [hidden] x"),
        (b'{"a": "01234\\/6789"}', b'{"a": "01234\\/6789"}'),
        (b'{"a": "https://h/p?q=1&s=2", "b": 1}', b'{"a": "https://h/p?[hidden]", "b": 1}'),
        (b'{"a": "HTTPS:\\/\\/h\\/p?q=\\u0026x\\/y\\" b"}', b'{"a": "HTTPS:\\/\\/h\\/p?[hidden]\\" b"}'),
        (b'{"a": "http://h/p\\u003fq=1"}', b'{"a": "http://h/p?[hidden]"}'),
        (b"<a href='https://h/p?q=1'>x</a>", b"<a href='https://h/p?[hidden]'>x</a>"),
        (b"https://docs.example.com/errors#4", b"https://docs.example.com/errors#4"),
        (b"\xff\x00 ?a=b", b"\xff\x00 ?a=b"),
    ],
)
def test_redaction_takes_secrets_and_leaves_the_rest(body: bytes, expected: bytes) -> None:
    """Credentials and queries of URLs are hidden in all their escapes; JSON stays JSON."""
    assert redacted(body, "Bearer 0123456789") == expected


def test_redaction_hides_the_key_inside_basic_credentials_and_leaves_short_words() -> None:
    """The key inside Basic credentials is hidden; a secret of a few letters may be a word of the server's own."""
    assert redacted(f"{BASIC}, {API_KEY}".encode(), f"Basic {BASIC}") == b"[hidden], [hidden]"
    assert redacted(b"invalid_token", "Bearer token") == b"invalid_token"
