"""The examples as their readers run them: as processes, against a mock server that misbehaves."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import http_answers
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from natsserver import NatsServer

import thredfi_async
from thredfi_async import (
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConflictError,
    ConnectError,
    Effect,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiError,
    UnprocessableEntityError,
)
from thredfi_async.mock_server import Fault, FaultKind, MockServer
from thredfi_async.mock_server.thread import in_thread
from thredfi_async.worker import ArchiveCommand, DeadLetter

EXAMPLES = Path(__file__).parents[2] / "examples"
# Examples import each other from their own folder, which PYTHONSAFEPATH would prevent.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("THREDFI_", "PYTHONSAFEPATH"))}
SERVICES = ["aiohttp_service", "fastapi_service"]
NO_ONE = UUID(int=0)


def environment(url: str) -> dict[str, str]:
    """The environment of a service."""
    return CLEAN | {"THREDFI_TOKEN": "secret-token", "THREDFI_BASE_URL": url, "PORT": "0", "PYTHONUNBUFFERED": "1"}


def until(condition: Callable[[], bool], *, within: float = 10.0) -> None:
    """Wait for another thread or process."""
    end = monotonic() + within
    while not condition():
        assert monotonic() < end
        sleep(0.005)


def listens(port: int) -> bool:
    """Return whether the port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Reply:
    """A service's answer."""

    status: int
    headers: Message
    body: Any


