"""What is sent over the wire, and how aiohttp's exceptions are translated: our errors keep nothing of them."""

import asyncio
import contextlib
import gzip
import os
import pickle
import ssl
import tracemalloc
from collections.abc import AsyncGenerator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import aiohttp.client
import aiohttp.client_exceptions
import pytest
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from faultserver import (
    Answer,
    Cut,
    Ending,
    FaultServer,
    Healthy,
    Step,
    Stray,
    bodies,
    certificates,
    faults,
    ports,
)
from faultserver import Request as Received
from faultserver.certificates import NAME, Certificate
from helpers import (
    BUSINESS,
    CUSTOMER,
    ONCE,
    OTHER,
    PATH,
    PATIENCE,
    Recorder,
    body,
    client_of,
    failure,
    leaving_nothing,
    until,
)
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from thredfi_async import (
    APIError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    Customer,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    ThredfiClient,
    ThredfiError,
    Timeouts,
    TransportError,
    __version__,
)
from thredfi_async._interfaces import Hidden, Request, Response, Success
from thredfi_async._transport.connections import Connector
from thredfi_async._transport.exceptions import EXCEPTIONS, translate
from thredfi_async._transport.options import TransportOptions
from thredfi_async._transport.session import AiohttpTransport, _Body, _is_ambiguous

SAMPLE = Received("POST", f"{PATH}archive/", [], 1)
_ANOTHER = Answer.json(200, bodies.customer(OTHER))
SECRET_URL = URL("https://user:secret-password@secret-host.example/secret-path")


def archiving(client: ThredfiClient, **options: Any) -> Any:
    """Make one attempt to archive, without settling."""
    settings: dict[str, Any] = {"settle": False, "retry": ONCE, **options}
    return client.customers.archive(BUSINESS, CUSTOMER, body(), **settings)


async def ending(url: str, kind: type[ThredfiError], **settings: Any) -> Any:
    """Return the error of one attempt against this server."""
    async with client_of(url, **settings) as client:
        return await failure(archiving(client), kind)


# The exception table


def public_exceptions() -> Mapping[str, type[Exception]]:
    """Return every exception that aiohttp's client exports."""
    names = {*aiohttp.__all__, *aiohttp.client.__all__, *aiohttp.client_exceptions.__all__}
    found: dict[str, type[Exception]] = {}
    for name in names:
        value = getattr(aiohttp, name, None) or getattr(aiohttp.client_exceptions, name, None)
        if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning):
            found[name] = value
    return found


# By name: its meaning after sending, its meaning before sending, and whether a retry may then help.
LOST, CONNECT, TIMEOUT = ConnectionLostError, ConnectError, RequestTimeoutError
MEANINGS: Mapping[str, tuple[type[TransportError], type[TransportError], bool]] = {
    "ClientConnectionError": (LOST, CONNECT, True),
    "ClientConnectionResetError": (LOST, CONNECT, True),
    "ClientConnectorCertificateError": (LOST, CONNECT, False),
    "ClientConnectorDNSError": (LOST, CONNECT, True),
    "ClientConnectorError": (LOST, CONNECT, True),
    "ClientConnectorSSLError": (LOST, CONNECT, True),
    "ClientError": (LOST, CONNECT, True),
    "ClientHttpProxyError": (LOST, CONNECT, False),
    "ClientOSError": (LOST, CONNECT, True),
    "ClientPayloadError": (LOST, CONNECT, True),
    "ClientProxyConnectionError": (LOST, CONNECT, True),
    "ClientResponseError": (LOST, CONNECT, True),
    "ClientSSLError": (LOST, CONNECT, True),
    "ConnectionTimeoutError": (LOST, TIMEOUT, True),
    "ContentTypeError": (LOST, CONNECT, True),
    "EofStream": (LOST, CONNECT, False),
    "InvalidURL": (LOST, CONNECT, False),
    "InvalidUrlClientError": (LOST, CONNECT, False),
    "InvalidUrlRedirectClientError": (LOST, CONNECT, False),
    "NonHttpUrlClientError": (LOST, CONNECT, False),
    "NonHttpUrlRedirectClientError": (LOST, CONNECT, False),
    "RedirectClientError": (LOST, CONNECT, True),
    "ServerConnectionError": (LOST, CONNECT, True),
    "ServerDisconnectedError": (LOST, CONNECT, True),
    "ServerFingerprintMismatch": (LOST, CONNECT, False),
    "ServerTimeoutError": (TIMEOUT, TIMEOUT, True),
    "SocketTimeoutError": (TIMEOUT, TIMEOUT, True),
    "TooManyRedirects": (LOST, CONNECT, True),
    "UnixClientConnectorError": (LOST, CONNECT, True),
    "UploadAbortedError": (LOST, CONNECT, True),
    "WSMessageTypeError": (LOST, CONNECT, False),
    "WSServerHandshakeError": (LOST, CONNECT, True),
    "WebSocketError": (LOST, CONNECT, False),
}


def instance(kind: type[Exception]) -> Exception:  # noqa: PLR0911 - one for each kind of constructor
    """Return an instance of this exception, full of secrets."""
    headers = CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer secret-token"}))
    info = aiohttp.RequestInfo(SECRET_URL, "POST", headers, SECRET_URL)
    key = ConnectionKey("secret-host.example", 443, True, True, SECRET_URL, None, None)
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(info, (), status=400, message="secret words", headers=headers)
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(key, ssl.CertificateError("secret certificate"))
    if issubclass(kind, UnixClientConnectorError):
        return kind("/secret-path", key, ConnectionRefusedError(111, "Connection refused"))
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(key, ConnectionRefusedError(111, "Connection refused"))
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"secret", b"secret", "secret-host.example", 443)
    if issubclass(kind, aiohttp.InvalidURL):
        return kind(str(SECRET_URL), "secret words")
    if kind.__name__ == "WebSocketError":
        return kind(1000, "secret words")
    if issubclass(kind, OSError) and not issubclass(kind, TimeoutError):
        return kind(None, f"Can not write request body for {SECRET_URL}")
    return kind(f"secret words about {SECRET_URL}")


