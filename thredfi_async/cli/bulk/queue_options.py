"""The options of every command that has to do with a queue; none of them takes a secret."""

from pathlib import Path
from typing import Annotated

import typer

from thredfi_async.cli.bulk.nats import Nats
from thredfi_async.cli.command_line import Bundle
from thredfi_async.cli.parsers import seconds

Url = Annotated[
    str | None,
    typer.Option(
        "--nats",
        metavar="URL",
        help="Where NATS is, in the place of THREDFI_NATS_URL; tls:// asks for TLS.  [default: nats://127.0.0.1:4222]",
    ),
]
Creds = Annotated[
    Path | None,
    typer.Option("--nats-creds", metavar="FILE", help="A .creds file for NATS, in the place of THREDFI_NATS_CREDS."),
]
AllowPlaintext = Annotated[
    bool,
    typer.Option("--allow-plaintext", help="Send NATS's password or token to another machine without TLS."),
]
Stream = Annotated[
    str | None,
    typer.Option(
        "--stream",
        metavar="NAME",
        help="The queue's stream, which the names of two others begin with.  [default: THREDFI]",
    ),
]
Subject = Annotated[
    str | None,
    typer.Option(
        "--subject", metavar="SUBJECT", help="The subject of the queue's messages.  [default: thredfi.archive]"
    ),
]
Consumer = Annotated[
    str | None,
    typer.Option("--consumer", metavar="NAME", help="The consumer that the workers share.  [default: thredfi-worker]"),
]
DedupWindow = Annotated[
    float | None,
    typer.Option(
        "--dedup-window",
        metavar="DURATION",
        parser=seconds,
        help="How long a new stream remembers who was published; an existing one keeps its own.  [default: 1h]",
    ),
]
DedupKey = Annotated[
    str,
    typer.Option(
        "--dedup-key",
        metavar="NAME",
        show_default=False,
        help="Another name lets customers be published again within the window, as when data was fixed.",
    ),
]
DeadLettersMaxAge = Annotated[
    float | None,
    typer.Option(
        "--dead-letters-max-age",
        metavar="DURATION",
        parser=seconds,
        help="How long a new stream keeps dead letters, which hold personal data, such as 30d.  [default: for ever]",
    ),
]


def _queue(
    *,
    nats: Url = None,
    nats_creds: Creds = None,
    allow_plaintext: AllowPlaintext = False,
    stream: Stream = None,
    subject: Subject = None,
) -> Nats:
    return Nats(url=nats, creds=nats_creds, allow_plaintext=allow_plaintext, stream=stream, subject=subject)


Queue = Annotated[Nats, Bundle(_queue)]
