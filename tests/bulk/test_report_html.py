"""The report's page in a browser: headless Chromium, told what to do over its DevTools protocol."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from bulk_journals import Row, customer, sample, write_journal

from thredfi_async.bulk.journal import read_journal
from thredfi_async.bulk.report import write_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]
LINES: list[Row] = [
    ("archived", None),
    ("rejected", "not_found"),
    ("failed", "http_503"),
    ("unknown", "timeout_read"),
]


class Browser:
    """One tab, and all its messages."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    async def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        await self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(await self._socket.receive_json())

    def params(self, method: str) -> list[dict[str, Any]]:
        """What came with the events of one kind."""
        return [event["params"] for event in self.events if event["method"] == method]


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """A Chromium with an empty profile."""
    if CHROMIUM is None:
        assert os.environ.get("CI") != "true", "CI must look at the page in Chromium, and there is none"
        pytest.skip("no Chromium here to look at the page with")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as session, asyncio.timeout(30):
                base = f"http://127.0.0.1:{await _port(Path(profile) / 'DevToolsActivePort')}"
                async with session.get(f"{base}/json/list") as answer:
                    tab = next(each for each in await answer.json() if each["type"] == "page")
                async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    opened = Browser(socket)
                    for domain in ("Page", "Network", "Runtime", "Log"):
                        await opened.call(f"{domain}.enable")
                    yield opened
        finally:
            process.terminate()
            await process.wait()


async def _port(file: Path) -> int:
    while True:
        text = file.read_text() if file.exists() else ""  # noqa: ASYNC240 - a few bytes of a local file
        if "\n" in text:
            return int(text.splitlines()[0])
        await asyncio.sleep(0.02)  # another process: there is nothing of it to wait for but the file


@pytest.fixture
def page_url(tmp_path: Path) -> str:
    """A page about 400 items, a quarter of them archived."""
    samples = [sample(n, 4 * n) for n in range(100)]
    path = write_journal(tmp_path / "run.db", LINES * 100, samples=samples)
    with read_journal(path) as view, (tmp_path / "page.html").open("w", encoding="utf-8") as file:
        write_html(view, file)
    return (tmp_path / "page.html").as_uri()


SHOWN = "document.querySelectorAll('#rows tbody tr:not([hidden])').length"


def typed(text: str) -> str:
    """JavaScript that types into the search, and waits until it has been done."""
    return (
        "new Promise((done) => { const box = document.getElementById('search');"
        f"box.value = {text!r}; box.dispatchEvent(new Event('input')); setTimeout(done, 180); }})"
    )


async def test_the_page_works_in_a_browser(page_url: str) -> None:
    """The search narrows the table by words and state, the charts are drawn, and nothing is loaded or complained of."""
    async with browser() as tab:
        await tab.open(page_url)
        assert await tab.value(SHOWN) == 300
        assert await tab.value("document.getElementById('found').textContent") == "300 of 300 shown"

        await tab.value(typed("NOT_found rejected"))
        assert await tab.value(SHOWN) == 100
        assert await tab.value("location.hash") == "#q=NOT_found+rejected"

        await tab.value(typed(str(customer(6))[:13]))
        assert await tab.value("document.querySelector('#rows tbody tr:not([hidden])').cells[2].innerText") == str(
            customer(6)
        )
        assert await tab.value(SHOWN) == 1

        await tab.value(typed("nobody"))
        assert await tab.value("document.getElementById('none').checkVisibility()") is True

        await tab.value("new Promise((done) => { location.hash = '#state=unknown'; setTimeout(done, 50); })")
        assert await tab.value(SHOWN) == 100

        widths = "[...document.querySelectorAll('figure svg path.line')].map((line) => line.getBBox().width)"
        assert min(await tab.value(widths)) > 400
        assert await tab.value("getComputedStyle(document.querySelector('.card')).borderRadius") == "8px"
        assert await tab.value("document.documentElement.scrollWidth <= innerWidth") is True

        assert [each["request"]["url"] for each in tab.params("Network.requestWillBeSent")] == [page_url]
        assert tab.params("Runtime.consoleAPICalled") + tab.params("Runtime.exceptionThrown") == []
        assert tab.params("Log.entryAdded") == []
