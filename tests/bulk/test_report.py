import csv
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from bulk_journals import BUSINESSES, RUN, Row, customer, sample, write_journal

from thredfi_async import ConfigurationError
from thredfi_async.bulk.journal import read_journal
from thredfi_async.bulk.report import page, summary, write_html, write_not_archived_csv
from thredfi_async.bulk.report.charts import charts_of
from thredfi_async.bulk.report.timeseries import MOST_POINTS, Point, points_of

DONE: list[Row] = [("archived", None), ("archived", None), ("already_archived", None)]
NOT_DONE: list[Row] = [
    ("rejected", "not_found"),
    ("failed", "http_503"),
    ("rejected", "not_found"),
    ("unknown", "timeout_read"),
    ("pending", None),
]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A run of eight items and two invalid lines, killed before its end."""
    invalid_lines = [(5, "email", "must be an email address"), (9, None, "is not UTF-8 text")]
    return write_journal(tmp_path / "run.db", DONE + NOT_DONE, invalid_lines=invalid_lines)


def html_of(path: Path) -> str:
    """Write a journal's page."""
    text = io.StringIO()
    with read_journal(path) as view:
        write_html(view, text)
    return text.getvalue()


def test_the_summary_counts_everything_once(journal: Path) -> None:
    """Every state has its count, the counts add up to the items, and invalid lines are apart."""
    with read_journal(journal) as view:
        total = summary(view)
    assert total.totals == {
        "archived": 2,
        "already_archived": 1,
        "rejected": 2,
        "failed": 1,
        "unknown": 1,
        "pending": 1,
    }
    assert (total.items, total.archived, total.failures, total.invalid_lines) == (8, 3, 4, 2)


def test_reasons_are_grouped_and_say_what_to_do(journal: Path) -> None:
    """The most frequent reason comes first, and each has advice that fits its state."""
    with read_journal(journal) as view:
        reasons = summary(view).reasons
    assert (reasons[0].state, reasons[0].code, reasons[0].count) == ("rejected", "not_found", 2)
    advice = {each.state: each.advice for each in reasons}
    assert advice["rejected"] == "Check both ids and the environment."
    assert advice["failed"] == "Resume the run later."
    assert advice["unknown"].startswith("Resume the run; it asks the API first")
    assert advice["pending"] == "Resume the run; it asks the API about these first."


def test_a_run_without_items_has_a_summary(tmp_path: Path) -> None:
    """A journal that was just made has zeros, and a page."""
    path = write_journal(tmp_path / "run.db", [], run={})
    with read_journal(path) as view:
        total = summary(view)
    assert (total.items, total.archived, total.failures, total.reasons) == (0, 0, 0, ())
    assert "No customer was started." in html_of(path)


def test_failures_are_csv_of_ids_states_and_codes(journal: Path) -> None:
    """A line for each item that is not archived and has an outcome, in the input's order, and no other column."""
    text = io.StringIO(newline="")
    with read_journal(journal) as view:
        assert write_not_archived_csv(view, text) == 4
    rows = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    assert list(rows[0]) == ["line", "business_id", "customer_id", "state", "code", "attempts", "ended_at"]
    assert [(row["line"], row["state"], row["code"]) for row in rows] == [
        ("4", "rejected", "not_found"),
        ("5", "failed", "http_503"),
        ("6", "rejected", "not_found"),
        ("7", "unknown", "timeout_read"),
    ]
    assert rows[0]["customer_id"] == str(customer(3))
    assert rows[0]["ended_at"] == "2026-11-26T00:00:03+00:00"


