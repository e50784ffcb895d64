"""Each fault does what it says: checked with plain streams, and a few with a bare aiohttp session."""

import asyncio
import contextlib
import gzip
import importlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from compat import PARSES_IN_PYTHON, zstd
from faultserver import (
    Answer,
    AnswerPoint,
    Cut,
    Encoding,
    Endless,
    FaultServer,
    Healthy,
    Point,
    Request,
    Routes,
    Step,
    bodies,
    faults,
    ports,
)
from faultserver.certificates import Certificate, client_context
from faultserver.content_encoding import MIB, bomb, encode

CUSTOMER = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
GET_PATH = f"/v1/platform/businesses/33333333-3333-4333-8333-333333333333/customers/{CUSTOMER}/"
PATH = f"{GET_PATH}archive/"
BODY = b'{"notes": "' + b"x" * 100 + b'"}'
REQUEST = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
POINTS: tuple[Point, ...] = ("accept", "bytes", "headers", "request")

brotli: Any = importlib.import_module("brotli")  # it has no types

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(server: FaultServer) -> AsyncGenerator[Streams]:
    """Open plain streams to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange(step: Step, request: bytes = REQUEST) -> bytes:
    """Return all that is received for one request; the client's own FIN ends connections that are kept open."""
    async with FaultServer([step]) as server, connected(server) as (reader, writer):
        writer.write(request)
        writer.write_eof()
        return await reader.read()


async def body_of(step: Step) -> bytes:
    """Return the body as sent, of an answer that gives its length."""
    head, _, body = (await exchange(step)).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return body


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    """Open an aiohttp session with default settings."""
    async with aiohttp.ClientSession() as made:
        yield made


# Cuts


@pytest.mark.parametrize("at", POINTS)
async def test_rst_is_a_reset(at: Point) -> None:
    """RST at any point of the request is seen as a reset connection."""
    with pytest.raises(ConnectionResetError):
        await exchange(Cut(at, "rst"))


@pytest.mark.parametrize("at", POINTS)
async def test_fin_is_an_end(at: Point) -> None:
    """FIN at any point of the request is seen as the end of the stream, without a byte before it."""
    async with FaultServer([Cut(at, "fin")]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.read() == b""
        await server.until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("at", POINTS)
async def test_half_close_still_takes_bytes(at: Point) -> None:
    """After the FIN of a half-close the server still reads what the client sends, until the client closes too."""
    async with FaultServer([Cut(at, "half-close")]) as server:
        async with connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.read() == b""
            for _ in range(10):
                writer.write(b"x" * MIB)
                await writer.drain()
            assert server.open_connections == 1
        await server.until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("at", POINTS)
async def test_hang_never_answers(at: Point) -> None:
    """A hanging server reads the request and sends nothing."""
    async with FaultServer([Cut(at, "hang")]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await reader.read(1)
        assert server.open_connections == 1


@pytest.mark.parametrize(("at", "seen"), [("accept", []), ("bytes", []), ("headers", [b""]), ("request", [BODY])])
async def test_a_cut_has_read_only_so_far(at: Point, seen: list[bytes]) -> None:
    """The server knows of a request only what it had read before it cut."""
    async with FaultServer([Cut(at, "fin")]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        await reader.read()
        assert [request.body for request in server.requests] == seen


async def test_reset_after_applying_is_counted() -> None:
    """A request can be applied although its answer is lost."""
    async with (
        FaultServer([Cut("request", "rst", applied=True)]) as server,
        connected(server) as (reader, writer),
    ):
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert (server.applied, server.applied_ids) == (1, {CUSTOMER})


async def test_idle_connection_reset_as_a_request_arrives() -> None:
    """A keep-alive connection can end at the first bytes of its second request."""
    async with FaultServer([Healthy(), Cut("bytes", "rst")]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert (server.connections, len(server.requests)) == (1, 1)


def test_only_a_whole_request_can_be_applied() -> None:
    """A script that applies an unread request is refused."""
    with pytest.raises(ValueError, match="applied"):
        Cut("headers", applied=True)


# Answers


@pytest.mark.parametrize(
    ("at", "end"), [("status", b"HTTP/1.1 20"), ("headers", b"Content-Length"), ("body", b"half a ")]
)
async def test_answers_are_cut(at: AnswerPoint, end: bytes) -> None:
    """An answer can stop within its status line, its headers or its body."""
    answer = Answer.content(200, b"half a body...")
    full = await exchange(answer)
    cut = await exchange(answer.cut(at))
    assert full.startswith(cut)
    assert cut.endswith(end)


async def test_what_came_before_a_reset_can_be_read() -> None:
    """Bytes sent before an RST arrive, and then the reset."""
    step = faults.good().cut("body", "rst", keep=5)
    async with FaultServer([step]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(5) == b'{"typ'
        with pytest.raises(ConnectionResetError):
            await reader.read()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (faults.garbage_status_line(), b"HTTP/1.1 two-hundred fine\r\nContent-Type"),
        (faults.no_content_with_body(), b"HTTP/1.1 204 No Content\r\n"),
        (
            faults.informational(),
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200",
        ),
        (
            faults.redirect(307, "/elsewhere/"),
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere/\r\n",
        ),
        (faults.proxy_refusal(), b"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n"),
        (faults.bad_chunk_size(), b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding"),
        (faults.html(599), b"HTTP/1.1 599 Unknown\r\nContent-Type: text/html\r\n"),
    ],
)
async def test_what_answers_begin_with(step: Step, expected: bytes) -> None:
    """Malformed and unusual answers begin with the expected bytes."""
    answer = await exchange(step)
    assert answer.startswith(expected)
    assert len(answer) > len(expected)


async def test_lengths_lie() -> None:
    """Two lengths differ, and one length exceeds the body."""
    assert (await exchange(faults.two_lengths())).count(b"Content-Length") == 2
    head, _, body = (await exchange(faults.length_beyond_body(7))).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body) + 7}".encode() in head


async def test_chunks_are_missing() -> None:
    """A chunked body lacks part of a chunk, or only its end."""
    whole = await exchange(Answer.json(200, bodies.archived, framing="chunked"))
    assert whole.endswith(b"}\r\n0\r\n\r\n")
    assert (await exchange(faults.chunks_cut_short(whole_body=True))) + b"0\r\n\r\n" == whole
    assert not (await exchange(faults.chunks_cut_short())).endswith(b"}\r\n")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (faults.byte_order_mark(), b"\xef\xbb\xbf{"),
        (faults.charset("utf-8", "utf-16"), b"\xff\xfe{\0"),
        (faults.invalid_utf8(), b'"notes": "caf\xe9 \xff\xfe"'),
        (faults.huge_number(), b'"credit_limit_cents": ' + b"9" * 5000 + b","),
        (faults.not_a_number(), b'"outstanding_balance": NaN'),
        (faults.deep_nesting(), b'"metadata": ' + b"[" * 100_000 + b"]" * 100_000),
        (faults.literal(), b"null"),
        (faults.mislabelled_encoding("gzip"), b'"is_archived": true'),
    ],
)
async def test_bad_content(step: Step, expected: bytes) -> None:
    """Bodies that are nearly JSON arrive exactly, with correct framing."""
    assert expected in await body_of(step)


