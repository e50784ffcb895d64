"""`tls://` is TLS before the first byte of a login, with a real server and with others that want it otherwise."""

import socket
import ssl
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from clocks import FakeClock
from fakenats import FakeNats
from helpers import leaving_nothing, until
from natsserver import NatsServer
from workerpark import TOPOLOGY

from thredfi_async import ConfigurationError
from thredfi_async.worker import BrokerError, NatsSettings
from thredfi_async.worker.broker import connected
from thredfi_async.worker.streams import ensure_streams

LOGIN: dict[str, Any] = {"user": "jane", "password": "s3cret"}


@dataclass
class Files:
    """An authority, and what it signed, as files."""

    ca: Path
    server: Path
    client: Path
    key: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return a CA's file, a server's certificate for 127.0.0.1, and a client's certificate and key."""
    authority = trustme.CA()
    found = Files(tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "client.pem", tmp_path / "client.key")
    authority.cert_pem.write_to_path(found.ca)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(found.server)
    client = authority.issue_cert("worker@nats.example")
    client.cert_chain_pems[0].write_to_path(found.client)
    client.private_key_pem.write_to_path(found.key)
    return found


@contextmanager
def with_tls(folder: Path, files: Files, *, more: str = "", offered: bool = False) -> Generator[NatsServer]:
    """Run a server with TLS and a login; `offered`: it takes clients without TLS too."""
    text = (
        f'tls {{ cert_file: "{files.server}", key_file: "{files.server}", ca_file: "{files.ca}"{more} }}\n'
        "authorization { user: jane, password: s3cret }\n"
    )
    path = folder / "nats.conf"
    path.write_text(text + ("allow_non_tls: true\n" if offered else ""))
    with NatsServer(folder, "-c", str(path)) as server:
        yield server


def context_of(files: Files) -> ssl.SSLContext:
    """Return a server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.server)
    return context


def tls(url: str) -> str:
    """Return the URL for TLS."""
    return url.replace("nats://", "tls://")


async def refusal(**settings: Any) -> str:
    """Return why a connection cannot be made."""
    with pytest.raises(BrokerError) as caught:
        async with leaving_nothing(), connected(NatsSettings(**settings), within=0.5):
            pytest.fail("it cannot be")
    return str(caught.value)


@pytest.mark.parametrize("offered", [False, True], ids=["required", "offered"])
async def test_a_server_with_tls(tmp_path: Path, files: Files, offered: bool) -> None:
    """With the CA, TLS is up, also where the server would do without."""
    with with_tls(tmp_path, files, offered=offered) as server:
        async with connected(NatsSettings(url=tls(server.url), ca_file=files.ca, **LOGIN)) as broker:
            assert broker.connection.client.is_encrypted
            await ensure_streams(broker, TOPOLOGY)
            server.restart()
            await until(lambda: not broker.is_connected)
            await until(lambda: broker.is_connected, within=20)
            assert broker.connection.client.is_encrypted


async def test_a_client_certificate(tmp_path: Path, files: Files) -> None:
    """A server that wants a client certificate gets it; without it, the error says which settings."""
    with with_tls(tmp_path, files, more=", verify: true") as server:
        settings: dict[str, Any] = {"url": tls(server.url), "ca_file": files.ca, **LOGIN}
        async with connected(NatsSettings(**settings, certificate_file=files.client, key_file=files.key)) as broker:
            assert broker.is_connected
        assert "client certificate" in await refusal(**settings)


async def test_a_certificate_that_is_not_trusted(tmp_path: Path, files: Files) -> None:
    """The error says what is wrong with the certificate, and the setting."""
    with with_tls(tmp_path, files) as server:
        why = await refusal(url=tls(server.url), **LOGIN)
    assert "the server's certificate is not trusted: unable to get local issuer certificate" in why
    assert "THREDFI_NATS_CA" in why
    assert "Operation not permitted" not in why


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")  # nats-py gives it
@pytest.mark.parametrize("encrypted", [False, True], ids=["ws", "wss"])
async def test_a_server_by_websocket(tmp_path: Path, files: Files, encrypted: bool) -> None:
    """A server is reached by WebSocket too, and what is wrong with its certificate is said as without it."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    how = f'tls {{ cert_file: "{files.server}", key_file: "{files.server}" }}' if encrypted else "no_tls: true"
    configuration = tmp_path / "nats.conf"
    configuration.write_text(f'websocket {{ host: "127.0.0.1", port: {port}, {how} }}')
    with NatsServer(tmp_path, "-c", str(configuration)):
        url = f"{'wss' if encrypted else 'ws'}://127.0.0.1:{port}"
        settings: dict[str, Any] = {"url": url, "ca_file": files.ca if encrypted else None}
        async with connected(NatsSettings(**settings)) as broker:
            assert broker.connection.client.is_encrypted is encrypted
            await ensure_streams(broker, TOPOLOGY)
        if encrypted:
            assert "the server's certificate is not trusted: unable to get local issuer" in await refusal(url=url)


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")  # nats-py gives it
@pytest.mark.parametrize(("scheme", "what"), [("ws", "WebSocket"), ("wss", "TLS")])
async def test_a_server_without_websocket(scheme: str, what: str) -> None:
    """A server that speaks NATS's own protocol is told, and no session is left behind."""
    async with FakeNats() as server:
        why = await refusal(url=server.url.replace("nats", scheme))
    # The server speaks first, so that the request may be too late.
    assert why.endswith((f": the server does not speak {what} on this port", ": Cannot write to closing transport"))


