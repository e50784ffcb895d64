"""A journal that somebody else made, or that is damaged: one sentence, whatever it holds, and no hang."""

import contextlib
import io
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from bulk_journals import RUN, sample, write_journal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thredfi_async.bulk import Journal, JournalError, JournalView, read_journal
from thredfi_async.bulk.journal import Outcome, schema, soundness
from thredfi_async.bulk.report import summary, write_html, write_not_archived_csv

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
NOT_OURS = "it holds what no run writes"
LOOP = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with an item of each kind."""
    states = [("archived", None), ("rejected", "not_found"), ("failed", "http_503"), ("unknown", "timeout_read")]
    lines = [(3, "customer_id", "is empty, and must be a UUID")]
    return write_journal(tmp_path / "run.db", states, samples=[sample(1, 2)], invalid_lines=lines)


def change(path: Path, *statements: str) -> None:
    """Change a journal as no run would."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def read_all(path: Path) -> None:
    """Read a journal as all commands together do."""
    with read_journal(path) as view:
        summary(view)
        list(view.not_archived())
        list(view.samples())
        list(view.invalid_lines())
        view.by_business()
        _ = view.settings
        write_not_archived_csv(view, io.StringIO(newline=""))
        write_html(view, io.StringIO())


def write(path: Path) -> None:
    """Open a journal for writing, and write."""
    with Journal.open(path) as journal:
        list(journal.unsettled(-1, 100))
        journal.begin()
        journal.record([Outcome(business_id=UUID(int=1), customer_id=UUID(int=1), state="archived")])


GENERATED = """
UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ', more INT AS (abs(-9223372036854775808))) STRICT')
WHERE name = 'items'
"""
"""A column that fails when it is read; ALTER TABLE computes it first in newer versions of SQLite."""


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE items", f"CREATE VIEW items AS {LOOP} i AS position, 'archived' AS state FROM n"],
        ["DROP TABLE samples", f"CREATE VIEW samples AS {LOOP} i AS at FROM n"],
        ["CREATE VIEW extra AS SELECT 1"],
        ["CREATE TRIGGER t AFTER INSERT ON items BEGIN UPDATE run SET value = 'x'; END"],
        ["CREATE TRIGGER t AFTER UPDATE ON items BEGIN DELETE FROM items; END"],
        ["CREATE TABLE other (x)"],
        ["CREATE INDEX other ON items (state)"],
        ["CREATE VIRTUAL TABLE other USING fts5(x)"],
        ["DROP TABLE invalid_lines"],
        ["DROP INDEX items_by_id"],
        [GENERATED],
        ["ALTER TABLE items RENAME COLUMN code TO reason"],
        ["ALTER TABLE items DROP COLUMN line"],
        ["DROP TABLE samples", "CREATE TABLE samples (at, done)"],
        ["UPDATE sqlite_schema SET sql = 'CREATE TABLE run (key TEXT PRIMARY KEY, value)' WHERE name = 'run'"],
        ["UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'run'"],
    ],
)
@pytest.mark.parametrize("use", [read_all, write])
def test_another_schema(path: Path, statements: list[str], use: Callable[[Path], None]) -> None:
    """Views, triggers, generated columns and anything else that no run makes are refused before they are asked."""
    change(path, *statements)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"no run writes|it is damaged"):
        use(path)
    assert path.read_bytes() == before


def loosen(path: Path) -> None:
    """Take what is required of values away, so that any can be put into any column; `tighten` gives it back."""
    for words in (", STRICT", " STRICT", " NOT NULL"):
        change(path, f"UPDATE sqlite_schema SET sql = replace(sql, '{words}', '')")  # noqa: S608 - these words


def tighten(path: Path) -> None:
    """Put the tables' own text back."""
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        memory.executescript(schema.TABLES)
        texts = memory.execute("SELECT sql, name FROM sqlite_schema").fetchall()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.executemany("UPDATE sqlite_schema SET sql = ? WHERE name = ?", texts)
        connection.commit()


COLUMNS = {
    "items": ["line", "business_id", "customer_id", "state", "code", "attempts", "ended_at", "session", "elapsed_ms"],
    "samples": ["at", "done", "archived", "in_flight", "concurrency", "cooldown", "paused", "p50_ms", "p99_ms"],
    "invalid_lines": ["column", "reason"],
    "run": ["value"],
}
VALUES = [
    None,
    "text",
    "\x1b[31m\0\x7f\u202e",
    b"\xff" * 16,
    b"",
    b"\xed\xa0\x80",
    -1,
    2**63 - 1,
    1e308,
    float("inf"),
    "9" * 5000,
    b"x" * (2 << 20),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value)[:12].encode("unicode_escape").decode())
