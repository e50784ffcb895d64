"""The parts of a client: what they show, and how they are closed, once, so that nothing is left running."""

import warnings
from types import TracebackType
from typing import Any, Final, Self

from thredfi_async._engine.access_tokens import RenewedToken, StaticToken
from thredfi_async._engine.deadlines import Deadlines
from thredfi_async._engine.lifecycle import Lifecycle, to_its_end
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.limits import Limits
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._transport.session import AiohttpTransport
from thredfi_async.events import Hook
from thredfi_async.retry import RetryPolicy

_DRAIN: Final = 30.0


class ClientParts:
    """The parts that `ThredfiClient` makes."""

    _authenticator: StaticToken | RenewedToken
    _base_url: str
    _deadlines: Deadlines
    _lifecycle: Lifecycle
    _limiter: Limiter
    _owner: Self | None
    _pipeline: Pipeline
    _transport: AiohttpTransport

    @property
    def base_url(self) -> str:
        """The base URL of the API, without a trailing slash."""
        return self._base_url

    @property
    def retry(self) -> RetryPolicy:
        """The policy by which calls are retried, unless they have one of their own."""
        return self._pipeline.retry

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks that receive the events of its calls."""
        return self._pipeline.hooks

    @property
    def limits(self) -> Limits:
        """The current limits: requests in flight and allowed, calls that wait, and what the API seems to grant."""
        return self._limiter.limits()

    async def authenticate(self) -> bool:
        """Get a token now, if there is none, so that wrong credentials show before the first call.

        Returns:
            Whether the API has accepted the credentials; False for a fixed token, which only a call can prove.

        Raises:
            ThredfiError: There is no token; its `is_token_error` is true.
            ClientStateError: The client is closed, or belongs to another event loop or process.
        """
        self._lifecycle.check_open()
        if isinstance(self._authenticator, StaticToken):
            return False
        if self._authenticator.header is None:
            await self._authenticator.renew()
        return True

    async def aclose(self, *, drain: float = _DRAIN) -> None:
        """Wait for the calls in flight, then close the connections; closing again does nothing.

        A client that `with_options` made is closed with the one that it was made of.

        Args:
            drain: Seconds to wait for them; 30 by default. Calls that are left then end with a `ClientStateError`.

        Raises:
            ClientStateError: The client belongs to another event loop or process.
        """
        if self._owner is not None or self._lifecycle.is_closed:
            return
        self._lifecycle.check_home()
        self._lifecycle.close()
        try:
            await self._lifecycle.drain(drain)
        finally:
            # Also if closing is cancelled, and once more meanwhile: nothing may be left running.
            self._limiter.close()
            self._lifecycle.interrupt()
            await to_its_end(self._end())

    async def _end(self) -> None:
        await self._lifecycle.drain(None)
        self._deadlines.close()
        await self._authenticator.aclose()
        await self._transport.aclose()
        self._lifecycle.is_closed = True

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.aclose()

    def __del__(self, _warn: Any = warnings.warn) -> None:  # noqa: ANN401 - kept while the interpreter ends
        """Warn of a client that was never closed."""
        transport = vars(self).get("_transport")
        if transport is not None and transport.is_open and vars(self).get("_owner") is None:
            _warn(f"{self!r} was never closed: use 'async with', or await aclose()", ResourceWarning, source=self)

    def __repr__(self) -> str:
        """Show the base URL, and no secret."""
        return f"<{type(self).__name__} {self._base_url}>"
