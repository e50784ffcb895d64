"""The options of `thredfi bulk publish` and `collect`; none of them takes a secret."""

from pathlib import Path
from typing import Annotated

import typer

from thredfi_async.cli.parsers import seconds

Nats = Annotated[
    str | None,
    typer.Option(
        "--nats",
        metavar="URL",
        help="Where NATS is, in the place of THREDFI_NATS_URL; nats://127.0.0.1:4222 unless either is given. "
        "Who asks is in THREDFI_NATS_CREDS, THREDFI_NATS_TOKEN, or THREDFI_NATS_USER and THREDFI_NATS_PASSWORD.",
    ),
]
Stream = Annotated[
    str | None,
    typer.Option(
        "--stream", metavar="NAME", help="The queue's stream, which the names of two others begin with; THREDFI."
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="SUBJECT", help="The subject of the queue's messages; thredfi.archive."),
]
Consumer = Annotated[
    str | None, typer.Option("--consumer", metavar="NAME", help="The consumer that the workers share; thredfi-worker.")
]
DedupWindow = Annotated[
    float | None,
    typer.Option(
        "--dedup-window",
        metavar="DURATION",
        parser=seconds,
        help="How long a new stream remembers who was published; 1h. An existing stream keeps its own.",
    ),
]
DedupKey = Annotated[
    str,
    typer.Option(
        "--dedup-key",
        metavar="NAME",
        help="Another name lets customers be published again within the duplicate window, as when data was fixed.",
    ),
]
PublishJournal = Annotated[
    Path | None,
    typer.Option(
        "--journal", metavar="RUN.db", help="Remembers who is published, so that `bulk collect` knows who is pending."
    ),
]
CollectJournal = Annotated[
    Path,
    typer.Option("--journal", metavar="RUN.db", help="Takes the outcomes; made if it is missing.", show_default=False),
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")]
UntilDone = Annotated[bool, typer.Option("--until-done", help="Go on until the queue is empty.")]