def test_the_expectations_cover_every_exception() -> None:
    """A new exception of aiohttp must be added to the expectations."""
    assert public_exceptions().keys() <= MEANINGS.keys()


@pytest.mark.parametrize("sent", [True, False, None])
@pytest.mark.parametrize("name", sorted(public_exceptions()))
def test_every_exception_is_translated(name: str, sent: bool | None) -> None:
    """Sent requests are lost or timed out, unsent ones could not connect, and no text of aiohttp's is kept."""
    error = instance(public_exceptions()[name])
    after, before, transient = MEANINGS[name]
    ours = translate(error, sent=sent)
    if sent is True:
        assert type(ours) is after
        assert ours.transient
    elif sent is False:
        assert type(ours) is before
        assert ours.transient is transient
    else:
        assert type(ours) in {after, before}
        assert ours.transient is transient
    for shown in (str(ours), repr(ours), repr(ours.args), repr(vars(ours))):
        assert "secret" not in shown
    copy = pickle.loads(pickle.dumps(ours))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), copy.transient) == (type(ours), str(ours), ours.transient)


def test_the_table_names_the_class() -> None:
    """The message names the exception's class, and may include the system's own text."""
    names = [name for name in public_exceptions() if MEANINGS[name][0] is LOST]
    for name in names:
        assert name in str(translate(instance(public_exceptions()[name]), sent=True))
    refused = translate(instance(aiohttp.ClientConnectorError), sent=False)
    assert str(refused) == "no connection: ClientConnectorError, Connection refused"
    reset = translate(aiohttp.ClientOSError(104, f"secret {SECRET_URL}"), sent=True)
    assert str(reset).endswith(f": ClientOSError, {os.strerror(104)}")


def test_the_table_reaches_what_is_not_aiohttps() -> None:
    """A resolver's UnicodeError or a trace hook's RuntimeError is translated as well."""
    assert EXCEPTIONS[-1][0] is Exception
    for error in (UnicodeError("secret"), RuntimeError("secret"), ValueError("secret")):
        lost, unsent = translate(error, sent=True), translate(error, sent=False)
        assert (type(lost), lost.transient) == (ConnectionLostError, True)
        assert (type(unsent), unsent.transient) == (ConnectError, False)
        assert "secret" not in f"{lost} {unsent}"


@pytest.mark.parametrize(("status", "transient"), [(407, False), (403, False), (502, True), (503, True)])
def test_a_proxy_that_is_unwell_may_recover(status: int, transient: bool) -> None:
    """A proxy's refusal is permanent, and its failure is transient."""
    error = aiohttp.ClientHttpProxyError(instance(aiohttp.ClientHttpProxyError).request_info, (), status=status)  # type: ignore[attr-defined]
    ours = translate(error, sent=False)
    assert type(ours) is ConnectError
    assert ours.transient is transient
    assert str(status) in str(ours)


def reachable(error: BaseException) -> Iterator[object]:
    """Return all that is reachable from an error: causes, contexts, arguments and attributes."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield thing
        if isinstance(thing, BaseException):
            todo += [thing.__cause__, thing.__context__, thing.args, vars(thing)]
        elif isinstance(thing, tuple | list):
            todo += thing
        elif isinstance(thing, Mapping):
            todo += [*thing.keys(), *thing.values()]


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Cut("request", "rst"), ConnectionLostError),
        (Cut("request", "fin"), ConnectionLostError),
        (faults.garbage_status_line(), ConnectionLostError),
        (faults.two_lengths(), ConnectionLostError),
        (faults.length_beyond_body(), ConnectionLostError),
        (faults.bad_chunk_size(), ConnectionLostError),
        (faults.chunks_cut_short(), ConnectionLostError),
        (faults.good().cut("headers"), ConnectionLostError),
        (faults.huge_header(), ConnectionLostError),
        (Answer.content(101, b""), ConnectionLostError),
    ],
)
async def test_nothing_of_aiohttp_is_left(step: Step, kind: type[TransportError]) -> None:
    """After sending, an invalid answer is a lost one: UNKNOWN, and the error references nothing of aiohttp's."""
    async with FaultServer([step]) as server:
        error = await ending(server.url, kind)
    assert error.effect is Effect.UNKNOWN
    assert error.transient
    assert error.attempts == 1
    assert error.__cause__ is None
    assert error.__context__ is None
    for thing in reachable(error):
        assert not type(thing).__module__.startswith(("aiohttp", "yarl", "multidict"))
        assert "secret-token" not in str(thing)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert vars(copy) == vars(error)
    assert (type(copy), str(copy)) == (kind, str(error))


# Sent or not


@pytest.mark.parametrize("at", ["bytes", "headers", "request"])
@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_what_was_sent_may_have_been_applied(at: Any, how: Any) -> None:
    """However little of the request the server has read, it may have received all of it."""
    async with FaultServer([Cut(at, how)]) as server:
        error = await ending(server.url, ConnectionLostError)
    assert error.effect is Effect.UNKNOWN


