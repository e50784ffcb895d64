"""The commands that lead on from a run, each as its journal, its source and its host need them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.journal.files import located
from thredfi_async.bulk.journal.settings import RunSettings
from thredfi_async.bulk.journal.trust import distrust
from thredfi_async.bulk.readers.format_detection import detect_format
from thredfi_async.bulk.verdict import Step, Verdict
from thredfi_async.cli.bulk.journal_metadata import STDIN, JournalMetadata
from thredfi_async.cli.bulk.nats import Nats
from thredfi_async.cli.bulk.reading import repeated
from thredfi_async.cli.formatting import command, path_argument
from thredfi_async.cli.settings import Connection, EnvironmentName

_PLACEHOLDER: Final = "FILE"
"""Stands for a file that only the user can name."""
_ADDRESS: Final = "URL"
"""Stands for the API's own address."""
_OF_SOURCE: Final = frozenset({Step.RESUME, Step.RETRY, Step.RESEND})


@dataclass(frozen=True, kw_only=True)
class Next:
    """What to do next.

    Args:
        why: What for.
        command: The line to paste; None where there is none.
        is_offer: Whether nothing is left to be done, so that only a person may want it.
    """

    why: str
    command: str | None
    is_offer: bool = False

    def as_json(self) -> dict[str, str | None]:
        """Return it for machines."""
        return {"why": self.why, "command": self.command}

    def __str__(self) -> str:
        """Return it in a line."""
        why = f"{self.why[0].upper()}{self.why[1:]}"
        return f"{why}." if self.command is None else f"{why}: {self.command}"


class Commands:
    """The commands that lead on from one run.

    Args:
        journal: The journal.
        metadata: What it says.
        connection: How the API was reached; as the journal says by default.
        nats: Where the queue is; as the journal says by default.
    """

    def __init__(
        self,
        journal: Path,
        metadata: JournalMetadata,
        *,
        connection: Connection | None = None,
        nats: Nats | None = None,
    ) -> None:
        """Take what they are made of."""
        own = distrust(located(journal)) is None
        self._journal, self._metadata = journal, metadata
        self._connection = connection or connection_of(metadata, own=own)
        self._nats = nats or nats_of(metadata, own=own)

    def lead_on(self, verdict: Verdict, *, shown: Collection[Step] = ()) -> list[Next]:
        """Return what to do next.

        Args:
            verdict: How the run stands.
            shown: Steps whose command has just been run: to name it again would lead nowhere.

        Returns:
            The most urgent one first.
        """
        # Who has seen the invalid lines can fix them where they stand.
        steps = [Step.FIX_SOURCE if each is Step.SEE_LINES and each in shown else each for each in verdict.steps]
        left = [step for step in steps if step not in shown]
        # At the end of all that is to be done, a person wants to see it.
        is_end = not verdict.steps and verdict.complete and verdict.counts.started > 0 and Step.PAGE not in shown
        return [self._next(step) for step in ([Step.PAGE] if is_end else left)]

    def _next(self, step: Step) -> Next:
        why = step.value
        if step in _OF_SOURCE and self._metadata.source == STDIN:
            why = f"save to {_PLACEHOLDER} what was on stdin, then {why}"
        return Next(why=why, command=self._command(step), is_offer=step is Step.PAGE)

    def _command(self, step: Step) -> str | None:  # noqa: C901 - a case for each step
        journal, metadata = path_argument(self._journal), self._metadata
        where = [journal, _PLACEHOLDER] if metadata.source == STDIN else [journal]
        list_ = path_argument(self._journal.with_suffix(".not-archived.csv").name)
        line: str | None
        match step:
            case Step.RESUME | Step.RETRY:
                line = self._resume(*where)
            case Step.RESEND:
                line = self._resume(*where, "--include-rejected")
            case Step.PAGE:
                line = command("bulk", "report", journal, "--html", "report.html")
            case Step.REPORT:
                line = command("bulk", "report", journal, "--not-archived", list_)
            case Step.SEE_LINES:
                line = command("bulk", "report", journal)
            case Step.FIX_LINES:
                # Those of a workbook are copied as CSV, and those of Parquet and of a JSON array as JSON Lines.
                copied = "csv" if metadata.format in {"csv", "excel"} else "jsonl"
                line = self._on_its_own(metadata.invalid_lines, copied)
            case Step.FIX_SOURCE:
                line = self._on_its_own(metadata.source, metadata.format)
            case Step.COLLECT:
                line = self._nats.repeated("bulk", "collect", "--journal", journal, "--until-done")
            case Step.PUBLISH | Step.PUBLISH_LOST:
                line = self._publish(again=step is Step.PUBLISH_LOST)
            case Step.RERUN:
                line = None
        return line

    def _resume(self, *words: str) -> str:
        if self._metadata.run.get("stopped_cause") != "wrong_base_url":
            return self._connection.repeated("bulk", "resume", *words)
        # The same address would give the same answer.
        elsewhere = replace(self._connection, base_url=_ADDRESS, environment=None)
        return elsewhere.repeated("bulk", "resume", *words, "--allow-host-change")

    def _on_its_own(self, path: str | None, form: str | None) -> str:
        """Return the command that runs a file with a journal of its own."""
        file = _PLACEHOLDER if path in {None, STDIN} else path_argument(str(path))
        words = [file, "--journal", path_argument(_free(self._journal)), *self._how_to_read(file, form)]
        if self._metadata.queue is not None:
            return self._nats.repeated("bulk", "publish", *words)
        return self._connection.repeated("bulk", "archive", *words, *_speed(self._metadata.settings))

    def _publish(self, *, again: bool) -> str:
        metadata = self._metadata
        file = _PLACEHOLDER if metadata.source in {None, STDIN} else path_argument(str(metadata.source))
        key = metadata.run.get("dedup_key", "")
        if again:
            key = f"{key}-again" if key else "again"
        words = [file, "--journal", path_argument(self._journal), *self._how_to_read(file, metadata.format)]
        return self._nats.repeated("bulk", "publish", *words, *(["--dedup-key", key] if key else []))

    def _how_to_read(self, file: str, form: str | None) -> list[str]:
        metadata = self._metadata
        words = ["--business-id", metadata.business_id] if metadata.business_id else []
        if form is not None and not _says(file, form):
            words += ["--format", form]
        words += repeated(metadata.reading)
        return [*words, "--allow-missing-fields"] if metadata.allow_missing_fields else words


