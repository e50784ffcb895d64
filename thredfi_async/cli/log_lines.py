"""Logs as lines on stderr, for people or for machines."""

__lazy_modules__: list[str] = ["thredfi_async.cli.output"]
import contextlib
import datetime as dt
import logging
from collections.abc import Generator
from json import dumps
from typing import Final

from thredfi_async.cli.output import PrintableFormatter, tell

WORKER: Final = "thredfi_async.worker"
"""The logger of a worker, which speaks even where no logs are asked for."""
_OURS: Final = "thredfi_async"


class _Lines(logging.Handler):
    """Writes each record as a line; another package's begins with its logger's name."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self._json = json
        self.setFormatter(PrintableFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, and for people a stack trace below it."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        message, level = self.format(record), record.levelname.lower()
        if self._json:
            tell(dumps({"at": at, "level": level, "logger": record.name, "message": message}))
            return
        source = "" if record.name.partition(".")[0] == _OURS else f"{record.name}: "
        first, *more = f"{at} {level}: {source}{message}".split("\n")
        tell(first, *more)


@contextlib.contextmanager
def log_lines(level: int | None, *, json: bool, name: str | None = None) -> Generator[None]:
    """Show logs while the block lasts.

    Args:
        level: The least that is shown; None for nothing, for which Python needs a handler too, or it would write
            warnings to stderr.
        json: Whether lines are JSON.
        name: The logger; the root by default.

    Yields:
        Nothing.
    """
    logger = logging.getLogger(name)
    handler, before = logging.NullHandler() if level is None else _Lines(json=json), logger.level
    logger.addHandler(handler)
    if level is not None:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
