"""The events of one call: who receives them, and what each tells of its request."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from thredfi_async._codec.response_headers import request_id
from thredfi_async._engine.hooks import Following, offered_headers, told
from thredfi_async._interfaces import Request, Response, Server
from thredfi_async.errors import Effect, ThredfiError
from thredfi_async.events import Attempt, AttemptStarted, CallEnded, Event, RequestInfo, RetryScheduled


class CallEvents:
    """Tells those who follow a call what happens in it.

    Args:
        operation: The call's name.
        following: Who follows it.
        server: Where its requests go.
    """

    __slots__ = ("_counted", "_following", "_info", "_operation", "_resends", "_sent_last", "_server")

    def __init__(self, operation: str, following: Following, server: Server) -> None:
        """Start before the first attempt."""
        self._operation = operation
        self._following = following
        self._server = server
        self._sent_last: Request[Any] | None = None
        self._counted = self._resends = 0
        self._info: RequestInfo | None = None

    def attempt_started(self, request: Request[Any], number: int) -> Mapping[str, str]:
        """Tell of an attempt; return the headers that it carries."""
        following = self._following
        if not following.observers:
            return following.headers
        started = AttemptStarted(operation=self._operation, number=number, request=self._about(request, number))
        return {**following.headers, **offered_headers(following.observers, started)}

    def attempt_ended(  # noqa: PLR0913 - what is known of an attempt, most of it by name
        self,
        request: Request[Any],
        number: int,
        *,
        was_sent: bool,
        error: BaseException | None,
        effect: Effect,
        elapsed: float,
        response: Response | None = None,
        limit: str | None = None,
    ) -> None:
        """Tell of an attempt's end; `was_sent` is whether there was a token to send it with."""
        self._tell(
            Attempt(
                operation=self._operation,
                number=number,
                method=request.method,
                status=response.status if response is not None else None,
                error=type(error).__name__ if error is not None else None,
                effect=effect,
                elapsed=elapsed,
                request_id=request_id(response) if response is not None else None,
                idempotency_key=request.idempotency_key,
                request=self._about(request, number) if was_sent else None,
                limit=limit,
            )
        )

    def retry_scheduled(self, error: ThredfiError, wait: float, attempts: int, key: str | None) -> None:
        """Tell of a retry."""
        self._tell(
            RetryScheduled(
                operation=self._operation, attempts=attempts, wait=wait, error=type(error).__name__, idempotency_key=key
            )
        )

    def call_ended(  # noqa: PLR0913 - what is known of a call, by name
        self,
        outcome: Literal["succeeded", "failed", "cancelled"],
        *,
        effect: Effect,
        attempts: int,
        elapsed: float,
        queued: float,
        error: BaseException | None,
        response: Response | None,
        key: str | None,
    ) -> None:
        """Tell of the call's end."""
        self._tell(
            CallEnded(
                operation=self._operation,
                outcome=outcome,
                effect=effect,
                attempts=attempts,
                elapsed=elapsed,
                queued=queued,
                error=type(error).__name__ if error is not None else None,
                request_id=request_id(response) if response is not None else None,
                idempotency_key=key,
            )
        )

    def _about(self, request: Request[Any], number: int) -> RequestInfo:
        if self._info is not None and self._counted == number:
            return self._info
        self._resends = self._resends + 1 if request is self._sent_last else 0
        self._sent_last, self._counted = request, number
        server = self._server
        where = server.address, server.port, server.path
        self._info = info = _info(where, request.method, request.template, self._resends, server.is_instrumented())
        return info

    def _tell(self, event: Event) -> None:
        for hook in self._following.receivers:
            told(hook, hook.on_event, event)


@lru_cache(maxsize=256)
def _info(
    where: tuple[str, int, str],
    method: str,
    template: str | None,
    resends: int,
    is_instrumented: bool,  # noqa: FBT001 - looked up by position
) -> RequestInfo:
    """Return what a request is about; most requests of a client are about the same."""
    address, port, path = where
    return RequestInfo(
        method=method,
        server_address=address,
        server_port=port,
        url_template=None if template is None else f"{path}{template}",
        resend_count=resends,
        is_instrumented=is_instrumented,
    )
