"""Writes the commands into docs/cli.md, from what `thredfi -h` shows: `nox -s cli_page`."""

import re
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from thredfi_async.cli.app import app

PAGE: Final = Path(__file__).parents[1] / "docs" / "cli.md"
_BEGIN: Final = "<!-- Written by `nox -s cli_page`, from the commands; change them there. -->\n"
_END: Final = "<!-- Until here. -->\n"
_CODE: Final = re.compile(r"`[^`]*`|(?<![\w`-])(?:--[a-z][a-z-]*|(?:[A-Z]+_)+[A-Z]+)(?![\w`])")
_HELP: Final = "--help"
_OFTEN: Final = 5
"""An option that so many commands have is described once."""


def page(text: str) -> str:
    """Return the page's text with its commands as they are now.

    Args:
        text: The page; what stands between the two comments is replaced.

    Raises:
        ValueError: It has no such comments.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for the commands: {_BEGIN.strip()} to {_END.strip()}")
    return f"{before}{_BEGIN}\n{commands()}\n{_END}{after}"


def commands() -> str:
    """Return the part of the page that shows every command with its arguments and options."""
    found = list(_leaves(get_command(app), ("thredfi",)))
    rows = Counter(_row(option) for _, command in found for option in _options(command))
    everywhere = [row for row, times in rows.items() if times == len(found)]
    often = [row for row, times in rows.items() if _OFTEN <= times < len(found)]
    parts = [f"### Options of every command\n\n{_table(everywhere)}"]
    for path, command in found:
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        shown = [_row(each) for each in [*arguments, *_options(command)]]
        own = [row for row in shown if row not in everywhere and row not in often]
        also = [row[0].split(maxsplit=1)[0] for row in shown if row in often]
        pieces = [f"### `{' '.join([*path, *map(_argument, arguments)])}`", _prose(command.help), _table(own)]
        if also:
            last = f" and `{also[-1]}`" if also[1:] else ""
            names = ", ".join(f"`{name}`" for name in (also[:-1] if last else also))
            pieces.append(
                f"{'Also takes' if own else 'Takes'} {names}{last}: see [below](#options-of-several-commands)."
            )
        parts.append("\n\n".join(filter(None, pieces)))
    parts.append(f"### Options of several commands\n\n{_table(often)}")
    return "\n\n".join(parts) + "\n"


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command that does something, in the order of the help, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, each in inner.items():
        if not each.hidden:
            yield from _leaves(each, (*path, name))


def _options(command: Any) -> list[Any]:
    return [
        each for each in command.params
        if each.param_type_name == "option" and not each.hidden and _HELP not in each.opts
    ]  # fmt: skip


def _argument(argument: Any) -> str:
    name = argument.metavar or str(argument.name).upper()
    name = name.replace("[", "").replace("]", "")
    name += "..." if argument.nargs == -1 and "..." not in name else ""
    return name if argument.required else f"[{name}]"


def _row(parameter: Any) -> tuple[str, str]:
    return _usage(parameter), _what(parameter)


def _table(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = [f"| `{usage}` | {what} |" for usage, what in rows]
    return "\n".join(["| option | what it does |", "|---|---|", *lines])


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _argument(parameter)
    names = ", ".join(sorted([*parameter.opts, *parameter.secondary_opts], key=len))
    return names if parameter.is_flag or getattr(parameter, "count", False) else f"{names} {_value(parameter)}"


def _value(option: Any) -> str:
    if option.metavar:
        return str(option.metavar)
    choices, is_number = _kind(option)
    return "\\|".join(choices) or ("N" if is_number else "TEXT")


def _kind(option: Any) -> tuple[list[str], bool]:
    """Return an option's choices, and whether it takes a number: versions of typer keep that in different places."""
    if (described := getattr(option, "type_descriptor", None)) is not None:
        kind = described.annotation
        return [str(each.value) for each in kind] if issubclass(kind, Enum) else [], kind in {int, float}
    choices = [str(getattr(each, "value", each)) for each in getattr(option.type, "choices", ())]
    return choices, option.type.name.startswith(("integer", "float"))


def _what(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split())
    default = getattr(parameter.default, "value", parameter.default)
    shown = getattr(parameter, "show_default", False)
    if shown and default not in {None, False, True, ""} and not callable(default) and f"{default}" not in text:
        text += f" By default {default}."
    return _marked(text.replace("|", "\\|"))


def _prose(text: str | None) -> str:
    """Return a command's help, a sentence a line; typer marks a paragraph that keeps its lines with a backspace."""
    paragraphs = cleandoc((text or "").replace("\b\n", "").partition("\f")[0]).split("\n\n")
    return "\n\n".join(re.sub(r"(?<=[.:]) (?=[A-Z])", "\n", _marked(" ".join(each.split()))) for each in paragraphs)


def _marked(text: str) -> str:
    """Return the text with options and variables as code, so that Markdown leaves their hyphens alone."""
    return _CODE.sub(lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
