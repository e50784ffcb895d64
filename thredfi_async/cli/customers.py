"""`archive`, `get` and `list`."""

__lazy_modules__: list[str] = [
    "rich.text",
    "thredfi_async",
    "thredfi_async.cli.body",
    "thredfi_async.cli.output",
    "thredfi_async.cli.render",
]
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from thredfi_async import Customer, Effect, LoggingHook, RawResponse, ResponseDecodeError
from thredfi_async.cli.body import read_body
from thredfi_async.cli.error_report import error_report
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import report, tell, terminal_width
from thredfi_async.cli.render import as_line, as_object, as_table, header
from thredfi_async.cli.session import Session, run_now
from thredfi_async.cli.settings import Connection

_NONE_ACTIVE: Final = "No active customers; --include-archived shows archived ones."


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The job of `thredfi archive`.

    Args:
        connection: How to reach the API.
        business_id: The business.
        customer_id: The customer.
        body: A file, or `-`, or None for the server's own record.
        allow_missing_fields: Whether fields that the body lacks are left out on purpose.
        settle: Whether to ask for an outcome that is not known.
        idempotency_key: The caller's own key.
    """

    connection: Connection
    business_id: str
    customer_id: str
    body: str | None = None
    allow_missing_fields: bool = False
    settle: bool = True
    idempotency_key: str | None = None

    def __call__(self, session: Session) -> int:
        """Archive the customer and show it."""
        # Before the event loop runs: while it does, Ctrl-C does not interrupt a read of stdin.
        body = None if self.body is None else read_body(self.body, allow_missing_fields=self.allow_missing_fields)
        session.look = self.connection.repeated("get", self.business_id, self.customer_id)
        try:
            raw = run_now(self._archive(session, body))
        except ResponseDecodeError as error:
            if error.effect is not Effect.APPLIED:
                raise
            return self._archived_but_unread(session, error)
        if session.out.json:
            session.out.data(as_object(raw.parsed))
        else:
            session.out.show(_headline(raw), as_table(raw.parsed))
        return ExitCode.DONE

    async def _archive(self, session: Session, body: Mapping[str, Any] | None) -> RawResponse[Customer]:
        async with self.connection.client(session.known, LoggingHook()) as client:
            session.known.begins(self.idempotency_key)
            return await client.customers.with_raw_response.archive(
                self.business_id,
                self.customer_id,
                body,
                settle=self.settle,
                idempotency_key=self.idempotency_key,
            )

    def _archived_but_unread(self, session: Session, error: ResponseDecodeError) -> int:
        """Report that the answer proves the customer archived, though it cannot be read whole."""
        report(error_report(error, session), json=session.out.json)
        if session.out.json:
            session.out.data({"id": self.customer_id.lower(), "is_archived": True})
        return ExitCode.DONE


@dataclass(frozen=True, kw_only=True)
class Get:
    """The job of `thredfi get`.

    Args:
        connection: How to reach the API.
        business_id: The business.
        customer_id: The customer.
    """

    connection: Connection
    business_id: str
    customer_id: str

    def __call__(self, session: Session) -> int:
        """Get the customer and show it."""
        customer = run_now(self._get())
        if session.out.json:
            session.out.data(as_object(customer))
        else:
            session.out.show(as_table(customer))
        return ExitCode.DONE

    async def _get(self) -> Customer:
        async with self.connection.client(LoggingHook()) as client:
            return await client.customers.get(self.business_id, self.customer_id)


@dataclass(frozen=True, kw_only=True)
class List:
    """The job of `thredfi list`.

    Args:
        connection: How to reach the API.
        business_id: The business.
        include_archived: Whether archived customers are listed too.
        external_id: Only the customer with this external id.
        page_size: Customers a page.
        limit: Customers in all.
    """

    connection: Connection
    business_id: str
    include_archived: bool = False
    external_id: str | None = None
    page_size: int | None = None
    limit: int | None = None

    def __call__(self, session: Session) -> int:
        """List the customers, each as soon as it is known."""
        return run_now(self._list(session))

    async def _list(self, session: Session) -> int:
        out, width = session.out, terminal_width() if session.out.is_terminal else None
        async with self.connection.client(LoggingHook()) as client:
            customers = client.customers.list(
                self.business_id,
                include_archived=self.include_archived,
                external_id=self.external_id,
                page_size=self.page_size,
            )
            count = 0
            async for customer in customers:
                if out.json:
                    # With its business, so that a bulk run can read it.
                    out.data({"business_id": self.business_id, **as_object(customer)})
                else:
                    lines = [header()] if count == 0 else []
                    out.show(*lines, as_line(customer, width=width), wrap=False)
                count += 1
                if count == self.limit:
                    break
        if count == 0 and not (out.json or out.quiet):
            tell("No customers." if self.include_archived else _NONE_ACTIVE)
        return ExitCode.DONE


def _headline(raw: RawResponse[Customer]) -> Text:
    if raw.already_archived:
        return Text("The customer was archived already; this call changed nothing.", style="bold yellow")
    attempts = "one request" if raw.attempts == 1 else f"{raw.attempts} requests"
    return Text(f"Archived, with {attempts} in {raw.elapsed:.1f} s.", style="bold green")
