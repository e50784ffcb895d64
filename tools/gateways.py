"""Archives through real gateways that misbehave, and holds each statement against the server behind them.

    nox -s gateways -- --calls 2000

nginx, haproxy and squid, as Debian has them, stand in front of the mock server: they refuse its answers, put redirects
in their place, repeat requests, and cut them. One that is not installed is named and left out.
"""

import argparse
import asyncio
import collections
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from thredfi_async import Effect, RetryPolicy, ThredfiClient, ThredfiError, Timeouts
from thredfi_async.mock_server import MockServer

say = sys.stdout.write
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream api {{ {upstream} keepalive 50; }}
  split_clients "$request_id" $which {{ 30% bad; * good; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
      {location}
    }}
  }}
}}
"""
_HAPROXY = """\
global
  maxconn 1000
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server {timeout}
{defaults}
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  {backend}
  server s1 127.0.0.1:{api}
  server s2 127.0.0.1:{api}
"""
_SQUID = """\
http_port 127.0.0.1:{port} accel defaultsite=127.0.0.1 no-vhost
cache_peer 127.0.0.1 parent {api} 0 no-query originserver name=api login=PASSTHRU
acl all_of_it src all
acl half random 0.5
http_access allow all_of_it
{rules}
cache deny all
access_log none
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
shutdown_lifetime 0 seconds
"""
_API = "server 127.0.0.1:{api};"


class Gateway:
    """One program with one configuration."""

    def __init__(self, name: str, program: str, text: str, **parts: str) -> None:
        self.name = name
        self.program = program
        self._text = text
        self._parts = parts
        self._process: subprocess.Popen[bytes] | None = None

    def reload(self) -> None:
        """Let it read its configuration again, as its operator does: new processes, and the old ones finish."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP if self.program == "nginx" else signal.SIGUSR2)

    @asynccontextmanager
    async def before(self, api: int) -> AsyncGenerator[str]:
        """Run it in front of this port; give its URL."""
        with tempfile.TemporaryDirectory(prefix="gateway-") as folder, socket.socket() as probe:
            Path(folder).chmod(0o777)  # noqa: ASYNC240 - nothing else runs yet; squid drops its rights
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            probe.close()
            parts = {name: part.format(api=api) for name, part in self._parts.items()}
            config = _written(Path(folder, "config"), self._text.format(folder=folder, port=port, api=api, **parts))
            command = {
                "nginx": ["nginx", "-c", str(config), "-p", folder, "-e", f"{folder}/early.log"],
                "haproxy": ["haproxy", "-W", "-db", "-q", "-f", str(config)],
                "squid": ["squid", "-N", "-f", str(config)],
            }[self.program]
            log = Path(folder, "output")
            process = self._process = _started(command, log)
            try:
                await _listening(port, process, log)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def is_installed(program: str) -> bool:
    """Return whether this program is there; say so if it is not."""
    is_there = shutil.which(program, path=_PATH) is not None
    if not is_there:
        say(f"{program} is not installed, and is left out\n")
    return is_there


def _written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def _started(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    program = str(shutil.which(command[0], path=_PATH))
    with log.open("wb") as output:
        return subprocess.Popen([program, *command[1:]], stdout=output, stderr=output)


def _end_of(log: Path) -> str:
    return log.read_text("utf-8", "replace")[:2000]


async def _listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"it ended: {_end_of(log)}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"it does not listen: {_end_of(log)}")


def nginx(name: str, location: str = "", upstream: str = _API) -> Gateway:
    """Nginx with this in its location."""
    return Gateway(f"nginx, {name}", "nginx", _NGINX, location=location, upstream=upstream)


def haproxy(name: str, backend: str = "", timeout: str = "10s", defaults: str = "") -> Gateway:
    """Haproxy with this in its backend."""
    return Gateway(f"haproxy, {name}", "haproxy", _HAPROXY, backend=backend, timeout=timeout, defaults=defaults)


def squid(name: str, rules: str) -> Gateway:
    """Squid with these rules."""
    return Gateway(f"squid, {name}", "squid", _SQUID, rules=rules)


_SOMETIMES = "{{ rand(100) lt 40 }}"
GATEWAYS = (
    nginx("nothing wrong"),
    nginx("redirects instead of the API", "if ($which = bad) {{ return 302 /login/; }}"),
    nginx("refuses before the API", "if ($which = bad) {{ return 403; }}"),
    nginx(
        "repeats POSTs",
        "proxy_next_upstream error timeout http_500 http_503 non_idempotent; proxy_next_upstream_tries 3;",
        f"{_API} {_API} {_API}",
    ),
    nginx("cuts slow answers", "proxy_read_timeout 40ms;"),
    haproxy("nothing wrong"),
    haproxy("refuses answers with 403", f"http-response deny deny_status 403 if {_SOMETIMES}"),
    haproxy("refuses answers with 404", f"http-response deny deny_status 404 if {_SOMETIMES}"),
    haproxy("redirects instead of answers", f"http-response redirect location /login/ if {_SOMETIMES}"),
    haproxy("repeats POSTs", "retry-on all-retryable-errors 500 503\n  retries 3\n  option redispatch 1"),
    haproxy("cuts slow answers", timeout="40ms"),
    squid("nothing wrong", "http_reply_access allow all_of_it"),
    squid("refuses answers", "http_reply_access deny half\nhttp_reply_access allow all_of_it"),
)


async def run(gateway: Gateway, calls: int, seed: int) -> int:
    """Archive customers through it; return how many statements are false."""
    ends: collections.Counter[str] = collections.Counter()
    false = 0
    async with MockServer(customers=calls, seed=seed) as server:
        if "slow" in gateway.name:
            server.latency = 0.03
        port = urlsplit(server.url).port
        assert port is not None
        retry = RetryPolicy(max_attempts=3, backoff_initial=0.01, backoff_max=0.05)
        async with gateway.before(port) as url:
            timeouts = Timeouts(read=5.0, deadline=20.0)
            async with ThredfiClient(
                server.token, base_url=url, retry=retry, timeouts=timeouts, max_connections=40
            ) as client:
                customers = list(server.customers)
                raw = client.customers.with_raw_response
                archived = (raw.archive(each.business_id, each.customer_id, each.body) for each in customers)
                results = await asyncio.gather(*archived, return_exceptions=True)
        for customer, result in zip(customers, results, strict=True):
            applied = server.requests.of(customer.customer_id).applied
            if isinstance(result, ThredfiError):
                ends[f"{type(result).__name__} {result.effect.name}"] += 1
                wrong = (result.effect is Effect.NOT_APPLIED and applied > 0) or (
                    result.effect is Effect.APPLIED and applied == 0
                )
            elif isinstance(result, BaseException):
                raise result
            else:
                ends["archived"] += 1
                wrong = not server.is_archived(customer.customer_id) or (result.already_archived and applied > 0)
            if wrong:
                false += 1
                say(f"  FALSE: {result!r}, applied {applied} times\n")
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    say(f"{gateway.name}: {false} false of {calls}; {told}\n")
    sys.stdout.flush()
    return false


def main() -> int:
    """Go through all gateways that are installed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", help="the beginning of a gateway's name; all by default")
    options = parser.parse_args()
    missing = [name for name in ("nginx", "haproxy", "squid") if not is_installed(name)]
    names = tuple(options.names)
    chosen = [each for each in GATEWAYS if each.program not in missing and (not names or each.name.startswith(names))]
    false = sum(asyncio.run(run(gateway, options.calls, options.seed)) for gateway in chosen)
    say(f"{false} false statements through {len(chosen)} gateways\n")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
