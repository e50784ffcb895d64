"""The commands of `thredfi bulk`; each returns a job, imported on use, since readers and journal load slowly."""

from dataclasses import replace

import typer

from thredfi_async.cli import options as opt
from thredfi_async.cli.bulk import options as bulk
from thredfi_async.cli.bulk import queue_options
from thredfi_async.cli.bulk.nats import broker_preflight_errors
from thredfi_async.cli.bulk.reading import FromFile
from thredfi_async.cli.command_line import Group, command
from thredfi_async.cli.session import Job

app: typer.Typer = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    help="Archive the customers that a file lists.\n\nA journal remembers every outcome, so that a run can be resumed.",
    epilog="Example\nthredfi bulk check customers.csv\nthredfi bulk archive customers.csv --journal run.db --ids-only",
)


@command(app, example="thredfi bulk check customers.csv --ids-only")
def check(
    *,
    reading: FromFile,
) -> Job:
    """Show how a file is read, and what in it is wrong.

    Nothing is sent, and no credentials are needed.
    """
    from thredfi_async.cli.bulk.check import Check  # noqa: PLC0415 - see the module's docstring

    return Check(reading=reading)


@command(app, example="thredfi bulk archive customers.csv --journal run.db --ids-only")
def archive(  # noqa: PLR0913 - a parameter for each option
    *,
    journal: bulk.Journal,
    reading: FromFile,
    speed: bulk.Speed,
    strict: bulk.Strict = False,
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    connection: opt.Api,
) -> Job:
    """Archive every customer that a file lists.

    Lines have a customer_id, a business_id unless --business-id gives it, and the fields of the body, or none of them:
    then the server's own record is fetched and sent. The first Ctrl-C lets calls in flight end and shows how to go on.
    """
    from thredfi_async.cli.bulk.archive import Archive  # noqa: PLC0415 - see the module's docstring

    return Archive(
        connection=connection,
        reading=reading,
        journal=journal,
        strict=strict,
        dry_run=dry_run,
        yes=yes,
        speed=speed,
    )


@command(app, example="thredfi bulk resume run.db")
def resume(  # noqa: PLR0913 - a parameter for each option
    *,
    journal: bulk.Begun,
    source: bulk.Again = None,
    invalid_lines: bulk.InvalidLines = None,
    include_rejected: bulk.IncludeRejected = False,
    allow_host_change: bulk.AllowHostChange = False,
    speed: bulk.Speed,
    yes: bulk.Yes = False,
    connection: opt.Api,
) -> Job:
    """Send every customer of a run that has no final outcome.

    Those whose outcome is unknown are looked at first. The source must not have changed.
    """
    from thredfi_async.cli.bulk.resume import Resume  # noqa: PLC0415 - see the module's docstring

    return Resume(
        connection=connection,
        journal=journal,
        source=source,
        invalid_lines=invalid_lines,
        include_rejected=include_rejected,
        allow_host_change=allow_host_change,
        yes=yes,
        speed=speed,
    )


@command(app, example="thredfi bulk status run.db")
def status(*, journal: bulk.Begun) -> Job:
    """Show how far a run has come, also while it is running."""
    from thredfi_async.cli.bulk.status import Status  # noqa: PLC0415 - see the module's docstring

    return Status(journal=journal)


@command(app, example="thredfi bulk settle run.db")
def settle(  # noqa: PLR0913 - a parameter for each option
    *,
    journal: bulk.Begun,
    allow_host_change: bulk.AllowHostChange = False,
    concurrency: bulk.Concurrency = None,
    rate: bulk.Rate = None,
    outage_timeout: bulk.OutageTimeout = None,
    connection: opt.Api,
) -> Job:
    """Ask the API about every unknown outcome; archive nothing."""
    from thredfi_async.cli.bulk.settle import Settle  # noqa: PLC0415 - see the module's docstring

    return Settle(
        connection=connection,
        journal=journal,
        allow_host_change=allow_host_change,
        speed=bulk.RateOptions(concurrency=concurrency, rate=rate, outage_timeout=outage_timeout),
    )


@command(app, example="thredfi bulk report run.db --not-archived left.csv")
def report(
    *,
    journal: bulk.Begun,
    not_archived: bulk.NotArchived = None,
    html: bulk.Html = None,
) -> Job:
    """Count outcomes and reasons, and list who is not archived.

    What it writes has ids, and no personal data.
    """
    from thredfi_async.cli.bulk.report import Report  # noqa: PLC0415 - see the module's docstring

    return Report(journal=journal, not_archived=not_archived, html=html)


@command(app, example="thredfi bulk publish customers.csv --ids-only --journal run.db")
def publish(  # noqa: PLR0913 - a parameter for each option
    *,
    reading: FromFile,
    queue: queue_options.Queue,
    dedup_window: queue_options.DedupWindow = None,
    dedup_key: queue_options.DedupKey = "",
    dead_letters_max_age: queue_options.DeadLettersMaxAge = None,
    journal: bulk.PublishJournal = None,
    strict: bulk.Strict = False,
    yes: bulk.Yes = False,
) -> Job:
    """Publish the customers that a file lists to a queue.

    The queue is a stream of NATS; `thredfi worker` archives from it, on any number of machines. Running the same again
    is safe: what the queue has is stored once, and a customer that is archived stays as it is.
    """
    with broker_preflight_errors():
        from thredfi_async.cli.bulk.publish import Publish  # noqa: PLC0415 - see the module's docstring

    return Publish(
        reading=reading,
        nats=replace(queue, dedup_window=dedup_window, dead_letters_max_age=dead_letters_max_age),
        dedup_key=dedup_key,
        journal=journal,
        strict=strict,
        yes=yes,
    )


@command(app, example="thredfi bulk collect --journal run.db --until-done")
def collect(
    *,
    journal: bulk.CollectJournal,
    queue: queue_options.Queue,
    consumer: queue_options.Consumer = None,
    follow: bulk.Follow = False,
    until_done: bulk.UntilDone = False,
) -> Job:
    """Write what the workers have done into a journal.

    `bulk status` and `bulk report` show it. It takes the outcomes that there are, or goes on with --follow or
    --until-done. Repeating it gives the same.
    """
    with broker_preflight_errors():
        from thredfi_async.cli.bulk.collect import Collect  # noqa: PLC0415 - see the module's docstring

    if follow and until_done:
        raise typer.BadParameter("give --follow or --until-done, not both", param_hint="--until-done")
    return Collect(
        journal=journal,
        nats=replace(queue, consumer=consumer),
        follow=follow,
        until_done=until_done,
    )
