"""The arguments and options of the commands; none of them takes a secret."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from thredfi_async.cli.parsers import per_second, seconds
from thredfi_async.cli.settings import EnvironmentName
from thredfi_async.cli.worker_log import LogLevelName

CONTEXT: Final = {"help_option_names": ["-h", "--help"]}


class Group(TyperGroup):
    """A group of commands; without a command it shows its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's or click's, by the version
        """Show the help if there are no arguments."""
        return super().parse_args(ctx, args or ["--help"])


BusinessId = Annotated[str, typer.Argument(metavar="BUSINESS_ID", help="The business's UUID.", show_default=False)]
CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="The customer's UUID.", show_default=False)]

# Every command.
Json = Annotated[bool, typer.Option("--json", help="Write JSON: output to stdout, errors to stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show logs and, if something breaks, stack traces.")]

# Commands that call the API.
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Where the API is, in the place of THREDFI_BASE_URL."),
]
Where = Annotated[
    EnvironmentName | None,
    typer.Option("--environment", case_sensitive=False, help="A named environment; sandbox unless set."),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="Take the THREDFI_ variables from this file alone."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="DURATION", parser=seconds, help="Time limit of a call with its retries; 120s."),
]

# archive
Body = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A JSON object to send, - for stdin; the server's own record unless given."),
]
AllowMissingFields = Annotated[
    bool, typer.Option("--allow-missing-fields", help="Leave fields that the body lacks out of the request.")
]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="The key of the request; a new UUID unless given.")]
NoSettle = Annotated[
    bool, typer.Option("--no-settle", help="When the outcome is not known, do not ask for it with a GET.")
]

# list
IncludeArchived = Annotated[bool, typer.Option("--include-archived", help="List archived customers too.")]
ExternalId = Annotated[str | None, typer.Option(metavar="ID", help="Only the customer with exactly this external id.")]
PageSize = Annotated[int | None, typer.Option(min=1, help="Customers a page.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Stop after so many.")]

# mock-server
Port = Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for a free port.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Customers = Annotated[int, typer.Option(min=0, max=10_000_000, help="Customers in all.")]
Businesses = Annotated[int, typer.Option(min=1, max=10_000, help="Businesses that they are spread over.")]
Latency = Annotated[
    float, typer.Option(metavar="DURATION", parser=seconds, help="How long each request takes, such as 20ms.")
]
ErrorRate = Annotated[float, typer.Option(min=0, max=1, help="The share of requests that get a 503, tokens apart.")]
RateLimit = Annotated[
    float | None,
    typer.Option(metavar="RATE", parser=per_second, help="Requests before a 429, such as 100/s or 600/min."),
]
Seed = Annotated[int, typer.Option(help="The same one gives the same run.")]
NoStrict = Annotated[bool, typer.Option("--no-strict", help="Take bodies with fields left out.")]

# demo
DemoCustomers = Annotated[int, typer.Option(min=20, max=100_000, help="How many to archive.")]

# worker
Concurrency = Annotated[int, typer.Option(min=1, max=10_000, help="Messages held, and calls made, at once at most.")]
MaxDeliveries = Annotated[
    int,
    typer.Option(min=1, help="Deliveries of a message before it is a dead letter; an outage of the API spends none."),
]
MaxRetryAfter = Annotated[
    float,
    typer.Option(
        metavar="DURATION",
        parser=seconds,
        help="The longest wait that the API may ask for (Retry-After); a longer one counts as this.",
    ),
]
GracePeriod = Annotated[
    float, typer.Option(metavar="DURATION", parser=seconds, help="How long calls in flight may take when it stops.")
]
ConnectTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="DURATION",
        parser=seconds,
        help="End with 1 if NATS is not ready so long after the start; by default it goes on trying.",
    ),
]
LogLevel = Annotated[LogLevelName, typer.Option(help="The least that is logged; debug has a line for each message.")]
HealthHost = Annotated[
    str, typer.Option(help="The address for /livez, /readyz and /metrics; they need no credentials.")
]
HealthPort = Annotated[int, typer.Option(min=0, max=65535, help="The port for these; 0 for a free one.")]
NoHealth = Annotated[bool, typer.Option("--no-health", help="Serve none of these.")]
