"""Base URLs: which are accepted, in what form, and the messages about the others."""

from typing import Any

import pytest

from thredfi_async import ConfigurationError, Environment, ThredfiClient
from thredfi_async._checks.urls import checked_base_url, checked_proxy, environment_proxy

ABSOLUTE = "base_url must be an absolute URL such as https://sandbox.thredfi.com"
PARTS = "base_url must not hold a user, a query or a fragment"


def plain(host: str) -> str:
    """Return the message about plain http."""
    return f"base_url must use https for {host}: plain http would show the token to the network"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://api.thredfi.com", "https://api.thredfi.com"),
        ("https://api.thredfi.com/", "https://api.thredfi.com"),
        ("https://api.thredfi.com//", "https://api.thredfi.com"),
        ("HTTPS://api.thredfi.com", "https://api.thredfi.com"),
        ("https://gateway.example:8443/thredfi/", "https://gateway.example:8443/thredfi"),
        ("https://10.0.0.1/a%20b", "https://10.0.0.1/a%20b"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST:8000", "http://LOCALHOST:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_good_ones(given: Environment | str, taken: str) -> None:
    """A path is kept, a trailing slash is removed, and plain http is allowed to this machine only."""
    assert checked_base_url(given) == taken


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", ABSOLUTE),
        (" ", ABSOLUTE),
        ("api.thredfi.com", ABSOLUTE),
        ("api.thredfi.com:443", ABSOLUTE),
        ("//api.thredfi.com", ABSOLUTE),
        ("/v1/platform", ABSOLUTE),
        ("https://", ABSOLUTE),
        ("https:///path", ABSOLUTE),
        ("https://:443", ABSOLUTE),
        ("https:api.thredfi.com", ABSOLUTE),
        ("ftp://api.thredfi.com", ABSOLUTE),
        ("file:///etc/passwd", ABSOLUTE),
        ("https://api.thredfi.com:port", ABSOLUTE),
        ("https://api.thredfi.com:99999", ABSOLUTE),
        ("https://api.thredfi.com:0", ABSOLUTE),
        ("https://.", ABSOLUTE),
        ("https://api..thredfi.com", ABSOLUTE),
        ("https://.thredfi.com", ABSOLUTE),
        (f"https://{'x' * 64}.com", ABSOLUTE),
        ("https://api.thredfi.com\\@evil.example", PARTS),
        ("https://api.thredfi.com\\evil.example", ABSOLUTE),
        ("https://a%41.example", ABSOLUTE),
        ("https://[::1", ABSOLUTE),
        ("https://api thredfi.com", ABSOLUTE),
        (" https://api.thredfi.com", ABSOLUTE),
        ("https://api.thredfi.com\n", ABSOLUTE),
        ("https://api.thredfi.com\r\nX-Evil: 1", ABSOLUTE),
        ("https://api.thredfi.com/\0", ABSOLUTE),
        ("https://thrédfi.com", ABSOLUTE),
        ("https://user:password@api.thredfi.com", PARTS),
        ("https://@api.thredfi.com", PARTS),
        ("https://api.thredfi.com?x=1", PARTS),
        ("https://api.thredfi.com/?", PARTS),
        ("https://api.thredfi.com/#top", PARTS),
        ("http://api.thredfi.com", plain("api.thredfi.com")),
        ("http://192.168.0.1:8000", plain("192.168.0.1")),
        ("http://0.0.0.0:8000", plain("0.0.0.0")),  # noqa: S104 - refused
        ("http://localhost.example.com", plain("localhost.example.com")),
        ("http://127.0.0.1.example.com", plain("127.0.0.1.example.com")),
        ("http://[2001:db8::1]", plain("2001:db8::1")),
    ],
)
def test_bad_ones(given: str, sentence: str) -> None:
    """Each invalid URL has one message, also from the client, before anything is sent."""
    with pytest.raises(ConfigurationError) as raised:
        checked_base_url(given)
    assert str(raised.value) == sentence
    with pytest.raises(ConfigurationError) as by_client:
        ThredfiClient("token", base_url=given)
    assert str(by_client.value) == sentence


@pytest.mark.parametrize("given", [None, 5, b"https://api.thredfi.com", ["https://api.thredfi.com"]])
def test_what_is_no_text(given: Any) -> None:
    """The message names the type."""
    sentence = f"^base_url must be an Environment or a string, not {type(given).__name__}$"
    with pytest.raises(ConfigurationError, match=sentence):
        checked_base_url(given)


def test_a_password_is_not_repeated() -> None:
    """A refused URL is not quoted: it may contain a secret."""
    with pytest.raises(ConfigurationError) as raised:
        checked_base_url("https://user:hunter2@api.thredfi.com")
    assert "hunter2" not in repr(raised.value)


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up an environment that names no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("_no_proxies")
def test_no_proxy_in_the_environment() -> None:
    """Without a variable there is no proxy."""
    assert environment_proxy("https://api.thredfi.com") is None


@pytest.mark.usefixtures("_no_proxies")
def test_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the URL's scheme is used, unless the host is excepted."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "internal.example")
    assert environment_proxy("https://api.thredfi.com") == "http://proxy.example:3128"
    assert environment_proxy("https://internal.example:8443/x") is None
    assert environment_proxy("http://localhost:8000") is None


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize("name", ["https_proxy", "all_proxy"])
def test_a_proxy_without_its_scheme(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A proxy in the environment may be a host alone, and `all_proxy` applies to all schemes."""
    monkeypatch.setenv(name, "proxy.example:3128")
    assert environment_proxy("https://api.thredfi.com") == "http://proxy.example:3128"


@pytest.mark.parametrize(
    "proxy", [None, "http://proxy:3128", "https://user:hunter2@proxy.example", "http://[::1]:3128/"]
)
def test_good_proxies(proxy: str | None) -> None:
    """A proxy may be None, or at any host, with a password."""
    assert checked_proxy(proxy) == proxy


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy:3128",
        "hunter2@proxy:3128",
        "socks5://proxy",
        "http://",
        "http://a b",
        "http://x:hunter2",
        5,
        b"http://x",
    ],
)
def test_bad_proxies(proxy: Any) -> None:
    """The message shows a valid example and no password; the client raises the same."""
    sentence = "^proxy must be an http or https URL such as http://proxy.example:3128$"
    with pytest.raises(ConfigurationError, match=sentence):
        checked_proxy(proxy)
    with pytest.raises(ConfigurationError, match=sentence):
        ThredfiClient("token", proxy=proxy)
