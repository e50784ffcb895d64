"""The servers to connect to: those of the settings, and those that a server has told of."""

import ipaddress
import random
from collections.abc import Iterable
from typing import Final
from urllib.parse import ParseResult

import attrs

from thredfi_async.worker.settings import NatsSettings

_MOST: Final = 64
_AT_ONCE: Final = 3
"""So many that servers told of are tried between two tries of those of the settings: they may be long gone."""


@attrs.frozen
class Server:
    """A server.

    Args:
        url: Its URL; never shown, since it may hold a password.
        host: Its host.
        tls_name: The name that its certificate must be for, if it is not the host.
    """

    url: str = attrs.field(repr=False)
    host: str
    tls_name: str | None = None


class Servers:
    """The servers of the settings, and the 64 that servers have told of last.

    Args:
        settings: The address.
    """

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._given = [Server(url, host) for url, host in settings.hosts()]
        self._learned: dict[str, Server] = {}

    def shuffled(self) -> list[Server]:
        """Return those of the settings, in random order, and after them three of the others."""
        given, learned = list(self._given), list(self._learned.values())
        random.shuffle(given)
        return [*given, *random.sample(learned, min(_AT_ONCE, len(learned)))]

    def learn(self, found: Iterable[ParseResult], *, from_server: Server) -> None:
        """Remember servers that a server told of, with the scheme of the settings: what asks for TLS gets it there too.

        One to which the settings would not let a password go in clear is left out.

        Args:
            found: Their addresses.
            from_server: The server; its name stands for those that are told as bare IP addresses.
        """
        scheme = self._settings.scheme
        if scheme not in {"nats", "tls"}:
            return  # it tells the addresses of its other protocol
        for each in found:
            netloc, host = each.netloc.rpartition("@")[2], each.hostname
            if host is None or self._settings.is_plain_secret_for(host):
                continue
            name = (from_server.tls_name or from_server.host) if _is_ip(host) else None
            self._learned.pop(netloc, None)  # the dictionary keeps the order in which they were told
            self._learned[netloc] = Server(f"{scheme}://{netloc}", host, name)
        for oldest in list(self._learned)[:-_MOST]:
            del self._learned[oldest]


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