@pytest.mark.parametrize(
    ("code", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("\n=1", "\\n=1"),
        (" =1", "' =1"),
        ("\xa0\u3000=1", "'\xa0\u3000=1"),
        ("\ufeff=1", "\\ufeff=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\u2212\u0031", "'\u2212\u0031"),
        ("a;=1", "a;'=1"),
        ("a, @x|-1", "a,' @x|'-1"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a-b_c.d", "a-b_c.d"),
    ],
)
def test_no_cell_is_a_formula(tmp_path: Path, code: str, cell: str) -> None:
    """No content of a journal makes a spreadsheet that opens the CSV compute anything."""
    path = write_journal(tmp_path / "run.db", [("failed", code)])
    text = io.StringIO(newline="")
    with read_journal(path) as view:
        write_not_archived_csv(view, text)
    (row,) = csv.DictReader(io.StringIO(text.getvalue(), newline=""))
    assert row["code"] == cell


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_loads_nothing(journal: Path) -> None:
    """No link, image, frame or script from anywhere, and a policy that would forbid it."""
    text = html_of(journal)
    tags = Tags()
    tags.feed(text)
    assert {tag for tag, _ in tags.seen}.isdisjoint({"link", "img", "iframe", "object", "embed", "base", "form"})
    assert [attrs for _, attrs in tags.seen if {"src", "srcset", "style", "onclick"} & attrs.keys()] == []
    assert [attrs["href"] for _, attrs in tags.seen if "href" in attrs] == ["#failures"]
    assert "default-src 'none'" in text
    assert re.findall(r"https?://", text) == []
    assert "url(" not in text


def test_the_page_escapes_what_a_journal_says(tmp_path: Path) -> None:
    """Names of files, reasons and codes are always text."""
    evil = "<script>alert(1)</script>"
    run = {**RUN, "source_path": evil, "stopped_reason": evil}
    path = write_journal(tmp_path / "run.db", [("failed", evil)], run=run, invalid_lines=[(2, evil, evil)])
    text = html_of(path)
    assert evil not in text
    assert text.count("&lt;script&gt;") >= 4
    assert text.count("<script>") == 1


@pytest.mark.parametrize("where", ["code", "column", "reason", "source_path", "journal"])
def test_the_page_holds_no_control_character(tmp_path: Path, where: str) -> None:
    """Whatever a journal says, and whatever it is called, stands on the page with escapes; its own parts do not."""
    hostile = "a\x1b[31m\u202eb\x9b\x7f"
    path = write_journal(
        tmp_path / (hostile + ".db" if where == "journal" else "run.db"),
        [("failed", hostile if where == "code" else None)],
        run={**RUN, **({where: hostile} if where == "source_path" else {})},
        invalid_lines=[(2, hostile if where == "column" else None, hostile if where == "reason" else "is blank")],
    )
    page = html_of(path)
    assert "a\\x1b[31m\\u202eb\\x9b\\x7f" in page
    assert not {*page} & {"\x1b", "\u202e", "\x9b", "\x7f"}
    assert page.count("\n") > 100  # of the template, the style and the script


@pytest.mark.parametrize(
    ("run", "rows", "said"),
    [
        (RUN, DONE, 'status-green">Done: every customer is archived.'),
        (
            RUN,
            DONE + NOT_DONE[:4],
            'status-yellow">Done, and some outcomes are unknown: 2 rejected, 1 failed, 1 unknown.',
        ),
        (RUN, DONE + NOT_DONE[:3], 'status-yellow">Done, and not everything is archived: 2 rejected, 1 failed.'),
        (RUN, [], 'status-yellow">Done, and the source lists no customer.'),
        ({}, DONE, 'status-yellow">Not finished; left: the rest of the source not started.'),
        ({"source_records": "9"}, DONE, 'status-yellow">Not finished; left: 6 lines not started.'),
        (
            {"stopped_reason": "interrupted by SIGINT", "source_records": "4"},
            DONE,
            "Interrupted; left: 1 line not started",
        ),
        ({"stopped_reason": "the API is down"}, DONE, 'status-red">Stopped: the API is down. Left: the rest of'),
    ],
)
def test_the_page_says_how_the_run_stands(tmp_path: Path, run: dict[str, str], rows: list[Row], said: str) -> None:
    """Its first sentence is the verdict, in its colour, and counts what was never started."""
    assert said in html_of(write_journal(tmp_path / "run.db", rows, run=run))


def test_the_page_bounds_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a million failures has a page that opens: each table shows how much it leaves out, and where that is."""
    monkeypatch.setattr(page, "MOST_FAILURES", 10)
    monkeypatch.setattr(page, "MOST_LINES", 3)
    invalid_lines = [(n, None, "is not UTF-8 text") for n in range(2, 9)]
    path = write_journal(
        tmp_path / "run.db", [("failed", "http_503")] * 1234, invalid_lines=invalid_lines, businesses=30
    )
    text = html_of(path)
    assert text.count('data-state="failed"') == 10
    assert "The first 10 of 1,234, in the order of the input." in text
    assert "The first 3 of 7; the file of invalid lines has them all." in text
    assert "The 25 businesses with the most customers that are not archived, of 30." in text


def test_the_worst_business_comes_first(tmp_path: Path) -> None:
    """Businesses are sorted by what is left to do."""
    rows: list[Row] = [("archived", None), ("failed", "http_503"), ("archived", None)] * 4
    text = html_of(write_journal(tmp_path / "run.db", rows))
    table = text[text.index('id="businesses-title"') :]
    assert table.index(str(BUSINESSES[1])) < min(table.index(str(BUSINESSES[n])) for n in (0, 2))


def test_without_jinja2_the_page_says_what_to_install(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page needs an extra, and the sentence names it."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'thredfi-async\[report\]'"):
        html_of(journal)


def points(tmp_path: Path, samples: list[dict[str, Any]]) -> list[Point]:
    """The points of a journal with these samples."""
    with read_journal(write_journal(tmp_path / "run.db", [], samples=samples)) as view:
        return points_of(view.samples())


def test_counts_of_a_resumed_run_begin_again(tmp_path: Path) -> None:
    """Rates are of the time in which the run was running; the night between two sessions is left out."""
    found = points(tmp_path, [sample(0, 10), sample(1, 30), sample(50_000, 5), sample(50_001, 9)])
    assert [each.done for each in found] == [10, 20, 5, 4]
    assert [each.resumed for each in found] == [False, False, True, False]
    assert sum(each.seconds for each in found) == 4.0


def test_a_session_that_sent_nothing_is_none(tmp_path: Path) -> None:
    """A run that was started again with nothing left was not resumed."""
    found = points(tmp_path, [sample(0, 10), sample(1, 30), sample(50_000, 0), sample(50_001, 0)])
    assert [(each.done, each.resumed) for each in found] == [(10, False), (20, False)]


@pytest.mark.parametrize("count", [2, 480, 481, 5000])
def test_a_long_run_has_no_more_points_than_a_short_one(tmp_path: Path, count: int) -> None:
    """Neighbours are merged, and nothing of what was done is lost."""
    found = points(tmp_path, [sample(n, 3 * (n + 1), p99_ms=None if n % 2 else n) for n in range(count)])
    assert len(found) <= 2 * MOST_POINTS
    assert sum(each.done for each in found) == 3 * count
    assert max(each.p99_ms or 0 for each in found) == (count - 1) // 2 * 2


def test_charts_have_lines_ticks_and_words(tmp_path: Path) -> None:
    """Four charts; a pause is a band, a second without outcomes a gap in the latency; words say the same."""
    samples = [sample(n, 20 * (n + 1)) for n in range(10)]
    samples += [sample(n, 200, paused=1, p50_ms=None, p90_ms=None, p99_ms=None) for n in range(10, 15)]
    samples += [sample(n, 200 + 20 * (n - 14)) for n in range(15, 30)]
    charts = {chart.key: chart for chart in charts_of(points(tmp_path, samples))}
    assert list(charts) == ["throughput", "concurrency", "retries", "latency"]
    assert len(charts["throughput"].bands) == 1
    assert charts["latency"].lines[0].path.count("M") == 2
    assert charts["throughput"].description == "Throughput, items per second, over 0:30: items at most 20."
    assert [tick.label for tick in charts["throughput"].y_ticks] == ["0", "5", "10", "15", "20"]
    times = [tick.label for tick in charts["throughput"].x_ticks]
    assert times == [
        "0:00",
        "0:05",
        "0:10",
        "0:15",
        "0:20",
        "0:25",
        "0:30",
    ]


def test_a_run_of_a_moment_has_no_charts(tmp_path: Path) -> None:
    """One sample makes no line, and the page says why there is none."""
    path = write_journal(tmp_path / "run.db", DONE, samples=[sample(0, 3)])
    assert "The run was too short for a line over time" in html_of(path)
