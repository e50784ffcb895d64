"""No control character reaches a terminal, whatever a journal, a server, a field, a file or its name holds."""

import ast
import asyncio
import contextlib
import csv
import io
import json
import logging
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bulk_journals import RUN, sample, write_journal
from faultserver import Answer, FaultServer, bodies
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

import thredfi_async.cli
from thredfi_async.cli import main
from thredfi_async.cli.output import PrintableConsole, PrintableFormatter, trace

Capture = pytest.CaptureFixture[str]
NO_ONE = "11111111-1111-4111-8111-111111111111"
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NASTY = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u2028",
    "\x85",
    "\r",
    "\b",
    "\n",
    "\t=1",
    "\x00",
]
HOSTILE = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=3)), max_size=4).map("".join)
STORED = HOSTILE.map(lambda text: text.encode("utf-8", "replace").decode())
EACH = settings(
    max_examples=15, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no setting but its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)


def said(capsys: Capture, *argv: str) -> str:
    """Run a command and return what it wrote, checked."""
    main(list(argv))
    out, err = capsys.readouterr()
    check(out.replace("\r\n", "\n") + err)  # as lines of CSV end
    return out + err


def check(text: str) -> None:
    """Check that nothing but line ends is left that a terminal carries out."""
    found = {each for each in text.replace("\n", "") if unicodedata.category(each) in HIDDEN}
    assert not found, f"{sorted(map(ascii, found))} in {text!a}"


@given(code=STORED, reason=STORED, column=STORED, fact=STORED, name=st.sampled_from(sorted({*RUN, "host", "base_url"})))
@EACH
def test_a_journal(capsys: Capture, *, code: str, reason: str, column: str, fact: str, name: str) -> None:
    """`status`, `report` and `resume` show codes, reasons and facts of a journal on lines of their own."""
    Path("run.db").unlink(missing_ok=True)
    facts = {**RUN, "stopped_reason": fact, "source_path": fact, "invalid_lines_path": fact, "queue": fact, name: fact}
    rows = [("rejected", code), ("failed", None), ("unknown", code), ("archived", None)]
    write_journal(Path("run.db"), rows, run=facts, samples=[sample(1, 1)], invalid_lines=[(1, column, reason)])
    for command in ("status", "report", "resume", "settle"):
        for json_too in ([], ["--json"], ["--debug"]):
            said(capsys, "bulk", command, "run.db", *json_too)
    said(capsys, "bulk", "report", "run.db", "--not-archived", "-")
    said(capsys, "bulk", "report", "run.db", "--html", "page.html", "--not-archived", "who.csv")
    if Path("who.csv").exists():
        rows_of = list(csv.reader(Path("who.csv").read_text("utf-8").splitlines()))
        assert all(len(row) == len(rows_of[0]) for row in rows_of)


def test_a_line_of_a_journal_is_one_line(capsys: Capture) -> None:
    """A line break in a journal makes no line that looks like the command's own."""
    run = {**RUN, "stopped_reason": "x\nDone: every customer is archived.", "source_path": "a\r\nb"}
    del run["finished_at"]
    write_journal(
        Path("run.db"), [("rejected", "y\n  archived  7")], run=run, invalid_lines=[(1, "c\nd", "z\nWritten: x")]
    )
    shown = said(capsys, "bulk", "status", "run.db") + said(capsys, "bulk", "report", "run.db")
    lines = shown.splitlines()
    assert not [line for line in lines if line.startswith(("Done", "Written", "b"))]
    assert any("x\\nDone: every customer is archived." in line for line in lines)


@given(
    text=st.lists(st.one_of(st.sampled_from(NASTY), st.text(st.characters(codec=None), max_size=3)), min_size=1).map(
        "".join
    )
)
@EACH
def test_names_of_files(capsys: Capture, text: str) -> None:
    """The name of a file, in a message about it; what no file can be called is a message, too."""
    with contextlib.suppress(OSError, ValueError):
        Path(f"{text}.csv").write_text("wrong", "utf-8")
    for suffix in (".csv", ".jsonl", ".parquet", ".csv.gz", ""):
        said(capsys, "bulk", "archive", f"./{text}{suffix}", "--journal", f"./{text}.db", "--dry-run")
    for command in ("status", "report", "resume", "settle"):
        said(capsys, "bulk", command, f"./{text}")
    said(capsys, "archive", NO_ONE, text)
    said(capsys, text)


