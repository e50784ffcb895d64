"""Shows what real tracers, recorders and mocks see of the client's requests, each in processes of its own.

    nox -s tracers

Each starts before the package is imported, before the client's first call, or after it. The client must be seen as a
bare aiohttp session of the same age is: neither more nor less. A watcher that does not see even that says so in the
table. What a mock answers must not reach the server behind it.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from faultserver.bodies import customer, customer_request
from tracer_process import MOMENTS, WATCHERS, Nothing

BUSINESS, CUSTOMER = "0b7c6f6e-6a0f-4b39-9f64-1d5b2a7c0a11", "5f0c1c1e-2f4b-4a7e-8f6e-3a8f5a0e7b22"
PATH = f"/v1/platform/businesses/{BUSINESS}/customers/{CUSTOMER}/"
LIMIT = 60.0
say = sys.stdout.write


class Handler(BaseHTTPRequestHandler):
    """Answers everything with the archived customer, and keeps what came."""

    protocol_version = "HTTP/1.1"
    received: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.received.append((self.command, {name.lower(): value for name, value in self.headers.items()}))
        answer = json.dumps(customer(CUSTOMER)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""


class Row:
    """What one watcher saw that started at one moment."""

    def __init__(
        self, name: str, moment: str, found: dict[str, Any], received: list[tuple[str, dict[str, str]]]
    ) -> None:
        kind = WATCHERS[name]
        # Before a watcher starts late, the client and the bare session each send two requests.
        earlier = 2 if moment in MOMENTS[2:] else 0
        mine = [each for each in received if "x-bare" not in each[1]][earlier:]
        others = [each for each in received if "x-bare" in each[1]][earlier:]
        self.name, self.moment = name, moment
        self.seen, self.control = (Counter[str](seen) for seen in found["seen"])
        self.sent, self.sent_by_control = (Counter(method for method, _ in some) for some in (mine, others))
        self.headers, self.control_headers = (
            Counter(method for method, headers in some if kind.header and kind.header in headers)
            for some in (mine, others)
        )
        self.header = kind.header
        self.is_told = any("POSTs go through aiohttp's session" in line for line in found["lines"])
        good = ["succeeded NOT_APPLIED", "succeeded APPLIED"]
        self.flaws = [
            *self._differences("seen", self.seen, self.control),
            *self._differences("header", self.headers, self.control_headers),
            *self._differences("sent", self.sent, self.sent_by_control),
            *(["ended " + ", ".join(found["ends"])] if any(end not in good for end in found["ends"]) else []),
        ]
        if kind.mocks and self.sent:
            self.flaws.append("a request left the machine past the mock")
        if kind is not Nothing and moment != MOMENTS[2] and (self.seen["POST"], self.seen["GET"]) != (1, 1):
            self.flaws.append("not all was seen")
        if kind is Nothing and self.is_told:
            self.flaws.append("POSTs went through the session, though nothing watches")

    @staticmethod
    def _differences(what: str, mine: Counter[str], others: Counter[str]) -> list[str]:
        return [f"{what}: {dict(mine)}, but {dict(others)} of a bare session"] if mine != others else []

    def cells(self) -> list[str]:
        """Return the row of the table."""
        headers = f"{self.headers['POST']}, {self.headers['GET']}" if self.header else ""
        control = "" if self.control["POST"] or self.name == "nothing" else "a bare session is not seen either"
        return [
            self.name,
            self.moment,
            str(self.seen["POST"]),
            str(self.seen["GET"]),
            headers,
            str(self.sent["POST"]),
            "yes" if self.is_told else "no",
            "; ".join(self.flaws) or control,
        ]


def watch(of: tuple[str, str]) -> Row:
    """Run one process with a server of its own."""
    name, moment = of
    received: list[tuple[str, dict[str, str]]] = []
    handler = type("Own", (Handler,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://localhost:{server.server_port}"
        given = {
            "url": url,
            "post": f"{url}{PATH}archive/",
            "get": f"{url}{PATH}",
            "ids": [BUSINESS, CUSTOMER],
            "fields": customer_request(),
            "customer": customer(CUSTOMER),
        }
        program = [sys.executable, str(Path(__file__).with_name("tracer_process.py")), name, moment, json.dumps(given)]
        done = subprocess.run(program, capture_output=True, text=True, timeout=LIMIT, check=False)
        server.shutdown()
    if done.returncode:
        raise SystemExit(f"{name}, {moment}: the process failed\n{done.stdout}\n{done.stderr}")
    return Row(name, moment, json.loads(done.stdout.splitlines()[-1]), received)


def is_installed(kind: type[Nothing]) -> bool:
    """Return whether a watcher's package is there."""
    try:
        return importlib.util.find_spec(kind.package) is not None
    except ModuleNotFoundError:
        return False


def main() -> int:
    """Run every watcher at every moment, print the table, and return 1 if anything was missed."""
    missing = {name: kind.package for name, kind in WATCHERS.items() if not is_installed(kind)}
    for name, package in missing.items():
        say(f"{name}: skipped, since {package} is not installed on Python {sys.version.split()[0]}\n")
    todo = [(name, moment) for name in WATCHERS if name not in missing for moment in MOMENTS]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        rows = list(threads.map(watch, todo))
    titles = ["watcher", "started", "POSTs seen", "GETs seen", "header out", "POSTs sent", "session's way", "note"]
    table = [titles, *(row.cells() for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(titles))]
    for line in table:
        say("  ".join(map(partial(str.ljust), line, widths)).rstrip() + "\n")
    flawed = sum(bool(row.flaws) for row in rows)
    say(f"\n{len(rows) - flawed} passed, {flawed} failed\n")
    return 1 if flawed else 0


if __name__ == "__main__":
    sys.exit(main())
