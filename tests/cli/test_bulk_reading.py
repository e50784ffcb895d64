"""How the commands of `thredfi bulk` read a file: what they show, what they ask, refuse and keep."""

import csv
import functools
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bulk_cli import Bulk, file_of, ids_of

from thredfi_async.bulk import read_journal
from thredfi_async.cli import main
from thredfi_async.cli.bulk import endpoint
from thredfi_async.cli.formatting import command
from thredfi_async.mock_server import MockServer, SeededCustomer


def _answered(answer: bool, question: str, *, err: bool) -> bool:
    """Answer a question on stderr."""
    assert (question, err) == ("Are these letters right?", True)
    return answer


@pytest.fixture
def three(server: MockServer) -> list[SeededCustomer]:
    """Three customers of one business."""
    business = server.customers[0].business_id
    return [each for each in server.customers if each.business_id == business][:3]


def export(path: str, customers: list[SeededCustomer], encoding: str = "utf-8") -> str:
    """Write a service's export; return the customers' business."""
    lines = ["Customer ID;Firma;Ort", *(f"{{{each.customer_id}}};Müller GmbH;Köln" for each in customers)]
    Path(path).write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    return str(customers[0].business_id)


def kept(journal: str) -> object:
    """How the journal says that its source is read."""
    with read_journal(journal) as view:
        return json.loads(view.run.get("reading", "null"))


def forget(journal: str, position: int) -> None:
    """Take an item out of a journal, so that a resumed run has something to do."""
    with closing(sqlite3.connect(journal)) as connection, connection:
        assert connection.execute("DELETE FROM items WHERE position = ?", [position]).rowcount == 1


# -- archive


def test_an_export_of_a_service(bulk: Bulk, server: MockServer, three: list[SeededCustomer]) -> None:
    """It is refused with what to type, which archives its customers; a resumed run reads it the same way."""
    business = export("export.csv", three)
    refused = bulk("archive", "export.csv", "--journal", "run.db", "--business-id", business)
    assert (refused.code, "--ids-only" in refused.err, "Firma, Ort" in refused.err) == (2, True, True)
    assert not server.requests.totals
    told = bulk("archive", "export.csv", "--journal", "run.db", "--business-id", business, "--ids-only", "--json")
    assert (told.code, told.json[-1]["states"]) == (0, {"archived": 3})
    assert kept("run.db") == {"ids_only": True}
    assert bulk("resume", "run.db").code == 0
    other = bulk("archive", "export.csv", "--journal", "run.db", "--business-id", business, "--ignore-extra-columns")
    assert (other.code, "read with other options" in other.err) == (2, True)


def test_the_options_lead_on(bulk: Bulk, server: MockServer, three: list[SeededCustomer]) -> None:
    """A command to paste names how the file is read, and works."""
    business = export("export.csv", three, "cp1252")
    with Path("export.csv").open("ab") as file:
        file.write(b"oops;x;y\r\n")
    options = [
        "--encoding",
        "windows-1252",
        "--column",
        "customer_id=customer id",
        "--ids-only",
        "--business-id",
        business,
    ]
    told = bulk("archive", "export.csv", "--journal", "run.db", *options, "--invalid-lines", "bad.csv")
    assert told.code == 1
    line = next(each for each in told.commands if "bad.csv" in each)
    assert "--encoding cp1252" in line
    assert "--column 'customer_id=customer id'" in line
    Path("bad.csv").write_bytes(Path("bad.csv").read_bytes().replace(b"oops", str(three[0].customer_id).encode()))
    assert told.type(line).code == 0


def test_our_own_list_is_our_input(
    bulk: Bulk, server: MockServer, three: list[SeededCustomer], capsys: pytest.CaptureFixture[str]
) -> None:
    """What `thredfi list --json` writes is archived as it is, with the server's own records."""
    assert main(["list", str(three[0].business_id), "--json", "--limit", "3"]) == 0
    Path("f.jsonl").write_text(capsys.readouterr().out, "utf-8")
    told = bulk("archive", "f.jsonl", "--journal", "run.db")
    assert (told.code, "each customer's record as the server has it" in told.err) == (0, True)
    listed = [json.loads(line)["id"] for line in Path("f.jsonl").read_text("utf-8").splitlines()]
    assert {str(each.customer_id) for each in server.customers if server.is_archived(each.customer_id)} == set(listed)


