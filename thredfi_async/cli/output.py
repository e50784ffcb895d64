"""Writes to stdout and stderr, and handles errors in doing so."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterable
from json import dumps
from typing import Any, Protocol, TextIO

from rich.console import Console, RenderableType
from rich.text import Text


class OutputError(Exception):
    """Stdout cannot be written; the sentence says why."""


class ReaderGoneError(Exception):
    """The reader of stdout has closed it, as `head` does."""


class Output:
    """Stdout of one command.

    Args:
        json: Whether a machine reads it.
    """

    def __init__(self, *, json: bool) -> None:
        """Take the process's stdout."""
        self.json = json

    def check(self) -> None:
        """Refuse to begin without a stdout.

        Raises:
            OutputError: There is no stdout.
        """
        if sys.stdout is None:
            raise OutputError("stdout is closed")

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it on a terminal."""
        return not self.json and sys.stdout is not None and sys.stdout.isatty()

    def show(self, *renderables: RenderableType, wrap: bool = True) -> None:
        """Write for people.

        Args:
            *renderables: What rich can draw; a plain string is written as it is.
            wrap: Whether long lines are broken at the terminal's width.
        """
        self.check()
        self.write(_drawn(sys.stdout, renderables, wrap=wrap))

    def data(self, value: object) -> None:
        """Write one JSON object as one line, in ASCII, so that no terminal and no encoding can spoil it."""
        self.write(dumps(value, default=str) + "\n")

    def write(self, text: str) -> None:
        """Write text as it is.

        Raises:
            ReaderGoneError: The reader has closed it.
            OutputError: It cannot be written.
        """
        self.check()
        try:
            write_text(sys.stdout, text)
        except BrokenPipeError:
            raise ReaderGoneError from None
        except (OSError, ValueError) as error:
            raise OutputError(reason(error)) from None


class Words(Protocol):
    """A message for people and for machines."""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        ...

    def as_text(self) -> Text:
        """Return it for people."""
        ...


def report(words: Words, *, json: bool) -> None:
    """Write a failure to stderr.

    Args:
        words: The failure.
        json: Whether a machine reads it.
    """
    tell(dumps(words.as_json(), default=str) if json else words.as_text())


def reason(error: Exception) -> str:
    """Return in few words why a stream cannot be written."""
    return getattr(error, "strerror", None) or type(error).__name__


def write_text(stream: TextIO, text: str) -> None:
    """Write and flush text, with escapes for what the stream's encoding lacks."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def abandon_stdout() -> None:
    """Discard what is still buffered for stdout: flushing it at exit would fail, with a message."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def terminal_width() -> int:
    """Return the width of the terminal on stdout, in cells."""
    return Console(file=sys.stdout).width


def tell(*renderables: RenderableType) -> None:
    """Write to stderr; ignore errors, since they could not be shown."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            write_text(sys.stderr, _drawn(sys.stderr, renderables, wrap=False))


def trace(error: Exception) -> None:
    """Write a stack trace to stderr."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exception(error)


class _Page(io.StringIO):
    """A buffer that rich draws on, so that this module writes to the stream and handles its errors."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override] # rich asks for it, to know which characters it may use
        return self._encoding


def _drawn(stream: TextIO, renderables: Iterable[RenderableType], *, wrap: bool) -> str:
    page = _Page(stream.encoding or "utf-8")
    console = Console(file=page, force_terminal=stream.isatty(), highlight=False, markup=False, emoji=False)
    for renderable in renderables:
        console.print(renderable, soft_wrap=not wrap)
    # rich pads lines to the width, which is a nuisance in files.
    return "".join(f"{line.rstrip(' ')}\n" for line in page.getvalue().split("\n")[:-1])
