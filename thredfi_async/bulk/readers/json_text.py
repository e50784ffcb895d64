"""Finds the objects in a file of JSON, a bounded piece at a time: lines, an array, or a list within an object."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from thredfi_async._checks.json import as_object
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.columns import Rules, columns_of
from thredfi_async.bulk.readers.invalid_line import location
from thredfi_async.bulk.readers.io import CHUNK, Opened
from thredfi_async.bulk.readers.object_records import LONGEST, flat, for_own
from thredfi_async.bulk.readers.spool import Spool
from thredfi_async.bulk.readers.text import form_of

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DEEPEST: Final = 5
_CONVERT: Final = "write it as JSON Lines, such as with: jq -c '.[]' FILE > FILE.jsonl"


def lines_of(opened: Opened, rules: Rules) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, each with its number; of one that is too long, the beginning.

    Args:
        opened: The file; its spool has the whole of one that is too long when that is yielded.
        rules: What the caller said about it.

    Yields:
        The number and the line, in UTF-8.
    """
    form = form_of(opened, rules.options.encoding, "jsonl")
    if form.encoding == "utf-8" and form.line_end == "\n":
        yield from _byte_lines(opened.stream, opened.spool)
        return
    text = opened.as_text(form.encoding, form.errors, form.line_end)
    number = 0
    while line := text.readline(LONGEST + 1):
        number += 1
        first = line.encode("utf-8", "surrogateescape")
        if len(first) > LONGEST:
            opened.spool.begin([first])
        while line and not line.endswith(form.line_end):
            line = text.readline(CHUNK)
            opened.spool.add(line.encode("utf-8", "surrogateescape"))
        if not first.isspace():
            yield number, first


def _byte_lines(stream: io.BufferedReader, spool: Spool) -> Iterator[tuple[int, bytes]]:
    number = 0
    while first := stream.readline(LONGEST + 1):
        number += 1
        if len(first) > LONGEST:
            spool.begin([first])
        line = first
        while line and not line.endswith(b"\n"):
            line = stream.readline(CHUNK)
            spool.add(line)
        if not first.isspace():
            yield number, first


def objects_of(opened: Opened, rules: Rules) -> Iterator[tuple[int, bytes]]:
    """Yield what a document of JSON lists, each with its number from 1.

    Args:
        opened: The file: an array, an object with one list of objects somewhere in it, or objects one after another.
        rules: What the caller said about keys; they tell a record from an object that holds the records.

    Yields:
        The text of each value.

    Raises:
        SourceError: It is not JSON, or there is no such list in it, or more than one.
    """
    form = form_of(opened, rules.options.encoding, "json")
    errors = "replace" if rules.options.ids_only and form.is_ascii_based else "strict"
    scanner = _Scanner(opened.name, opened.as_text(form.encoding, errors, ""))
    values = _Document(opened.name, scanner, rules).values()
    for number, value in enumerate(values, 1):
        yield number, value.encode("utf-8", "surrogatepass")


