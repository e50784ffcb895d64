"""The worker's own log, as lines on stderr."""

__lazy_modules__ = ["thredfi_async.cli.output"]
import contextlib
import datetime as dt
import enum
import logging
from collections.abc import Generator
from json import dumps
from typing import Final

from thredfi_async.cli.output import tell

_LOGGER: Final = "thredfi_async.worker"


class LogLevelName(enum.StrEnum):
    """The levels, as `--log-level` takes them."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Lines(logging.Handler):
    """Writes a line for each record, for people or machines."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self._json = json

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        message, level = record.getMessage(), record.levelname.lower()
        tell(dumps({"at": at, "level": level, "message": message}) if self._json else f"{at} {level}: {message}")


@contextlib.contextmanager
def log_lines(level: LogLevelName, *, json: bool) -> Generator[None]:
    """Show the worker's log while the block lasts.

    Args:
        level: The least that is shown.
        json: Whether lines are JSON.

    Yields:
        Nothing.
    """
    logger = logging.getLogger(_LOGGER)
    handler, before = _Lines(json=json), logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
