"""Clients at the limit of an API: how much of what it grants they use, and how much it refuses."""

import contextlib
import importlib.util
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from limited_server import TOOK
from rounds import HERE, PeerMissingError, run
from settings import Section, Settings, Table

RATE: Final = 200.0
_SECONDS: Final = 0.02
_THREADS: Final = "botocore, adaptive"
_TOLD: Final = "aiohttp, told of the 8"
"""What can be had where the number of requests at once is bounded: the rest is the way between answer and request."""
_PEERS: Final = ("gather", "archive_many", "aiohttp, semaphore, tenacity", _THREADS)
_KINDS: Final[Mapping[str, int]] = {
    "bucket": 429,
    "bucket, Retry-After": 429,
    "bucket, Retry-After, 503": 503,
    "fixed window": 429,
    "sliding window, Retry-After": 429,
    "8 in flight": 503,
}
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
_NGINX: Final = """daemon off; pid {folder}/pid; error_log {folder}/log crit; events {{ }}
http {{ access_log off; limit_req_zone $server_name zone=all:1m rate=200r/s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream api {{ server 127.0.0.1:{api}; keepalive 64; }}
  server {{ server_name all; listen 127.0.0.1:{port}; location / {{
    limit_req zone=all burst=20 nodelay; limit_req_status {status};
    proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""
_HAPROXY: Final = """global
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{port}
  stick-table type ip size 1k expire 30s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status {status} if {{ sc_http_req_rate(0) gt 200 }}
  default_backend b
backend b
  server s 127.0.0.1:{api}
"""


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Let each client archive as many as the API grants in a minute, in a tenth of that for a first look."""
    items = int(RATE * (60 if settings.rounds > _FEW else 6))
    rows: list[list[str]] = []
    for kind, status in _KINDS.items():
        say(f"limits, {kind}")
        is_at_once = kind == "8 in flight"
        for peer in (*_PEERS, _TOLD) if is_at_once else _PEERS:
            with _server(kind.removesuffix(", 503"), status) as port:
                rows.append(_row(kind, peer, port, items, partial(_at_once, port) if is_at_once else _rate))
    # What botocore takes for throttling, only the server of ours says.
    others = [peer for peer in _PEERS if peer != _THREADS]
    for program, text in (("nginx", _NGINX), ("haproxy", _HAPROXY)):
        if shutil.which(program, path=_PATH) is None:
            rows.append([program, "not installed", *["-"] * 4])
            continue
        for status in (429, 503):
            say(f"limits, {program} with {status}")
            for peer in others:
                with _server("open", status) as api, _gateway(program, text, api, status) as port:
                    rows.append(_row(f"{program}, {status}", peer, port, items, _rate))
    say("limits, Django REST framework")
    if any(importlib.util.find_spec(name) is None for name in ("rest_framework", "gunicorn")):
        rows.append(["Django REST framework", "not installed", *["-"] * 4])
    else:
        for peer in others:
            with _django() as port:
                rows.append(_row("Django REST framework", peer, port, items, _rate))
    say("limits, four processes")
    shares = [_company(kind, is_long=settings.rounds > _FEW) for kind in ("bucket", "bucket, Retry-After")]
    return Section(
        title="At the limit",
        text=(
            f"{items:,} customers, at an API that grants {RATE:.0f} requests a second and answers after 20 ms.",
            "Used is the part of what it grants, the opening included; refused is the part of the requests.",
            "Where it grants 8 at once, that is 8 in the time that an answer takes, which the server measures.",
        ),
        tables=[
            Table("At the limit", ["limit", "client", "used", "refused", "failed", "found"], rows),
            Table("Four processes at one limit", ["limit", "used", "spread", "refused", "shares"], shares),
        ],
    )


_FEW: Final = 3


def _rate() -> float:
    return RATE


def _at_once(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{TOOK}") as answer:
        return 8 / float(answer.read())


def _row(kind: str, peer: str, port: int, items: int, granted: Callable[[], float]) -> list[str]:
    url = f"http://127.0.0.1:{port}"
    try:
        (found,) = (
            run("limited_threads.py", url, items) if peer == _THREADS else run("limited_work.py", peer, url, items)
        )
    except PeerMissingError:
        return [kind, peer, "not installed", "-", "-", "-"]
    burst = 20.0 if kind.startswith(("bucket", "nginx")) else 0.0
    used = (items - found["failed"] - burst) / granted() / found["seconds"]
    refused = found["refused"] / max(1, found["refused"] + items - found["failed"])
    return [kind, peer, f"{used:.2f}", f"{refused:.1%}", str(found["failed"]), found["found"] or "-"]


def _company(kind: str, *, is_long: bool) -> list[str]:
    """Run four processes at a bucket, and look at what follows the first third."""
    seconds = 180 if is_long else 30
    with _server(kind, 429) as port:
        command = [sys.executable, str(HERE / "limited_work.py"), "company", f"http://127.0.0.1:{port}", str(seconds)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        counts = [
            [Counter({int(k): v for k, v in side.items()}) for side in json.loads(each.communicate()[0])]
            for each in running
        ]
    began = max(min(granted) for granted, _ in counts) + seconds // 3
    ends = min(max(granted) for granted, _ in counts)
    each = [sum(granted[when] for when in range(began, ends)) for granted, _ in counts]
    whole = [sum(granted[when] for granted, _ in counts) for when in range(began, ends)]
    refused = sum(lost[when] for _, lost in counts for when in range(began, ends))
    return [
        kind,
        f"{sum(whole) / RATE / len(whole):.2f}",
        f"{statistics.pstdev(whole) / statistics.mean(whole):.0%}",
        f"{refused / (refused + sum(whole)):.1%}",
        ", ".join(f"{share / sum(each):.0%}" for share in sorted(each)),
    ]


@contextlib.contextmanager
def _django() -> Generator[int]:
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "32", "--log-level"]
    with _running([*command, "critical", "--chdir", str(HERE), "limited_django:application"], port):
        yield port


@contextlib.contextmanager
def _server(kind: str, status: int) -> Generator[int]:
    command = [sys.executable, str(HERE / "limited_server.py"), kind, str(status), str(_SECONDS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield port
        finally:
            process.stdin.close()
            json.loads(process.stdout.read() or "null")


@contextlib.contextmanager
def _gateway(program: str, text: str, api: int, status: int) -> Generator[int]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        Path(folder).chmod(0o777)
        config = Path(folder, "config")
        config.write_text(text.format(folder=folder, port=port, api=api, status=status), encoding="utf-8")
        start: dict[str, list[str]] = {
            "nginx": ["nginx", "-c", str(config), "-p", folder, "-e", f"{folder}/early.log"],
            "haproxy": ["haproxy", "-db", "-q", "-f", str(config)],
        }
        where: Any = shutil.which(program, path=_PATH)
        with _running([where, *start[program][1:]], port):
            yield port


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Generator[None]:
    """Run a program that listens on a port."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        _listens(port)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> None:
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=0.05):
                return
        except TimeoutError:
            return  # it listens, and forwards what has no length
        except OSError as error:
            if "refused" not in str(error):
                return
        time.sleep(0.05)
