"""`list`, `show`, `redrive` and `discard`; each returns a job, imported on use, since nats-py loads slowly."""

from typing import Annotated, TypeAlias

import typer

from thredfi_async.cli import options as opt
from thredfi_async.cli.bulk import options as bulk
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.session import Job

Number: TypeAlias = Annotated[int, typer.Argument(metavar="ID", min=1, help="As `list` shows it.", show_default=False)]
Numbers: TypeAlias = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", min=1, help="Which ones, as `list` shows them.")
]
Code: TypeAlias = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Only those with this reason, such as http_503.")
]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All that there are now.")]
Original: TypeAlias = Annotated[
    bool, typer.Option("--original", help="Write the original message, and nothing else; it may hold personal data.")
]

app: typer.Typer = typer.Typer(
    cls=opt.Group, help="Commands that workers gave up: look at them, put them into the queue again, or delete them."
)


@app.command("list")
def list_letters(  # noqa: PLR0913 - a parameter for each option
    *,
    code: Code = None,
    nats: bulk.Nats = None,
    stream: bulk.Stream = None,
    subject: bulk.Subject = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """List the dead letters, a line each, the oldest first, without personal data."""
    del json, debug
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.show import ListLetters  # noqa: PLC0415 - see the module's docstring

    return ListLetters(nats=Nats(url=nats, stream=stream, subject=subject), code=code)


@app.command()
def show(  # noqa: PLR0913 - a parameter for each option
    number: Number,
    *,
    original: Original = False,
    nats: bulk.Nats = None,
    stream: bulk.Stream = None,
    subject: bulk.Subject = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Show one dead letter: why and when it was given up, and what its requests may have done."""
    del json, debug
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.show import ShowLetter  # noqa: PLC0415 - see the module's docstring

    return ShowLetter(nats=Nats(url=nats, stream=stream, subject=subject), number=number, original=original)


@app.command()
def redrive(  # noqa: PLR0913 - a parameter for each option
    numbers: Numbers = None,
    *,
    code: Code = None,
    every: All = False,
    nats: bulk.Nats = None,
    stream: bulk.Stream = None,
    subject: bulk.Subject = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Put the original messages into the queue again, byte by byte, and delete each dead letter whose message is there.

    Running it again after a kill is safe: what the queue has already is not stored twice.
    """
    del json, debug
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.end import Redrive, chosen  # noqa: PLC0415 - see the module's docstring

    choice = chosen(numbers, code=code, every=every)
    return Redrive(nats=Nats(url=nats, stream=stream, subject=subject), choice=choice)


@app.command()
def discard(  # noqa: PLR0913 - a parameter for each option
    numbers: Numbers = None,
    *,
    code: Code = None,
    every: All = False,
    yes: bulk.Yes = False,
    nats: bulk.Nats = None,
    stream: bulk.Stream = None,
    subject: bulk.Subject = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Delete dead letters, and with them all that they hold."""
    del json, debug
    with broker_preflight_errors():
        from thredfi_async.cli.dead_letters.end import Discard, chosen  # noqa: PLC0415 - see the module's docstring

    choice = chosen(numbers, code=code, every=every)
    return Discard(nats=Nats(url=nats, stream=stream, subject=subject), choice=choice, yes=yes)
