"""NATS settings, stream names and worker options: mistakes are reported before anything connects."""

from pathlib import Path
from typing import Any

import pytest

from thredfi_async import ConfigurationError
from thredfi_async.worker import NatsSettings, StreamConfig, WorkerOptions


def test_defaults() -> None:
    """The default is the broker on this machine, without credentials."""
    settings = NatsSettings.from_env({})
    assert (settings.servers, settings.credentials_file, settings.token) == (["nats://127.0.0.1:4222"], None, None)


def test_from_the_environment() -> None:
    """Variables set address and credentials; an empty one counts as unset, and an argument wins."""
    environment = {
        "THREDFI_NATS_URL": "tls://a:1, tls://b:2",
        "THREDFI_NATS_CREDS": "x.creds",
        "THREDFI_NATS_TOKEN": "",
    }
    settings = NatsSettings.from_env(environment)
    assert (settings.servers, settings.credentials_file) == (["tls://a:1", "tls://b:2"], Path("x.creds"))
    assert NatsSettings.from_env(environment, url="nats://c:3").servers == ["nats://c:3"]


@pytest.mark.parametrize(
    "url", ["", "localhost:4222", "http://a", "nats://", "nats://a:99999", "nats://a:0", "nats://a,,"]
)
def test_a_wrong_url(url: str) -> None:
    """An invalid URL is refused without quoting it: it may hold a password."""
    with pytest.raises(ConfigurationError, match=r"^the URL of NATS must be like nats://host:4222"):
        NatsSettings(url=url)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"token": "t", "credentials_file": "f"}, "NATS: give a credentials file or a token, not both"),
        ({"token": "t", "credentials_file": "f", "user": "u", "password": "p"}, "not all"),
        ({"user": "u"}, "NATS: a user and a password belong together: set both, or neither"),
    ],
)
def test_contradictions(settings: dict[str, Any], words: str) -> None:
    """Only one kind of credentials is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        NatsSettings(**settings)
    assert words in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """Neither `repr` nor what a worker prints shows a token, a password or a URL's userinfo."""
    settings = NatsSettings(url="tls://jane:s3cret@host:4222", user="jane", password="s3cret")
    assert settings.shown == "tls://host:4222"
    assert "s3cret" not in repr(settings) + settings.shown


def test_names_follow_from_two() -> None:
    """The streams and subjects of outcomes and dead letters derive from those of the queue."""
    stream_config = StreamConfig(stream="BILLING", subject="billing.archive")
    assert (stream_config.outcomes_stream, stream_config.dead_stream) == ("BILLING_OUTCOMES", "BILLING_DEAD")
    assert stream_config.outcomes_subject("rejected") == "billing.archive.outcomes.rejected"
    assert stream_config.outcomes_subjects == "billing.archive.outcomes.*"
    assert stream_config.dead_subject == "billing.archive.dead"


@pytest.mark.parametrize(
    ("names", "setting"),
    [
        ({"stream": "a.b"}, "stream"),
        ({"stream": ""}, "stream"),
        ({"consumer": "a b"}, "consumer"),
        ({"subject": "a.*"}, "subject"),
        ({"subject": "a..b"}, "subject"),
        ({"subject": "a b"}, "subject"),
        ({"subject": "a" * 513}, "subject"),
        ({"dedup_window": 0}, "dedup_window"),
        ({"dedup_window": True}, "dedup_window"),
    ],
)
def test_names_that_no_broker_takes(names: dict[str, Any], setting: str) -> None:
    """An invalid name is refused with its setting, before anything is created."""
    with pytest.raises(ConfigurationError, match=rf"^StreamConfig\.{setting} must be"):
        StreamConfig(**names)


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"max_deliveries": 1.5}, "max_deliveries"),
        ({"grace_period": -1}, "grace_period"),
        ({"poll": 0.0}, "poll"),
        ({"poll": 31.0}, "poll"),
    ],
)
def test_wrong_options(options: dict[str, Any], setting: str) -> None:
    """A number that is out of range is named."""
    with pytest.raises(ConfigurationError, match=rf"^WorkerOptions\.{setting} must be"):
        WorkerOptions(**options)
