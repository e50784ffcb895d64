"""`THREDFI_LOG=debug` or `info`: shows what a client does, without a change of code."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from thredfi_async.errors import ConfigurationError
from thredfi_async.events import Hook
from thredfi_async.telemetry.logging import LoggingHook

VARIABLE: Final = "THREDFI_LOG"
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO}
_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def hooks_of_environment(given: Sequence[Hook]) -> Sequence[Hook]:
    """Return the hooks that `THREDFI_LOG` asks for, and let the log show what they write.

    Where the program has no handler for it, the log goes to standard error. An empty variable counts as unset.

    Args:
        given: The client's own hooks; with a `LoggingHook` among them, no second one is needed.

    Returns:
        A `LoggingHook`, or nothing.

    Raises:
        ConfigurationError: The variable is neither `debug` nor `info`.
    """
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if not wanted:
        return ()
    if wanted not in _LEVELS:
        raise ConfigurationError(f"{VARIABLE} must be {' or '.join(_LEVELS)}")
    logger = logging.getLogger("thredfi_async")
    logger.setLevel(_LEVELS[wanted])
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
    return () if any(isinstance(each, LoggingHook) for each in given) else (LoggingHook(),)
