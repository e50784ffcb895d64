"""The commands; each returns a job, which runs outside of typer."""

__lazy_modules__: list[str] = ["thredfi_async.cli.customers", "thredfi_async.cli.settings"]
from dataclasses import replace
from typing import Annotated

import typer

from thredfi_async import __version__
from thredfi_async.cli import options as opt
from thredfi_async.cli.bulk import queue_options
from thredfi_async.cli.bulk.app import app as bulk
from thredfi_async.cli.command_line import CONTEXT, Group, command
from thredfi_async.cli.customers import Archive, Get, List
from thredfi_async.cli.dead_letters.app import app as dead_letters
from thredfi_async.cli.exit_codes import EXIT_CODES
from thredfi_async.cli.session import Job

_END = "\n\n".join(
    [
        """\
Examples
thredfi demo\tsee it work, on a mock server with faults
thredfi bulk check customers.csv\tsee what a file would become
thredfi archive BUSINESS_ID CUSTOMER_ID\tarchive one customer""",
        """\
Credentials, from the environment or from a file with --env-file
THREDFI_PARTNER_UUID, THREDFI_API_KEY\tthe partner's credentials
THREDFI_TOKEN\ta token, in the place of the two""",
        """\
Where the API is
THREDFI_ENVIRONMENT\tsandbox or production
THREDFI_BASE_URL\tany other address""",
        """\
The queue, for worker, dead-letters, bulk publish and bulk collect
THREDFI_NATS_URL\twhere NATS is
THREDFI_NATS_CREDS, THREDFI_NATS_NKEY, THREDFI_NATS_TOKEN\ta login there, one of these
THREDFI_NATS_USER, THREDFI_NATS_PASSWORD\tor this one
THREDFI_NATS_CA, THREDFI_NATS_CERT, THREDFI_NATS_KEY\tcertificates for tls://""",
        "\n".join(["Exit codes", *(f"{int(code)}\t{meaning}" for code, meaning in EXIT_CODES.items())]),
        """\
Completion, with bash, zsh or fish
thredfi completion bash >> ~/.bashrc""",
    ]
)

app: typer.Typer = typer.Typer(
    cls=Group,
    context_settings=CONTEXT,
    epilog=_END,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thredfi-async {__version__}")
        raise typer.Exit


@app.callback()
def thredfi(
    *,
    version: Annotated[
        bool, typer.Option("-V", "--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Archive Thredfi customers, and know after every call whether each was archived, was not, or may have been."""
    del version


app.add_typer(bulk, name="bulk")
app.add_typer(dead_letters, name="dead-letters")


@command(app, example="thredfi archive BUSINESS_ID CUSTOMER_ID --env-file production.env")
def archive(  # noqa: PLR0913 - a parameter for each option
    *,
    business_id: opt.BusinessId,
    customer_id: opt.CustomerId,
    body: opt.Body = None,
    allow_missing_fields: opt.AllowMissingFields = False,
    idempotency_key: opt.Key = None,
    no_settle: opt.NoSettle = False,
    connection: opt.Api,
) -> Job:
    """Archive one customer and show it.

    Without --body, the server's own record is fetched and sent; a customer that is archived already is left as it is.
    """
    if allow_missing_fields and body is None:
        raise typer.BadParameter(
            "it is about the fields of a body: give --body too", param_hint="--allow-missing-fields"
        )
    return Archive(
        connection=connection,
        business_id=business_id,
        customer_id=customer_id,
        body=body,
        allow_missing_fields=allow_missing_fields,
        settle=not no_settle,
        idempotency_key=idempotency_key,
    )


@command(app, example="thredfi get BUSINESS_ID CUSTOMER_ID --json")
def get(
    *,
    business_id: opt.BusinessId,
    customer_id: opt.CustomerId,
    connection: opt.Api,
) -> Job:
    """Show one customer, archived or not."""
    return Get(connection=connection, business_id=business_id, customer_id=customer_id)


@command(app, "list", example="thredfi list BUSINESS_ID --json > customers.jsonl")
def list_customers(  # noqa: PLR0913 - a parameter for each option
    *,
    business_id: opt.BusinessId,
    include_archived: opt.IncludeArchived = False,
    external_id: opt.ExternalId = None,
    page_size: opt.PageSize = None,
    limit: opt.Limit = None,
    connection: opt.Api,
) -> Job:
    """List a business's customers, a line each, as they come."""
    return List(
        connection=connection,
        business_id=business_id,
        include_archived=include_archived,
        external_id=external_id,
        page_size=page_size,
        limit=limit,
    )


@command(app, example="thredfi mock-server --customers 20000 --latency 20ms")
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
) -> Job:
    """Serve a fake API with invented customers, until Ctrl-C."""
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


@command(app, example="thredfi demo --customers 2000")
def demo(
    *,
    customers: opt.DemoCustomers = 500,
    seed: opt.Seed = 1,
) -> Job:
    """Archive 500 customers on a mock server with faults.

    Then check every claim against what that server received and applied. Nothing leaves this machine.
    """
    from thredfi_async.cli.demo import Demo  # noqa: PLC0415 - as for the mock server

    return Demo(customers=customers, seed=seed)


@command(app, example="thredfi worker --nats nats://127.0.0.1:4222")
def worker(  # noqa: PLR0913 - a parameter for each option
    *,
    queue: queue_options.Queue,
    consumer: queue_options.Consumer = None,
    dedup_window: queue_options.DedupWindow = None,
    dead_letters_max_age: queue_options.DeadLettersMaxAge = None,
    connect_timeout: opt.ConnectTimeout = None,
    concurrency: opt.Concurrency = 32,
    max_deliveries: opt.MaxDeliveries = 10,
    max_retry_after: opt.MaxRetryAfter = 300.0,
    grace_period: opt.GracePeriod = 30.0,
    health_host: opt.HealthHost = "127.0.0.1",
    health_port: opt.HealthPort = 9464,
    no_health: opt.NoHealth = False,
    connection: opt.Api,
) -> Job:
    """Archive what a queue asks for, until SIGTERM or Ctrl-C.

    The queue is a stream of NATS JetStream. Any number of workers share one queue. Streams and consumer are made where
    they are missing. Every message ends in an outcome or as a dead letter before it is acknowledged. The first signal
    lets calls in flight end, the second does not wait for them.
    """
    from thredfi_async.cli.worker import Work  # noqa: PLC0415 - as for the mock server

    return Work(
        connection=connection,
        nats=replace(queue, consumer=consumer, dedup_window=dedup_window, dead_letters_max_age=dead_letters_max_age),
        connect_timeout=connect_timeout,
        concurrency=concurrency,
        max_deliveries=max_deliveries,
        max_retry_after=max_retry_after,
        grace_period=grace_period,
        health_host=health_host,
        health_port=None if no_health else health_port,
    )


@command(app, example="thredfi completion zsh > ~/.zfunc/_thredfi")
def completion(*, shell: opt.Shell) -> Job:
    """Write the script that completes commands in a shell."""
    from thredfi_async.cli.completion import Complete  # noqa: PLC0415 - as for the mock server

    return Complete(shell)