async def test_empty_body_and_headers_by_the_thousand() -> None:
    """An answer can have no body, a header of a MiB, or very many headers."""
    assert await body_of(faults.literal(b"")) == b""
    assert len(await exchange(faults.huge_header())) > MIB
    assert (await exchange(faults.many_headers(5000))).count(b": x\r\n") == 5000


@pytest.mark.parametrize("step", [faults.endless_body(), faults.endless_headers()])
async def test_endless_until_the_client_has_had_enough(step: Endless) -> None:
    """An endless answer continues for as long as it is read, and ends with the connection."""
    async with FaultServer([step]) as server:
        async with connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert len(await reader.readexactly(MIB)) == MIB
        await server.until(lambda: server.open_connections == 0)


async def test_dripped_bytes_come_one_by_one() -> None:
    """A dripped answer arrives completely, in many pieces."""
    step = Answer.content(200, b"drop").drip(pause=0.0005)
    async with FaultServer([step]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        pieces = [await reader.read(1000)]
        while not b"".join(pieces).endswith(b"drop"):
            pieces.append(await reader.read(1000))
        assert len(pieces) > 5


async def test_held_answer_waits_for_the_test() -> None:
    """An answer with a gate is sent when the gate opens, and not before."""
    gate = asyncio.Event()
    async with (
        FaultServer([faults.good().held(gate).applied()]) as server,
        connected(server) as (reader, writer),
    ):
        writer.write(REQUEST)
        await server.until(lambda: server.applied == 1)
        assert server.played == 0
        gate.set()
        assert await reader.read(8) == b"HTTP/1.1"


async def test_function_as_a_step() -> None:
    """A step can be a function that takes the request and returns raw bytes."""

    def echo(request: Request) -> bytes:
        return request.path.encode()

    async with FaultServer([echo]) as server, connected(server) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.readexactly(len(PATH)) == PATH.encode()


# Encodings


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 300_000])
def test_encodings_are_read_by_real_decoders(size: int) -> None:
    """Real decoders read the handwritten stored blocks."""
    body = (b"0123456789" * 30_000)[:size]
    assert gzip.decompress(encode("gzip", body)) == body
    assert brotli.decompress(encode("br", body)) == body
    assert zstd.decompress(encode("zstd", body)) == body


