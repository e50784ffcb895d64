"""The servers to connect to, and which of those that a server tells of are none."""

from typing import Any
from urllib.parse import urlparse

import pytest

from thredfi_async.worker import NatsSettings
from thredfi_async.worker.servers import Servers

HERE = "127.0.0.1:4222"
THERE = "10.1.2.3:4222"


@pytest.mark.parametrize(
    ("settings", "is_taken"),
    [
        ({"user": "u", "password": "secret"}, False),
        ({"token": "secret"}, False),
        ({}, True),
        ({"user": "u", "password": "secret", "allow_plaintext": True}, True),
        ({"user": "u", "password": "secret", "url": f"tls://{HERE}"}, True),
    ],
)
def test_a_password_stays_where_it_was_allowed(settings: dict[str, Any], is_taken: bool) -> None:
    """A server elsewhere that another one tells of gets no login in clear, as one of the settings would not."""
    settings = {"url": f"nats://{HERE}"} | settings
    servers = Servers(NatsSettings(**settings))
    (first,) = servers.shuffled()
    servers.learn([urlparse(f"nats://{THERE}"), urlparse("nats://localhost:4223")], from_server=first)
    hosts = {each.host for each in servers.shuffled()}
    assert hosts == {"127.0.0.1", "localhost"} | ({"10.1.2.3"} if is_taken else set())


def test_the_last_are_remembered() -> None:
    """Of all that servers ever told of, the last 64, of whom a few are tried between those of the settings."""
    servers = Servers(NatsSettings(url=f"nats://{HERE}"))
    (first,) = servers.shuffled()
    for number in range(100):
        servers.learn([urlparse(f"nats://10.0.0.{number}:4222")], from_server=first)
    servers.learn([urlparse("nats://10.0.0.40:4222")], from_server=first)
    tried = [servers.shuffled() for _ in range(1_000)]
    assert {len(each) for each in tried} == {4}
    assert all(each[0] == first for each in tried)
    assert {server.host for each in tried for server in each[1:]} == {f"10.0.0.{number}" for number in range(36, 100)}