@pytest.mark.parametrize(("table", "column"), [(table, each) for table, some in COLUMNS.items() for each in some])
def test_a_wrong_value_anywhere(path: Path, table: str, column: str, value: object) -> None:
    """Whatever stands in any column, a reader gives it as what it may be, or refuses the journal in one sentence."""
    loosen(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f'UPDATE {table} SET "{column}" = ?', (value,))  # noqa: S608 - names of the test's own
        # Text that is not UTF-8, as only a file that is changed byte by byte can hold it.
        if isinstance(value, bytes) and b"\xed" in value:
            connection.execute(f'UPDATE {table} SET "{column}" = CAST(? AS TEXT)', (value,))  # noqa: S608 - as above
        connection.commit()
    tighten(path)
    for use in (read_all, write):
        said = "cannot be"
        try:
            use(path)
        except JournalError as error:
            said = str(error)
        assert "cannot be" in said
        assert len(said) < 500
        assert "\x1b" not in said


@given(st.dictionaries(st.sampled_from([*RUN, "settings", "outcomes_next", "source_size"]), st.text(), min_size=1))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wrong_facts(tmp_path: Path, facts: dict[str, str]) -> None:
    """Facts about a run that are no numbers, times or ids are refused in one sentence, or taken as they are."""
    path = tmp_path / "facts.db"
    path.unlink(missing_ok=True)
    encodable = {name: fact.encode("utf-8", "replace").decode() for name, fact in facts.items()}
    write_journal(path, [("archived", None)], run={**RUN, **encodable})
    for use in (read_all, write):
        with contextlib.suppress(JournalError):
            use(path)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_wrong_bytes(path: Path, data: st.DataObject) -> None:
    """Bytes that were changed anywhere, or cut off, give one sentence or none."""
    content = bytearray(path.read_bytes())
    broken = path.with_name("broken.db")
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    broken.write_bytes(content[: data.draw(st.integers(100, len(content)))])
    for use in (read_all, write):
        with contextlib.suppress(JournalError):
            use(broken)


def test_a_tree_that_leads_in_circles(tmp_path: Path) -> None:
    """A page that is its own child for ever ends in a sentence: a query takes no more steps than the file has rows."""
    path = write_journal(tmp_path / "run.db", [("archived", None)] * 20_000)
    content = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'items'").fetchone()
    page = (root - 1) * size
    assert content[page] == 5  # an interior page, whose cells point to other pages
    cells = int.from_bytes(content[page + 3 : page + 5], "big")
    first = int.from_bytes(content[page + 12 : page + 14], "big")
    leaf = int.from_bytes(content[page + first : page + first + 4], "big")
    # A level of pages in between, each with every cell pointing to the next: more rows than a life has seconds.
    levels = 12
    pages = len(content) // size
    for level in range(levels):
        copy = bytearray(content[page : page + size])
        target = leaf if level == 0 else pages + level
        for cell in range(cells):
            at = int.from_bytes(copy[12 + 2 * cell : 14 + 2 * cell], "big")
            copy[at : at + 4] = target.to_bytes(4, "big")
        copy[8:12] = target.to_bytes(4, "big")
        content += copy
    top = pages + levels
    for cell in range(cells):
        at = page + int.from_bytes(content[page + 12 + 2 * cell : page + 14 + 2 * cell], "big")
        content[at : at + 4] = top.to_bytes(4, "big")
    content[28:32] = top.to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"no run writes|is damaged"):
        read_journal(path)


def test_a_query_is_bounded_by_the_file(tmp_path: Path) -> None:
    """A query takes no more steps than the file can have rows, whatever it is; those of a reader take far fewer."""
    path = write_journal(tmp_path / "run.db", [("failed", "http_503")] * 2000)
    with read_journal(path) as view:
        assert len(list(view.not_archived())) == 2000
        steps = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT count(*) FROM n"
        assert list(view._rows(steps.format(10_000), int)) == [10_000]
        with pytest.raises(JournalError, match=NOT_OURS):
            list(view._rows(steps.format(3_000_000), int))


def test_rows_that_are_left_behind(path: Path) -> None:
    """An iteration that is dropped after the view was closed ends without a word."""
    with read_journal(path) as view:
        rows = view.not_archived()
        next(rows)
    rows.close()  # type: ignore[attr-defined] # a generator, which nothing promises


# -- other users


