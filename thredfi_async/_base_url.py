"""Where requests may go."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from thredfi_async.errors import ConfigurationError
from thredfi_async.settings import Environment


def checked_base_url(base_url: Environment | str) -> str:
    """Check a base URL and bring it into its usual form.

    Args:
        base_url: A named environment, or an absolute URL; a path in it is kept.

    Returns:
        The URL, without a slash at the end.

    Raises:
        ConfigurationError: No scheme or host, parts that do not belong there, or plain http to another machine.
    """
    text = base_url.value if isinstance(base_url, Environment) else base_url
    if not isinstance(text, str):
        raise ConfigurationError(f"base_url must be an Environment or a string, not {type(text).__name__}")
    url = _split(text)
    if url is None or url.scheme not in {"http", "https"} or not url.hostname or not text.isascii():
        raise ConfigurationError(f"base_url must be an absolute URL such as {Environment.SANDBOX.value}")
    if "@" in url.netloc or "?" in text or "#" in text:
        raise ConfigurationError("base_url must not hold a user, a query or a fragment")
    if url.scheme == "http" and not _is_loopback(url.hostname):
        msg = f"base_url must use https for {url.hostname}: plain http would show the token to the network"
        raise ConfigurationError(msg)
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def environment_proxy(base_url: str) -> str | None:
    """Look up the proxy that the environment names for this host.

    Args:
        base_url: Where the API is.

    Returns:
        The proxy's URL, or None. aiohttp's own `trust_env` would read netrc too, whose entry collides with the
        Authorization header.
    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - slow to import, and seldom needed

    url = urlsplit(base_url)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def _split(text: str) -> SplitResult | None:
    if any(not "!" <= character <= "~" for character in text):
        return None
    try:
        url = urlsplit(text)
        port = url.port  # one that is no number shows only when it is asked for
    except ValueError:
        return None
    return None if port == 0 else url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