async def test_a_body_that_only_half_left() -> None:
    """A body too large for the sockets' buffers is being sent when the server resets."""
    async with FaultServer([Cut("headers", "rst")]) as server, client_of(server.url) as client:
        large = body(notes="x" * 20_000_000)
        call = client.customers.archive(BUSINESS, CUSTOMER, large, settle=False, retry=ONCE)
        error = await failure(call, ConnectionLostError)
    assert error.effect is Effect.UNKNOWN


async def test_a_connection_that_went_away_while_idle() -> None:
    """A POST counts as sent if the server resets an idle keep-alive connection at its arrival."""
    script: list[Step] = [Healthy(), Cut("bytes", "rst")]
    async with FaultServer(script) as server, client_of(server.url) as client:
        await archiving(client)
        error = await failure(archiving(client), ConnectionLostError)
        assert server.connections == 1
    assert error.effect is Effect.UNKNOWN


async def test_refused() -> None:
    """Without a listener nothing was sent, and a retry may find one."""
    with ports.refused() as url:
        error = await ending(url, ConnectError)
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, True, 1)
    assert error.__context__ is None


async def test_connecting_hangs() -> None:
    """`Timeouts.connect` bounds connecting; nothing was sent."""
    with ports.unanswered() as url:
        error = await ending(url, RequestTimeoutError, timeouts=Timeouts(connect=0.05))
    assert (error.phase, error.effect, error.transient) == ("connect", Effect.NOT_APPLIED, True)
    assert isinstance(error, TimeoutError)


async def test_tls_hangs() -> None:
    """`Timeouts.connect` also bounds the TLS handshake."""
    async with FaultServer([Cut("accept", "hang")]) as server:
        error = await ending(server.https_url, RequestTimeoutError, timeouts=Timeouts(connect=0.05))
    assert (error.phase, error.effect) == ("connect", Effect.NOT_APPLIED)


