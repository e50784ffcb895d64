"""The commands; each returns a job, which runs outside of typer."""

__lazy_modules__ = ["thredfi_async.cli.customers", "thredfi_async.cli.settings"]
from typing import Annotated

import typer

from thredfi_async import __version__
from thredfi_async.cli import options as opt
from thredfi_async.cli.bulk import options as bulk_options
from thredfi_async.cli.bulk.app import app as bulk
from thredfi_async.cli.bulk.nats import Nats
from thredfi_async.cli.customers import Archive, Get, List
from thredfi_async.cli.dead_letters.app import app as dead_letters
from thredfi_async.cli.exit_codes import EXIT_CODES
from thredfi_async.cli.session import Job
from thredfi_async.cli.settings import Connection
from thredfi_async.cli.worker_log import LogLevelName

_CREDENTIALS = """\
Credentials come from the environment, or from a file with --env-file, and never from the command line:
THREDFI_PARTNER_UUID and THREDFI_API_KEY, or THREDFI_TOKEN."""
_WHERE = "Where the API is: THREDFI_BASE_URL, or THREDFI_ENVIRONMENT (sandbox or production)."
_CODES = [f"{int(code)}: {meaning}" for code, meaning in EXIT_CODES.items()]

app: typer.Typer = typer.Typer(
    cls=opt.Group,
    context_settings=opt.CONTEXT,
    epilog="\n\n".join([_CREDENTIALS, _WHERE, "Exit codes", *_CODES]),
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thredfi-async {__version__}")
        raise typer.Exit


@app.callback()
def thredfi(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Archive Thredfi customers, and know after every call whether each was archived, was not, or may have been."""
    del version


app.add_typer(bulk, name="bulk")
app.add_typer(dead_letters, name="dead-letters")


# --json and --debug are parsed here only for --help: `run` reads them itself, since it needs them before and after
# typer runs.


@app.command()
def archive(  # noqa: PLR0913 - a parameter for each option
    business_id: opt.BusinessId,
    customer_id: opt.CustomerId,
    *,
    body: opt.Body = None,
    allow_missing_fields: opt.AllowMissingFields = False,
    idempotency_key: opt.Key = None,
    no_settle: opt.NoSettle = False,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Archive one customer and show it.

    Without --body, the server's own record is fetched and sent; a customer that is archived already is left as it is.
    """
    del json, debug
    if allow_missing_fields and body is None:
        raise typer.BadParameter(
            "it is about the fields of a body: give --body too", param_hint="--allow-missing-fields"
        )
    return Archive(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        business_id=business_id,
        customer_id=customer_id,
        body=body,
        allow_missing_fields=allow_missing_fields,
        settle=not no_settle,
        idempotency_key=idempotency_key,
    )


@app.command()
def get(  # noqa: PLR0913 - a parameter for each option
    business_id: opt.BusinessId,
    customer_id: opt.CustomerId,
    *,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Show one customer, archived or not."""
    del json, debug
    connection = Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout)
    return Get(connection=connection, business_id=business_id, customer_id=customer_id)


@app.command("list")
def list_customers(  # noqa: PLR0913 - a parameter for each option
    business_id: opt.BusinessId,
    *,
    include_archived: opt.IncludeArchived = False,
    external_id: opt.ExternalId = None,
    page_size: opt.PageSize = None,
    limit: opt.Limit = None,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """List a business's customers, a line each, as they come."""
    del json, debug
    return List(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        business_id=business_id,
        include_archived=include_archived,
        external_id=external_id,
        page_size=page_size,
        limit=limit,
    )


@app.command()
def mock_server(  # noqa: PLR0913 - a parameter for each option
    *,
    port: opt.Port = 8000,
    host: opt.Host = "127.0.0.1",
    customers: opt.Customers = 1000,
    businesses: opt.Businesses = 1,
    latency: opt.Latency = 0.0,
    error_rate: opt.ErrorRate = 0.0,
    rate_limit: opt.RateLimit = None,
    seed: opt.Seed = 1,
    no_strict: opt.NoStrict = False,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Serve a fake Thredfi API with invented customers, until Ctrl-C."""
    del json, debug
    # Imported here: what serves HTTP would make every other command slower to start.
    from thredfi_async.cli.mock_server import ServeMock  # noqa: PLC0415

    return ServeMock(
        port=port,
        host=host,
        customers=customers,
        businesses=businesses,
        latency=latency,
        error_rate=error_rate,
        rate_limit=rate_limit,
        seed=seed,
        strict=not no_strict,
    )


@app.command()
def demo(
    *,
    customers: opt.DemoCustomers = 500,
    seed: opt.Seed = 1,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Archive 500 customers at once on a mock server with faults, and check every claim against its record."""
    del json, debug
    from thredfi_async.cli.demo import Demo  # noqa: PLC0415 - as for the mock server

    return Demo(customers=customers, seed=seed)


@app.command()
def worker(  # noqa: PLR0913 - a parameter for each option
    *,
    nats: bulk_options.Nats = None,
    nats_creds: bulk_options.NatsCreds = None,
    allow_plaintext: bulk_options.AllowPlaintext = False,
    connect_timeout: opt.ConnectTimeout = None,
    stream: bulk_options.Stream = None,
    subject: bulk_options.Subject = None,
    consumer: bulk_options.Consumer = None,
    dedup_window: bulk_options.DedupWindow = None,
    dead_letters_max_age: bulk_options.DeadLettersMaxAge = None,
    concurrency: opt.Concurrency = 32,
    max_deliveries: opt.MaxDeliveries = 10,
    max_retry_after: opt.MaxRetryAfter = 300.0,
    grace_period: opt.GracePeriod = 30.0,
    health_host: opt.HealthHost = "127.0.0.1",
    health_port: opt.HealthPort = 9464,
    no_health: opt.NoHealth = False,
    log_level: opt.LogLevel = LogLevelName.INFO,
    base_url: opt.BaseUrl = None,
    environment: opt.Where = None,
    env_file: opt.EnvFile = None,
    timeout: opt.Timeout = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> Job:
    """Archive the customers that messages on NATS JetStream name, until SIGTERM or Ctrl-C.

    Any number of workers share one queue. Streams and consumer are made where they are missing. Every message ends in
    an outcome or as a dead letter before it is acknowledged. The first signal lets calls in flight end, the second
    does not wait for them.
    """
    del json, debug
    from thredfi_async.cli.worker import Work  # noqa: PLC0415 - as for the mock server

    return Work(
        connection=Connection(base_url=base_url, environment=environment, env_file=env_file, timeout=timeout),
        nats=Nats(
            url=nats,
            stream=stream,
            subject=subject,
            consumer=consumer,
            dedup_window=dedup_window,
            dead_letters_max_age=dead_letters_max_age,
            creds=nats_creds,
            allow_plaintext=allow_plaintext,
        ),
        connect_timeout=connect_timeout,
        concurrency=concurrency,
        max_deliveries=max_deliveries,
        max_retry_after=max_retry_after,
        grace_period=grace_period,
        health_host=health_host,
        health_port=None if no_health else health_port,
        log_level=log_level,
    )
