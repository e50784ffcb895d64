"""What all commands have in common: help, version, completion, and how much they show."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from thredfi_async import ThredfiClient, __version__
from thredfi_async.cli import main
from thredfi_async.cli.app import app
from thredfi_async.cli.bulk.app import app as bulk_app
from thredfi_async.cli.command_line import documentation
from thredfi_async.mock_server import Fault, FaultKind, MockServer

Capture = pytest.CaptureFixture[str]


def _paths() -> Iterator[list[str]]:
    for each in app.registered_commands:
        yield [str(each.name)]
    for each in bulk_app.registered_commands:
        yield ["bulk", str(each.name)]


COMMANDS = list(_paths())
ALL = [[], ["bulk"], *COMMANDS]
NAMES = [" ".join(path) or "thredfi" for path in ALL]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns, and no setting but the test's own."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR", "_THREDFI_COMPLETE"):
        monkeypatch.delenv(name, raising=False)


def help_of(capsys: Capture, *argv: str) -> str:
    """Return what a command writes about itself."""
    assert main(list(argv)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


# -- help


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_help_is_the_same_everywhere(path: list[str], capsys: Capture) -> None:
    """`-h`, `--help` and `help` show the same, with an example and the docs, and no line is longer than the screen."""
    shown = help_of(capsys, *path, "-h")
    assert shown == help_of(capsys, *path, "--help") == help_of(capsys, "help", *path)
    assert shown.startswith(f"Usage: {' '.join(['thredfi', *path])} ")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert (lines[-2] == "Docs:") == (documentation() is not None)
    heading = lines.index("Example:" if "Example:" in lines else "Examples:")
    assert lines[heading + 1].startswith(f"  thredfi {' '.join(path)}".rstrip())
    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("path", COMMANDS, ids=NAMES[2:])
def test_options_read_alike(path: list[str], capsys: Capture) -> None:
    """A flag has no type, a default stands in brackets, and every command takes what all take."""
    shown = help_of(capsys, *path, "-h")
    assert "<bool>" not in shown
    assert "unless given" not in shown
    assert "]  [" not in shown
    assert not set("{}") & set(shown)
    for option in ("-q, --quiet", "-v, --verbose", "--log-level LEVEL", "--json ", "--debug ", "-h, --help"):
        assert f"\n  {option}" in shown


@pytest.mark.parametrize("path", COMMANDS, ids=NAMES[2:])
def test_an_example_can_be_typed(path: list[str], capsys: Capture) -> None:
    """The example of a command is one that its parser takes."""
    (example,) = (line for line in help_of(capsys, *path, "-h").splitlines() if line.startswith("  thredfi "))
    words = example.partition(">")[0].split()[1:]
    command: Any = typer.main.get_command(app)
    context = command.make_context("thredfi", list(words), resilient_parsing=True)
    while hasattr(command, "commands"):
        _, command, words = command.resolve_command(context, words)
        context = command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize("urls", [None, [], ["Homepage, https://thredfi.test"]])
def test_docs_without_an_address(urls: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the project names no address of its docs, none is invented."""
    _project(monkeypatch, urls)
    assert documentation() is None


def test_docs_with_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one setting is the project's own, in its metadata."""
    _project(monkeypatch, ["Homepage, https://thredfi.test", "Documentation, https://docs.thredfi.test"])
    assert documentation() == "https://docs.thredfi.test"


def _project(monkeypatch: pytest.MonkeyPatch, urls: list[str] | None) -> None:
    message = metadata.metadata("pytest")
    del message["Project-URL"]  # type: ignore[attr-defined] # it is an email.message.Message
    for url in urls or []:
        message["Project-URL"] = url  # type: ignore[index] # as above

    def found(name: str) -> object:
        if urls is None:
            raise metadata.PackageNotFoundError(name)
        return message

    monkeypatch.setattr(metadata, "metadata", found)


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag: str, capsys: Capture) -> None:
    """The version has a short flag too."""
    assert help_of(capsys, flag) == f"thredfi-async {__version__}\n"