async def test_a_host_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a name cannot be resolved, nothing was sent."""

    async def resolve(*_: Any, **__: Any) -> Any:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
    error = await ending("https://nowhere.invalid", ConnectError)
    assert (error.effect, error.transient) == (Effect.NOT_APPLIED, True)
    assert str(error) == "no connection: ClientConnectorDNSError, Name or service not known"


async def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Timeouts.connect` also bounds the look-up of the host."""

    async def resolve(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
    error = await ending("https://nowhere.invalid", RequestTimeoutError, timeouts=Timeouts(connect=0.05))
    assert (error.phase, error.effect) == ("connect", Effect.NOT_APPLIED)


async def test_a_resolver_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign error of the resolver is translated too, and not retried."""

    async def resolve(*_: Any, **__: Any) -> Any:
        raise UnicodeError("label too long")

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
    error = await ending("https://nowhere.invalid", ConnectError)
    assert (error.effect, error.transient) == (Effect.NOT_APPLIED, False)


@pytest.mark.parametrize("certificate", ["expired", "not-yet-valid", "wrong-host", "self-signed", "unknown-authority"])
async def test_certificates_that_cannot_be_trusted(certificate: Certificate) -> None:
    """With a bad certificate there is one handshake, nothing is sent, and nothing is retried."""
    async with FaultServer([Healthy()], tls=certificate) as server:
        settings = {"ssl": certificates.client_context(), "retry": RetryPolicy()}
        async with client_of(server.url, **settings) as client:
            error = await failure(client.customers.archive(BUSINESS, CUSTOMER, body()), ConnectError)
        assert server.connections == 1
        assert not server.requests
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, False, 1)
    assert "ClientConnectorCertificateError" in str(error)


async def test_a_certificate_that_can_be_trusted() -> None:
    """With the right authority, TLS works."""
    async with (
        FaultServer([Healthy()], tls="good") as server,
        client_of(server.url, ssl=certificates.client_context()) as client,
    ):
        assert (await archiving(client)).is_archived


async def test_plain_text_where_tls_should_be() -> None:
    """Nothing is sent to a server without TLS, and it is asked only once: the next answer would be the same."""
    async with FaultServer([faults.plain_text_on_tls_port()]) as server:
        error = await ending(server.https_url, ConnectError, retry=RetryPolicy())
        assert server.connections == 1
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, False, 1)
    assert str(error) == "no connection: the server does not speak TLS on this port: check base_url"


async def test_a_fingerprint_that_does_not_match() -> None:
    """A mismatch with a pinned certificate is not retried."""
    async with FaultServer([Healthy()], tls="good") as server:
        error = await ending(server.url, ConnectError, ssl=aiohttp.Fingerprint(b"x" * 32))
    assert (error.effect, error.transient) == (Effect.NOT_APPLIED, False)


# Timeouts


@pytest.mark.parametrize("step", [Cut("request", "hang"), faults.length_beyond_body(how="hang")], ids=["head", "body"])
async def test_silence(step: Step) -> None:
    """`Timeouts.read` bounds silence before the head and within the body."""
    async with FaultServer([step]) as server:
        error = await ending(server.url, RequestTimeoutError, timeouts=Timeouts(read=0.05))
    assert (error.phase, error.effect) == ("read", Effect.UNKNOWN)
    assert isinstance(error, TimeoutError)


async def test_a_slow_answer_is_no_silence() -> None:
    """Data that keeps coming keeps the call alive, however long the whole answer takes."""
    async with (
        FaultServer([faults.good().drip(150, 0.03)]) as server,
        client_of(server.url, timeouts=Timeouts(read=0.2)) as client,
    ):
        assert (await archiving(client)).is_archived


async def test_a_calls_own_timeouts() -> None:
    """A call's bounds replace the client's."""
    async with (
        FaultServer([Cut("request", "hang")]) as server,
        client_of(server.url, timeouts=Timeouts()) as client,
    ):
        error = await failure(archiving(client, timeouts=Timeouts(read=0.05)), RequestTimeoutError)
    assert error.phase == "read"


# Bodies


async def send(options: TransportOptions, url: str) -> Response:
    """Send one bare GET."""

    class Progress:
        headers: Mapping[str, str] = {}
        sent = False

    transport = AiohttpTransport(options)
    try:
        request = Request[None](method="GET", url=f"{url}{PATH}", judge=lambda _: Success(None))
        return await transport.send(request, Hidden("Bearer secret-token"), options.timeouts, Progress())
    finally:
        await transport.aclose()


def bounded(size: int) -> TransportOptions:
    """Return options with this bound on bodies."""
    return TransportOptions(timeouts=PATIENCE, max_connections=2, max_body_bytes=size)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("length", "whole"), [(99, True), (100, True), (101, False), (50_000, False)])
@pytest.mark.parametrize("coding", [None, "gzip", "x-gzip", "GZip"])
async def test_the_bound_of_a_body(status: int, length: int, whole: bool, coding: str | None) -> None:
    """The bound is exact, after decompression, for successes and errors alike."""
    plain = b"x" * length
    packed = gzip.compress(plain) if coding else plain
    answer = Answer.content(status, packed, {"Content-Encoding": coding} if coding else {})
    async with FaultServer([answer]) as server:
        response = await send(bounded(100), server.url)
    assert response.status == status
    assert response.body == plain[:100]
    assert (response.flaw is None) is whole
    assert whole or response.flaw == "is longer than max_body_bytes (100)"


async def test_the_bound_before_decompression() -> None:
    """A body that exceeds the bound while compressed is not decompressed."""
    async with FaultServer(
        [Answer.content(200, gzip.compress(os.urandom(500)), {"Content-Encoding": "gzip"})]
    ) as server:
        response = await send(bounded(100), server.url)
    assert response.flaw == "is longer than max_body_bytes (100)"
    assert len(response.body) == 100


async def test_a_body_too_long_is_no_proof() -> None:
    """An archived customer whose end was not read proves nothing: UNKNOWN, not sent again."""
    async with FaultServer([faults.good()]) as server:
        error = await ending(server.url, ResponseDecodeError, max_body_bytes=100)
        assert len(server.requests) == 1
    assert error.effect is Effect.UNKNOWN
    assert "max_body_bytes (100)" in str(error)


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("auto", [True, False], ids=["session-decompresses", "we-decompress"])
async def test_bombs(status: int, auto: bool) -> None:
    """A body that would decompress to 64 MiB is stopped at the bound."""
    bomb = faults.decompression_bomb("gzip", 64, status=status)
    async with FaultServer([bomb]) as server, aiohttp.ClientSession(auto_decompress=auto) as session:
        tracemalloc.start()
        try:
            kind = ServerError if status == 503 else ResponseDecodeError
            error = await ending(server.url, kind, session=session, max_body_bytes=1000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error.effect is Effect.UNKNOWN
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("kind", ["endless body", "endless headers"])
async def test_answers_without_end(kind: str) -> None:
    """An endless answer is abandoned, and its connection closed."""
    step = faults.endless_body() if kind == "endless body" else faults.endless_headers()
    expected = ResponseDecodeError if kind == "endless body" else ConnectionLostError
    async with FaultServer([step]) as server:
        error = await ending(server.url, expected, max_body_bytes=100_000)
        await server.until(lambda: server.open_connections == 0)
    assert error.effect is Effect.UNKNOWN


@pytest.mark.parametrize("session_decompresses", [True, False])
async def test_gzip_is_asked_for_and_read(session_decompresses: bool) -> None:
    """Only gzip is requested, and the customer is read whether aiohttp or the client decompresses it."""
    async with FaultServer([faults.encoded("gzip")]) as server:
        async with (
            aiohttp.ClientSession(auto_decompress=session_decompresses) as session,
            client_of(server.url, session=session) as client,
        ):
            assert isinstance(await archiving(client), Customer)
        assert server.requests[0].header("Accept-Encoding") == "gzip"


@pytest.mark.parametrize("keep", [0, 8, 100, -8, -1])
async def test_gzip_cut_short(keep: int) -> None:
    """A gzip body without its end, even only its checksum, proves nothing."""
    async with FaultServer([faults.truncated("gzip", keep)]) as server:
        error = await ending(server.url, ResponseDecodeError)
    assert error.effect is Effect.UNKNOWN
    assert str(error) == f"200, the body is {'cut short' if keep else 'empty or null'}"


async def test_gzip_that_is_none() -> None:
    """Plain JSON that is labelled as gzip proves nothing."""
    async with FaultServer([faults.mislabelled_encoding("gzip")]) as server:
        error = await ending(server.url, ResponseDecodeError)
    assert error.effect is Effect.UNKNOWN
    assert "is not the gzip that it is said to be" in str(error)


async def test_gzip_that_is_none_in_a_session_that_decompresses() -> None:
    """A session that decompresses finds the error, and the answer counts as lost."""
    async with FaultServer([faults.mislabelled_encoding("gzip")]) as server, aiohttp.ClientSession() as session:
        error = await ending(server.url, ConnectionLostError, session=session)
    assert error.effect is Effect.UNKNOWN


@pytest.mark.parametrize("encoding", ["br", "zstd"])
async def test_encodings_that_nobody_asked_for(encoding: Any) -> None:
    """Brotli and zstd bodies, including bombs, are not decompressed, and are not JSON."""
    for step in (faults.encoded(encoding), faults.decompression_bomb(encoding, 64)):
        async with FaultServer([step]) as server:
            error = await ending(server.url, ResponseDecodeError)
        assert error.effect is Effect.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (faults.problem(404), NotFoundError),
        (faults.html(403), PermissionDeniedError),
        (Answer.content(500, b"x" * 100_000), ServerError),
        (Answer.content(500, b"x" * 100_000, framing="chunked"), ServerError),
        (Answer.content(400, b""), BadRequestError),
    ],
)
async def test_the_connection_outlives_an_error(answer: Answer, kind: type[APIError]) -> None:
    """An error's body is read completely, so that its connection serves the next call."""
    async with FaultServer([answer, Healthy()]) as server, client_of(server.url) as client:
        await failure(archiving(client), kind)
        await archiving(client)
        assert server.connections == 1


async def test_an_error_body_too_long_costs_the_connection() -> None:
    """Beyond the bound nothing is read: the connection is closed, and the client uses another."""
    async with (
        FaultServer([Answer.content(500, b"x" * 10_000_000), Healthy()]) as server,
        client_of(server.url, max_body_bytes=5000) as client,
    ):
        error = await failure(archiving(client), ServerError)
        assert error.body == b"x" * 5000
        await archiving(client)
        assert server.connections == 2


@pytest.mark.parametrize(
    ("headers", "ambiguous"),
    [
        ([], False),
        ([("Transfer-Encoding", "chunked")], False),
        ([("Content-Length", "5")], False),
        ([("Content-Length", "5"), ("content-length", "5")], False),
        ([("Content-Length", "5"), ("Content-Length", "6")], True),
        ([("Content-Length", "5"), ("Content-Length", "5"), ("Content-Length", "05")], True),
        ([("Content-Length", ""), ("Content-Length", "5")], True),
        ([("Content-Length", "5"), ("Content-Length", "")], True),
        ([("Content-Length", "5"), ("Transfer-Encoding", "chunked")], True),
        ([("content-length", "5"), ("transfer-encoding", "identity")], True),
        ([("Content-Length", "")], True),
        ([("Content-Length", "five")], True),
        ([("Content-Length", "+5")], True),
        ([("Content-Length", "-5")], True),
        ([("Content-Length", "5, 5")], True),
        ([("Content-Length", "0x5")], True),
        ([("Content-Length", "1_0")], True),
        ([("Content-Length", "\u0665")], True),
        ([("Content-Length", "\u00b2")], True),
    ],
)
def test_where_an_answer_ends(headers: list[tuple[str, str]], ambiguous: bool) -> None:
    """An end that can be read in two ways is refused by ourselves, whatever aiohttp's parser lets pass."""
    assert _is_ambiguous(CIMultiDictProxy(CIMultiDict(headers))) is ambiguous


@pytest.mark.parametrize("own", [True, False], ids=["our-session", "given"])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "answer",
    [
        faults.two_lengths(),
        faults.two_lengths(-7),
        faults.lengths("Content-Length: {}", "Content-Length: "),
        faults.lengths("Content-Length: ", "Content-Length: {}"),
        faults.lengths("Content-Length: {}", "Transfer-Encoding: chunked", chunked=True),
        faults.lengths("Transfer-Encoding: chunked", "Content-Length: {}", chunked=True),
        faults.lengths("Content-Length: +{}"),
    ],
)
async def test_an_ambiguous_end_is_a_lost_answer(answer: Answer, method: str, own: bool) -> None:
    """With either parser, and in a given session too, such an answer proves nothing, and its connection is closed."""
    async with FaultServer([answer]) as server, contextlib.AsyncExitStack() as stack:
        settings = {} if own else {"session": await stack.enter_async_context(aiohttp.ClientSession())}
        async with client_of(server.url, retry=ONCE, **settings) as client:
            call = archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER)
            error = await failure(call, ConnectionLostError)
            await server.until(lambda: server.open_connections == 0)
    assert error.effect is (Effect.UNKNOWN if method == "POST" else Effect.NOT_APPLIED)


