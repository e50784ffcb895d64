"""`list`, `show`, `redrive` and `discard`; each returns a job, imported on use, since nats-py loads slowly."""

from typing import Annotated, TypeAlias

import typer

from thredfi_async.cli.bulk.nats import broker_preflight_errors
from thredfi_async.cli.bulk.queue_options import Queue
from thredfi_async.cli.command_line import Group, command
from thredfi_async.cli.session import Job

_LARGEST = 2**63 - 1
"""Numbers of messages have 64 bits at the broker."""

Number: TypeAlias = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=_LARGEST, help="As `list` shows it.", show_default=False)
]
Numbers: TypeAlias = Annotated[
    list[int] | None, typer.Argument(metavar="ID", min=1, max=_LARGEST, help="Which ones, as `list` shows them.")
]
Code: TypeAlias = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Only those with this reason, such as http_503.")
]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All that there are now.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")]
Again: TypeAlias = Annotated[
    bool, typer.Option("--again", help="Also those that another redrive put there, and that are there no more.")
]
Original: TypeAlias = Annotated[
    bool, typer.Option("--original", help="Write the original message, and nothing else; it may hold personal data.")
]

app: typer.Typer = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    help="Look at the commands that workers gave up.\n\nThen put them into the queue again, or delete them.",
    epilog="Example\nthredfi dead-letters list\nthredfi dead-letters redrive --code http_503",
)


@command(app, "list", example="thredfi dead-letters list --code http_503")
def list_letters(*, code: Code = None, queue: Queue) -> Job:
    """List the dead letters, a line each.

    The oldest comes first; no line has personal data.
    """
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.show import ListLetters  # noqa: PLC0415 - see the module's docstring

    return ListLetters(nats=queue, code=code)


@command(app, example="thredfi dead-letters show 17")
def show(*, number: Number, original: Original = False, queue: Queue) -> Job:
    """Show one dead letter.

    It says why and when the command was given up, and what its requests may have done.
    """
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.show import ShowLetter  # noqa: PLC0415 - see the module's docstring

    return ShowLetter(nats=queue, number=number, original=original)


@command(app, example="thredfi dead-letters redrive --code http_503")
def redrive(
    *, numbers: Numbers = None, code: Code = None, every: All = False, again: Again = False, queue: Queue
) -> Job:
    """Put the original messages into the queue again.

    They go there byte by byte, and each dead letter whose message is there is deleted. Running it again after a kill is
    safe: what the queue has already is not stored twice.
    """
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.end import Redrive, chosen  # noqa: PLC0415 - see the module's docstring

    return Redrive(nats=queue, choice=chosen(numbers, code=code, every=every), again=again)


@command(app, example="thredfi dead-letters discard 17 18")
def discard(*, numbers: Numbers = None, code: Code = None, every: All = False, yes: Yes = False, queue: Queue) -> Job:
    """Delete dead letters, and with them all that they hold."""
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.end import Discard, chosen  # noqa: PLC0415 - see the module's docstring

    return Discard(nats=queue, choice=chosen(numbers, code=code, every=every), yes=yes)