# -- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: Capture) -> None:
    """Each shell has a script, which asks this program; and the shell takes it."""
    script = help_of(capsys, "completion", shell)
    assert f"_THREDFI_COMPLETE=complete_{shell}" in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_another_shell(capsys: Capture) -> None:
    """A shell without a script is refused, with those that have one."""
    assert main(["completion", "csh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "said"),
    [("thredfi bu", "bulk"), ("thredfi bulk arch", "archive"), ("thredfi get --env", "--environment\n--env-file")],
)
def test_what_a_script_asks(typed: str, said: str) -> None:
    """The script of bash gets commands and options that fit."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_THREDFI_COMPLETE": "complete_bash"}
    argv = [sys.executable, "-m", "thredfi_async"]
    done = subprocess.run(argv, env=os.environ | words, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (said, "")


# -- how much is shown


@pytest.mark.parametrize(
    ("flags", "retries", "attempts"),
    [
        ([], False, False),
        (["-v"], True, False),
        (["-vv"], True, True),
        (["--log-level", "INFO"], True, False),
        (["--log-level=error", "-v"], False, False),
        (["--log-level", "error", "--debug"], True, True),
        (["-q", "--log-level", "warning"], False, False),
    ],
)
def test_logs(server: MockServer, flags: list[str], retries: bool, attempts: bool, capsys: Capture) -> None:
    """Each level of logs is asked for by name, or with one -v or two."""
    customer = server.customers[0]
    server.queue_faults(customer.customer_id, Fault(FaultKind.SERVER_ERROR, on="get"))
    level = logging.getLogger().level
    assert main(["get", str(customer.business_id), str(customer.customer_id), *flags]) == 0
    err = capsys.readouterr().err
    assert ("retrying in" in err, "attempt 1: 503" in err) == (retries, attempts)
    assert logging.getLogger().level == level


def test_logs_for_machines(server: MockServer, capsys: Capture) -> None:
    """With --json, each line of the logs is JSON, too."""
    customer = server.customers[0]
    server.queue_faults(customer.customer_id, Fault(FaultKind.SERVER_ERROR, on="get"))
    assert main(["get", str(customer.business_id), str(customer.customer_id), "-v", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert any("retrying in" in line["message"] and line["level"] == "info" for line in lines)


@pytest.mark.parametrize("more", ["-v", "--debug", "--log-level=info"])
def test_quiet_and_more(more: str, capsys: Capture) -> None:
    """Who wants nothing and more gets a sentence."""
    assert main(["demo", "-q", more]) == 2
    assert "--quiet" in capsys.readouterr().err


def test_quiet(server: MockServer, tmp_path: Path, capsys: Capture) -> None:
    """A quiet run shows its result alone, and the events of a machine are no noise."""
    customer = server.customers[0]
    source = tmp_path / "a.csv"
    source.write_text(f"business_id,customer_id\n{customer.business_id},{customer.customer_id}\n")
    argv = ["bulk", "archive", str(source), "--journal", str(tmp_path / "run.db")]
    assert main([*argv, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (out.startswith("Done: "), err) == (True, "")
    assert main([*argv, "-q", "--json"]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert (events[0], events[-1]) == ("plan", "summary")


@pytest.mark.parametrize(
    ("variables", "colors"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": ""}, False)]
)
def test_forced_colors(
    server: MockServer, variables: dict[str, str], colors: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colors go to a pipe only if they are asked for, and a dumb terminal gets none."""
    customer = server.customers[0]
    for name, value in {**variables, "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    argv = ["get", str(customer.business_id), str(customer.customer_id)]
    assert main(argv) == 0
    assert ("\x1b[" in capsys.readouterr().out) == colors
    monkeypatch.setenv("TERM", "dumb")
    assert main(argv) == 0
    assert "\x1b[" not in capsys.readouterr().out


def test_a_bundle_is_built_once(server: MockServer, capsys: Capture) -> None:
    """The options for reaching the API are the same for each command that has them."""
    customer = server.customers[0]
    ids = [str(customer.business_id), str(customer.customer_id)]
    for argv in (["get", *ids], ["archive", *ids], ["list", ids[0]]):
        assert main([*argv, "--base-url", "https://a.test", "--environment", "sandbox"]) == 2
        assert "give --base-url or --environment, not both" in capsys.readouterr().err
    assert ThredfiClient.from_env().base_url == server.url