@POSIX
def test_another_user_can_write_it(path: Path) -> None:
    """A run does not go on with such a journal; it is read, with a sentence that says so."""
    path.chmod(0o620)
    with pytest.raises(JournalError, match=r"run.db can be written by other users, so .* make a copy that is yours"):
        Journal.open(path)
    with read_journal(path) as view:
        assert view.distrust == f"{path} can be written by other users"
    path.chmod(0o600)
    with read_journal(path) as view:
        assert view.distrust is None


@POSIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["run.db", "run.db-wal", "run.db-journal", "run.db-shm"])
def test_another_user_owns_it(path: Path, name: str) -> None:
    """Who owns the journal, or a file that SQLite reads with it, has written the journal."""
    (path.parent / name).touch()
    os.chown(path.parent / name, 65534, 65534)
    with pytest.raises(JournalError, match=f"{name} belongs to another user, so "):
        Journal.open(path)
    with read_journal(path) as view:
        assert view.distrust == f"{path.parent / name} belongs to another user"


@POSIX
def test_all_files_are_private(path: Path) -> None:
    """The lock too, which another user could hold otherwise, and a journal that was readable."""
    path.chmod(0o644)
    lock = path.with_name("run.db-lock")
    lock.touch(mode=0o644)
    with Journal.open(path) as journal:
        journal.describe(source_path="customers.csv")
        modes = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
    assert modes.keys() >= {"run.db", "run.db-lock", "run.db-wal", "run.db-shm"}
    assert set(modes.values()) == {"0o600"}


@POSIX
def test_a_lock_that_is_a_link(path: Path) -> None:
    """A lock that leads elsewhere is somebody's trap, and is named."""
    target = path.with_name("elsewhere")
    path.with_name("run.db-lock").symlink_to(target)
    with pytest.raises(JournalError, match=r"run.db-lock, the lock of the journal .*, is a link"):
        Journal.open(path)
    assert not target.exists()


@POSIX
def test_a_journal_that_is_no_file(tmp_path: Path) -> None:
    """A pipe is not opened, since that would wait for its other end; neither is a device."""
    os.mkfifo(tmp_path / "pipe")
    for where in (tmp_path / "pipe", Path(os.devnull)):
        for opens in (Journal.open, JournalView):
            with pytest.raises(JournalError, match="is a pipe or a device: name a file"):
                opens(where)


@POSIX
@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_a_pipe_beside_it(path: Path, ending: str) -> None:
    """SQLite opens the files beside a journal; a pipe or a folder there is refused by name, and not waited for."""
    beside = path.with_name(f"run.db{ending}")
    link = path.with_name("link.db")
    link.symlink_to(path)
    for make in (os.mkfifo, os.mkdir):
        make(beside)
        for opens in (Journal.open, JournalView):
            for where in (path, link):
                with pytest.raises(JournalError, match=f"run.db{ending} is a pipe, a device or a folder: remove it"):
                    opens(where)
        beside.rmdir() if beside.is_dir() else beside.unlink()
    with read_journal(path) as view:
        assert view.totals()


def test_every_column_is_checked() -> None:
    """No column of the schema is left out of the check, and none is named that is not there."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.TABLES)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {
            table: {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
            for table in tables
        }
    assert {table: set(columns) for table, columns in soundness._COLUMNS.items()} == found


@pytest.mark.parametrize(
    "change_",
    [
        "UPDATE items SET position = -9007199254740993 WHERE position = 0",
        "UPDATE items SET attempts = -1",
        "UPDATE items SET ended_at = 1e300",
        "UPDATE items SET business_id = x'00'",
        "UPDATE items SET line = -1",
        "UPDATE invalid_lines SET line = -1",
        "UPDATE samples SET retries = -1",
    ],
)
def test_what_one_refuses_all_refuse(path: Path, change_: str) -> None:
    """A wrong value, which only a report would show, is met when the journal is opened, for whatever."""
    change(path, change_)
    for opens in (Journal.open, read_journal):
        with pytest.raises(JournalError, match=NOT_OURS):
            opens(path)


def test_a_negative_position_is_right(path: Path) -> None:
    """An item that has lost its place in the input is one that a run writes: every command takes it."""
    change(path, "UPDATE items SET position = -3, state = 'unknown' WHERE position = 0")
    with Journal.open(path) as journal:
        assert [position for position, _, _ in journal.unsettled(-(2**62), 10)] == [-3, 3]
    read_all(path)


def test_what_it_says_is_not_carried_out(path: Path) -> None:
    """A connection takes nothing of the schema for trusted, whatever the build's default is."""
    with Journal.open(path) as journal:
        assert journal._connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
    with read_journal(path) as view:
        assert view._connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
