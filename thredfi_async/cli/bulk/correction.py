"""The command that was typed, corrected so that it can read its file."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from thredfi_async.cli.formatting import command

if TYPE_CHECKING:
    from thredfi_async.bulk.readers import ReadingOptions
    from thredfi_async.bulk.readers.candidates import Proposal

_BUSINESS: Final = "--business-id"
_COLUMN: Final = "--column"


class Correction:
    """What to change in a command so that it can read its file.

    Args:
        typed: How it was to be read.
        has_business: Whether `--business-id` was given.
        proposal: How it can be read.
    """

    def __init__(self, typed: "ReadingOptions", proposal: "Proposal", *, has_business: bool) -> None:
        """Take what was typed, and what is right."""
        self._typed, self._right = typed, proposal.options
        self._drops_business = has_business and proposal.business
        self._asks_business = not has_business and not proposal.business

    def of(self, arguments: Sequence[str]) -> str | None:
        """Return the command in a line to paste; None if it cannot be told.

        Args:
            arguments: What was typed.
        """
        end = arguments.index("--") if "--" in arguments else len(arguments)
        changed = [ours for ours, theirs in self._typed.columns.items() if self._right.columns.get(ours) != theirs]
        kept = self._without(arguments[:end], changed)
        return None if kept is None else command(*kept, *self._added(), *arguments[end:])

    def _without(self, words: Sequence[str], columns: Sequence[str]) -> list[str] | None:
        """Return the words without the columns that are named otherwise, and without a business that is not needed."""
        kept, rest, dropped = list[str](), iter(words), set[str]()
        for word in rest:
            name, is_one, value = word.partition("=") if word.startswith("--") else (word, "", "")
            if name not in {_BUSINESS, _COLUMN}:
                kept.append(word)
                continue
            value = value if is_one else next(rest, "")
            ours = value.partition("=")[0].strip().lower()
            if name == _COLUMN and ours in columns:
                dropped.add(ours)
            elif name == _COLUMN or not self._drops_business:
                kept += [word] if is_one else [word, value]
        # What a file of columns says cannot be changed here.
        return kept if dropped == set(columns) else None

    def _added(self) -> list[str]:
        typed, right = self._typed, self._right
        words = ["--ids-only"] if right.ids_only and not typed.ids_only else []
        for ours, theirs in _new(typed.columns, right.columns).items():
            words += [_COLUMN, f"{ours}={theirs}"]
        words += [_BUSINESS, "ID"] if self._asks_business else []
        for name, before, now in (
            ("--encoding", typed.encoding, right.encoding),
            ("--sheet", typed.sheet, right.sheet),
        ):
            words += [name, now] if now is not None and now != before else []
        return words


def _new(before: Mapping[str, str], now: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in now.items() if before.get(name) != value}
