"""The metadata of a run in its journal, and whether a command fits it."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thredfi_async.bulk.journal.api import other_api
from thredfi_async.bulk.journal.facts import FLAGS, NUMBERS, number_in, path_fact, path_of
from thredfi_async.bulk.journal.settings import KEY, RunSettings
from thredfi_async.bulk.readers import ReadingOptions, Source
from thredfi_async.bulk.readers.io import readable
from thredfi_async.bulk.reading_options import READING
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.preflight_errors import preflight_error
from thredfi_async.cli.formatting import command, path_argument

STDIN: Final = "-"
_NUMBERS: Final = frozenset(NUMBERS)
_FLAGS: Final = frozenset(FLAGS)


@dataclass(frozen=True)
class JournalMetadata:
    """The metadata of a run in its journal.

    Args:
        run: The journal's table of that name.
    """

    run: Mapping[str, str]

    @property
    def source(self) -> str | None:
        """The source's path, or `-`, or None for a journal that no `thredfi bulk archive` has begun."""
        return path_of(self.run.get("source_path"))

    @property
    def size(self) -> int | None:
        """The source's bytes, if they are known."""
        return number_in(self.run, "source_size")

    @property
    def sha256(self) -> str | None:
        """The source's hash, if it is known."""
        return self.run.get("source_sha256") or None

    @property
    def is_of_one_file(self) -> bool:
        """Whether only one source fits, since its size and its hash are known."""
        return self.size is not None and self.sha256 is not None

    @property
    def format(self) -> str | None:
        """The source's format."""
        return self.run.get("source_format") or None

    @property
    def lines(self) -> int | None:
        """Records of the source, if they were counted."""
        return number_in(self.run, "source_records")

    @property
    def duplicates(self) -> int:
        """Lines that list a customer again, as far as known."""
        return number_in(self.run, "duplicates") or 0

    @property
    def business_id(self) -> str | None:
        """The business of every line, where the source has no such column."""
        return self.run.get("business_id") or None

    @property
    def allow_missing_fields(self) -> bool:
        """Whether bodies may lack fields."""
        return self.run.get("allow_missing_fields") == "1"

    @property
    def reading(self) -> ReadingOptions:
        """How the source is read otherwise."""
        return ReadingOptions.of(self.run.get(READING))

    @property
    def invalid_lines(self) -> str | None:
        """Where invalid lines are copied to."""
        return path_of(self.run.get("invalid_lines_path"))

    @property
    def base_url(self) -> str | None:
        """Where it sends to."""
        return self.run.get("base_url") or None

    @property
    def queue(self) -> str | None:
        """The queue that it was published to, if it was."""
        return self.run.get("queue") or None

    @property
    def settings(self) -> RunSettings:
        """How fast it went; all None where the journal keeps nothing."""
        return RunSettings.of(self.run.get(KEY))

    @property
    def keeps_settings(self) -> bool:
        """Whether it says how fast it went, though all of it may be defaults."""
        return KEY in self.run

    def repeating(self, duplicates: int) -> "JournalMetadata":
        """Return the same of a source that lists customers again on so many lines."""
        return JournalMetadata({**self.run, "duplicates": str(duplicates)})

    @property
    def finished(self) -> bool:
        """Whether the source was read to its end, and everything in it was started."""
        return bool(self.run.get("finished_at"))

    def as_json(self) -> dict[str, Any]:
        """Return it for machines, with numbers as numbers."""
        shown: dict[str, Any] = dict(self.run)
        for name in _NUMBERS & shown.keys():
            shown[name] = int(shown[name])
        for name in _FLAGS & shown.keys():
            shown[name] = shown[name] == "1"
        if READING in shown:
            shown[READING] = json.loads(shown[READING])
        if KEY in shown:
            settings = self.settings
            shown[KEY] = {
                "rate": settings.rate,
                "concurrency": settings.concurrency,
                "outage_timeout": settings.outage_timeout,
                "timeouts": dict(settings.timeouts),
            }
        return shown