async def test_a_certificate_for_another_host(tmp_path: Path, files: Files) -> None:
    """The host is checked too."""
    with with_tls(tmp_path, files) as server:
        why = await refusal(url=f"tls://localhost:{server.port}", ca_file=files.ca, **LOGIN)
    assert "certificate is not valid for 'localhost'" in why


@pytest.mark.parametrize("greeting", [{}, {"auth_required": True}, {"tls_required": False, "tls_available": False}])
async def test_a_server_without_tls_gets_no_login(greeting: dict[str, Any]) -> None:
    """A server that offers no TLS, as one in the middle would, gets not a byte of the login."""
    async with FakeNats(info=greeting) as server:
        why = await refusal(url=tls(server.url), **LOGIN)
    assert "offers no TLS, which its URL asks for: no login was sent" in why
    assert server.connects == []


async def test_a_server_that_lies_about_tls(files: Files) -> None:
    """A server that promises TLS and speaks none gets no login."""
    async with FakeNats(info={"tls_required": True}) as server:
        why = await refusal(url=tls(server.url), ca_file=files.ca, **LOGIN)
    assert server.connects == []
    assert "TLS" in why or "no answer in time" in why


async def test_a_reconnect_to_a_server_without_tls(files: Files, clock: FakeClock) -> None:
    """The next connection needs TLS as the first one did: what comes back without it gets no login."""
    context = context_of(files)
    info = {"tls_required": True, "auth_required": True}
    async with FakeNats(None, info=info, tls=context) as good:
        settings = NatsSettings(url=tls(good.url), ca_file=files.ca, **LOGIN)
        async with connected(settings, clock=clock, within=None) as broker:
            await until(lambda: len(good.connects) == 1)
            good.info, good.tls = {}, None
            await until(lambda: good.accepted >= 3)
            assert any("offers no TLS" in trouble for trouble in broker.troubles)
            assert len(good.connects) == 1


async def test_a_server_that_is_told_of(files: Files, clock: FakeClock) -> None:
    """A server that another one tells of is held to TLS too, and gets no login without it."""
    async with FakeNats(info={"auth_required": True}) as plain:
        info = {"tls_required": True, "auth_required": True, "connect_urls": [f"127.0.0.1:{plain.port}"]}
        async with FakeNats(None, info=info, tls=context_of(files)) as good:
            settings = NatsSettings(url=tls(good.url), ca_file=files.ca, **LOGIN)
            async with connected(settings, clock=clock, within=None):
                await until(lambda: len(good.connects) == 1)
                good.info, good.tls = {}, None
                await until(lambda: plain.accepted >= 2)
                assert plain.connects == []


async def test_the_handshake_comes_first(files: Files) -> None:
    """With `tls_handshake_first`, TLS is up before the server's first line."""
    async with FakeNats(tls=context_of(files), tls_first=True) as server:
        settings = NatsSettings(url=tls(server.url), tls_handshake_first=True, ca_file=files.ca, **LOGIN)
        async with connected(settings) as broker:
            assert broker.connection.client.is_encrypted


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"url": "nats://broker.example", "user": "u", "password": "p"}, "the password for NATS would go to broker"),
        ({"url": "nats://broker.example", "token": "t"}, "the token for NATS would go to broker.example in clear"),
        ({"url": "ws://broker.example", "token": "t"}, "use wss://, or --allow-plaintext"),
        ({"url": "nats://u:p@broker.example"}, "the password for NATS would go to broker.example in clear: use tls://"),
        ({"url": "nats://a,tls://b"}, "the URLs of NATS must all begin alike, not with nats:// and tls://"),
        ({"url": "nats://a,ws://b"}, "the URLs of NATS must all begin alike, not with nats:// and ws://"),
        ({"url": "nats://a", "ca_file": "x"}, "settings for TLS need a URL that asks for it, like tls://host:4222"),
        ({"url": "tls://a", "key_file": "x"}, "a private key needs its client certificate"),
        ({"url": "wss://a", "tls_handshake_first": True}, "with wss:// the TLS handshake always comes first"),
    ],
)
def test_settings_that_would_not_be_secure(settings: dict[str, Any], sentence: str) -> None:
    """A secret in clear to another machine, mixed URLs, and TLS without TLS are refused in a sentence."""
    with pytest.raises(ConfigurationError) as caught:
        NatsSettings(**settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "nats://127.0.0.1", **LOGIN},
        {"url": "nats://localhost", **LOGIN},
        {"url": "nats://[::1]", **LOGIN},
        {"url": "tls://broker.example", **LOGIN},
        {"url": "nats://broker.example", "allow_plaintext": True, **LOGIN},
        {"url": "nats://broker.example", "credentials_file": "x.creds"},
    ],
)
def test_settings_that_keep_a_secret(settings: dict[str, Any]) -> None:
    """To this machine, with TLS, where plaintext is allowed, and with logins that send no secret, all is well."""
    assert NatsSettings(**settings).servers


def test_tls_from_the_environment() -> None:
    """Variables name the files, and whether the handshake comes first."""
    environment = {
        "THREDFI_NATS_URL": "tls://a",
        "THREDFI_NATS_CA": "ca.pem",
        "THREDFI_NATS_CERT": "c.pem",
        "THREDFI_NATS_KEY": "k.pem",
        "THREDFI_NATS_TLS_FIRST": "1",
    }
    settings = NatsSettings.from_env(environment)
    found = (settings.ca_file, settings.certificate_file, settings.key_file, settings.tls_handshake_first)
    assert found == (Path("ca.pem"), Path("c.pem"), Path("k.pem"), True)
    with pytest.raises(ConfigurationError, match="THREDFI_NATS_TLS_FIRST must be 1 or 0"):
        NatsSettings.from_env({"THREDFI_NATS_TLS_FIRST": "maybe"})
