"""The options for the queue, and the errors that they can cause."""

__lazy_modules__: list[str] = [
    "thredfi_async.cli.bulk.preflight_errors",
    "thredfi_async.cli.settings",
]
import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thredfi_async import ConfigurationError
from thredfi_async._extras import how_to_install
from thredfi_async.cli.bulk.preflight_errors import preflight_error
from thredfi_async.cli.error_report import ADVICE
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import command, sentence

if TYPE_CHECKING:
    from thredfi_async.worker import StreamConfig
    from thredfi_async.worker.settings import NatsSettings


@dataclass(frozen=True, kw_only=True)
class Nats:
    """The options for the queue; None for the default.

    Args:
        url: `--nats`.
        stream: `--stream`.
        subject: `--subject`.
        consumer: `--consumer`.
        dedup_window: `--dedup-window`, in seconds.
        dead_letters_max_age: `--dead-letters-max-age`, in seconds.
        creds: `--nats-creds`.
        allow_plaintext: `--allow-plaintext`.
    """

    url: str | None = None
    stream: str | None = None
    subject: str | None = None
    consumer: str | None = None
    dedup_window: float | None = None
    dead_letters_max_age: float | None = None
    creds: Path | None = None
    allow_plaintext: bool = False

    def settings(self, environ: Mapping[str, str] | None = None) -> "NatsSettings":
        """Return the broker's address and the credentials.

        Args:
            environ: Where the variables are; the process's environment by default.

        Raises:
            ConfigurationError: They cannot work.
        """
        from thredfi_async.worker.settings import NatsSettings  # noqa: PLC0415 - options are parsed without it

        if self.url is not None and "@" in self.url:
            raise ConfigurationError(
                "--nats must not hold a password, which others on this machine could read: set THREDFI_NATS_USER and "
                "THREDFI_NATS_PASSWORD, or THREDFI_NATS_URL as a whole"
            )
        return NatsSettings.from_env(
            environ, url=self.url, credentials_file=self.creds, allow_plaintext=self.allow_plaintext
        )

    def stream_config(self) -> "StreamConfig":
        """Return the names of the streams.

        Raises:
            ConfigurationError: A name is invalid.
        """
        from thredfi_async.worker import StreamConfig  # noqa: PLC0415 - options are parsed without it

        names: dict[str, Any] = {
            "stream": self.stream,
            "subject": self.subject,
            "consumer": self.consumer,
            "dedup_window": self.dedup_window,
            "dead_letters_max_age": self.dead_letters_max_age,
        }
        return StreamConfig(**{name: value for name, value in names.items() if value is not None})

    def as_facts(self) -> dict[str, str]:
        """Return for a journal where the queue is; nothing of it is secret."""
        options = {"nats": self.url, "subject": self.subject, "consumer": self.consumer}
        return {f"option_{name}": value or "" for name, value in options.items()}

    def repeated(self, *words: str) -> str:
        """Return another command about the same queue.

        Args:
            *words: Its name and arguments.

        Returns:
            The line to paste.
        """
        options = {"--nats": self.url, "--stream": self.stream, "--subject": self.subject}
        if not {"publish", "dead-letters"} & set(words):
            options["--consumer"] = self.consumer
        return command(
            *words,
            *(part for name, value in options.items() if value is not None for part in (name, value)),
            *(["--nats-creds", str(self.creds)] if self.creds is not None else []),
            *(["--allow-plaintext"] if self.allow_plaintext else []),
        )


@contextlib.contextmanager
def broker_preflight_errors() -> Generator[None]:
    """Turn errors of the broker into sentences.

    Raises:
        ReportedError: In the place of a `BrokerError`, and where the extra is not installed.
    """
    from thredfi_async.worker.errors import BrokerError  # noqa: PLC0415 - options are parsed without it

    try:
        yield
    except BrokerError as error:
        advice = ADVICE[error.row.remedy]
        raise preflight_error(sentence(str(error)), advice=advice, kind="BrokerError", code=ExitCode.BROKER) from error
    except ModuleNotFoundError as error:
        needed = f"This needs the package {error.name}, which is not installed."
        raise preflight_error(needed, advice=how_to_install("worker"), kind="MissingExtra") from None