async def test_an_ambiguous_answer_is_refused_by_ourselves() -> None:
    """Also where aiohttp's parser lets it pass: nothing of it is read, and its connection is lent to no one."""
    transport = AiohttpTransport(TransportOptions(timeouts=Timeouts(), max_connections=1, max_body_bytes=100))
    headers = CIMultiDictProxy(CIMultiDict[str]([("Content-Length", "5"), ("Content-Length", "6")]))
    retired = mock.Mock()
    with pytest.raises(aiohttp.ClientPayloadError):
        await transport._read(200, headers, mock.Mock(), retired)
    retired.assert_called_once_with()


async def test_a_connection_that_aiohttp_makes_itself_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """If aiohttp no longer makes connections with our class, calls go on with its own."""
    monkeypatch.setenv("THREDFI_DIRECT_POST", "0")
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        transport = client._transport
        transport._open()
        connector: Any = transport._session.connector if transport._session is not None else None
        connector.make(partial(ResponseHandler, asyncio.get_running_loop()))
        assert (await archiving(client)).is_archived


async def test_the_rest_of_an_ambiguous_answer_is_no_ones() -> None:
    """The next request goes over another connection: what is left on this one might pass for its answer."""
    halved = Answer.raw(b"HTTP/1.1 404 x\r\nContent-Length: 2\r\nContent-Length: 60\r\n\r\n{}")
    async with FaultServer([halved, Healthy()]) as server:
        async with client_of(server.url, retry=ONCE) as client:
            await failure(archiving(client, settle=False), ConnectionLostError)
            assert (await archiving(client)).is_archived
        assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_long_heads_are_read(method: str) -> None:
    """A line of 60,000 bytes and 900 fields more are read, and the connection is used again."""
    answer = faults.long_heads()
    async with FaultServer([answer, answer]) as server, client_of(server.url, retry=ONCE) as client:
        for _ in range(2):
            found = await (archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER))
            assert found.is_archived
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [faults.long_heads(70_000, 1), faults.long_heads(1, 1100), faults.huge_header(), faults.many_headers()],
    ids=["line", "fields", "MiB", "100,000"],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_heads_without_bound_are_lost(answer: Answer, method: str) -> None:
    """Beyond 64 KiB a line, or 1,000 fields, an answer is lost."""
    async with FaultServer([answer], repeat_last=True) as server, client_of(server.url, retry=ONCE) as client:
        call = archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER)
        error = await failure(call, ConnectionLostError)
        await server.until(lambda: server.open_connections == 0)
    assert error.effect is (Effect.UNKNOWN if method == "POST" else Effect.NOT_APPLIED)


