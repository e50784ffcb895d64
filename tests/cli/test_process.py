"""The command as a process: signals, pipes, full disks."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from thredfi_async.cli import main
from thredfi_async.mock_server import MockServer

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("THREDFI_")}
CUSTOMER = "11111111-1111-4111-8111-111111111111"
BODY = json.dumps(MockServer(1).customers[0].body)


@contextmanager
def thredfi(*argv: str, url: str = "", **options: object) -> Generator[subprocess.Popen[str]]:
    """Start the command as a user would, and see to it that it is gone in the end."""
    env = CLEAN | ({"THREDFI_TOKEN": "secret-token", "THREDFI_BASE_URL": url} if url else {})
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": env, **options}
    process = subprocess.Popen([sys.executable, "-m", "thredfi_async", *argv], **settings)  # type: ignore[call-overload] # options of Popen
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def silent_server() -> Generator[socket.socket]:
    """A server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_ctrl_c_while_a_post_is_under_way(flags: list[str], tmp_path: Path) -> None:
    """Ctrl-C ends the command at once with 130, and says what is known, under which key, and how to look."""
    path = tmp_path / "body.json"
    path.write_text(BODY, "utf-8")
    with (
        silent_server() as listener,
        thredfi("archive", CUSTOMER, CUSTOMER, "--body", str(path), *flags, url=url_of(listener)) as process,
    ):
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(65536).decode()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
    key = re.findall(r"Idempotency-Key: (\S+)", request)[0]
    assert (process.returncode, out) == (130, "")
    if flags:
        assert json.loads(err).items() >= {"effect": "UNKNOWN", "idempotency_key": key, "exit_code": 130}.items()
    else:
        assert "Effect: UNKNOWN" in err
        assert f"Idempotency key: {key}" in err
        assert f"thredfi get {CUSTOMER} {CUSTOMER}" in err
    assert not any(text in err for text in ("Traceback", "secret-token"))


@pytest.mark.parametrize("argv", [["archive", CUSTOMER, CUSTOMER], ["list", CUSTOMER]])
def test_ctrl_c_while_a_get_is_under_way(argv: list[str]) -> None:
    """Ctrl-C before an archive request says that nothing was changed; a command that only reads says nothing of it."""
    with silent_server() as listener, thredfi(*argv, url=url_of(listener)) as process:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    effect = ["Effect: NOT_APPLIED, certainly nothing was changed by this call"] if argv[0] == "archive" else []
    assert err.splitlines() == ["error: Interrupted.", *effect]


HANGING_LOOKUP = """
import socket, sys, threading
def hang(*_, **__):
    print("looking up", file=sys.stderr, flush=True)
    threading.Event().wait()
socket.getaddrinfo = hang
from thredfi_async.cli import main
sys.exit(main())
"""


def test_ctrl_c_while_a_name_is_looked_up() -> None:
    """Ctrl-C does not wait for a look-up that hangs in a thread."""
    argv = [sys.executable, "-c", HANGING_LOOKUP, "get", CUSTOMER, CUSTOMER, "--base-url", "https://thredfi.test"]
    env = CLEAN | {"THREDFI_TOKEN": "t"}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "looking up\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "error: Interrupted.\n"
        assert process.wait() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_mock_server_stops(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mock server says how to use it, serves, and stops cleanly with Ctrl-C and SIGTERM alike."""
    with thredfi("mock-server", "--port", "0", "--customers", "3", "--latency", "1ms", "--json") as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        for name, value in facts["environment"].items():
            monkeypatch.setenv(name, value)
        assert main(["archive", *facts["customers"][0].values()]) == 0
        assert capsys.readouterr().out.startswith("Archived")
        process.send_signal(number)
        assert process.communicate() == ("", "")
    assert process.returncode == 0


def test_mock_server_says_how_to_use_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What the mock server prints can be pasted: the variables, and a line that archives."""
    with thredfi("mock-server", "--port", "0", "--customers", "3", "--rate-limit", "600/min", "--no-strict") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip()]
        while not lines[-1].startswith("export THREDFI_TOKEN="):
            lines.append(process.stdout.readline().strip())
        settings = dict(line.removeprefix("export ").split("=", 1) for line in lines[3:6])
        (command,) = (line.split() for line in lines if line.startswith("thredfi archive "))
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        assert main(command[1:]) == 0
        assert capsys.readouterr().out.startswith("Archived")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (out, err) == ("", "Stopped after 3 requests; 1 archived a customer.\n")
    assert lines[0].startswith("A fake Thredfi API at http://127.0.0.1:")


def test_mock_server_on_every_address() -> None:
    """A mock server that listens on every address names loopback, since clients refuse plain http to anything else."""
    with thredfi("mock-server", "--port", "0", "--customers", "0", "--host", "0.0.0.0", "--json") as process:  # noqa: S104 - said so
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
    assert facts["url"].startswith("http://127.0.0.1:")
    assert facts["customers"] == []


def test_port_in_use() -> None:
    """A port that is taken is one sentence and 2."""
    with silent_server() as listener:
        port = str(listener.getsockname()[1])
        with thredfi("mock-server", "--port", port) as process:
            out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith(
        f"error: The settings cannot work: cannot listen on 127.0.0.1, port {port}: the port is in use"
    )
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough(thredfi_mock_server: MockServer) -> None:
    """`thredfi list | head` is silent."""
    command = ["list", str(thredfi_mock_server.business_ids[0]), "--json"]
    with thredfi(*command, env=CLEAN | _environment(thredfi_mock_server)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["status"] == "ACTIVE"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk(thredfi_mock_server: MockServer) -> None:
    """Output that cannot be written ends in 6, and what was done stays said."""
    customer = thredfi_mock_server.customers[0]
    command = ["archive", str(customer.business_id), str(customer.customer_id)]
    with (
        Path("/dev/full").open("w") as full,
        thredfi(*command, stdout=full, env=CLEAN | _environment(thredfi_mock_server)) as process,
    ):
        err = process.communicate()[1]
    assert process.returncode == 6
    assert err.startswith("error: The output cannot be written: No space left on device.\nEffect: APPLIED")
    assert thredfi_mock_server.is_archived(customer.customer_id)


@pytest.mark.parametrize("number", [1, 2])
def test_closed_streams(number: int) -> None:
    """With a closed stdout nothing is begun, and with a closed stderr too the exit code still says so."""
    argv = [sys.executable, "-m", "thredfi_async", "archive", CUSTOMER, CUSTOMER]
    script = f"import os, sys; os.closerange(1, {number + 1}); os.execv(sys.executable, {argv!r})"
    run = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 6
    assert run.stderr.startswith("error: The output cannot be written: stdout is closed." if number == 1 else "")


def test_ascii_terminal(thredfi_mock_server: MockServer) -> None:
    """A terminal that knows only ASCII gets escapes, not an error."""
    named = next(each for each in thredfi_mock_server.customers if not each.body["individual_name"].isascii())
    command = ["get", str(named.business_id), str(named.customer_id)]
    env = CLEAN | _environment(thredfi_mock_server) | {"PYTHONIOENCODING": "ascii"}
    with thredfi(*command, env=env) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert named.body["individual_name"].encode("ascii", "backslashreplace").decode() in out


def _environment(server: MockServer) -> dict[str, str]:
    return {
        "THREDFI_BASE_URL": server.url,
        "THREDFI_PARTNER_UUID": server.partner_uuid,
        "THREDFI_API_KEY": server.api_key,
    }