@given(field=HOSTILE, inner=STORED)
@EACH
def test_fields_of_a_file(capsys: Capture, monkeypatch: pytest.MonkeyPatch, field: str, inner: str) -> None:
    """Names of columns and keys, in every format, in a dry run and with --debug."""
    monkeypatch.setenv("THREDFI_BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("THREDFI_TOKEN", "t")
    names = ["customer_id", field]
    with Path("a.csv").open("w", encoding="utf-8", newline="", errors="replace") as file:
        csv.writer(file).writerows([names, ["x", "y"]])
    Path("b.jsonl").write_text(json.dumps({"customer_id": "x", field: {inner: 1}}), "utf-8")
    Path("c.jsonl").write_text(json.dumps({"customer_id": NO_ONE, "metadata": {inner: {inner: 10**400}}}), "utf-8")
    pa, pq = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    wrong = pa.struct([pa.field(inner, pa.string())])
    for number, (name, kind) in enumerate(
        [("customer_id", wrong), (inner, pa.string()), ("metadata", pa.map_(wrong, wrong))]
    ):
        columns = {"customer_id": pa.array([NO_ONE])} | {name: pa.array([None], kind)}
        pq.write_table(pa.table(columns), f"{number}.parquet")
    for each in ("a.csv", "b.jsonl", "c.jsonl", "0.parquet", "1.parquet", "2.parquet"):
        for more in ([], ["--json"], ["--allow-missing-fields", "--debug"]):
            said(capsys, "bulk", "archive", each, "--journal", "run.db", "--business-id", NO_ONE, "--dry-run", *more)


async def in_thread(argv: list[str]) -> int:
    """Run the command while this loop serves."""
    return await asyncio.to_thread(main, argv)


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("more", [[], ["--json"], ["--debug"]])
async def test_answers(capsys: Capture, monkeypatch: pytest.MonkeyPatch, text: str, more: list[str]) -> None:
    """What the API answers, or something in its place: records, codes, messages, headers of errors."""
    hostile: dict[str, Any] = {"display_name": text, "external_id": text, "notes": text, text: {text: [text]}}
    record = bodies.customer(NO_ONE, **hostile)
    page = {"count": 1, "next": None, "previous": None, "results": [record]}
    error = {"error": text, "error_code": text, "message": text, "details": {text: text}}
    answers = [
        Answer.json(200, record),
        Answer.json(200, page),
        Answer.json(403, error),
        Answer.content(200, text.encode()),
    ]
    async with FaultServer(answers) as server:
        monkeypatch.setenv("THREDFI_TOKEN", "t")
        monkeypatch.setenv("THREDFI_BASE_URL", server.url)
        for argv in (["get", NO_ONE, NO_ONE], ["list", NO_ONE], ["get", NO_ONE, NO_ONE], ["get", NO_ONE, NO_ONE]):
            await in_thread([*argv, *more])
            check("".join(capsys.readouterr()))


@pytest.mark.parametrize("text", NASTY)
def test_settings(capsys: Capture, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A setting's value, from the environment, from a file, or given as an option."""
    value = text.replace("\0", "")
    monkeypatch.setenv("THREDFI_TOKEN", value)
    monkeypatch.setenv("THREDFI_BASE_URL", f"http://{value}.example.com/")
    Path("settings.env").write_text(f"THREDFI_BASE_URL={text}\n{text}=1\n", "utf-8")
    said(capsys, "get", NO_ONE, NO_ONE, "--debug")
    said(capsys, "get", NO_ONE, NO_ONE, "--env-file", "settings.env")
    said(capsys, "get", NO_ONE, NO_ONE, "--base-url", f"http://{text}/", "--timeout", text)
    said(capsys, "get", NO_ONE, NO_ONE, "--environment", text)
    said(capsys, "bulk", "archive", "x", f"--{text}")


# -- the layer itself


@given(texts=st.lists(HOSTILE, min_size=1, max_size=4), width=st.integers(1, 60))
@EACH
def test_whatever_is_drawn(texts: list[str], width: int) -> None:
    """Strings, texts, tables and captions are escaped on a terminal too, where only rich's own colours are left."""
    table = Table(*texts, title=texts[0], caption=texts[0])
    table.add_row(*(Text(text, "bold") for text in texts))
    table.add_row(*texts)
    page = io.StringIO()
    console = PrintableConsole(page, force_terminal=True)
    console.width = width
    console.print(table, texts[0], Text.assemble((texts[0], "red"), texts[-1]))
    plain = page.getvalue()
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[3m", "\x1b[2;3m", "\x1b[1;3m"):
        plain = plain.replace(code, "")
    check(plain)


def test_styles_stay_where_they_were() -> None:
    """An escape is longer than what it stands for, and what follows keeps its colour."""
    page = io.StringIO()
    PrintableConsole(page, force_terminal=True).print(Text.assemble("a\x9b", ("bc", "bold"), "d"))
    assert page.getvalue() == "a\\x9b\x1b[1mbc\x1b[0md\n"


def test_logs_and_traces(capsys: Capture) -> None:
    """A stack trace and a log keep their own line ends, and nothing of what a message holds."""
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("\x1b[31m\u202e\ud800")
    trace(caught.value)
    raised = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("n", logging.ERROR, "p", 1, "%s\x1b[2J", ("\x7f",), raised)
    err = capsys.readouterr().err
    check(err)
    assert len(err.splitlines()) > 2
    shown = PrintableFormatter("%(message)s").format(record)
    check(shown)
    assert "\\x7f\\x1b[2J\nTraceback" in shown


def modules() -> Iterator[Path]:
    """The command's modules."""
    return Path(os.path.dirname(thredfi_async.cli.__file__)).rglob("*.py")  # noqa: PTH120 - for the type checker


def test_one_door() -> None:
    """No module but the output layer makes a console of rich's or writes to a stream: nothing goes past the escapes."""
    found: list[str] = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Console")):
                    found.append(path.name)
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr"), attr="write"
                    )
                ):
                    found.append(path.name)
                case ast.Call(func=ast.Attribute(value=ast.Name(id="typer"), attr="echo" | "secho")):
                    found.append(path.name)
                case _:
                    pass
    assert sorted(found) == ["app.py", "output.py"]  # the version's number; the width of a terminal


def test_a_console_without_vt_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the old console of Windows, which shows escape sequences as text, there are none."""
    monkeypatch.setattr("rich.console.detect_legacy_windows", lambda: True)
    page = io.StringIO()
    PrintableConsole(page, force_terminal=True).print(Text("a", "bold red"), Text("b", "link https://example.com"))
    assert page.getvalue() == "a b\n"