# Stray answers


@pytest.mark.parametrize(
    "stray", [faults.problem(404), Answer.content(404), faults.good()], ids=["404", "bare", "good"]
)
async def test_a_stray_answer_on_an_idle_connection(stray: Answer) -> None:
    """What came before the request is not its answer: another connection is taken, and no attempt is spent."""
    hook = Recorder()
    script: list[Step] = [Stray(faults.good(), stray), Healthy()]
    async with FaultServer(script) as server, client_of(server.url, retry=ONCE, hooks=[hook]) as client:
        await archiving(client)
        await has_a_stray(client, 1)
        assert (await archiving(client)).is_archived
        assert (len(server.requests), server.connections) == (2, 2)
        assert [attempt.number for attempt in hook.attempts] == [1, 1]
        await server.until(lambda: server.open_connections == 1)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("count", [5, 20])
async def test_many_strays_cost_no_attempt(count: int, method: str) -> None:
    """However many idle connections got a stray answer, a call that may try only once is answered."""
    gate, idle = asyncio.Event(), asyncio.Event()
    first = Stray(faults.good().held(gate), faults.problem(404).held(idle), 0.0)
    script: list[Step] = [*[first] * count, Healthy()]
    async with FaultServer(script) as server, client_of(server.url, retry=ONCE) as client:
        calls = [asyncio.create_task(_coroutine(archiving(client))) for _ in range(count)]
        await server.until(lambda: server.connections == count)
        gate.set()
        await asyncio.gather(*calls)
        idle.set()
        await has_a_stray(client, count)
        found = await (archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER))
        assert str(found.id) == CUSTOMER
        assert (server.connections, len(server.requests)) == (count + 1, count + 1)
        await server.until(lambda: server.open_connections == 1)


async def has_a_stray(client: ThredfiClient, count: int) -> None:
    """Wait until that many idle connections have read something that no request asked for."""
    assert client._transport._session is not None
    connector = client._transport._session.connector
    assert isinstance(connector, Connector)
    await until(lambda: sum(each.should_close for pool in connector._conns.values() for each, _ in pool) == count)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("first", [_ANOTHER, faults.html(408), faults.html(200)], ids=["another", "408", "page"])
async def test_a_doubtful_connection_is_lent_to_no_other(first: Answer, method: str) -> None:
    """After an answer about another customer, or a 408, the next request must not get the next answer there."""
    async with FaultServer([first, Healthy()]) as server, client_of(server.url, retry=ONCE) as client:
        call = archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER)
        await failure(call, APIError if first.render(SAMPLE).startswith(b"HTTP/1.1 408") else ResponseDecodeError)
        assert (await archiving(client)).is_archived
        assert [request.connection for request in server.requests] == [1, 2]
        await server.until(lambda: server.open_connections == 1)


@pytest.mark.parametrize("how", ["hang", "half-close", "fin"])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_server_that_is_full_is_heard(method: str, how: Ending) -> None:
    """A 503 that was sent at accept, before any request, is the answer, and its Retry-After is kept."""
    async with FaultServer([faults.full(7, how=how)]) as server, client_of(server.url, retry=ONCE) as client:
        call = archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER)
        error = await failure(call, ServerError)
    assert (error.status, error.retry_after) == (503, 7.0)
    assert not server.applied


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["another origin", "the same origin"])
@pytest.mark.parametrize("path", [f"{PATH}archive/", f"{PATH}archive", "/elsewhere/", f"{PATH}archive/?a=b", PATH])
async def test_redirects_are_not_followed(status: int, place: str, path: str) -> None:
    """Nothing is sent to the other host, no POST becomes a GET, and only "the same, but there" is a no."""
    async with FaultServer() as stranger:
        location = f"{stranger.url}{path}" if place == "another origin" else path
        async with FaultServer([faults.redirect(status, location)]) as server:
            error = await ending(server.url, APIError, retry=RetryPolicy())
            assert [request.method for request in server.requests] == ["POST"]
        assert stranger.connections == 0
    is_same = path.rstrip("/") == f"{PATH}archive" and status != 303
    # Where it was sent to in the first place is no other place.
    is_same = is_same and not (place == "the same origin" and path == f"{PATH}archive/")
    assert (error.status, error.attempts) == (status, 1)
    assert error.effect is (Effect.NOT_APPLIED if is_same else Effect.UNKNOWN)
    assert error.is_same_path is is_same
    assert f"a redirect to {'127.0.0.1' if place == 'another origin' else 'the same host'}" in str(error)


