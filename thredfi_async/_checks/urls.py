"""Checks of the URLs that requests may go to."""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from thredfi_async.errors import ConfigurationError

_EXAMPLE: Final = "https://sandbox.thredfi.com"
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII | re.IGNORECASE)


def checked_base_url(base_url: object) -> str:
    """Check a base URL and normalize it.

    Args:
        base_url: An absolute URL; its path is kept.

    Returns:
        The URL, without a trailing slash.

    Raises:
        ConfigurationError: No scheme or host, parts that are not allowed, or plain http to another machine.
    """
    url, problem = _read_base_url(base_url)
    if problem is not None:
        del base_url  # no traceback shows it: it may hold a password
        raise ConfigurationError(problem)
    return url


def _read_base_url(base_url: object) -> tuple[str, str | None]:
    """Return the URL, or what is wrong with it."""
    if not isinstance(base_url, str):
        return "", f"base_url must be an Environment or a string, not {type(base_url).__name__}"
    url = _split(base_url)
    if url is None or url.scheme not in {"http", "https"} or not _is_host(url.hostname):
        return "", f"base_url must be an absolute URL such as {_EXAMPLE}"
    if "@" in url.netloc or "?" in base_url or "#" in base_url:
        return "", "base_url must not hold a user, a query or a fragment"
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        return "", f"base_url must use https for {url.hostname}: plain http would show the token to the network"
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}", None


def environment_proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names for this host.

    Args:
        base_url: The base URL of the API.

    Returns:
        The proxy's URL, or None. aiohttp's own `trust_env` would also read netrc, whose entry collides with the
        Authorization header.
    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - slow to import, and seldom needed

    url = urlsplit(base_url)
    proxies = {} if proxy_bypass(url.hostname or "") else getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    # By convention, a proxy in the environment may lack its scheme.
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def checked_proxy(proxy: str | None) -> str | None:
    """Check a proxy's URL.

    Args:
        proxy: The URL, or None.

    Returns:
        The same URL.

    Raises:
        ConfigurationError: It is not an http or https URL; the message does not show it: it may contain a password.
    """
    if proxy is not None and not _is_http(str(proxy)):
        del proxy  # no traceback shows it
        raise ConfigurationError("proxy must be an http or https URL such as http://proxy.example:3128")
    return proxy


def _is_http(text: str) -> bool:
    url = _split(text)
    return url is not None and url.scheme in {"http", "https"} and _is_host(url.hostname)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, judged by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    if any(not "!" <= character <= "~" for character in text):
        return None
    try:
        url = urlsplit(text)
        port = url.port  # raises if it is not a number
    except ValueError:
        return None
    return None if port == 0 else url


def _is_host(host: str | None) -> bool:
    # A name that the resolver cannot encode would fail in every call, with the resolver's own error.
    return host is not None and (_NAME.fullmatch(host) is not None or ":" in host)
