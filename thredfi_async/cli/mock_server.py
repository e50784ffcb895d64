"""`mock-server`: a fake Thredfi API in the foreground."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.text import Text

from thredfi_async import ConfigurationError
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import Output, tell
from thredfi_async.cli.session import Session
from thredfi_async.cli.signals import STOP, taking
from thredfi_async.mock_server import FaultKind, Faults, MockServer

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class ServeMock:
    """The job of `thredfi mock-server`.

    Args:
        port: Where to listen; 0 for a free port.
        host: The address to listen on.
        customers: How many there are.
        businesses: Over how many businesses they are spread.
        latency: Seconds that each request takes.
        error_rate: The share of requests that get a 503.
        rate_limit: Requests a second before there is a 429.
        seed: The seed of customers and chances.
        strict: Whether bodies must have every field.
    """

    port: int
    host: str
    customers: int
    businesses: int
    latency: float
    error_rate: float
    rate_limit: float | None
    seed: int
    strict: bool

    def __call__(self, session: Session) -> int:
        """Serve until Ctrl-C or SIGTERM, the regular end."""
        try:
            server = MockServer(
                self.customers,
                self.businesses,
                self.seed,
                faults=Faults(rates={FaultKind.SERVER_ERROR: self.error_rate}, include_gets=True, seed=self.seed),
                strict=self.strict,
                latency=self.latency,
                rate_limit=self.rate_limit,
                host=self.host,
                port=self.port,
            )
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        # Ctrl-C raises this before the loop takes it.
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._serve(server, session.out))
        if not session.out.json:
            record = server.requests
            tell(f"Stopped after {record.totals.total():,} requests; {record.applied:,} archived a customer.")
        return ExitCode.DONE

    async def _serve(self, server: MockServer, out: Output) -> None:
        stop = asyncio.Event()
        with taking(STOP, lambda _: stop.set()):
            try:
                await server.start()
            except OSError as error:
                raise ConfigurationError(self._refused(error)) from None
            try:
                introduce(server, out)
                await stop.wait()
            finally:
                await server.aclose()

    def _refused(self, error: OSError) -> str:
        if isinstance(error, socket.gaierror):
            return f"--host {self.host} is no address of this machine"
        sentence = f"cannot listen on {self.host}, port {self.port}: {_words(error)}"
        return f"{sentence}; give another --port, or 0 for a free one"


def introduce(server: MockServer, out: Output) -> None:
    """Show how to use a mock server; all its data is invented, its secrets too.

    Args:
        server: The mock server, listening.
        out: Stdout.
    """
    url = _reachable(server.url)
    environment = {
        "THREDFI_BASE_URL": url,
        "THREDFI_PARTNER_UUID": server.partner_uuid,
        "THREDFI_API_KEY": server.api_key,
    }
    shown = server.customers[:_SHOWN]
    if out.json:
        facts: dict[str, Any] = {
            "url": url,
            "partner_uuid": server.partner_uuid,
            "api_key": server.api_key,
            "token": server.token,
            "environment": environment,
            "business_ids": server.business_ids[:_SHOWN],
            "customers": [{"business_id": each.business_id, "customer_id": each.customer_id} for each in shown],
        }
        out.data(facts)
        return
    title = f"A fake Thredfi API at {url} with {len(server.customers):,} invented customers; Ctrl-C stops it."
    lines: list[RenderableType] = [Text(title, style="bold green"), "", Text("In another shell:", style="bold")]
    lines += [f"  export {name}={value}" for name, value in environment.items()]
    lines += [f"  thredfi list {server.business_ids[0]} --limit 10"]
    if shown:
        lines += [f"  thredfi archive {shown[0].business_id} {shown[0].customer_id}"]
        lines += ["", Text("Further customers, after their business:", style="bold")]
        lines += [f"  {each.business_id} {each.customer_id}" for each in shown[1:]]
    lines += ["", Text("A token, in the place of the partner's UUID and API key:", style="bold")]
    lines += [f"  export THREDFI_TOKEN={server.token}"]
    out.show(*lines, wrap=False)


def _reachable(url: str) -> str:
    """Return a loopback URL if the server listens on every address: clients refuse plain http elsewhere."""
    parts = urlsplit(url)
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(parts.hostname or "")
        if address.is_unspecified:
            return f"http://{'127.0.0.1' if address.version == 4 else '[::1]'}:{parts.port}"  # noqa: PLR2004 - IPv4
    return url


def _words(error: OSError) -> str:
    # asyncio replaces the system's own message with a sentence about the address.
    if error.errno == errno.EADDRINUSE:
        return "the port is in use"
    return os.strerror(error.errno) if error.errno else "the system gives no reason"
