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