class _Scanner:
    """Reads JSON from a stream of text, value by value."""

    def __init__(self, name: str, text: io.TextIOWrapper) -> None:
        self._name, self._text = name, text
        self._buffer, self._at, self._line = "", 0, 1
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is no blank; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found is not None else self._at
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def second(self) -> str:
        """Return the character after that, blanks left out."""
        while True:
            found = _SPACE.match(self._buffer, self._at + 1)
            end = found.end() if found is not None else self._at + 1
            if end < len(self._buffer) or not self._more():
                return self._buffer[end : end + 1]

    def take(self, *expected: str) -> str:
        """Take the next character, which must be one of some.

        Raises:
            SourceError: It is another.
        """
        found = self.peek()
        if found not in expected:
            what = "the end of the file" if not found else "something else"
            raise self.wrong(f"there is {what} where {' or '.join(expected)} should be")
        self._at += 1
        return found

    def value(self) -> tuple[str, Any]:
        """Take a value.

        Returns:
            Its text, and what it is.

        Raises:
            SourceError: It is not JSON, or too long.
        """
        found = self.look()
        if found is None:
            long = len(self._buffer) - self._at > LONGEST
            raise self.wrong(f"a value is longer than {LONGEST:,} characters: {_CONVERT}" if long else "it is not JSON")
        text, value = found
        self._at += len(text)
        return text, value

    def look(self) -> tuple[str, Any] | None:
        """Return the next value and leave it there; None if it is none, or too long."""
        self.peek()
        while True:
            value, end = None, -1
            with contextlib.suppress(ValueError, RecursionError):
                value, end = _JSON.raw_decode(self._buffer, self._at)
            # A number may go on behind what was read.
            if end >= 0 and (end < len(self._buffer) or self._ended):
                return self._buffer[self._at : end], value
            if len(self._buffer) - self._at > LONGEST or (not self._more() and end < 0):
                return None

    def wrong(self, what: str) -> SourceError:
        """Return the error for where it stands."""
        line = self._line + self._buffer.count("\n", 0, self._at)
        return SourceError(f"{location(self._name, line)}: {what}, so that the rest of the file cannot be read")

    def _more(self) -> bool:
        if self._ended:
            return False
        piece = self._text.read(max(CHUNK, len(self._buffer) - self._at))
        self._ended = not piece
        self._line += self._buffer.count("\n", 0, self._at)
        self._buffer, self._at = self._buffer[self._at :] + piece, 0
        return not self._ended


class _Document:
    """Walks through a document to what it lists."""

    def __init__(self, name: str, scanner: _Scanner, rules: Rules) -> None:
        self._name, self._scanner, self._rules = name, scanner, rules
        self._lists = list[str]()

    def values(self) -> Iterator[str]:
        """Yield the text of each value that is listed."""
        scanner = self._scanner
        match scanner.peek():
            case "":
                raise SourceError(f"{self._name} is empty: there is nothing to read")
            case "[":
                yield from self._elements()
            case "{" if self._is_record(scanner.look()):
                while scanner.peek():
                    yield scanner.value()[0]
                return
            case "{":
                yield from self._within("", 1)
                if not self._lists:
                    raise SourceError(f"{self._name} is JSON, and there is no list of objects in it: {_CONVERT}")
            case _:
                raise scanner.wrong("it is not JSON: it must begin with [ or {")
        if scanner.peek():
            raise scanner.wrong("there is something behind its end")

    def _is_record(self, found: tuple[str, Any] | None) -> bool:
        fields = None if found is None else as_object(found[1])
        if fields is None:
            return False
        rules = for_own(fields, self._rules)
        return columns_of([name for name, _ in flat(fields, rules)], rules).is_header

    def _elements(self) -> Iterator[str]:
        scanner = self._scanner
        scanner.take("[")
        if scanner.peek() == "]":
            scanner.take("]")
            return
        while True:
            yield scanner.value()[0]
            if scanner.take(",", "]") == "]":
                return

    def _within(self, path: str, depth: int) -> Iterator[str]:
        scanner = self._scanner
        scanner.take("{")
        if scanner.peek() == "}":
            scanner.take("}")
            return
        while True:
            key = str(scanner.value()[1])
            scanner.take(":")
            yield from self._member(f"{path}.{key}" if path else key, depth)
            if scanner.take(",", "}") == "}":
                return

    def _member(self, path: str, depth: int) -> Iterator[str]:
        scanner = self._scanner
        first = scanner.peek()
        if first == "{" and depth < _DEEPEST:
            yield from self._within(path, depth + 1)
        elif first == "[" and scanner.second() == "{":
            self._lists.append(path)
            if len(self._lists) > 1:
                raise SourceError(
                    f"{self._name} has more than one list of objects, and it does not say which is the customers': "
                    f"take one out, such as with: jq -c '.NAME[]' FILE > FILE.jsonl"
                )
            yield from self._elements()
        else:
            scanner.value()


_JSON: Final = json.JSONDecoder(strict=False)
