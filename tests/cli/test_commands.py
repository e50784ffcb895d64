"""The command line in this process: arguments, exit codes, and what stdout and stderr say."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import typer
from faultserver import Answer, FaultServer, bodies, ports

from thredfi_async import ThredfiClient
from thredfi_async._interfaces import SystemClock
from thredfi_async.cli import main
from thredfi_async.cli.app import app
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.mock_server import Fault, FaultKind, MockServer

Capture = pytest.CaptureFixture[str]
NO_ONE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting but the test's own."""
    for name in ("TOKEN", "PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait before another attempt."""

    async def at_once(clock: SystemClock, seconds: float) -> None:
        pass

    monkeypatch.setattr(SystemClock, "sleep", at_once)


@pytest.fixture
def ids(server: MockServer) -> list[str]:
    """A business and a customer of the mock server."""
    return [str(server.customers[0].business_id), str(server.customers[0].customer_id)]


@pytest.fixture
def body(server: MockServer, tmp_path: Path) -> Path:
    """A file with that customer's valid body."""
    path = tmp_path / "body.json"
    path.write_text(json.dumps(server.customers[0].body), "utf-8")
    return path


def personal(server: MockServer) -> Iterator[str]:
    """What of the customer no error may show."""
    fields = server.customers[0].body
    yield from (
        str(fields[name]) for name in ("individual_name", "company_name", "email", "mobile_phone", "vat_number")
    )


# -- done


def test_archive_shows_the_customer(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """Without a body the server's own record is sent, and the archived customer is shown, a field a line."""
    assert main(["archive", *ids]) == 0
    out, err = capsys.readouterr()
    assert server.is_archived(ids[1])
    assert out.startswith("Archived, with 2 requests")
    assert re.search(rf"^id +{ids[1]}$", out, re.MULTILINE)
    assert re.search(r"^credit limit +[\d,]+\.\d\d \([\d,]+ cents\)$", out, re.MULTILINE)
    assert all(text in out for text in personal(server))
    assert "http" not in out
    assert err == ""


def test_archive_sends_a_body(server: MockServer, ids: list[str], body: Path, capsys: Capture) -> None:
    """A body from a file is sent as it is, with the key that was given, in one request."""
    body.write_text(json.dumps({**server.customers[0].body, "notes": "Gone."}), "utf-8")
    assert main(["archive", *ids, "--body", str(body), "--idempotency-key", "my-key", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == "Gone."
    assert server.requests.of(ids[1]).keys == {"my-key"}


def test_archive_reads_stdin(
    server: MockServer, ids: list[str], body: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body of `-` is stdin."""
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(body.read_bytes())))
    assert main(["archive", *ids, "--body", "-"]) == 0
    assert capsys.readouterr().out.startswith("Archived, with one request")
    assert server.requests.applied == 1


@pytest.mark.thredfi_mock_server(customers=1, strict=False)
def test_archive_with_a_part_of_the_fields(server: MockServer, ids: list[str], body: Path, capsys: Capture) -> None:
    """Fields that a body lacks are an error that names them all, unless they are left out on purpose."""
    body.write_text('{"notes": "Gone."}', "utf-8")
    assert main(["archive", *ids, "--body", str(body)]) == 2
    err = capsys.readouterr().err
    assert "email: is missing" in err
    assert "vat_number: is missing" in err
    assert "--allow-missing-fields" in err
    assert server.requests.totals.total() == 0
    assert main(["archive", *ids, "--body", str(body), "--allow-missing-fields"]) == 0


def test_archiving_twice(ids: list[str], capsys: Capture) -> None:
    """A customer that is archived already is left as it is, and the output says so."""
    main(["archive", *ids])
    capsys.readouterr()
    assert main(["archive", *ids]) == 0
    assert "archived already; this call changed nothing" in capsys.readouterr().out


def test_get_as_json(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """A machine gets the whole customer in the API's own shape, save the presigned URLs."""
    assert main(["get", *ids, "--json"]) == 0
    out = capsys.readouterr().out
    customer = json.loads(out)
    assert customer.items() >= server.customers[0].body.items()
    assert len(customer) == 34
    assert customer["documents"][0]["file_name"]
    assert "url" not in customer["documents"][0]
    assert "http" not in out


def test_list_is_a_line_each(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """A list has a head, and a line for each active customer up to the limit."""
    main(["archive", *ids])
    capsys.readouterr()
    assert main(["list", ids[0], "--limit", "3", "--page-size", "2"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "CUSTOMER ID"
    assert [line[:36] for line in lines] == [str(each.customer_id) for each in server.customers[1:4]]


def test_list_filters_as_json(ids: list[str], capsys: Capture) -> None:
    """For a machine each customer is an object on a line of its own, and the filters reach the API."""
    main(["archive", *ids])
    capsys.readouterr()
    assert main(["list", ids[0], "--json", "--limit", "5", "--include-archived"]) == 0
    assert [json.loads(line)["is_archived"] for line in capsys.readouterr().out.splitlines()] == [True] + [False] * 4
    assert main(["list", ids[0], "--json", "--external-id", "cust-0000007"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["external_id"] == "cust-0000007"


def test_list_of_nobody(ids: list[str], capsys: Capture) -> None:
    """An empty list is empty; people are told so on stderr, with the option that may show more, unless with -q."""
    archived = "No active customers; --include-archived shows archived ones.\n"
    for more, said in ([], archived), (["--include-archived"], "No customers.\n"), (["-q"], ""), (["--json"], ""):
        assert main(["list", ids[0], "--external-id", "nobody", *more]) == 0
        assert capsys.readouterr() == ("", said)
    assert main(["list", ids[0], "--external-id", "nobody", "--json"]) == 0
    assert capsys.readouterr().out == ""


async def test_hostile_text_is_escaped(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the API answers can neither move the cursor nor speak rich's markup; fields of its own are shown too."""
    hostile: dict[str, Any] = {"display_name": "\x1b[2J[red]Zoë\u202e[/red]", "future": {"a": 1}}
    page = {"count": 1, "next": None, "previous": None, "results": [bodies.customer(NO_ONE, **hostile)]}
    async with FaultServer([Answer.json(200, bodies.customer(NO_ONE, **hostile)), Answer.json(200, page)]) as server:
        monkeypatch.setenv("THREDFI_TOKEN", "t")
        monkeypatch.setenv("THREDFI_BASE_URL", server.url)
        assert await in_thread(["get", NO_ONE, NO_ONE]) == 0
        out = capsys.readouterr().out
        assert "\\x1b[2J[red]Zoë\\u202e[/red]" in out
        assert re.search(r'^future +{"a": 1}$', out, re.MULTILINE)
        assert await in_thread(["list", NO_ONE]) == 0
        assert "\\x1b[2J[red]Zoë" in capsys.readouterr().out


def test_help_lists_the_exit_codes(capsys: Capture) -> None:
    """The help names every exit code and every variable with a credential."""
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {code} " in out for code in map(int, ExitCode))
    assert all(name in out for name in ("THREDFI_TOKEN", "THREDFI_PARTNER_UUID", "THREDFI_API_KEY"))


# -- the API said no


def test_the_api_says_no(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """A refusal ends in 1, with what happened, the effect, what to do, and the request's id."""
    assert main(["archive", ids[0], NO_ONE]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "error: The API said no: 404, not_found."
    assert lines[1].startswith("Effect: NOT_APPLIED")
    assert lines[2] == "Next: check both ids and the --environment"
    assert lines[3].startswith("Request id: req-")
    assert server.requests.applied == 0


def test_an_error_as_json(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """A machine gets an error as one JSON object on stderr."""
    server.queue_faults(ids[1], Fault(FaultKind.THROTTLE, retry_after=1000))
    assert main(["archive", *ids, "--json", "--idempotency-key", "k-1"]) == 1
    out, err = capsys.readouterr()
    error = json.loads(err)
    assert out == ""
    assert (
        error.items() >= {"error": "RateLimitedError", "effect": "NOT_APPLIED", "exit_code": 1, "status": 429}.items()
    )
    assert error.items() >= {"idempotency_key": "k-1", "retry_after": 1000, "attempts": 2}.items()
    assert "in 1000 s at the earliest" in error["next"]
    assert error["notes"]


def test_wrong_credentials(ids: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused credentials end in 1 and are not shown."""
    monkeypatch.setenv("THREDFI_API_KEY", "wrong-secret")
    assert main(["get", *ids]) == 1
    err = capsys.readouterr().err
    assert "Next: check THREDFI_PARTNER_UUID and THREDFI_API_KEY" in err
    assert "wrong-secret" not in err


@pytest.mark.usefixtures("no_wait")
async def test_nobody_there(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that is not reached ends in 1: nothing was sent."""
    monkeypatch.setenv("THREDFI_TOKEN", "t")
    with ports.refused() as url:
        assert await in_thread(["archive", NO_ONE, NO_ONE, "--base-url", url]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: The API was not reached: ")
    assert "Effect: NOT_APPLIED" in err


# -- usage and settings


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "Usage: thredfi "),
        (["-h"], "Usage: thredfi "),
        (["bulk"], "Usage: thredfi bulk "),
        (["bulk", "-h"], "Usage: thredfi bulk "),
        (["get", "-h"], "Usage: thredfi get "),
        (["bulk", "archive", "-h"], "Usage: thredfi bulk archive "),
    ],
)
def test_help_is_what_a_stranger_gets(argv: list[str], words: str, capsys: Capture) -> None:
    """Without a command, and with -h wherever it stands, the help is shown, which is no error."""
    assert main(argv) == 0
    shown = capsys.readouterr()
    assert words in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["frobnicate"], "No such command"),
        (["get", NO_ONE], "Missing argument"),
        (["get", NO_ONE, NO_ONE, "--timeout", "soon"], "give a duration such as 20ms"),
        (["get", NO_ONE, NO_ONE, "--timeout", "0"], "Timeouts.deadline must be a positive number"),
        (["get", NO_ONE, NO_ONE, "--environment", "mars"], "--environment"),
        (["get", NO_ONE, NO_ONE, "--base-url", "http://x.test", "--environment", "sandbox"], "not both"),
        (["get", NO_ONE, NO_ONE, "--base-url", "http://example.com"], "must use https"),
        (["get", NO_ONE, NO_ONE, "--base-url", "https://user:hunter2@x.test"], "must not hold a user"),
        (["get", "John Smith", NO_ONE], "business_id: must be a UUID"),
        (["archive", NO_ONE, NO_ONE, "--idempotency-key", "é"], "idempotency_key"),
        (["archive", NO_ONE, NO_ONE, "--allow-missing-fields"], "--body"),
        (["list", NO_ONE, "--page-size", "0"], "--page-size"),
        (["mock-server", "--rate-limit", "0/s"], "give a rate above 0"),
        (["mock-server", "--error-rate", "2"], "--error-rate"),
        (["mock-server", "--latency", "-1"], "give a duration"),
        (["mock-server", "--host", "no.such.host.invalid", "--port", "0"], "no address of this machine"),
        (["demo", "--customers", "3"], "--customers"),
    ],
)
def test_wrong_usage(argv: list[str], words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong arguments end in 2 with a sentence that names what is wrong, as JSON where that was asked for."""
    monkeypatch.setenv("THREDFI_TOKEN", "t")
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Effect:" not in err
    assert not any(text in err for text in ("Traceback", "John", "hunter2"))
    assert main([*argv, "--json"]) == 2
    assert json.loads(capsys.readouterr().err).items() >= {"exit_code": 2, "effect": "NOT_APPLIED"}.items()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the body in {path}: No such file or directory"),
        (b"[1]", "the body in {path} must be a JSON object"),
        (
            b'{"email": "ada@example.com"',
            "the body in {path} is not JSON: Expecting ',' delimiter at line 1, column 28",
        ),
        (b"\xff", "the body in {path} is not UTF-8 text"),
        (b"[" * 100_000, "the body in {path} holds a number or a nesting that is too large"),
    ],
)
def test_unusable_body(content: bytes | None, words: str, tmp_path: Path, capsys: Capture) -> None:
    """A body that cannot be read, or is no JSON object, ends in 2 and is not quoted."""
    path = tmp_path / "body.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["archive", NO_ONE, NO_ONE, "--body", str(path)]) == 2
    err = capsys.readouterr().err
    assert words.format(path=path) in err
    assert "ada@" not in err


def test_all_wrong_fields_at_once(server: MockServer, ids: list[str], body: Path, capsys: Capture) -> None:
    """Every wrong field of a body is named, none is quoted, and nothing is sent."""
    wrong = {"email": "Ada Example", "country": "Narnia", "payment_terms_days": True, "metadata": float("nan")}
    body.write_text(json.dumps({**server.customers[0].body, **wrong}), "utf-8")
    assert main(["archive", *ids, "--body", str(body)]) == 2
    err = capsys.readouterr().err
    assert all(f"  - {name}: " in err for name in ("email", "country", "payment_terms_days", "metadata"))
    assert not any(text in err for text in ("Ada", "Narnia", *personal(server)))
    assert server.requests.totals.total() == 0


def test_stdin_that_is_closed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body from a stdin that is closed is an unreadable body."""
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["archive", NO_ONE, NO_ONE, "--body", "-"]) == 2
    assert "cannot read the body from stdin: stdin is closed" in capsys.readouterr().err


# -- credentials


def test_no_option_takes_a_secret() -> None:
    """No command has an argument or option that could hold a credential."""
    command: Any = typer.main.get_command(app)
    names = [
        name
        for each in [command, *command.commands.values()]
        for param in each.params
        for name in [param.name, *param.opts]
    ]
    assert "--base-url" in names
    assert [name for name in names if re.search("token|secret|api.?key|password|credential|partner|auth", name)] == []


@pytest.mark.parametrize("argv", [["--token", "hunter2"], ["--api-key=hunter2"], ["hunter2"]])
def test_secrets_on_the_command_line_are_refused(argv: list[str], capsys: Capture) -> None:
    """A credential that is given as an argument is refused, and not repeated."""
    assert main(["get", NO_ONE, NO_ONE, *argv]) == 2
    assert "hunter2" not in "".join(capsys.readouterr())


def test_credentials_are_missing(capsys: Capture) -> None:
    """Without credentials the sentence names the variables."""
    assert main(["get", NO_ONE, NO_ONE]) == 2
    assert "THREDFI_PARTNER_UUID and THREDFI_API_KEY" in capsys.readouterr().err


# -- outcome unknown, and applied


def test_outcome_unknown(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """An outcome that is not known ends in 3, and the way to look is a line to paste that works."""
    server.queue_faults(ids[1], Fault(FaultKind.NOT_JSON))
    assert main(["archive", *ids, "--no-settle", "--base-url", server.url]) == 3
    err = capsys.readouterr().err
    assert "Effect: UNKNOWN" in err
    (look,) = re.findall(r"^Next: look with: thredfi (.*?);", err, re.MULTILINE)
    (key,) = server.requests.of(ids[1]).keys
    assert f"--idempotency-key {key}" in err
    assert main(look.split()) == 0
    assert "ARCHIVED" in capsys.readouterr().out


def test_an_unknown_outcome_is_settled(server: MockServer, ids: list[str], capsys: Capture) -> None:
    """Unless it is told not to, the command asks, and then knows."""
    server.queue_faults(ids[1], Fault(FaultKind.NOT_JSON))
    assert main(["archive", *ids]) == 0
    assert capsys.readouterr().out.startswith("Archived")


@pytest.mark.parametrize("flags", [[], ["--json"]])
async def test_archived_but_unreadable(flags: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that proves the archiving but cannot be read whole ends in 0, with a warning."""
    monkeypatch.setenv("THREDFI_TOKEN", "t")
    answers = [
        Answer.json(200, bodies.customer(NO_ONE, archived=False)),
        Answer.json(200, bodies.customer(NO_ONE, created_at=5)),
    ]
    async with FaultServer(answers) as server:
        monkeypatch.setenv("THREDFI_BASE_URL", server.url)
        assert await in_thread(["archive", NO_ONE, NO_ONE, *flags]) == 0
    out, err = capsys.readouterr()
    if flags:
        assert json.loads(out) == {"id": NO_ONE, "is_archived": True}
        assert json.loads(err)["effect"] == "APPLIED"
    else:
        assert out == ""
        assert err.startswith("warning: ")
        assert "Effect: APPLIED, the customer is archived" in err


# -- unexpected errors


def _breaks(*_: object, **__: object) -> None:
    raise LookupError("Ada Example")


def test_an_unknown_error(ids: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is one sentence without its text, and a stack trace only with --debug."""
    monkeypatch.setattr(ThredfiClient, "customers", property(_breaks))
    assert main(["get", *ids]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: thredfi met an unexpected error.\n")
    assert "--debug" in err
    assert not any(text in err for text in ("Traceback", "Ada"))
    assert main(["get", *ids, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_error_while_archiving(ids: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it comes while a request may be in flight, the outcome is unknown, not refused."""
    monkeypatch.setattr(ThredfiClient, "customers", property(_breaks))
    assert main(["archive", *ids]) == 3
    assert "Effect: UNKNOWN" in capsys.readouterr().err


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize("command", ["archive", "get"])
@pytest.mark.parametrize("fault", [FaultKind.NOT_JSON, FaultKind.TRUNCATED, FaultKind.SERVER_ERROR, FaultKind.WRONG_ID])
def test_no_error_shows_data(
    fault: FaultKind, command: str, server: MockServer, ids: list[str], capsys: Capture
) -> None:
    """For every error, stderr shows no secret and no personal data, and no trace unless --debug asks for it."""
    server.queue_faults(ids[1], *[Fault(fault)] * 12, *[Fault(fault, on="get")] * 12)
    for flags in ([], ["--json"], ["--debug"]):
        assert main([command, *ids, *flags]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert not any(text in err for text in (server.api_key, "Bearer", *personal(server)))
        assert ("Traceback" in err) is (flags == ["--debug"])


def test_a_missing_extra(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without typer there is one sentence that says what to install."""
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "typer" or name.startswith("thredfi_async.cli.")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert main(["--version"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "typer is not installed: pip install 'thredfi-async[cli]'" in err
    assert "Traceback" not in err


def test_an_installation_that_is_broken(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another error while importing is a sentence too, and a stack trace with --debug."""
    monkeypatch.setitem(sys.modules, "thredfi_async.cli.run", None)
    assert main(["--version"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["--version", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["thredfi_async.cli.customers.read_body", "thredfi_async.cli.run.app"])
def test_ctrl_c_before_anything_was_sent(stage: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the body is read, or earlier, ends in 130: nothing could have been changed."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, interrupted)
    assert main(["archive", NO_ONE, NO_ONE, "--body", "-"]) == 130
    assert capsys.readouterr().err == "error: Interrupted.\n"


async def in_thread(argv: list[str]) -> int:
    """Run the command beside the loop of a test that serves it."""
    return await asyncio.to_thread(main, argv)