def connection_of(metadata: JournalMetadata, *, own: bool) -> Connection:
    """Return how the run's last command reached the API.

    Args:
        metadata: What the journal says.
        own: Whether the journal is the user's own: another's must not say where credentials are sent.

    Returns:
        The options; none if the environment said it.
    """
    run = metadata.run
    if not own:
        return Connection()
    environment = run.get("option_environment")
    env_file, ca_file = (run.get(f"option_{name}") for name in ("env_file", "ca_file"))
    return Connection(
        base_url=run.get("option_base_url") or None,
        environment=EnvironmentName(environment) if environment in set(EnvironmentName) else None,
        env_file=Path(env_file) if env_file else None,
        proxy=run.get("option_proxy") or None,
        ca_file=Path(ca_file) if ca_file else None,
    )


def nats_of(metadata: JournalMetadata, *, own: bool) -> Nats:
    """Return the options for the queue of a run.

    Args:
        metadata: What the journal says.
        own: Whether the journal is the user's own.

    Returns:
        The options.
    """
    run = metadata.run
    return Nats(
        url=(run.get("option_nats") or None) if own else None,
        stream=metadata.queue,
        subject=run.get("option_subject") or None,
        consumer=run.get("option_consumer") or None,
    )


def _free(journal: Path) -> Path:
    """Return a journal that there is not yet, beside another."""
    found, number = journal.with_suffix(".fixed.db"), 2
    while found.exists():
        found, number = journal.with_suffix(f".fixed-{number}.db"), number + 1
    return found


def _says(file: str, form: str) -> bool:
    """Return whether a file's name says its format."""
    try:
        return detect_format(file, None).format == form
    except SourceError:
        return False


def _speed(settings: RunSettings) -> list[str]:
    """Return the options for going at the pace of another run."""
    values = {
        "--concurrency": settings.concurrency,
        "--rate": settings.rate,
        "--outage-timeout": settings.outage_timeout,
        "--timeout": settings.timeouts.get("deadline"),
    }
    given = {name: _decimal(value) for name, value in values.items() if value is not None}
    return [part for name, value in given.items() for part in (name, value)]


def _decimal(value: float) -> str:
    """Return a number without an exponent, which no option takes."""
    return f"{value:.9f}".rstrip("0").rstrip(".")