@dataclass
class Service:
    """A service that runs in its own process."""

    process: subprocess.Popen[str]
    port: int

    def archive(
        self, business: object, customer: object, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask it to archive a customer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request("POST", f"/businesses/{business}/customers/{customer}/archive", body, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, json.loads(response.read()))
        finally:
            connection.close()


@contextmanager
def process(name: str, env: dict[str, str]) -> Generator[tuple["subprocess.Popen[str]", Iterator[str]]]:
    """Start an example as its docstring says, yield it with its output, and end it."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    started = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with started:
        try:
            assert started.stdout is not None
            yield started, iter(started.stdout)
        finally:
            started.kill()


@contextmanager
def running(name: str, env: dict[str, str]) -> Generator[Service]:
    """Start a service, and wait until it listens."""
    with process(name, env) as (started, lines):
        seen: list[str] = []
        for line in lines:
            seen.append(line)
            if found := re.search(r"unning on http://127\.0\.0\.1:(\d+)", line):
                yield Service(started, int(found[1]))
                return
        pytest.fail("".join(seen))


@pytest.fixture(scope="module")
def server() -> Generator[MockServer]:
    """A mock server for all examples; each test uses its own customers."""
    with in_thread(MockServer(customers=100)) as mock_server:
        yield mock_server


@pytest.fixture
def broker(tmp_path: Path) -> Generator[str]:
    """The URL of a NATS server with JetStream."""
    with NatsServer(tmp_path) as started:
        yield started.url


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest, server: MockServer) -> Generator[Service]:
    """Each of the services, in turn."""
    env = environment(server.url) | {"THREDFI_TOKEN": server.token}
    with running(request.param, env) as service:
        yield service


@pytest.fixture(scope="module")
def fresh(server: MockServer) -> Callable[[], Any]:
    """Return a customer that no test has used yet."""
    return iter(server.customers).__next__


def test_service_archives(service: Service, server: MockServer, fresh: Callable[[], Any]) -> None:
    """A service archives with the server's own record, or with the given body."""
    first, second = fresh(), fresh()
    bare = service.archive(first.business_id, first.customer_id, headers={"X-Request-Id": "order-7"})
    full = service.archive(
        second.business_id, second.customer_id, json.dumps(second.body), {"Idempotency-Key": "my-key"}
    )
    for reply, customer in ((bare, first), (full, second)):
        assert (reply.status, reply.body["archived"]) == (200, True)
        assert server.is_archived(customer.customer_id)
    assert bare.headers["X-Request-Id"] == "order-7"
    assert str(UUID(full.headers["X-Request-Id"])) == full.headers["X-Request-Id"]
    assert server.requests.of(second.customer_id).keys == {"my-key"}


def test_service_says_what_is_wrong(service: Service, server: MockServer, fresh: Callable[[], Any]) -> None:
    """A missing customer is a 404; a body that breaks the contract is a 422 with every field, and is not sent."""
    customer = fresh()
    missing = service.archive(customer.business_id, NO_ONE)
    wrong = service.archive(customer.business_id, customer.customer_id, json.dumps(customer.body | {"name": 1, "x": 2}))
    broken = service.archive(customer.business_id, customer.customer_id, "{")
    assert (missing.status, missing.body) == (404, {"archived": False})
    assert (wrong.status, wrong.body["archived"]) == (422, False)
    assert sorted(problem.partition(":")[0] for problem in wrong.body["problems"]) == ["name", "x"]
    assert broken.status in {400, 422}
    assert server.requests.of(customer.customer_id).requests == 0


def test_service_says_which_fields_are_missing(service: Service, fresh: Callable[[], Any]) -> None:
    """A caller who sends JSON reads the name of each missing field, and nothing of Python."""
    customer = fresh()
    body = {name: value for name, value in customer.body.items() if name not in {"city", "notes"}}
    reply = service.archive(customer.business_id, customer.customer_id, json.dumps(body))
    assert (reply.status, reply.body) == (
        422,
        {"archived": False, "problems": ["city: is missing", "notes: is missing"]},
    )


def test_service_says_when_it_is_not_known(service: Service, server: MockServer, fresh: Callable[[], Any]) -> None:
    """An unknown outcome is a 504 with the key to repeat it, and the repeat settles it."""
    customer = fresh()
    lost = Fault(FaultKind.SERVER_ERROR, status=501)
    server.queue_faults(customer.customer_id, lost)
    reply = service.archive(customer.business_id, customer.customer_id, json.dumps(customer.body))
    assert (reply.status, reply.body) == (504, {"archived": None})
    key = {"Idempotency-Key": reply.headers["Idempotency-Key"]}
    again = service.archive(customer.business_id, customer.customer_id, json.dumps(customer.body), key)
    assert (again.status, again.body["archived"]) == (200, True)
    assert server.requests.of(customer.customer_id).keys == {key["Idempotency-Key"]}


def test_service_passes_on_when_to_come_again(service: Service, server: MockServer, fresh: Callable[[], Any]) -> None:
    """If the API asks for a longer wait than the request has, the answer is a 503 with that wait."""
    customer = fresh()
    server.queue_faults(customer.customer_id, Fault(FaultKind.THROTTLE, retry_after=300))
    reply = service.archive(customer.business_id, customer.customer_id, json.dumps(customer.body))
    assert (reply.status, reply.headers["Retry-After"], reply.body) == (503, "300", {"archived": False})


class Upstream(ThreadingHTTPServer):
    """An API that delays its answer until told to send it, and keeps the received headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), UpstreamHandler)
        self.headers: list[Message] = []
        self.release = threading.Event()


class UpstreamHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        upstream = self.server
        assert isinstance(upstream, Upstream)
        upstream.headers.append(self.headers)
        assert upstream.release.wait(10)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        pass


@pytest.mark.parametrize("name", SERVICES)
def test_service_ends_what_it_has_begun(name: str) -> None:
    """On SIGTERM a service takes no more requests, answers the one in flight, and ends normally."""
    replies: list[Reply] = []
    with Upstream() as upstream, running(name, environment(f"http://127.0.0.1:{upstream.server_port}")) as service:
        serving = threading.Thread(target=upstream.serve_forever)
        asking = threading.Thread(
            target=lambda: replies.append(service.archive(NO_ONE, NO_ONE, headers={"X-Request-Id": "order-8"}))
        )
        serving.start()
        asking.start()
        try:
            until(lambda: len(upstream.headers) == 1)
            service.process.send_signal(signal.SIGTERM)
            until(lambda: not listens(service.port))
        finally:
            upstream.release.set()
            asking.join()
            upstream.shutdown()
            serving.join()
        assert [reply.status for reply in replies] == [502]
        assert upstream.headers[0]["X-Request-Id"] == "order-8"
        # uvicorn ends itself by the received signal, after it has finished its work.
        assert service.process.wait(10) in {0, -signal.SIGTERM}


ERRORS: list[tuple[ThredfiError, int]] = [
    (InvalidRequestError(["name: is missing"]), 422),
    (BadRequestError("s", status=400, is_enveloped=True, details={"email": ["Ann is no address"]}), 422),
    (UnprocessableEntityError("s", status=422, is_enveloped=True), 422),
    (AuthenticationError("s", status=401, is_enveloped=True), 500),
    (PermissionDeniedError("s", status=403, is_enveloped=True), 404),
    (NotFoundError("s", status=404, is_enveloped=True), 404),
    (ConflictError("s", status=409, is_enveloped=True), 409),
    (RateLimitedError("s", status=429, retry_after=2.1), 503),
    (ServerError("s", status=503), 502),
    (ConnectError("s"), 502),
    (RequestTimeoutError("s", phase="queue"), 503),
    (RequestTimeoutError("s", phase="deadline"), 502),
    (ResponseDecodeError("s"), 502),
    (ClientStateError("s"), 500),
    (InternalError("s"), 500),
    (NotFoundError("s", status=404), 502),
    (PermissionDeniedError("s", status=403), 502),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_answer(error: ThredfiError, status: int) -> None:
    """With nothing applied, each class of error has the status of the docs' table."""
    answer = http_answers.answer_to(error)
    assert (answer.status, answer.body["archived"]) == (status, False)
    assert "Ann" not in json.dumps(answer.body)
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    ("error", "status"), [(NotFoundError("s", status=404), 500), (ServerError("s", status=503), 502)]
)
def test_no_customer_is_denied_for_want_of_a_token(error: ThredfiError, status: int) -> None:
    """A refusal by the token endpoint says nothing about the customer."""
    error.is_token_error = True
    assert http_answers.answer_to(error).status == status


