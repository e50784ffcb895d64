"""The arguments and options of the commands; none of them takes a secret."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from thredfi_async.cli.command_line import Bundle
from thredfi_async.cli.parsers import per_second, seconds
from thredfi_async.cli.settings import Connection, EnvironmentName

BusinessId = Annotated[str, typer.Argument(metavar="BUSINESS_ID", help="The business's UUID.", show_default=False)]
CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="The customer's UUID.", show_default=False)]

# Commands that call the API.
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Where the API is, in the place of THREDFI_BASE_URL."),
]
Where = Annotated[
    EnvironmentName | None,
    typer.Option(
        "--environment",
        metavar="NAME",
        case_sensitive=False,
        help="sandbox or production, in the place of THREDFI_ENVIRONMENT.  [default: sandbox]",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="Take the THREDFI_ variables from this file alone."),
]
Proxy = Annotated[
    str | None,
    typer.Option("--proxy", metavar="URL", help="An HTTP proxy, in the place of HTTPS_PROXY and NO_PROXY."),
]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", metavar="FILE", help="Trust the certificates of this file (PEM) too."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="DURATION", parser=seconds, help="Time limit of a call with its retries.  [default: 120s]"
    ),
]
Otel = Annotated[bool, typer.Option("--otel", help="Send traces and metrics to OpenTelemetry's collector.")]


def _connection(  # noqa: PLR0913 - a parameter for each option
    *,
    base_url: BaseUrl = None,
    environment: Where = None,
    env_file: EnvFile = None,
    proxy: Proxy = None,
    ca_file: CaFile = None,
    timeout: Timeout = None,
    otel: Otel = False,
) -> Connection:
    return Connection(
        base_url=base_url,
        environment=environment,
        env_file=env_file,
        proxy=proxy,
        ca_file=ca_file,
        timeout=timeout,
        otel=otel,
    )


Api = Annotated[Connection, Bundle(_connection)]

# archive
Body = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A JSON object to send, - for stdin.  [default: the server's own record]"),
]
AllowMissingFields = Annotated[
    bool, typer.Option("--allow-missing-fields", help="Leave fields that the body lacks out of the request.")
]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="The key of the request.  [default: a new UUID]")]
NoSettle = Annotated[
    bool, typer.Option("--no-settle", help="When the outcome is not known, do not ask for it with a GET.")
]

# list
IncludeArchived = Annotated[bool, typer.Option("--include-archived", help="List archived customers too.")]
ExternalId = Annotated[str | None, typer.Option(metavar="ID", help="Only the customer with exactly this external id.")]
PageSize = Annotated[int | None, typer.Option(metavar="N", min=1, help="Customers a page.")]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after so many.")]

# mock-server
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Where to listen; 0 for a free port.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")]
Customers = Annotated[int, typer.Option(metavar="N", min=0, max=10_000_000, help="Customers in all.")]
Businesses = Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Businesses that they are spread over.")]
Latency = Annotated[
    float,
    typer.Option(
        metavar="DURATION", parser=seconds, show_default=False, help="How long each request takes, such as 20ms."
    ),
]
ErrorRate = Annotated[
    float,
    typer.Option(
        metavar="SHARE", min=0, max=1, show_default=False, help="The share of requests that get a 503, tokens apart."
    ),
]
RateLimit = Annotated[
    float | None,
    typer.Option(metavar="RATE", parser=per_second, help="Requests before a 429, such as 100/s or 600/min."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="The same one gives the same run.")]
NoStrict = Annotated[bool, typer.Option("--no-strict", help="Take bodies with fields left out.")]

# demo
DemoCustomers = Annotated[int, typer.Option(metavar="N", min=20, max=100_000, help="How many to archive.")]

# worker
Concurrency = Annotated[
    int, typer.Option(metavar="N", min=1, max=10_000, help="Messages held, and calls made, at once at most.")
]
MaxDeliveries = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="Deliveries of a message before it is a dead letter; an outage of the API spends none."
    ),
]
MaxRetryAfter = Annotated[
    float,
    typer.Option(
        metavar="DURATION",
        parser=seconds,
        show_default=False,
        help="The longest wait that the API may ask for (Retry-After); a longer one counts as this.  [default: 5min]",
    ),
]
GracePeriod = Annotated[
    float,
    typer.Option(
        metavar="DURATION",
        parser=seconds,
        show_default=False,
        help="How long calls in flight may take when it stops.  [default: 30s]",
    ),
]
ConnectTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="DURATION",
        parser=seconds,
        help="End with 5 if NATS is not ready so long after the start.  [default: goes on trying]",
    ),
]
HealthHost = Annotated[
    str, typer.Option(metavar="ADDRESS", help="The address for /livez, /readyz and /metrics; they need no credentials.")
]
HealthPort = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port for these; 0 for a free one.")]
NoHealth = Annotated[bool, typer.Option("--no-health", help="Serve none of these.")]

# completion
Shell = Annotated[
    Literal["bash", "zsh", "fish"],
    typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False),
]