def test_what_was_spoiled_is_refused(bulk: Bulk, server: MockServer, three: list[SeededCustomer]) -> None:
    """The plan says what and how often, and nothing is sent until the caller says what it means."""
    file_of("a.csv", three)
    text = Path("a.csv").read_text("utf-8")
    Path("a.csv").write_text(text.replace(str(three[0].body["vat_number"]), "#N/A"), "utf-8")
    refused = bulk("archive", "a.csv", "--journal", "run.db")
    assert refused.code == 2
    assert "a.csv holds 1 value that may have been spoiled before; nothing was sent." in refused.err
    assert "- vat_number: #N/A; 1 line" in refused.err
    assert "--ids-only" in refused.err
    assert not server.requests.totals
    assert not Path("run.db").exists()
    assert bulk("archive", "a.csv", "--journal", "run.db", "--null", "#N/A").code == 1  # the API wants a VAT number
    assert server.is_archived(three[1].customer_id)
    assert kept("run.db") == {"null": ["#N/A"]}


def test_a_file_without_a_customer(bulk: Bulk, server: MockServer) -> None:
    """It ends in 2, with the first line that is none."""
    Path("a.csv").write_text("customer_id\n1\n2\n", "utf-8")
    business = str(server.customers[0].business_id)
    for more in ([], ["--dry-run"]):
        told = bulk("archive", "a.csv", "--journal", "run.db", "--business-id", business, *more)
        assert told.code == 2
        assert (
            "a.csv has no line that is a customer; nothing was sent. The first line that is none: a.csv, line 2"
            in told.err
        )


