"""The commands of `thredfi bulk`; each returns a job, imported on use, since readers and journal load slowly."""

import typer

from thredfi_async.cli import options as opt
from thredfi_async.cli.bulk import options as bulk
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.session import Job
from thredfi_async.cli.settings import Connection

app: typer.Typer = typer.Typer(
    cls=opt.Group, help="Archive the customers that a file lists, with a journal of how far the run has come."
)


@app.command()
def archive(  # noqa: PLR0913 - a parameter for each option
    source: bulk.Source,
    *,
    journal: bulk.Journal,
    business_id: bulk.Business = None,
    format: bulk.Format = None,  # noqa: A002 - the option's name
    allow_missing_fields: bulk.AllowMissingFields = False,
    concurrency: bulk.Concurrency = None,
    rate: bulk.Rate = None,
    outage_timeout: bulk.OutageTimeout = None,
    max_failures: bulk.MaxFailures = None,
    strict: bulk.Strict = False,
    invalid_lines: bulk.InvalidLines = None,
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Archive every customer that a file lists.

    Lines have a customer_id, a business_id unless --business-id gives it, and the fields of the body, or none of them:
    then the server's own record is fetched and sent. The first Ctrl-C lets calls in flight end and shows how to go on.
    """
    del json, debug
    from thredfi_async.cli.bulk.archive import Archive  # noqa: PLC0415 - see the module's docstring

    return Archive(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        source=source,
        journal=journal,
        business_id=business_id,
        format=format,
        allow_missing_fields=allow_missing_fields,
        strict=strict,
        invalid_lines=invalid_lines,
        dry_run=dry_run,
        yes=yes,
        speed=bulk.RateOptions(
            concurrency=concurrency, rate=rate, outage_timeout=outage_timeout, max_failures=max_failures
        ),
    )


@app.command()
def resume(  # noqa: PLR0913 - a parameter for each option
    journal: bulk.Begun,
    source: bulk.Again = None,
    *,
    invalid_lines: bulk.InvalidLines = None,
    failed: bulk.IncludeRejected = False,
    allow_host_change: bulk.AllowHostChange = False,
    concurrency: bulk.Concurrency = None,
    rate: bulk.Rate = None,
    outage_timeout: bulk.OutageTimeout = None,
    max_failures: bulk.MaxFailures = None,
    yes: bulk.Yes = False,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Resume a run: send every customer that has no final outcome.

    Those whose outcome is unknown are looked at first. The source must not have changed.
    """
    del json, debug
    from thredfi_async.cli.bulk.resume import Resume  # noqa: PLC0415 - see the module's docstring

    return Resume(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        journal=journal,
        source=source,
        invalid_lines=invalid_lines,
        failed=failed,
        allow_host_change=allow_host_change,
        yes=yes,
        speed=bulk.RateOptions(
            concurrency=concurrency, rate=rate, outage_timeout=outage_timeout, max_failures=max_failures
        ),
    )


@app.command()
def status(journal: bulk.Begun, *, json: opt.Json = False, debug: opt.Debug = False) -> Job:
    """Show how far a run has come, also while it is running."""
    del json, debug
    from thredfi_async.cli.bulk.status import Status  # noqa: PLC0415 - see the module's docstring

    return Status(journal=journal)


@app.command()
def settle(  # noqa: PLR0913 - a parameter for each option
    journal: bulk.Begun,
    *,
    allow_host_change: bulk.AllowHostChange = False,
    concurrency: bulk.Concurrency = None,
    rate: bulk.Rate = None,
    outage_timeout: bulk.OutageTimeout = None,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Ask the API about every customer whose outcome is unknown; nothing is archived."""
    del json, debug
    from thredfi_async.cli.bulk.settle import Settle  # noqa: PLC0415 - see the module's docstring

    return Settle(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        journal=journal,
        allow_host_change=allow_host_change,
        speed=bulk.RateOptions(concurrency=concurrency, rate=rate, outage_timeout=outage_timeout),
    )


@app.command()
def report(
    journal: bulk.Begun,
    *,
    not_archived: bulk.NotArchived = None,
    html: bulk.Html = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Count the outcomes and the reasons, and list who is not archived, without personal data."""
    del json, debug
    from thredfi_async.cli.bulk.report import Report  # noqa: PLC0415 - see the module's docstring

    return Report(journal=journal, not_archived=not_archived, html=html)


@app.command()
def publish(  # noqa: PLR0913 - a parameter for each option
    source: bulk.Source,
    *,
    nats: bulk.Nats = None,
    nats_creds: bulk.NatsCreds = None,
    allow_plaintext: bulk.AllowPlaintext = False,
    stream: bulk.Stream = None,
    subject: bulk.Subject = None,
    dedup_window: bulk.DedupWindow = None,
    dedup_key: bulk.DedupKey = "",
    dead_letters_max_age: bulk.DeadLettersMaxAge = None,
    journal: bulk.PublishJournal = None,
    business_id: bulk.Business = None,
    format: bulk.Format = None,  # noqa: A002 - the option's name
    allow_missing_fields: bulk.AllowMissingFields = False,
    strict: bulk.Strict = False,
    invalid_lines: bulk.InvalidLines = None,
    yes: bulk.Yes = False,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Publish every customer that a file lists to a queue of NATS, for `thredfi worker` on any number of machines.

    Running the same again is safe: what the queue has is stored once, and a customer that is archived stays as it is.
    """
    del json, debug
    with broker_preflight_errors():
        from thredfi_async.cli.bulk.publish import Publish  # noqa: PLC0415 - see the module's docstring

    return Publish(
        source=source,
        nats=Nats(
            url=nats,
            stream=stream,
            subject=subject,
            dedup_window=dedup_window,
            dead_letters_max_age=dead_letters_max_age,
            creds=nats_creds,
            allow_plaintext=allow_plaintext,
        ),
        dedup_key=dedup_key,
        journal=journal,
        business_id=business_id,
        format=format,
        allow_missing_fields=allow_missing_fields,
        strict=strict,
        invalid_lines=invalid_lines,
        yes=yes,
    )


@app.command()
def collect(  # noqa: PLR0913 - a parameter for each option
    *,
    journal: bulk.CollectJournal,
    nats: bulk.Nats = None,
    nats_creds: bulk.NatsCreds = None,
    allow_plaintext: bulk.AllowPlaintext = False,
    stream: bulk.Stream = None,
    subject: bulk.Subject = None,
    consumer: bulk.Consumer = None,
    follow: bulk.Follow = False,
    until_done: bulk.UntilDone = False,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Write what the workers have done into a journal, for `bulk status` and `bulk report`.

    It takes the outcomes that there are, or goes on with --follow or --until-done. Repeating it gives the same.
    """
    del json, debug
    with broker_preflight_errors():
        from thredfi_async.cli.bulk.collect import Collect  # noqa: PLC0415 - see the module's docstring

    if follow and until_done:
        raise typer.BadParameter("give --follow or --until-done, not both", param_hint="--until-done")
    return Collect(
        journal=journal,
        nats=Nats(
            url=nats,
            stream=stream,
            subject=subject,
            consumer=consumer,
            creds=nats_creds,
            allow_plaintext=allow_plaintext,
        ),
        follow=follow,
        until_done=until_done,
    )
