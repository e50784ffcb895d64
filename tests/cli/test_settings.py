"""Settings of the command line: env files, the way to the API, durations and rates."""

import json
import os
import sys
from pathlib import Path

import pytest
import typer

from thredfi_async import ConfigurationError
from thredfi_async.cli import main
from thredfi_async.cli.parsers import per_second, seconds
from thredfi_async.cli.settings import Connection, EnvironmentName, read_env_file
from thredfi_async.mock_server import MockServer


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Where an env file may be written."""
    return tmp_path / "thredfi.env"


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("  export A=b  ", {"A": "b"}),
        ("A='b # c' # why", {"A": "b # c"}),
        ("A=\"it's\" #don't", {"A": "it's"}),
        ("A=b#c", {"A": "b#c"}),
        ("A=b=c==", {"A": "b=c=="}),
        ("A=", {"A": ""}),
        ("A=$B", {"A": "$B"}),
        ("A=b\r", {"A": "b"}),
        ("\ufeffA=b", {"A": "b"}),
        ("# it's a comment", {}),
        ("", {}),
        ("A=b\n\nexport B=c\nA=d", {"A": "d", "B": "c"}),
    ],
)
def test_env_file(line: str, variables: dict[str, str], env_file: Path) -> None:
    """A line is read as a shell reads an assignment, with nothing expanded."""
    env_file.write_text(line, "utf-8", newline="")
    assert read_env_file(env_file) == variables


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("hunter2", "this is no assignment"),
        ("KEY = hunter2", "this is no assignment"),
        ("1KEY=hunter2", "this is no assignment"),
        ("export", "this is no assignment"),
        ("KEY=hunter2 hunter3", "something follows the value"),
        ("KEY='hunter2", "a quote is not closed"),
    ],
)
def test_invalid_lines_of_an_env_file(line: str, problem: str, env_file: Path) -> None:
    """An invalid line is named by file and number, and not quoted."""
    env_file.write_text(f"A=b\n{line}\n", "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(env_file)
    assert f"{env_file}, line 2: {problem}" in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), (b"\xff", "not UTF-8")])
def test_unreadable_env_file(
    content: bytes | None, problem: str, env_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An env file that cannot be read ends in 2."""
    if content is not None:
        env_file.write_bytes(content)
    assert main(["get", "x", "y", "--env-file", str(env_file)]) == 2
    assert problem in capsys.readouterr().err


def test_env_file_alone_counts(
    thredfi_mock_server: MockServer, env_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an env file the process's own variables are not looked at; one without any is an error."""
    server, customer = thredfi_mock_server, thredfi_mock_server.customers[0]
    command = ["get", str(customer.business_id), str(customer.customer_id), "--env-file", str(env_file)]
    monkeypatch.setenv("THREDFI_TOKEN", "of-another-environment")
    monkeypatch.setenv("THREDFI_ENVIRONMENT", "production")
    env_file.write_text(
        f"THREDFI_BASE_URL={server.url}\nTHREDFI_PARTNER_UUID={server.partner_uuid}\nTHREDFI_API_KEY={server.api_key}\n"
    )
    assert main(command) == 0
    env_file.write_text("TOKEN=of-somebody\n")
    assert main(command) == 2
    assert "sets no variable whose name begins with THREDFI_" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such permissions")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True), (0o700, False)])
def test_a_file_of_credentials_that_others_can_read(
    mode: int, warned: bool, env_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is used, with one warning that says what to type, and without a word of what is in it."""
    env_file.write_text("THREDFI_TOKEN=hunter2\n", "utf-8")
    env_file.chmod(mode)
    argv = ["get", "x", "y", "--env-file", str(env_file)]
    assert main(argv) == 2
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: others on this machine can read") == warned
    assert first.endswith(f"type chmod 600 {env_file}.") == warned
    assert "hunter2" not in "".join([first, *others])
    assert sum("warning" in line for line in others) == 0
    assert main([*argv, "--json"]) == 2
    said = [json.loads(line)["error"] for line in capsys.readouterr().err.splitlines()]
    assert said == [*(["Warning"] if warned else []), "InvalidRequestError"]


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such pipes")
def test_credentials_from_a_pipe(tmp_path: Path) -> None:
    """A pipe, as a shell makes one for <(...), is no file that others could read."""
    os.mkfifo(tmp_path / "pipe", 0o644)
    assert Connection(env_file=tmp_path / "pipe").warnings == ()
    assert Connection(env_file=tmp_path / "missing").warnings == ()
    assert Connection().warnings == ()


def test_options_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option for the API's address wins over the environment; without either it is the mock server."""
    monkeypatch.setenv("THREDFI_TOKEN", "t")
    monkeypatch.delenv("THREDFI_BASE_URL", raising=False)
    monkeypatch.setenv("THREDFI_ENVIRONMENT", "production")
    assert "https://api.thredfi.com" in repr(Connection().client())
    assert "https://sandbox.thredfi.com" in repr(Connection(environment=EnvironmentName.SANDBOX).client())
    assert "https://other.test" in repr(Connection(base_url="https://other.test").client())
    monkeypatch.delenv("THREDFI_ENVIRONMENT")
    assert "https://sandbox.thredfi.com" in repr(Connection().client())


def test_a_repeated_command_reaches_the_same_api() -> None:
    """A line to paste has the same options, quoted for a shell."""
    connection = Connection(environment=EnvironmentName.PRODUCTION, env_file=Path("my file"))
    assert connection.repeated("get", "a", "b") == "thredfi get a b --environment production --env-file 'my file'"


@pytest.mark.parametrize(
    ("text", "value"), [("20ms", 0.02), ("1.5s", 1.5), ("2", 2.0), ("2min", 120.0), ("1m", 60.0), (" 0 ", 0.0)]
)
def test_durations(text: str, value: float) -> None:
    """A duration is a number with a unit, seconds unless it says so."""
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("100/s", 100.0), ("600/min", 10.0), ("60/m", 1.0), ("36/h", 0.01), ("5", 5.0)]
)
def test_rates(text: str, value: float) -> None:
    """A rate is a number per unit of time, seconds unless it says so."""
    assert per_second(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e3", "nan", "inf", "1 s", "٣s", "1/2", "1_0", "0/s", "s"])
def test_neither_duration_nor_rate(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(typer.BadParameter, match="100/s"):
        per_second(text)
    if text != "0/s":
        with pytest.raises(typer.BadParameter, match="20ms"):
            seconds(text)