@pytest.mark.parametrize(("error", "effect"), list(product([error for error, _ in ERRORS], list(Effect))), ids=str)
def test_no_answer_says_more_than_is_known(error: ThredfiError, effect: Effect) -> None:
    """Whatever the error, `archived` follows the effect, and "not known" has the key to repeat it."""
    known = type(error).__new__(type(error))
    known.__dict__.update(error.__dict__ | {"effect": effect, "idempotency_key": "key"})
    answer = http_answers.answer_to(known)
    assert answer.body["archived"] is {Effect.NOT_APPLIED: False, Effect.UNKNOWN: None, Effect.APPLIED: True}[effect]
    assert (answer.headers.get("Idempotency-Key") == "key") == (effect is Effect.UNKNOWN)


def test_the_answers_know_every_error() -> None:
    """A new class of error in the library needs an answer here."""
    named = {getattr(thredfi_async, name) for name in thredfi_async.__all__}
    classes = {each for each in named if isinstance(each, type) and issubclass(each, ThredfiError)}
    abstract = {each for each in classes if any(other is not each and issubclass(other, each) for other in classes)}
    tested = {type(error) for error, _ in ERRORS}
    assert {each.__name__ for each in classes - abstract - tested} == {"ConfigurationError", "ConnectionLostError"}


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "é", "a\tb"])
def test_a_request_id_that_will_not_do_is_replaced(given: str) -> None:
    """A caller's request id reaches logs and headers only if it is short and plain."""
    made = http_answers.request_id_of({"X-Request-Id": given})
    assert str(UUID(made)) == made


