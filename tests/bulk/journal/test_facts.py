"""What a journal says of its run is checked as strictly as the settings that it came from, by each of its readers."""

import json
from pathlib import Path

import pytest
from bulk_journals import RUN, write_journal

from thredfi_async.bulk import Journal, JournalError, read_journal

RIGHT = {
    "base_url": "https://api.example/v1",
    "business_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "source_format": "excel",
    "source_sha256": "0" * 64,
    "source_size": "0",
    "duplicates": "12",
    "option_base_url": "",
    "option_environment": "production",
    "option_env_file": "",
    "option_proxy": "http://proxy.example:3128",
    "option_ca_file": "/ca.pem",
    "allow_missing_fields": "1",
    "published_at": "",
    "queue": "THREDFI",
    "settings": json.dumps({"rate": 0.5, "concurrency": 1, "outage_timeout": 0, "timeouts": {"queue": None}}),
    "reading": json.dumps({"ids_only": True, "columns": {"customer_id": "Customer ID"}, "null": ["NULL"]}),
    "invalid_lines_path": "file:///folder/kund%E4.csv",
    "of_a_later_version": "anything",
}
WRONG = [
    ("base_url", "http://[x"),
    ("base_url", "http://user:password@api.example"),
    ("base_url", "http://api.example"),
    ("base_url", "ftp://api.example"),
    ("base_url", "https://api.example/\x1b[31m"),
    ("option_base_url", "http://[x"),
    ("option_environment", "staging"),
    ("option_env_file", "a\0b"),
    ("option_ca_file", "a\0b"),
    ("option_proxy", "http://me:secret@proxy.example"),
    ("option_proxy", "socks5://proxy.example"),
    ("source_path", "a\0b"),
    ("source_path", "a" * 5000),
    ("source_path", ""),
    ("invalid_lines_path", "\0"),
    ("source_format", "exe"),
    ("source_path", "file://a%00b"),
    ("source_path", "file://"),
    ("reading", "{"),
    ("reading", json.dumps({"ids_only": "yes"})),
    ("reading", json.dumps({"encoding": "rot13"})),
    ("source_sha256", "0" * 63),
    ("source_size", "-1"),
    ("source_records", "1e3"),
    ("source_records", "9" * 5000),
    ("source_checked", "yes"),
    ("duplicates", "-100"),
    ("items", "many"),
    ("invalid_lines", "\u0661"),
    ("sessions", "9" * 16),
    ("business_id", "all"),
    ("bodies", "none"),
    ("allow_missing_fields", "2"),
    ("queue", "a b"),
    ("option_nats", "\x1b[2J"),
    ("published_at", "yesterday"),
    ("finished_at", "0001-01-01T00:00:00"),
    ("created_at", ""),
]


@pytest.mark.parametrize(("name", "fact"), WRONG, ids=lambda value: ascii(value)[:20])
def test_a_wrong_fact(tmp_path: Path, name: str, fact: str) -> None:
    """Every command refuses it when it opens the journal, in one sentence that names it and does not quote it."""
    path = write_journal(tmp_path / "run.db", [("archived", None)], run={**RUN, **RIGHT, name: fact})
    for opens in (read_journal, Journal.open):
        with pytest.raises(JournalError, match=f"its fact {name} is wrong; it holds what no run writes") as caught:
            opens(path)
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()


def test_right_facts(tmp_path: Path) -> None:
    """What a run writes is given as it is, and so is what this version does not know."""
    path = write_journal(tmp_path / "run.db", [], run={**RUN, **RIGHT})
    with read_journal(path) as view, Journal.open(path) as journal:
        assert view.run == {**RUN, **RIGHT}
        assert journal.run.items() >= {**RUN, **RIGHT}.items()


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """A file's name with bytes that are not UTF-8 cannot be kept, and the sentence says what to do."""
    with Journal.open(tmp_path / "run.db") as journal:
        with pytest.raises(JournalError, match=r"cannot keep the source_path .*: that is not UTF-8; rename the file"):
            journal.describe(source_path="kund\udce4.csv")
        journal.describe(source_path="kundä.csv")
    with read_journal(tmp_path / "run.db") as view:
        assert view.run["source_path"] == "kundä.csv"
