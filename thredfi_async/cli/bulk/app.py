"""The commands of `thredfi bulk`; each returns a job, imported when wanted, since readers and journal are dear."""

import typer

from thredfi_async.cli import options as opt
from thredfi_async.cli.bulk import options as bulk
from thredfi_async.cli.bulk.speed import Speed
from thredfi_async.cli.session import Job
from thredfi_async.cli.settings import Connection

app = typer.Typer(help="Archive what a file lists, with a journal that knows how far the run has come.")


@app.command()
def archive(  # noqa: PLR0913 - a parameter for each option
    source: bulk.Source,
    *,
    journal: bulk.Journal,
    business_id: bulk.Business = None,
    format: bulk.Format = None,  # noqa: A002 - the option's name
    concurrency: bulk.Concurrency = None,
    rate: bulk.Rate = None,
    patience: bulk.Patience = None,
    max_failures: bulk.MaxFailures = None,
    strict: bulk.Strict = False,
    rejected: bulk.Rejected = None,
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
    then the server's own record is fetched and sent. The first Ctrl-C ends what is under way and says how to go on.
    """
    del json, debug
    from thredfi_async.cli.bulk.archive import Archive  # noqa: PLC0415 - see the module's docstring

    return Archive(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        source=source,
        journal=journal,
        business_id=business_id,
        format=format,
        strict=strict,
        rejected=rejected,
        dry_run=dry_run,
        yes=yes,
        speed=Speed(concurrency=concurrency, rate=rate, patience=patience, max_failures=max_failures),
    )


@app.command()
def resume(  # noqa: PLR0913 - a parameter for each option
    journal: bulk.Begun,
    source: bulk.Again = None,
    *,
    failed: bulk.Failed = False,
    other_host: bulk.OtherHost = False,
    concurrency: bulk.Concurrency = None,
    rate: bulk.Rate = None,
    patience: bulk.Patience = None,
    max_failures: bulk.MaxFailures = None,
    yes: bulk.Yes = False,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Go on with a run: take up every customer that has no final outcome.

    Those whose outcome is unknown are looked at first. The source must still be what it was.
    """
    del json, debug
    from thredfi_async.cli.bulk.archive import Resume  # noqa: PLC0415 - see the module's docstring

    return Resume(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        journal=journal,
        source=source,
        failed=failed,
        other_host=other_host,
        yes=yes,
        speed=Speed(concurrency=concurrency, rate=rate, patience=patience, max_failures=max_failures),
    )


@app.command()
def status(journal: bulk.Begun, *, json: opt.Json = False, debug: opt.Debug = False) -> Job:
    """Show how far a run has come, while it goes on too."""
    del json, debug
    from thredfi_async.cli.bulk.look import Status  # noqa: PLC0415 - see the module's docstring

    return Status(journal=journal)


@app.command()
def settle(  # noqa: PLR0913 - a parameter for each option
    journal: bulk.Begun,
    *,
    other_host: bulk.OtherHost = False,
    concurrency: bulk.Concurrency = None,
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
        other_host=other_host,
        concurrency=concurrency,
    )


@app.command()
def report(
    journal: bulk.Begun,
    *,
    failures: bulk.Failures = None,
    html: bulk.Html = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Count the outcomes and the reasons, and write who is not archived, without anybody's data."""
    del json, debug
    from thredfi_async.cli.bulk.look import Report  # noqa: PLC0415 - see the module's docstring

    return Report(journal=journal, failures=failures, html=html)