def metadata_of(
    source: Source, target: Endpoint, *, business_id: str | None, allow_missing_fields: bool, invalid_lines: str | None
) -> JournalMetadata:
    """Return the metadata of a run for its journal.

    Args:
        source: What it reads.
        target: Where it sends to.
        business_id: The business of every line, if the source does not say it.
        allow_missing_fields: Whether bodies may lack fields.
        invalid_lines: Where invalid lines are copied to, if anywhere.

    Returns:
        The facts.

    Raises:
        SourceError: The source cannot be read.
    """
    facts: dict[str, str | int | None] = {
        "base_url": target.base_url,
        "source_path": STDIN if source.path is None else path_fact(source.path),
        "source_size": source.size,
        "source_sha256": source.sha256(),
        "source_format": source.format,
        "business_id": business_id,
        "allow_missing_fields": int(allow_missing_fields),
        "invalid_lines_path": None if invalid_lines is None else path_fact(Path(invalid_lines)),
        "bodies": "source" if source.has_bodies else "server",
        READING: None if source.options == ReadingOptions() else source.options.as_fact(),
    }
    return JournalMetadata({name: str(fact) for name, fact in facts.items() if fact is not None})


def fits_host(journal: Path, facts: JournalMetadata, target: Endpoint, *, allow_host_change: bool) -> None:
    """Refuse to resume a run at another host than the one it was begun at, unless that is wanted.

    Args:
        journal: The journal.
        facts: What it says.
        target: Where the command would send to.
        allow_host_change: Whether that is wanted.

    Raises:
        ReportedError: It is another host, and that is not wanted.
    """
    other = other_api(facts.run, target.base_url)
    if other is None or allow_host_change:
        return
    sentence = f"{journal} is the journal of a run at {other}, and the settings say {target.base_url}."
    raise preflight_error(sentence, advice="fix the settings, or add --allow-host-change if the API itself has moved")


def fits_source(journal: Path, facts: JournalMetadata, source: Source, *, business_id: str | None) -> None:
    """Refuse to archive one file onto the journal of another.

    Args:
        journal: The journal.
        facts: What it says.
        source: The file.
        business_id: The business of every line, if the file does not say it.

    Raises:
        ReportedError: They do not belong together.
    """
    other = command("bulk", "resume", path_argument(journal))
    advice = f"give this run a journal of its own; or go on with the other run: {other}"
    if facts.source is None:
        raise preflight_error(f"{journal} exists, and is the journal of something else than a file.", advice=advice)
    known = {"source_size": facts.size, "source_sha256": facts.sha256}
    here = {"source_size": source.size, "source_sha256": source.sha256()}
    if not source.repeatable or facts.source == STDIN or known != here:
        raise preflight_error(f"{journal} exists, and is the journal of another run, of {facts.source}.", advice=advice)
    if (business_id or "").lower() != (facts.business_id or "").lower():
        raise preflight_error(f"{journal} is the journal of this file with another --business-id.", advice=advice)
    if facts.reading != source.options:
        raise preflight_error(f"{journal} is the journal of this file read with other options.", advice=advice)


def when(text: str | None) -> str | None:
    """Return a time of a journal for people, in their own time zone."""
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")


def title(journal: Path, metadata: JournalMetadata) -> list[str]:
    """Return which run it is, in a line or two: when it was begun, where it sends to, and what it reads."""
    begun, run = when(metadata.run.get("created_at")), metadata.run
    facts = [] if begun is None else [f"begun {begun}"]
    if metadata.queue is not None:
        facts.append(f"over the queue {metadata.queue}")
    elif metadata.base_url is not None:
        facts.append(f"at {Endpoint(metadata.base_url).host}")
    if metadata.source is None and metadata.queue is None and run.get("host"):
        # No command has begun it; this host is that program's own, not the API's.
        facts.append(f"by a program on {run['host']}")
    source = "stdin" if metadata.source in {None, STDIN} else readable(Path(str(metadata.source)))
    lines = [f"{journal}: a run {', '.join(facts)}".rstrip()]
    return lines if metadata.source is None else [*lines, f"  from {source}"]