@pytest.mark.parametrize("answer", [True, False])
def test_an_encoding_is_asked_about_on_a_terminal(
    bulk: Bulk, three: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    """A person who sees the letters says whether they are right; without a terminal the option is asked for."""
    business = export("export.csv", three, "cp1252")
    argv = ["archive", "export.csv", "--journal", "run.db", "--business-id", business, "--ignore-extra-columns"]
    refused = bulk(*argv)
    assert (refused.code, "add --encoding windows-1252" in refused.err, "Köln" in refused.err) == (2, True, False)
    monkeypatch.setattr(endpoint, "somebody_is_there", lambda: True)
    monkeypatch.setattr("typer.confirm", functools.partial(_answered, answer))
    told = bulk(*argv)
    assert ("Müller" in told.err, told.code) == (True, 0 if answer else 2)
    if answer:
        assert kept("run.db") == {"ignore_extra_columns": True, "encoding": "cp1252"}
        assert bulk("resume", "run.db").code == 0


def test_columns_from_a_file(bulk: Bulk, three: list[SeededCustomer]) -> None:
    """Many columns are named in a file; one that is no such file is said to be none."""
    rows = [[f"c-{number}", each.customer_id, each.business_id] for number, each in enumerate(three)]
    with Path("a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["Customer ID", "Thredfi", "Firma"], *rows])
    Path("columns.txt").write_text("# ours = theirs\ncustomer_id = Thredfi\nbusiness_id='Firma'\n", "utf-8")
    told = bulk("archive", "a.csv", "--journal", "run.db", "--column", "columns.txt", "--ids-only")
    assert told.code == 0
    assert kept("run.db") == {"ids_only": True, "columns": {"customer_id": "Thredfi", "business_id": "Firma"}}
    for wrong in (["--column", "missing.txt"], ["--column", "columns.txt", "--column", "customer_id=x"]):
        assert bulk("check", "a.csv", *wrong).code == 2


def test_a_name_with_any_bytes(bulk: Bulk, server: MockServer, three: list[SeededCustomer]) -> None:
    """It is shown readably, kept, and named in commands so that a shell finds it."""
    name = os.fsdecode(b"caf\xe9 'a'.csv")
    Path(name).write_text("\n".join([*ids_of("ids.csv", three), "x,y"]), "utf-8")
    told = bulk("archive", name, "--journal", "run.db")
    assert (told.code, r"caf\xe9 'a'.csv" in told.err) == (1, True)
    status = bulk("status", "run.db")
    assert r"caf\xe9 'a'.csv" in status.out
    assert r"/caf\351 \'a\'.csv' --journal" in bulk("report", "run.db").out
    assert bulk("resume", "run.db").code == 1


def test_a_folder_of_parts_is_resumed(bulk: Bulk, three: list[SeededCustomer]) -> None:
    """A run over a folder goes on, named again or not, as long as its parts are the same."""
    pa, pq = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    Path("table").mkdir()
    for number, each in enumerate(three):
        table = pa.table({"business_id": [str(each.business_id), "x"], "customer_id": [str(each.customer_id), "y"]})
        pq.write_table(table, f"table/{number}.parquet")
    assert bulk("archive", "table", "--journal", "run.db", "--ids-only").code == 1
    for named in ([], ["table"]):
        forget("run.db", 2)
        told = bulk("resume", "run.db", *named)
        assert (told.code, "2 archived, 1 archived already" in told.out) == (1, True)
    forget("run.db", 2)
    Path("table/0.parquet").unlink()
    refused = bulk("resume", "run.db", "table")
    assert (refused.code, "is not the file that this run was begun with" in refused.err) == (2, True)


@pytest.mark.parametrize(("part", "line"), [("a b", "thredfi 'a b'"), ("\udce9'", r"thredfi $'\351\''")])
def test_a_word_for_a_shell(part: str, line: str) -> None:
    """Blanks are quoted, and bytes that are no text are written as escapes."""
    assert command(part) == line


# -- check


def test_check_shows_how_a_file_is_read(bulk: Bulk, three: list[SeededCustomer]) -> None:
    """Format, encoding, separator, columns, rows and the command to go on with; no credentials, and no journal."""
    business = export("export.csv", three)
    with Path("export.csv").open("ab") as file:
        file.write(b";;\r\noops;x;y\r\n")
    told = bulk("check", "export.csv", "--ids-only", "--business-id", f"{{{business}}}")
    assert told.code == 1
    assert "export.csv: csv, utf-8, separated by semicolons" in told.out
    assert "Customer ID  customer_id" in told.out
    assert "Ort          left out" in told.out
    assert "3 customers, 1 invalid line\n  left out: 1 blank line\n  line 6: column customer_id: must be" in told.out
    assert str(three[0].customer_id) not in told.out
    assert list(Path().glob("*.db")) == []
    assert told.commands[-1].endswith(f"--business-id '{{{business}}}' --ids-only")
    assert told.type(told.commands[-1]).code == 1


def test_a_row_of_totals_is_left_out(bulk: Bulk, server: MockServer, three: list[SeededCustomer]) -> None:
    """`check` and the plan name its line, and the run ends in 0: every customer is archived."""
    Path("a.csv").write_text("\n".join([*ids_of("ids.csv", three), "Total,"]), "utf-8")
    checked = bulk("check", "a.csv")
    assert (checked.code, "left out: 1 row without ids (line 5)" in checked.out) == (0, True)
    assert bulk("check", "a.csv", "--json").json[0]["rows_without_ids"] == [5]
    told = bulk("archive", "a.csv", "--journal", "run.db")
    assert (told.code, "1 row without ids (line 5)" in told.err) == (0, True)
    assert "Done: every customer is archived." in told.out
    assert all(server.is_archived(each.customer_id) for each in three)


def test_where_lines_are_invalid(bulk: Bulk, three: list[SeededCustomer]) -> None:
    """Each reason has the numbers of its first lines."""
    Path("a.csv").write_text("\n".join([*ids_of("ids.csv", three), *["x,y"] * 7]), "utf-8")
    assert "  lines 5, 6, 7, 8, 9 and 2 others: column business_id" in bulk("check", "a.csv").out
    (reason,) = bulk("check", "a.csv", "--json").json[0]["reasons"]
    assert (reason["lines"], reason["first"]) == (7, [5, 6, 7, 8, 9])


def test_check_for_machines(bulk: Bulk, three: list[SeededCustomer]) -> None:
    """One object says the same."""
    file_of("a.csv", three)
    told = bulk("check", "a.csv", "--json")
    (found,) = told.json
    assert told.code == 0
    assert found.items() >= {"customers": 3, "invalid_lines": 0, "bodies": "source", "separator": ","}.items()
    assert {"name": "vat_number", "becomes": "vat_number"} in found["columns"]
    assert found["next"] == "thredfi bulk archive a.csv --journal a.db"


def test_check_shows_rows_to_a_person_alone(
    bulk: Bulk, three: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rows are personal data: they go to a terminal, and to no file."""
    file_of("a.csv", three)
    assert "Muster" not in bulk("check", "a.csv").out
    monkeypatch.setattr("thredfi_async.cli.output.Output.is_terminal", True)
    told = bulk("check", "a.csv")
    assert "The first rows, as they are read:" in told.out
    assert f"customer_id={three[0].customer_id}" in told.out.replace("\n", " ")


@pytest.mark.parametrize(
    "argv", [["missing.csv"], ["a.csv"], ["a.csv", "--encoding", "rot13"], ["a.csv", "--column", "x=y"]]
)
def test_check_of_a_file_of_no_use(bulk: Bulk, argv: list[str]) -> None:
    """It ends in 2, in a sentence."""
    Path("a.csv").write_text("Name\nAda\n", "utf-8")
    told = bulk("check", *argv)
    assert (told.code, told.err.startswith("error: ")) == (2, True)


def test_no_more_invalid_lines_than_fit(
    bulk: Bulk, three: list[SeededCustomer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small screen shows a few, and how to get all."""
    lines = ids_of("a.csv", three)
    Path("a.csv").write_text("\n".join([*lines, *["x,y"] * 50]), "utf-8")
    shown = {}
    for height in ("24", "60"):
        monkeypatch.setenv("LINES", height)
        shown[height] = bulk("archive", "a.csv", "--journal", "run.db", "--dry-run").err.count("column business_id")
    assert shown == {"24": 6, "60": 10}
