"""Writes to stdout and stderr, and handles errors in doing so.

A server, a journal, a file or its name may hold anything: all text is escaped here, and nowhere before, so that none
changes a terminal's state. A text is one line: a line break in it is escaped, too.
"""

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from json import dumps
from typing import Any, Protocol, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from thredfi_async._checks.text import printable


class OutputError(Exception):
    """Stdout cannot be written; the sentence says why."""


class ReaderGoneError(Exception):
    """The reader of stdout has closed it, as `head` does."""


class Output:
    """Stdout of one command.

    Args:
        json: Whether a machine reads it.

    Attributes:
        quiet: Whether a person wants results and errors alone.
    """

    def __init__(self, *, json: bool) -> None:
        """Take the process's stdout."""
        self.json = json
        self.quiet: bool = False

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
            *renderables: What rich can draw; a string, and each text in it, is one line.
            wrap: Whether long lines are broken at the terminal's width.
        """
        self.check()
        self.write(_drawn(sys.stdout, renderables, wrap=wrap))

    def data(self, value: object) -> None:
        """Write one JSON object as one line, in ASCII, so that no terminal and no encoding can spoil it."""
        self.write(_as_json(value) + "\n")

    def content(self, data: bytes) -> None:
        """Write bytes as they are; to a terminal, as one line of text."""
        if self.is_terminal:
            self.write(printable(data.decode(errors="backslashreplace")) + "\n")
        else:
            self._write(lambda: _write_bytes(sys.stdout, data))

    def write(self, text: str) -> None:
        """Write text as it is.

        Raises:
            ReaderGoneError: The reader has closed it.
            OutputError: It cannot be written.
        """
        self._write(lambda: write_text(sys.stdout, text))

    def _write(self, act: Callable[[], None]) -> None:
        self.check()
        try:
            act()
        except BrokenPipeError:
            raise ReaderGoneError from None
        except (OSError, ValueError) as error:
            raise OutputError(reason(error)) from None


class Words(Protocol):
    """A message for people and for machines."""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        ...

    def as_text(self) -> Sequence[Text]:
        """Return it for people, line by line."""
        ...


def report(words: Words, *, json: bool) -> None:
    """Write a failure to stderr.

    Args:
        words: The failure.
        json: Whether a machine reads it.
    """
    tell(*([_as_json(words.as_json())] if json else words.as_text()))


def _as_json(value: object) -> str:
    # JSON in ASCII has an escape for every control character but DEL.
    return dumps(value, default=str).replace("\x7f", "\\u007f")


def reason(error: Exception) -> str:
    """Return in few words why a stream cannot be written."""
    return getattr(error, "strerror", None) or "the system gives no reason"


def write_text(stream: TextIO, text: str) -> None:
    """Write and flush text, with escapes for what the stream's encoding lacks."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _write_bytes(stream: TextIO, data: bytes) -> None:
    stream.flush()
    stream.buffer.write(data)
    stream.buffer.flush()


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
    lines = "".join(traceback.format_exception(error)).splitlines()
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            write_text(sys.stderr, "".join(f"{printable(line)}\n" for line in lines))


class PrintableFormatter(logging.Formatter):
    """Formats log records as printable lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's text; only its own line breaks are kept."""
        return "\n".join(map(printable, super().format(record).splitlines()))


class PrintableConsole(Console):
    """A console that escapes every text that it draws, wherever in a renderable that stands.

    Args:
        file: Where it draws; None for stdout.
        force_terminal: Whether it is a terminal; as the file says by default.
    """

    def __init__(self, file: TextIO | None, *, force_terminal: bool | None = None) -> None:
        """Take no text for markup."""
        super().__init__(file=file, force_terminal=force_terminal, highlight=False, markup=False, emoji=False)
        if self.legacy_windows:
            # A console without VT sequences, as that of Windows is by default, would show them as text.
            self._color_system = None

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - rich's own options
        """Make a text of a string, as `Console` does, which strips some of what is to be seen."""
        return super().render_str(printable(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Draw as `Console` does; everything in a table or a group comes by here, too."""
        return super().render(_printable(renderable) if isinstance(renderable, Text) else renderable, options)


def _printable(text: Text) -> Text:
    """Return a text with escapes, its styles kept."""
    if text.plain.isprintable():
        return text
    pieces = [printable(character) for character in text.plain]
    starts = [0, *accumulate(map(len, pieces))]
    safe = text.blank_copy("".join(pieces))
    safe.spans = [Span(starts[span.start], starts[span.end], span.style) for span in text.spans]
    return safe


class _Page(io.StringIO):
    """A buffer that rich draws on, so that this module writes to the stream and handles its errors."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override] # rich asks for it, to know which characters it may use
        return self._encoding


def _is_color_forced() -> bool:
    """Return whether colors are wanted where no terminal is, as in a pager or in CI; NO_COLOR still wins."""
    return bool(os.environ.get("FORCE_COLOR"))


def _drawn(stream: TextIO, renderables: Iterable[RenderableType], *, wrap: bool) -> str:
    page = _Page(stream.encoding or "utf-8")
    console = PrintableConsole(page, force_terminal=stream.isatty() or _is_color_forced())
    for renderable in renderables:
        console.print(renderable, soft_wrap=not wrap)
    # rich pads lines to the width, which is a nuisance in files.
    return "".join(f"{line.rstrip(' ')}\n" for line in page.getvalue().split("\n")[:-1])