# A session of the caller's own


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    """Yield a session of the caller's own."""
    async with aiohttp.ClientSession() as made:
        yield made


async def test_an_own_session_is_never_closed(session: aiohttp.ClientSession) -> None:
    """Only its owner closes the session, and it serves several clients."""
    async with FaultServer([Healthy(), Healthy()]) as server:
        for _ in range(2):
            async with client_of(server.url, session=session) as client:
                await archiving(client)
            assert not session.closed
        assert server.connections == 1


async def test_an_own_session_that_is_closed() -> None:
    """Nothing is sent, and the message says what is wrong."""
    session = aiohttp.ClientSession()
    await session.close()
    error = await ending("http://127.0.0.1:9", ClientStateError, session=session, retry=RetryPolicy())
    assert str(error) == "the session that this client was given is closed"
    assert error.effect is Effect.NOT_APPLIED


def test_an_own_session_of_another_loop() -> None:
    """A session belongs to the loop that it was made on: on another one nothing is sent, and the message says why."""

    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def use(session: aiohttp.ClientSession) -> ClientStateError:
        async with FaultServer() as server:
            error: ClientStateError = await ending(server.url, ClientStateError, session=session, retry=RetryPolicy())
            return error

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        error = second.run(use(session))
        first.run(session.close())
    assert str(error) == "the session that this client was given belongs to another event loop"
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, False, 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_own_session_with_auth() -> None:
    """The session's credentials would collide with ours, so it is refused at once."""
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "secret-password")) as session:
        with pytest.raises(ConfigurationError, match="session must not have auth of its own") as caught:
            client_of("http://127.0.0.1:9", session=session)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("setting", [True, "callable"])
async def test_an_own_session_that_raises_for_status(setting: object) -> None:
    """An error answer is still an API error, with its body."""

    async def refuse(response: aiohttp.ClientResponse) -> None:
        raise RuntimeError(str(response.status))

    options: Any = {"raise_for_status": refuse if setting == "callable" else setting}
    async with aiohttp.ClientSession(**options) as session, FaultServer([faults.problem(404)]) as server:
        error = await ending(server.url, NotFoundError, session=session)
    assert error.error_code == "server_error"


async def test_an_own_session_with_headers_and_cookies(session: aiohttp.ClientSession) -> None:
    """Our Authorization overrides the session's."""
    session.headers["Authorization"] = "Bearer another"
    async with FaultServer([Healthy()]) as server, client_of(server.url, session=session) as client:
        await archiving(client)
        sent = [value for name, value in server.requests[0].headers if name.lower() == "authorization"]
    assert sent == ["Bearer secret-token"]


async def test_an_own_session_with_few_connections() -> None:
    """Waiting in the session's pool does not spend the `connect` timeout, which covers connecting only."""
    timeouts = Timeouts(connect=0.5)
    connector = aiohttp.TCPConnector(limit=1)
    slow = faults.good().slow(0.2)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        FaultServer([slow], repeat_last=True) as server,
        client_of(server.url, session=session, timeouts=timeouts) as client,
    ):
        found = await asyncio.gather(*(archiving(client) for _ in range(4)))
    assert all(customer.is_archived for customer in found)


async def test_an_own_session_that_is_closed_meanwhile() -> None:
    """Sent requests are UNKNOWN, requests that wait in the pool were not sent, and none ends in a cancellation."""
    hang = Cut("request", "hang", applied=True)
    async with (
        FaultServer([hang]) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        client_of(server.url, session=session) as client,
    ):
        calls = [asyncio.create_task(failure(archiving(client), kind)) for kind in (ConnectionLostError, ConnectError)]
        await server.until(lambda: server.applied == 1)
        await asyncio.sleep(0)
        await session.close()
        sent, waiting = await asyncio.gather(*calls)
        assert (sent.effect, waiting.effect) == (Effect.UNKNOWN, Effect.NOT_APPLIED)
        await failure(archiving(client), ClientStateError)


async def test_an_own_session_whose_waiters_are_cancelled() -> None:
    """A caller's cancellation stays one, also while the session closes."""
    hang = Cut("request", "hang", applied=True)
    async with (
        FaultServer([hang]) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        client_of(server.url, session=session) as client,
    ):
        first, second = (asyncio.create_task(_coroutine(archiving(client))) for _ in range(2))
        await server.until(lambda: server.applied == 1)
        await asyncio.sleep(0)
        second.cancel()
        await session.close()
        await asyncio.wait([first, second])
        assert second.cancelled()
        assert isinstance(first.exception(), ConnectionLostError)


async def _coroutine(call: Any) -> Any:
    return await call


async def test_an_own_session_that_cannot_connect(session: aiohttp.ClientSession) -> None:
    """`Timeouts.connect` bounds connecting in the caller's session too."""
    with ports.unanswered() as url:
        error = await ending(url, RequestTimeoutError, session=session, timeouts=Timeouts(connect=0.05, deadline=2.0))
    assert (error.phase, error.effect) == ("connect", Effect.NOT_APPLIED)