def test_bombs_are_small_and_become_large() -> None:
    """A bomb is well-formed, and hundreds to a hundred thousand times smaller than its content."""
    spaces = b" " * (16 * MIB)
    assert gzip.decompress(bomb("gzip", 16)) == spaces
    assert brotli.decompress(bomb("br", 16)) == spaces
    assert zstd.decompress(bomb("zstd", 16)) == spaces
    assert len(bomb("gzip")) < 300_000
    assert len(bomb("br")) < 10_000
    assert len(bomb("zstd")) < 10_000


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_aiohttp_decodes_them(session: aiohttp.ClientSession, encoding: Encoding) -> None:
    """A client decodes an encoded body, expands a bomb into megabytes, and accepts a truncated one as empty."""
    script: list[Step] = [
        faults.encoded(encoding),
        faults.decompression_bomb(encoding, 4),
        faults.truncated(encoding, 3 if encoding == "br" else 8),
    ]
    async with FaultServer(script) as server:
        async with session.post(server.url + PATH) as response:
            assert (await response.json())["id"] == CUSTOMER
        async with session.post(server.url + PATH) as response:
            assert len(await response.read()) == 4 * MIB
        async with session.post(server.url + PATH) as response:
            assert await response.read() == b""


async def test_gzip_without_its_checksum_is_accepted(session: aiohttp.ClientSession) -> None:
    """A gzip body without its trailer is decoded completely, and aiohttp does not report the missing checksum."""
    async with (
        FaultServer([faults.truncated("gzip", -8)]) as server,
        session.post(server.url + PATH) as response,
    ):
        assert (await response.json())["id"] == CUSTOMER


# aiohttp's behaviour


async def test_stray_answer_is_handed_to_the_next_request(session: aiohttp.ClientSession) -> None:
    """A stray answer is given to the next request (aio-libs/aiohttp#13656)."""
    async with FaultServer([faults.stray(OTHER), Healthy()]) as server:
        async with session.post(server.url + PATH) as response:
            assert (await response.json())["id"] == CUSTOMER
        await server.until(lambda: server.played == 1)
        async with session.post(server.url + PATH) as response:
            assert (await response.json())["id"] == OTHER


@pytest.mark.parametrize(
    "step",
    [
        faults.garbage_status_line(),
        pytest.param(
            faults.two_lengths(),
            marks=pytest.mark.skipif(PARSES_IN_PYTHON, reason="aiohttp's parser in Python accepts this"),
        ),
        faults.bad_chunk_size(),
    ],
)
async def test_malformed_answers_are_errors(session: aiohttp.ClientSession, step: Step) -> None:
    """A client that parses HTTP refuses these answers."""
    async with FaultServer([step]) as server:
        with pytest.raises(aiohttp.ClientError):
            async with session.post(server.url + PATH) as response:
                await response.read()


async def test_redirect_to_another_origin(session: aiohttp.ClientSession) -> None:
    """A client that follows a 307 posts again, to another origin."""
    async with (
        FaultServer([Healthy()]) as there,
        FaultServer([faults.redirect(307, there.url + PATH)]) as here,
    ):
        async with session.post(here.url + PATH, data=BODY) as response:
            assert response.status == 200
        assert [request.body for request in there.requests] == [BODY]


@pytest.mark.parametrize("target", ["http://example.invalid/", "https://example.invalid/"])
async def test_proxy_refuses_everything(session: aiohttp.ClientSession, target: str) -> None:
    """A proxy answers 407 to absolute-form and to CONNECT."""
    async with FaultServer([faults.proxy_refusal()]) as proxy:
        with contextlib.suppress(aiohttp.ClientHttpProxyError):
            async with session.get(target, proxy=proxy.url) as response:
                assert response.status == 407
        seen = ("GET", target) if target.startswith("http:") else ("CONNECT", "example.invalid:443")
        assert [(request.method, request.target) for request in proxy.requests] == [seen]


# TLS, and addresses without a server


async def test_tls_with_a_good_certificate(session: aiohttp.ClientSession) -> None:
    """TLS works, keeps the connection, and can be reset like any other."""
    async with FaultServer([Healthy(), Healthy(), Cut("request", "rst")], tls="good") as server:
        for _ in range(2):
            async with session.post(server.url + PATH, ssl=client_context(), data=BODY) as response:
                assert (await response.json())["is_archived"] is True
        with pytest.raises(aiohttp.ClientError):
            await session.post(server.url + PATH, ssl=client_context(), data=BODY)
        assert [request.body for request in server.requests] == [BODY] * 3


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("expired", "certificate has expired"),
        ("not-yet-valid", "certificate is not yet valid"),
        ("wrong-host", "IP address mismatch"),
        ("self-signed", "self-signed certificate"),
        ("unknown-authority", "unable to get local issuer certificate"),
    ],
)
async def test_bad_certificates(session: aiohttp.ClientSession, certificate: Certificate, reason: str) -> None:
    """Each bad certificate is refused for its own reason, and no request is sent."""
    async with FaultServer([Healthy()], tls=certificate) as server:
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match=reason):
            await session.get(server.url + GET_PATH, ssl=client_context())
        await server.until(lambda: server.open_connections == 0)
        assert (server.requests, server.tls_failures) == ([], 1)


