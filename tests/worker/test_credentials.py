"""Logins by `.creds` files and nkeys on a real server, and files that are not what they should be."""

import os
import time
from pathlib import Path

import pytest
from helpers import until
from natslogins import Login, Operator
from natsserver import NatsServer
from workerpark import TOPOLOGY

from thredfi_async import ConfigurationError
from thredfi_async.worker import BrokerError, NatsSettings
from thredfi_async.worker.broker import connected
from thredfi_async.worker.credentials import read_creds, read_seed, tls_context
from thredfi_async.worker.streams import ensure_streams


def configured(folder: Path, text: str) -> NatsServer:
    """Return a server with this configuration."""
    path = folder / "nats.conf"
    path.write_text(text)
    return NatsServer(folder, "-c", str(path))


async def test_a_creds_file(tmp_path: Path) -> None:
    """The user's JWT and seed in a `.creds` file log in, and streams can be made."""
    operator = Operator()
    with configured(tmp_path, operator.configuration()) as server:
        creds = operator.creds(tmp_path / "worker.creds")
        async with connected(NatsSettings(url=server.url, credentials_file=creds)) as broker:
            await ensure_streams(broker, TOPOLOGY)


async def test_a_creds_file_of_another_operator(tmp_path: Path) -> None:
    """A login that the server does not know is refused, and nothing of it is told."""
    with configured(tmp_path, Operator().configuration()) as server:
        creds = Operator().creds(tmp_path / "worker.creds")
        with pytest.raises(BrokerError, match="Authorization Violation") as caught:
            async with connected(NatsSettings(url=server.url, credentials_file=creds)):
                pytest.fail("it cannot be")
    assert "eyJ" not in str(caught.value)


async def test_a_login_that_expires_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the login expires, the file is read again: a renewed one is used without a restart."""
    operator = Operator()
    with configured(tmp_path, operator.configuration()) as server:
        creds = operator.creds(tmp_path / "worker.creds", expires=time.time() + 2)
        async with connected(NatsSettings(url=server.url, credentials_file=creds)) as broker:
            await until(lambda: not broker.is_connected, within=30)
            assert "user authentication expired" in caplog.text
            operator.creds(creds)
            await until(lambda: broker.is_connected, within=30)


async def test_an_nkey(tmp_path: Path) -> None:
    """A user's nkey seed in a file logs in."""
    login = Login.make()
    (tmp_path / "worker.nk").write_text(login.seed + "\n")
    with configured(tmp_path, f"authorization: {{ users: [ {{ nkey: {login.public} }} ] }}\n") as server:
        async with connected(NatsSettings(url=server.url, nkey_file=tmp_path / "worker.nk")) as broker:
            await ensure_streams(broker, TOPOLOGY)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no .creds file: it must hold a user's JWT and nkey seed"),
        ("-----BEGIN NATS USER JWT-----\n", "is no .creds file"),
        ("-----BEGIN NATS USER JWT-----\nx.y.z\n-----BEGIN USER NKEY SEED-----\nSUABC\n", "holds no valid nkey seed"),
    ],
)
def test_a_file_that_is_no_creds_file(tmp_path: Path, text: str, problem: str) -> None:
    """A `.creds` file without its parts is refused with its name; nats-py would read it for ever."""
    path = tmp_path / "worker.creds"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        read_creds(path)
    assert str(caught.value).startswith(str(path))
    assert "SUABC" not in str(caught.value)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """What would keep a worker waiting at its next connection is refused, for each kind of file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = "pipe is a pipe or a device: name a file, which is read again"
    for read in (read_creds, read_seed):
        with pytest.raises(ConfigurationError, match=said):
            read(pipe)
    for files in ((pipe, None, None), (None, pipe, None), (None, tmp_path, pipe)):
        with pytest.raises(ConfigurationError, match=said):
            tls_context(*files)


def test_a_seed_that_is_none(tmp_path: Path) -> None:
    """A file without a user's seed is refused, and what it holds is not told."""
    path = tmp_path / "worker.nk"
    path.write_text("s3cret")
    with pytest.raises(ConfigurationError, match="holds no valid nkey seed of a user, which begins with SU") as caught:
        read_seed(path)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_seed(tmp_path / "missing")


def test_files_for_tls_that_are_none(tmp_path: Path) -> None:
    """A CA or a certificate that cannot be used is refused with its name and what it must be."""
    path = tmp_path / "x.pem"
    path.write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"x\.pem must hold a CA's certificate as PEM"):
        tls_context(path, None, None)
    with pytest.raises(ConfigurationError, match=r"x\.pem must hold a certificate and its private key as PEM, without"):
        tls_context(None, path, None)
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing: No such file"):
        tls_context(tmp_path / "missing", None, None)
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing: No such file"):
        tls_context(None, tmp_path / "missing", None)