async def test_an_own_session_whose_middleware_tries_again() -> None:
    """A request that was sent once may have been applied, however its second attempt ended."""

    async def again(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        try:
            return await handler(request)
        except aiohttp.ClientError:
            raise aiohttp.ConnectionTimeoutError from None

    async with (
        aiohttp.ClientSession(middlewares=(again,)) as session,
        FaultServer([Cut("request", "rst", applied=True)]) as server,
    ):
        error = await ending(server.url, ConnectionLostError, session=session)
    assert error.effect is Effect.UNKNOWN


@pytest.mark.parametrize("when", ["on_request_start", "on_request_end"])
async def test_an_own_session_whose_trace_breaks(when: str) -> None:
    """Whatever a session's hooks raise, the error tells whether the request had left."""

    async def breaks(*_: object) -> None:
        raise RuntimeError("secret")

    trace = aiohttp.TraceConfig()
    getattr(trace, when).append(breaks)
    sent = when == "on_request_end"
    async with aiohttp.ClientSession(trace_configs=[trace]) as session, FaultServer([Healthy()]) as server:
        error = await ending(server.url, ConnectionLostError if sent else ConnectError, session=session)
        assert server.applied == sent
    assert error.effect is (Effect.UNKNOWN if sent else Effect.NOT_APPLIED)
    assert "secret" not in str(error)


# Proxies


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_sees_nothing_of_this_machine(scheme: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an API on this machine there is no proxy: plain http would show it the token."""
    async with FaultServer() as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        for settings in ({"proxy": proxy.url}, {"trust_env": True}):
            async with client_of(f"{scheme}://{host}:9", retry=ONCE, **settings) as client:
                await failure(archiving(client), ConnectError)
        assert proxy.connections == 0


async def test_a_proxy_that_refuses_to_connect() -> None:
    """A 407 to CONNECT: no connection, nothing sent, and the token never left."""
    async with FaultServer([faults.proxy_refusal()]) as proxy:
        url = proxy.url.replace("//", "//user:secret-password@")
        error = await ending(f"https://{NAME}", ConnectError, proxy=url, retry=RetryPolicy())
        (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", f"{NAME}:443")
    assert request.header("Authorization") is None
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, False, 1)
    assert str(error) == "no connection: the proxy answered 407"
    assert "secret-password" not in f"{vars(error)}"


async def test_a_proxy_that_is_away() -> None:
    """If the proxy is not there, nothing was sent, and a retry may succeed."""
    with ports.refused() as url:
        error = await ending(f"https://{NAME}", ConnectError, proxy=url)
    assert (error.effect, error.transient) == (Effect.NOT_APPLIED, True)


@pytest.mark.parametrize(
    ("trust_env", "no_proxy", "through"),
    [(True, "", True), (True, NAME, False), (True, "*", False), (False, "", False)],
)
async def test_a_proxy_from_the_environment(
    trust_env: bool, no_proxy: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is used if the client trusts the environment, and NO_PROXY does not name the host."""

    async def resolve(*_: Any, **__: Any) -> Any:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
    async with FaultServer([faults.proxy_refusal()]) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", no_proxy)
        error = await ending(f"https://{NAME}", ConnectError, trust_env=trust_env)
        assert [request.target for request in proxy.requests] == [f"{NAME}:443"] * through
    assert ("the proxy answered 407" in str(error)) is through


@pytest.mark.parametrize("way", ["trust_env", "proxy"])
async def test_an_own_session_with_a_proxy_for_plain_http(way: str) -> None:
    """A session that would send a plain request, and so the token, to a proxy is refused at once."""
    options: dict[str, Any] = {"trust_env": True} if way == "trust_env" else {"proxy": "http://proxy.example:3128"}
    async with aiohttp.ClientSession(**options) as session:
        with pytest.raises(ConfigurationError, match="must have no proxy and no trust_env for plain http"):
            client_of("http://127.0.0.1:9", session=session)


async def test_netrc_is_never_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A netrc entry for the host would collide with the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret-password\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with FaultServer([Healthy()]) as server, client_of(server.url, trust_env=True) as client:
        await archiving(client)
        assert server.requests[0].header("Authorization") == "Bearer secret-token"


# The client's own session


async def test_one_session_and_no_cookies() -> None:
    """Connections are reused, and a server's cookies are not sent back."""
    baking = Answer.json(200, bodies.archived, {"Set-Cookie": "session=1; Path=/"})
    async with FaultServer([baking, baking]) as server, client_of(server.url) as client:
        await archiving(client)
        await archiving(client)
        assert server.connections == 1
        assert [request.header("Cookie") for request in server.requests] == [None, None]


async def test_what_is_sent() -> None:
    """The request has the documented headers, each once, and the body with its length."""
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        await archiving(client, idempotency_key="key-1", headers={"X-Trace": "abc"})
        (request,) = server.requests
    names = [name.lower() for name, _ in request.headers]
    assert len(set(names)) == len(names)
    assert request.target == f"{PATH}archive/"
    assert request.json() == body()
    assert request.header("Content-Length") == str(len(request.body))
    expected = {
        "Authorization": "Bearer secret-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Idempotency-Key": "key-1",
        "X-Trace": "abc",
        "User-Agent": f"thredfi-async/{__version__}",
    }
    assert {name: request.header(name) for name in expected} == expected


async def test_an_idle_transport_closes() -> None:
    """A transport that never sent anything can be closed."""
    async with leaving_nothing():
        await AiohttpTransport(bounded(1)).aclose()


def test_secrets_are_not_in_the_options() -> None:
    """The repr does not show the proxy's URL, which may contain a password."""
    options = TransportOptions(timeouts=PATIENCE, max_connections=1, max_body_bytes=1, proxy="http://u:secret@host")
    assert "secret" not in repr(options)


def test_a_body_can_be_read_again() -> None:
    """A body can be decoded, which aiohttp may do, as for a signature."""
    made = _Body(b"caf\xc3\xa9", mock.Mock())
    assert made.decode() == "café"
    assert made.size == 5
