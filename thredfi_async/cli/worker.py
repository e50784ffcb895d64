"""`worker`: takes commands from NATS JetStream and archives, until it is stopped."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from thredfi_async import LoggingHook, __version__
from thredfi_async.bulk import ItemState
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.log_lines import WORKER, log_lines
from thredfi_async.cli.output import Output, OutputError, ReaderGoneError, tell
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection, read_env_file
from thredfi_async.cli.signals import STOP, taking

if TYPE_CHECKING:
    from thredfi_async.worker import NatsSettings, Worker

_MOST_CONNECTIONS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Work:
    """The job of `thredfi worker`.

    Args:
        connection: How to reach the API.
        nats: Where the queue is.
        connect_timeout: Seconds in which NATS must be ready at the start; None for no end.
        concurrency: Messages held at once.
        max_deliveries: How often a message is delivered before it is a dead letter.
        max_retry_after: Seconds that the API may ask for at most.
        grace_period: Seconds that calls in flight have when it stops.
        health_host: The address for health and metrics.
        health_port: The port; None for none.
    """

    connection: Connection
    nats: Nats
    connect_timeout: float | None
    concurrency: int
    max_deliveries: int
    max_retry_after: float
    grace_period: float
    health_host: str
    health_port: int | None

    def __call__(self, session: Session) -> int:
        """Work until SIGTERM or Ctrl-C, the regular end."""
        session.known.begins_many()
        # Where logs are asked for, the worker's are among them.
        lines = (
            contextlib.nullcontext() if session.logs else log_lines(_level(session), json=session.out.json, name=WORKER)
        )
        # Both signals raise this before the loop takes them.
        with broker_preflight_errors(), lines, contextlib.suppress(KeyboardInterrupt), _sigterm_like_ctrl_c():
            asyncio.run(self._run(session))
        return ExitCode.DONE

    async def _run(self, session: Session) -> None:
        # Imported here: other commands do without nats-py and the web server.
        from thredfi_async.worker import Worker, WorkerOptions  # noqa: PLC0415 - slow, and not for every command
        from thredfi_async.worker.health import serving_health  # noqa: PLC0415 - slow, and not for every command

        nats, stream_config = self._settings(), self.nats.stream_config()
        options = WorkerOptions(
            concurrency=self.concurrency,
            max_deliveries=self.max_deliveries,
            max_retry_after=self.max_retry_after,
            grace_period=self.grace_period,
            connect_timeout=self.connect_timeout,
        )
        hooks = (LoggingHook(),) if session.logs else ()
        connections = max(_MOST_CONNECTIONS, self.concurrency)
        async with contextlib.AsyncExitStack() as stack:
            client = self.connection.client(*hooks, max_connections=connections)
            worker = Worker(client, nats=nats, stream_config=stream_config, options=options)
            # Before anything that may take time, and until all is closed.
            stack.enter_context(taking(STOP, lambda _: worker.stop()))
            await stack.enter_async_context(client)
            facts = {
                "api": client.base_url,
                "nats": nats.shown,
                "stream": stream_config.stream,
                "subject": stream_config.subject,
                **self._shown_settings(session),
            }
            if self.health_port is not None:
                health = serving_health(worker, host=self.health_host, port=self.health_port)
                host = f"[{self.health_host}]" if ":" in self.health_host else self.health_host
                facts["health"] = f"http://{host}:{await stack.enter_async_context(health)}"
            _introduce(session.out, facts)
            unheard: list[Exception] = []
            await worker.run(on_ready=partial(_say_ready, session.out, facts, worker, unheard))
            if unheard:
                raise unheard[0]
            _farewell(session.out, worker)

    def _shown_settings(self, session: Session) -> dict[str, Any]:
        return {
            "version": __version__,
            "concurrency": self.concurrency,
            "max_deliveries": self.max_deliveries,
            "grace_period": self.grace_period,
            "log_level": logging.getLevelName(_level(session)).lower(),
        }

    def _settings(self) -> "NatsSettings":
        env_file = self.connection.env_file
        return self.nats.settings(None if env_file is None else read_env_file(env_file))


def _level(session: Session) -> int:
    """Return the level from which the worker's own log is shown."""
    if session.log_level is not None:
        return session.log_level
    return logging.WARNING if session.out.quiet else logging.INFO


def _introduce(out: Output, facts: dict[str, Any]) -> None:
    """Say what is about to start, with what settings."""
    if out.json:
        out.data({"event": "starting", **facts})
        return
    settings = ", ".join(
        f"{name.replace('_', ' ')} {facts[name]:g}" for name in ("concurrency", "max_deliveries", "grace_period")
    )
    health = f" Health and metrics are at {facts['health']}." if "health" in facts else ""
    line = f"thredfi worker {facts['version']} is starting ({settings}).{health} Ctrl-C or SIGTERM stops it."
    out.show(Text(line, style="bold"), wrap=False)


def _say_ready(out: Output, facts: dict[str, Any], worker: "Worker", unheard: list[Exception]) -> None:
    """Say that it works now: NATS, the queue and the credentials are ready; where that cannot be said, stop it."""
    line = f"Archiving at {facts['api']} what comes on {facts['subject']} (stream {facts['stream']}, {facts['nats']})."
    try:
        if out.json:
            out.data({"event": "started", **facts})
        else:
            out.show(Text(line, style="bold green"), wrap=False)
    except (OutputError, ReaderGoneError) as error:
        unheard.append(error)
        worker.stop()


def _farewell(out: Output, worker: "Worker") -> None:
    ended = {state.value: int(worker.metrics.value("outcomes_total", state=state)) for state in ItemState}
    if out.json:
        out.data({"event": "stopped", "outcomes": ended})
        return
    counts = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in ended.items() if count)
    tell(f"Stopped. {counts or 'Nothing'} came to an end here; what is left in the queue waits for the next worker.")


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Generator[None]:
    """Let SIGTERM, too, be a regular end before the loop takes the signals, and after it."""
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(ValueError):  # outside of the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, before)