def gather(server: MockServer, business: object, file: Path) -> "subprocess.Popen[str]":
    """Start the script on a file of ids."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "gather.py"), str(business), str(file)]
    env = environment(server.url) | {"THREDFI_TOKEN": server.token}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_gather_writes_what_is_left(server: MockServer, fresh: Callable[[], Any], tmp_path: Path) -> None:
    """The script archives each id once, and writes the ids not archived, for another run."""
    customers = [fresh() for _ in range(10)]
    ids = [str(each.customer_id) for each in customers]
    file = tmp_path / "ids.txt"
    file.write_text("\n".join([*ids, "", ids[0].upper(), str(NO_ONE)]))
    with gather(server, customers[0].business_id, file) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, f"{NO_ONE}\n")
    assert err.splitlines()[-1] == "10 archived, 1 left"
    assert "effect NOT_APPLIED" in err
    assert [server.requests.of(each).applied for each in ids] == [1] * 10


def test_gather_that_is_interrupted_names_the_rest(
    server: MockServer, fresh: Callable[[], Any], tmp_path: Path
) -> None:
    """After Ctrl-C the script still separates done from unknown."""
    done, hanging = fresh(), fresh()
    server.queue_faults(hanging.customer_id, Fault(FaultKind.HANG))
    file = tmp_path / "ids.txt"
    file.write_text(f"{done.customer_id}\n{hanging.customer_id}\n")
    with gather(server, done.business_id, file) as process:
        until(lambda: all(server.requests.of(each.customer_id).applied for each in (done, hanging)))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    left = set(out.split())
    assert process.returncode == 1
    # The answer about the other one may have been in flight.
    assert {str(hanging.customer_id)} <= left <= {str(hanging.customer_id), str(done.customer_id)}
    assert "interrupted" in err
    assert "Traceback" not in err


def test_gather_refuses_a_wrong_line(server: MockServer, tmp_path: Path) -> None:
    """A line that is no UUID is named, and nothing is sent."""
    before = server.requests.totals.total()
    file = tmp_path / "ids.txt"
    file.write_text(f"{NO_ONE}\nAnn\n")
    with gather(server, NO_ONE, file) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (1, "", f"{file}, line 2: this is not a UUID\n")
    assert server.requests.totals.total() == before


COMMANDS, DEAD = "CUSTOMERS", "CUSTOMERS_DEAD"


async def publish_and_wait(url: str, payloads: list[bytes]) -> list[DeadLetter]:
    """Publish to the FastStream example, wait until it has processed all, and return its dead letters."""
    connection = Client()
    await connection.connect(url)
    try:
        # Any: parts of nats-py's own annotations are missing.
        stream: Any = JetStreamContext(connection)
        for payload in payloads:
            await stream.publish("customers.archive", payload, timeout=5)
        async with asyncio.timeout(20):
            while (await stream.stream_info(COMMANDS)).state.messages:  # noqa: ASYNC110 - the broker sends no event
                await asyncio.sleep(0.02)
        dead = (await stream.stream_info(DEAD)).state.messages
        letters = [await stream.get_msg(DEAD, seq=number + 1) for number in range(dead)]
        return [DeadLetter.from_json(letter.data or b"") for letter in letters]
    finally:
        await connection.close()


def test_faststream_deals_with_every_message(server: MockServer, fresh: Callable[[], Any], broker: str) -> None:
    """The FastStream app archives, retries with the same key, and stores dead letters."""
    good, late = fresh(), fresh()
    server.queue_faults(late.customer_id, Fault(FaultKind.SERVER_ERROR, status=501))
    missing = ArchiveCommand(good.business_id, NO_ONE)
    commands = [ArchiveCommand(each.business_id, each.customer_id, each.body) for each in (good, late)]
    env = environment(server.url) | {"THREDFI_TOKEN": server.token, "NATS_URL": broker}
    with process("faststream_nats", env) as (app, lines):
        assert next(line for line in lines if "started successfully" in line)
        payloads = [*(each.to_json() for each in commands), missing.to_json(), b"\xff", b'{"version": 1}']
        letters = asyncio.run(publish_and_wait(broker, payloads))
        app.send_signal(signal.SIGTERM)
        assert app.wait(10) == 0
        assert "Traceback" not in "".join(lines)
    assert [server.requests.of(each.customer_id).applied for each in (good, late)] == [1, 1]
    assert server.requests.of(late.customer_id).requests == 2
    assert len(server.requests.of(late.customer_id).keys) == 1
    assert sorted(letter.code for letter in letters) == ["invalid_request", "invalid_request", "not_found"]
    assert {letter.original for letter in letters} == set(payloads[2:])
