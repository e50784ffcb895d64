"""Through a proxy to an API with a company's own certificate, from end to end: one call, a bulk run, a worker."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from connect_proxy import ConnectProxy, tunnel_to
from faultserver import FaultServer, Healthy
from faultserver.certificates import authority_pem
from natsserver import NatsServer
from workerpark import left, outcomes, publish, queue

from thredfi_async.worker import ArchiveCommand

API = "https://api.example"
IDS = [UUID(int=number, version=4) for number in range(1, 4)]
CLEAN = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and "THREDFI" not in name}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the certificate and a file of three customers."""
    (tmp_path / "ca.pem").write_bytes(authority_pem())
    (tmp_path / "c.csv").write_text("business_id,customer_id\n" + "".join(f"{each},{each}\n" for each in IDS))
    return tmp_path


@asynccontextmanager
async def api() -> AsyncGenerator[tuple[FaultServer, ConnectProxy]]:
    """A healthy API behind TLS, and a proxy in front of it."""
    async with (
        FaultServer([Healthy()], repeat_last=True, tls="good") as server,
        tunnel_to(urlsplit(server.url).port or 0) as proxy,
    ):
        yield server, proxy


async def started(folder: Path, *argv: str, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a command."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "thredfi_async",
        *argv,
        "--base-url",
        API,
        "--ca-file",
        "ca.pem",
        cwd=folder,
        env={**CLEAN, "THREDFI_TOKEN": "t", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


ONE = ["archive", str(IDS[0]), str(IDS[0])]
BULK = ["bulk", "archive", "c.csv", "--journal", "run.db", "--yes"]


@pytest.mark.parametrize(("argv", "count"), [(ONE, 1), (BULK, 3)], ids=["archive", "bulk"])
@pytest.mark.parametrize("by_option", [True, False])
async def test_commands(folder: Path, argv: list[str], count: int, by_option: bool) -> None:
    """The option and the variable lead through the proxy, and the certificate of the file is trusted behind it."""
    async with api() as (server, proxy):
        more, env = (["--proxy", proxy.url], {}) if by_option else ([], {"HTTPS_PROXY": proxy.url})
        process = await started(folder, *argv, *more, env=env)
        _, err = await process.communicate()
        assert (process.returncode, err.decode().count("error")) == (0, 0)
        assert set(proxy.targets) == {"CONNECT api.example:443"}
        assert len(server.applied_requests) == count


@pytest.mark.parametrize("by_option", [True, False])
async def test_a_worker(folder: Path, nats_server: NatsServer, by_option: bool) -> None:
    """A worker's calls take the same way, and its connection to NATS does not."""
    async with api() as (server, proxy), queue(nats_server) as broker:
        await publish(broker, [(str(each), ArchiveCommand(each, each).to_json()) for each in IDS])
        more, env = (["--proxy", proxy.url], {}) if by_option else ([], {"HTTPS_PROXY": proxy.url})
        process = await started(
            folder, "worker", "--no-health", *more, env={**env, "THREDFI_NATS_URL": nats_server.url}
        )
        until = time.monotonic() + 30
        while await left(broker) and time.monotonic() < until:
            pass
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
        assert process.returncode == 0, err
        assert set(proxy.targets) == {"CONNECT api.example:443"}
        assert len(server.applied_requests) == len(IDS) == len(await outcomes(broker))


async def test_no_proxy_is_heeded(folder: Path) -> None:
    """A host in NO_PROXY is reached without the proxy, or not at all."""
    async with api() as (_, proxy):
        env = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "api.example"}
        process = await started(folder, *ONE, "--timeout", "1s", env=env)
        _, err = await process.communicate()
        assert (process.returncode, proxy.targets) == (1, [])
        assert b"was not reached" in err