async def test_plain_text_on_a_tls_port(session: aiohttp.ClientSession) -> None:
    """A handshake that is answered in plain HTTP fails as TLS."""
    async with FaultServer([faults.plain_text_on_tls_port()]) as server:
        with pytest.raises(aiohttp.ClientConnectorSSLError, match="SSL"):
            await session.get(server.https_url + GET_PATH, ssl=client_context())


async def test_refused_until_it_listens() -> None:
    """A bound port refuses connections; a server's own does so until it listens."""
    with ports.refused() as url, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    async with FaultServer([Healthy()], listening=False) as server:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
        server.listen()
        async with connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.read(8) == b"HTTP/1.1"


async def test_connecting_hangs_where_the_backlog_is_full() -> None:
    """A full backlog leaves a SYN unanswered."""
    with ports.unanswered() as url, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


# The server itself


async def test_healthy_server_remembers(session: aiohttp.ClientSession) -> None:
    """The healthy step archives, shows the customer as archived afterwards, and issues tokens."""
    async with FaultServer([Healthy()], repeat_last=True) as server:
        seen: list[object] = []
        for method, path in (("GET", GET_PATH), ("POST", PATH), ("GET", GET_PATH)):
            async with session.request(method, server.url + path) as response:
                customer = json.loads(await response.read())
                assert (len(customer), customer["id"]) == (34, CUSTOMER)
                seen.append(customer["is_archived"])
        assert seen == [False, True, True]
        async with session.post(f"{server.url}/v1/platform/oauth2/token/") as response:
            assert (await response.json())["token_type"] == "Bearer"
        async with session.get(f"{server.url}/elsewhere/") as response:
            assert response.status == 404


async def test_routes_have_scripts_of_their_own(session: aiohttp.ClientSession) -> None:
    """The POST and the GET that settles it can be answered by different scripts."""
    routes: Routes = {("POST", "/archive/"): [faults.html(502)], ("GET", "/"): [Healthy()]}
    async with FaultServer(routes=routes) as server:
        async with session.get(f"{server.url}{GET_PATH}?page=1") as response:
            assert response.status == 200
        async with session.post(server.url + PATH, headers={"X-Name": "value"}) as response:
            assert response.status == 502
        get, post = server.requests
        assert (get.target, get.path, post.header("x-name")) == (f"{GET_PATH}?page=1", GET_PATH, "value")
        assert get.arrived <= post.arrived
        assert (get.connection, post.connection, server.remaining) == (1, 1, 0)


def test_an_early_step_has_no_route() -> None:
    """A step that is played before there is a request cannot have a route."""
    with pytest.raises(ValueError, match="route"):
        FaultServer(routes={("GET", "/"): [Cut("accept")]})


async def test_a_request_too_many_fails_the_test() -> None:
    """A request beyond the script is reported when the server is left."""

    async def overrun() -> None:
        async with FaultServer() as server, connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert (await reader.read()).startswith(b"HTTP/1.1 418")

    with pytest.raises(AssertionError, match=f"no answer to POST {PATH}"):
        await overrun()


async def test_a_mistake_in_a_step_is_added_to_the_tests_own_error() -> None:
    """An error inside a step is raised, or added as a note to the test's own error."""

    def mistaken(request: Request) -> bytes:
        raise LookupError(request.method)

    async def fail(error: Exception | None) -> None:
        async with FaultServer([mistaken]) as server, connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.read() == b""
            if error is not None:
                raise error

    with pytest.raises(AssertionError, match="LookupError: POST"):
        await fail(None)
    with pytest.raises(KeyError) as caught:
        await fail(KeyError())
    assert caught.value.__notes__ == ["The fault server adds: LookupError: POST"]


async def test_nothing_is_left_behind() -> None:
    """Leaving the server ends hanging, dripping, endless and idle connections, and every task."""
    script: list[Step] = [Cut("accept", "hang"), Cut("request", "hang"), faults.endless_body(), Healthy()]
    script.append(faults.good().drip(pause=60))
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as clients:
        async with FaultServer(script) as server:
            streams = [await clients.enter_async_context(connected(server)) for _ in script]
            for _, writer in streams:
                writer.write(REQUEST)
            await server.until(lambda: len(server.requests) == len(script) - 1)
            assert server.open_connections == len(script)
        assert (server.open_connections, asyncio.all_tasks()) == (0, before)
