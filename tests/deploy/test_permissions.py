"""The permissions of each role are enough for what it does, and for nothing else, on a real server with accounts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import client_of, until
from natsserver import NatsServer
from workerpark import TOPOLOGY

from thredfi_async.bulk import ArchiveItem
from thredfi_async.bulk.journal import Journal
from thredfi_async.mock_server import MockServer
from thredfi_async.worker import BrokerError, NatsSettings, Worker, WorkerOptions
from thredfi_async.worker.broker import connected
from thredfi_async.worker.fanout import Collector, DistributedRun, Publisher
from thredfi_async.worker.streams import ensure_consumer, ensure_streams

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nats" / "permissions.conf"
ROLES = ("worker", "publisher", "collector", "admin")


@pytest.fixture
def nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """Run a server with the permissions that `deploy/` has."""
    monkeypatch.setenv("NATS_STORE", str(tmp_path / "store"))
    for role in ROLES:
        monkeypatch.setenv(f"NATS_{role.upper()}_PASSWORD", f"pass-{role}")
    with NatsServer(tmp_path, "-c", str(CONFIGURATION), jetstream=False) as server:
        yield server


def login(server: NatsServer, role: str) -> NatsSettings:
    """Return a role's settings."""
    return NatsSettings(url=server.url, user=role, password=f"pass-{role}")


async def test_each_role_can_do_its_work(nats: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The administrator makes the streams; then publisher, worker and collector carry a run from end to end."""
    async with connected(login(nats, "admin")) as broker:
        await ensure_streams(broker, TOPOLOGY)
        await ensure_consumer(broker, TOPOLOGY)
    async with MockServer(5) as server, client_of(server.url, token=server.token) as client:
        items = [ArchiveItem(each.business_id, each.customer_id) for each in server.customers[:4]]
        stranger = ArchiveItem(server.business_ids[0], "11111111-1111-4111-8111-111111111111")
        with Journal.open(tmp_path / "run.db", create=True) as journal:
            run = DistributedRun(journal, TOPOLOGY)
            async with connected(login(nats, "publisher")) as broker:
                await ensure_streams(broker, TOPOLOGY)
                publisher = Publisher(broker, TOPOLOGY)
                assert await publisher.publish([*items, stranger])
            worker = Worker(client, nats=login(nats, "worker"), options=WorkerOptions(poll=0.05))
            async with connected(login(nats, "collector")) as broker:
                working = asyncio.create_task(worker.run())
                await until(lambda: worker.metrics.value("outcomes_total", state="rejected") == 1, within=20)
                await until(lambda: worker.in_flight == 0, within=20)
                collector = Collector(broker, TOPOLOGY, run)
                await collector.collect()
                worker.stop()
                await working
            assert collector.read == 5
    assert "denie" not in caplog.text
    assert "ermissions violation" not in caplog.text


@pytest.mark.parametrize(
    ("role", "subject"),
    [
        ("publisher", TOPOLOGY.dead_subject),
        ("collector", TOPOLOGY.subject),
        ("worker", TOPOLOGY.subject),
        ("collector", "$JS.API.STREAM.PURGE.THREDFI"),
        ("worker", "$JS.API.STREAM.DELETE.THREDFI"),
        ("publisher", "$JS.API.STREAM.MSG.GET.THREDFI"),
    ],
)
async def test_no_role_can_do_more(nats: NatsServer, role: str, subject: str) -> None:
    """What a role has no business with is denied, and the connection says so."""
    async with connected(login(nats, role)) as broker:
        await broker.connection.publish(subject, b"{}")
        await until(lambda: bool(broker.troubles), within=10)
        assert f'permissions violation for publish to "{subject.lower()}"' in broker.troubles[0]


async def test_without_streams_a_worker_says_what_is_missing(nats: NatsServer) -> None:
    """A worker that may not make streams names the denied permission when they are missing."""
    async with connected(login(nats, "worker")) as broker:
        broker.request_seconds = 0.3
        with pytest.raises(BrokerError, match=r"stream THREDFI, and .* for publish to .*stream\.create") as caught:
            await ensure_streams(broker, TOPOLOGY)
        assert str(caught.value).endswith("; run `thredfi worker` once with a login that may create it")
