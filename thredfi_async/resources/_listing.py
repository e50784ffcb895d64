"""Lists: follows the pages' links, never to another origin, and never in a circle."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from thredfi_async._codec.converter import Page
from thredfi_async._interfaces import Hidden
from thredfi_async.errors import ResponseDecodeError
from thredfi_async.models import Customer, CustomerPage

_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}


class CustomerList(AsyncIterator[Customer]):
    """A business's customers: iterate over them with `async for`, or over whole pages with `pages()`.

    Each page is fetched when it is reached. `Customers.list` makes it.

    Args:
        start: The URL of the first page.
        fetch: Fetches the page at a URL.
    """

    def __init__(self, start: Hidden[str], fetch: Callable[[Hidden[str]], Coroutine[None, None, Page]]) -> None:
        """Fetch nothing yet."""
        self._start = start
        self._fetch = fetch
        self._customers: AsyncGenerator[Customer] | None = None

    async def pages(self) -> AsyncIterator[CustomerPage]:
        """Iterate over the pages, from the first one on.

        Yields:
            Each page, with its customers, its link to the next one, and how many customers there are in all.

        Raises:
            ResponseDecodeError: A page cannot be read, or its next link leads to another origin or in a circle.
            ThredfiError: As for `Customers.get`.
        """
        # Links that form a circle must not keep us for ever: Brent's algorithm detects them in constant memory.
        here, seen, steps, limit = self._start, Hidden(""), 0, 1
        while True:
            if here.reveal() == seen.reveal():
                raise ResponseDecodeError("the list's next links lead back to a page that was read before")
            steps += 1
            if steps == limit:
                seen, steps, limit = here, 0, limit * 2
            page = await self._fetch(here)
            following = None if page.next is None else followed(page.next, here.reveal())
            yield CustomerPage(
                results=page.results,
                count=page.count if type(page.count) is int and page.count >= 0 else None,
                # One that cannot be followed stays as it came: the page is not the last.
                next=page.next if following is None else following.reveal(),
            )
            if page.next is None:
                return
            if following is None:
                msg = "the list's next link leads to another origin, or nowhere; the token is not sent there"
                raise ResponseDecodeError(msg, problems=["$.next: another origin"])
            here = following

    async def aclose(self) -> None:
        """End the iteration; no further page is fetched."""
        if self._customers is None:
            self._customers = self._each()
        await self._customers.aclose()

    async def __anext__(self) -> Customer:
        """Return the next customer."""
        if self._customers is None:
            self._customers = self._each()
        return await anext(self._customers)

    async def _each(self) -> AsyncGenerator[Customer]:
        async for page in self.pages():
            for customer in page.results:
                yield customer


def followed(link: str, here: str) -> Hidden[str] | None:
    """Return where a page's next link leads; None for anywhere but the same origin."""
    try:
        absolute = urljoin(here, link) if _VISIBLE.fullmatch(link) else ""
        if _origin(urlsplit(absolute)) == _origin(urlsplit(here)):
            return Hidden(absolute)
    except ValueError:
        pass
    return None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme), url.username
