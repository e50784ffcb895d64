"""Ctrl-C at each stage of a command: what is said of the effect is true."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from thredfi_async.cli import customers, main
from thredfi_async.cli.bulk import archive, executor
from thredfi_async.cli.demo import Demo
from thredfi_async.cli.output import Output
from thredfi_async.mock_server import MockServer

Capture = pytest.CaptureFixture[str]
NOTHING = "NOT_APPLIED"


def interrupted(*_: object, **__: object) -> NoReturn:
    """Be interrupted here."""
    raise KeyboardInterrupt


@pytest.fixture
def server(thredfi_mock_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MockServer:
    """A mock server that the environment points at, and a folder with a file of three of its customers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREDFI_BASE_URL", thredfi_mock_server.url)
    monkeypatch.setenv("THREDFI_TOKEN", thredfi_mock_server.token)
    lines = [f"{each.business_id},{each.customer_id}\n" for each in thredfi_mock_server.customers[:3]]
    Path("c.csv").write_text("business_id,customer_id\n" + "".join(lines), "utf-8")
    return thredfi_mock_server


def told(argv: list[str], capsys: Capture) -> tuple[dict[str, Any], str]:
    """Run a command that is interrupted, for machines and then for people, and return what each is told."""
    assert main([*argv, "--json"]) == 130
    facts: dict[str, Any] = json.loads(capsys.readouterr().err)
    assert main(argv) == 130
    return facts, capsys.readouterr().err


BULK = ["bulk", "archive", "c.csv", "--journal", "run.db"]


def test_before_a_run(server: MockServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """While the file is read, nothing was sent, and a person is told that."""
    monkeypatch.setattr(archive, "count", interrupted)
    facts, text = told(BULK, capsys)
    assert (facts["effect"], facts["next"], server.requests.applied) == (NOTHING, None, 0)
    said = "Interrupted while the file was read; nothing was sent, and no journal was made."
    assert text == f"error: {said}\n"


@pytest.mark.parametrize("stage", ["_note", "_verdict", "_kept_metadata"])
def test_behind_a_run(server: MockServer, stage: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Once customers may be archived, no one effect is stated, and the command that shows them is named."""
    monkeypatch.setattr(executor.RunExecutor, stage, interrupted)
    facts, text = told(BULK, capsys)
    assert server.requests.applied == 3
    assert (facts["effect"], facts["next"]) == (None, "see how far it came with: thredfi bulk status run.db")
    assert "Effect" not in text
    assert "Next: see how far it came with: thredfi bulk status run.db" in text
    assert main(["bulk", "status", "run.db"]) == 0


@pytest.mark.parametrize(
    ("stage", "effect"),
    [("read_body", NOTHING), ("_headline", "APPLIED"), ("as_object", "APPLIED")],
)
def test_one_customer(
    server: MockServer, stage: str, effect: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Before the call nothing was changed; behind it, the customer is archived."""
    monkeypatch.setattr(customers, stage, interrupted)
    Path("body.json").write_text("{}")
    json_only = ["--json"] if stage == "as_object" else []
    body = ["--body", "body.json"] if stage == "read_body" else []
    customer = server.customers[0]
    argv = ["archive", str(customer.business_id), str(customer.customer_id), *body]
    assert main([*argv, *json_only]) == 130
    err = capsys.readouterr().err
    assert server.is_archived(customer.customer_id) == (effect == "APPLIED")
    if json_only:
        assert json.loads(err)["effect"] == effect
    else:
        assert ("Effect: APPLIED, the customer is archived" in err) == (effect == "APPLIED")
        assert "NOT_APPLIED" not in err  # no call was begun


@pytest.mark.parametrize("argv", [["get", "BUSINESS", "CUSTOMER"], ["list", "BUSINESS"]])
def test_what_only_reads(server: MockServer, argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Nothing is said of an effect to people, and machines are told that there was none."""
    monkeypatch.setattr(Output, "write", interrupted)
    ids = {"BUSINESS": str(server.customers[0].business_id), "CUSTOMER": str(server.customers[0].customer_id)}
    facts, text = told([ids.get(each, each) for each in argv], capsys)
    assert (facts["effect"], text) == (NOTHING, "error: Interrupted.\n")


def test_the_demo(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A demo that has archived does not say that nothing was changed."""
    monkeypatch.setattr(Demo, "_play", interrupted)
    facts, text = told(["demo"], capsys)
    assert (facts["effect"], text) == (None, "error: Interrupted.\n")
