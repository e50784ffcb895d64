"""`worker`: takes commands from NATS JetStream and archives, until it is stopped."""

import asyncio
import contextlib
import datetime as dt
import logging
import signal
from collections.abc import Generator
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Final

from rich.text import Text

from thredfi_async import LoggingHook
from thredfi_async.bulk import ItemState
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import Output, tell
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection, read_env_file

if TYPE_CHECKING:
    from thredfi_async.worker import NatsSettings, Worker

_LOGGER: Final = "thredfi_async.worker"
_MOST_CONNECTIONS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Work:
    """The job of `thredfi worker`.

    Args:
        connection: How to reach the API.
        nats: Where the queue is.
        concurrency: Messages held at once.
        max_deliveries: How often a message is delivered before it is a dead letter.
        grace_period: Seconds that calls in flight have when it stops.
        health_host: The address for health and metrics.
        health_port: The port; None for none.
    """

    connection: Connection
    nats: Nats
    concurrency: int
    max_deliveries: int
    grace_period: float
    health_host: str
    health_port: int | None

    def __call__(self, session: Session) -> int:
        """Work until SIGTERM or Ctrl-C, the regular end."""
        # On Windows the loop has no signal handlers, and Ctrl-C raises this.
        with broker_preflight_errors(), _log_lines(session), contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._run(session))
        return ExitCode.DONE

    async def _run(self, session: Session) -> None:
        # Imported here: other commands do without nats-py and the web server.
        from thredfi_async.worker import Worker, WorkerOptions  # noqa: PLC0415 - slow, and not for every command
        from thredfi_async.worker.health import serving_health  # noqa: PLC0415 - slow, and not for every command

        nats, stream_config = self._settings(), self.nats.stream_config()
        options = WorkerOptions(
            concurrency=self.concurrency, max_deliveries=self.max_deliveries, grace_period=self.grace_period
        )
        hooks = (LoggingHook(),) if session.logs else ()
        connections = max(_MOST_CONNECTIONS, self.concurrency)
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(self.connection.client(*hooks, max_connections=connections))
            worker = Worker(client, nats=nats, stream_config=stream_config, options=options)
            facts = {
                "api": client.base_url,
                "nats": nats.shown,
                "stream": stream_config.stream,
                "subject": stream_config.subject,
            }
            if self.health_port is not None:
                health = serving_health(worker, host=self.health_host, port=self.health_port)
                facts["health"] = f"http://{self.health_host}:{await stack.enter_async_context(health)}"
            stack.enter_context(_signals(worker))
            _introduce(session.out, facts)
            await worker.run()
            _farewell(session.out, worker)

    def _settings(self) -> "NatsSettings":
        env_file = self.connection.env_file
        return self.nats.settings(None if env_file is None else read_env_file(env_file))


def _introduce(out: Output, facts: dict[str, str]) -> None:
    if out.json:
        out.data({"event": "started", **facts})
        return
    title = f"Archiving at {facts['api']} what comes on {facts['subject']} (stream {facts['stream']}, {facts['nats']})."
    health = f" Health and metrics are at {facts['health']}." if "health" in facts else ""
    out.show(Text(f"{title}{health} Ctrl-C or SIGTERM stops it.", style="bold green"), wrap=False)


def _farewell(out: Output, worker: "Worker") -> None:
    ended = {state.value: int(worker.metrics.value("outcomes_total", state=state)) for state in ItemState}
    if out.json:
        out.data({"event": "stopped", "outcomes": ended})
        return
    counts = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in ended.items() if count)
    tell(f"Stopped. {counts or 'Nothing'} came to an end here; what is left in the queue waits for the next worker.")


@contextlib.contextmanager
def _signals(worker: "Worker") -> Generator[None]:
    """Stop at the first signal, and at once at the second."""
    loop, taken = asyncio.get_running_loop(), list[signal.Signals]()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, worker.stop)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


class _Lines(logging.Handler):
    """The worker's own log as lines on stderr, for people or machines."""

    def __init__(self, *, json: bool) -> None:
        super().__init__(logging.INFO)
        self._json = json

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        message, level = record.getMessage(), record.levelname.lower()
        tell(dumps({"at": at, "level": level, "message": message}) if self._json else f"{at} {level}: {message}")


@contextlib.contextmanager
def _log_lines(session: Session) -> Generator[None]:
    logger = logging.getLogger(_LOGGER)
    handler, level = _Lines(json=session.out.json), logger.level
    if session.logs:  # everything is shown already
        yield
        return
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
