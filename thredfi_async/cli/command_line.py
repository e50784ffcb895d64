"""Declares commands: the options that several share, and a help that looks alike for all of them."""

import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, cast, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from thredfi_async.cli.session import Job

CONTEXT: Final = {"help_option_names": ["-h", "--help"]}
_DOCUMENTATION: Final = "documentation"
_BETWEEN: Final = re.compile(r"([0-9]+)<=x<=([0-9]+)")
_AT_LEAST: Final = re.compile(r"x>=([0-9]+)")

Json = Annotated[bool, typer.Option("--json", help="Write JSON: output to stdout, errors to stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show all logs and, if something breaks, stack traces.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show results and errors, and neither plan nor progress.")]
Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, show_default=False, help="Show retries; -vv shows every request."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        case_sensitive=False,
        help="Show logs on stderr from debug, info, warning or error on.",
    ),
]


@dataclass(frozen=True)
class Bundle:
    """Options that several commands share.

    Args:
        build: Makes the command's one parameter of them; its own parameters are the options.
    """

    build: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Verbosity:
    """How much a command shows.

    Args:
        quiet: Whether only results and errors are shown.
        log_level: The level from which logs are shown; None for none.
    """

    quiet: bool = False
    log_level: int | None = None


@dataclass(frozen=True)
class Declared:
    """A command with its arguments parsed.

    Args:
        job: What it does.
        verbosity: How much it shows.
        warnings: What its options say that is allowed, and better not done.
    """

    job: Job
    verbosity: Verbosity
    warnings: Sequence[str] = ()


def _verbosity(
    *,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    log_level: LogLevel = None,
    json: Json = False,
    debug: Debug = False,
) -> Verbosity:
    # `run` looks for --json itself, since it needs it where the arguments cannot be parsed.
    del json
    levels = {0: None, 1: logging.INFO}
    level = logging.DEBUG if debug else levels.get(verbose, logging.DEBUG)
    if log_level is not None and not debug:
        level = logging.getLevelNamesMapping()[log_level.upper()]
    if quiet and level is not None and level < logging.WARNING:
        raise typer.BadParameter("give it, or ask for more with -v, --log-level or --debug", param_hint="--quiet")
    return Verbosity(quiet=quiet, log_level=level)


def command(app: typer.Typer, name: str | None = None, *, example: str) -> Callable[[Callable[..., Job]], None]:
    """Return a decorator that makes a function a command.

    Args:
        app: Whose command it is.
        name: Its name; the function's by default.
        example: A line to type, for its help.

    Returns:
        The decorator; the function's parameters with a `Bundle` become the bundle's options.
    """

    def declare(function: Callable[..., Job]) -> None:
        named = (name or function.__name__).replace("_", "-")
        app.command(named, cls=Command, epilog=f"Example\n{example}")(_expanded(function))

    return declare


def _expanded(function: Callable[..., Job]) -> Callable[..., Declared]:
    """Return a function with the options of each bundle, and those of every command."""
    options, bundles = _options(function)
    common = {each.name: each for each in _keywords(_verbosity)}

    def call(**given: Any) -> Declared:  # noqa: ANN401 - what typer has parsed
        verbosity = _verbosity(**{name: given.pop(name) for name in common})
        built = {
            name: build(**{each.name: given.pop(each.name) for each in _keywords(build)})
            for name, build in bundles.items()
        }
        warnings = [each for value in built.values() for each in getattr(value, "warnings", ())]
        return Declared(function(**given, **built), verbosity, warnings)

    parameters = [*options, *common.values()]
    call.__doc__, call.__name__ = function.__doc__, function.__name__
    vars(call)["__signature__"] = inspect.Signature(parameters)
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _options(
    function: Callable[..., Job],
) -> tuple[list[inspect.Parameter], Mapping[str, Callable[..., Any]]]:
    options, bundles = list[inspect.Parameter](), dict[str, Callable[..., Any]]()
    for each in _keywords(function):
        found = [more for more in get_args(each.annotation) if isinstance(more, Bundle)]
        if found:
            bundles[each.name] = found[0].build
            options += _keywords(found[0].build)
        else:
            options.append(each)
    return options, bundles


def _keywords(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return a function's parameters, all by name, since a bundle may put arguments behind options."""
    parameters = inspect.signature(function).parameters.values()
    return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]


class Command(TyperCommand):
    """A command whose help shows flags as flags, and ends with an example and the address of the docs."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's or click's, by the version
        """Write arguments and options; no type is named where a metavar says it."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for each in cast("list[Any]", self.get_params(ctx)):
            record = each.get_help_record(ctx)
            if record is not None:
                # An argument's metavar says its type already.
                term = record[0].partition(" <")[0] if each.param_type_name == "argument" else record[0]
                # A default that is written into the help, and what typer adds, stand in one pair of brackets.
                rows[each.param_type_name].append((term, _in_words(record[1].replace("]  [", "; "))))
        for kind, found in rows.items():
            if found:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(found)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 - as above
        """Return the arguments as they are typed; brackets stand around what may be left out."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        """Write the example and the address."""
        del ctx
        _write_end(self.epilog, formatter)


def _in_words(text: str) -> str:
    """Return a help with bounds in words, which are no code to those who read it."""
    return _AT_LEAST.sub(r"\1 or more", _BETWEEN.sub(r"\1 to \2", text))


class Group(TyperGroup):
    """A group of commands; without a command it shows its help, and `help` is a command of it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as above
        """Show the help if there are no arguments; `help archive` is `archive --help`."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args or ["--help"])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        """Write what the group's commands have in common, and the address."""
        del ctx
        _write_end(self.epilog, formatter)


def _write_end(text: str | None, formatter: Any) -> None:  # noqa: ANN401 - as above
    """Write blocks with a heading each; a tab in a line parts what stands side by side."""
    for block in (text or "").split("\n\n"):
        heading, *lines = block.splitlines() or [""]
        rows = [line.split("\t") for line in lines]
        if not heading:
            continue
        with formatter.section(heading):
            if all(len(row) > 1 for row in rows):
                formatter.write_dl([(term, meaning) for term, meaning in rows])
            else:
                for line in lines:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
    if (address := documentation()) is not None:
        with formatter.section("Docs"):
            formatter.write_text(address)


def documentation() -> str | None:
    """Return where the docs are: the address under `Documentation` in pyproject.toml's `[project.urls]`, if any."""
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415 - slow, and for a help alone

    try:
        found = metadata("thredfi-async").get_all("Project-URL") or []
    except PackageNotFoundError:
        found = []
    labelled = (entry.partition(",") for entry in found)
    addresses = [address.strip() for label, _, address in labelled if label.strip().lower() == _DOCUMENTATION]
    return next(iter(addresses), None)
