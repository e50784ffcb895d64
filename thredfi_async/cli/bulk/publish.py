"""`publish`: from a file to messages that any number of workers take."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thredfi_async.bulk import ArchiveItem, read_journal
from thredfi_async.bulk.journal.facts import CHECKED, CHECKED_INVALID
from thredfi_async.bulk.readers import Source
from thredfi_async.cli.bulk.endpoint import Endpoint, confirm
from thredfi_async.cli.bulk.findings import refuse_unusable
from thredfi_async.cli.bulk.journal_files import writing
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata, fits_source, metadata_of
from thredfi_async.cli.bulk.looking import looking
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.bulk.preflight_errors import preflight_error, preflight_errors
from thredfi_async.cli.bulk.publish_progress import Goal, Published, Publishing
from thredfi_async.cli.bulk.reading import Reading
from thredfi_async.cli.bulk.source import InvalidLines, count, invalid_line
from thredfi_async.cli.bulk.summary import conclude
from thredfi_async.cli.formatting import path_argument, plural
from thredfi_async.cli.output import tell
from thredfi_async.cli.progress.display import display, event
from thredfi_async.cli.progress.follow import Followed, follow
from thredfi_async.cli.session import Session
from thredfi_async.worker.broker import connected
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.fanout import DistributedRun, Publisher, message_id_of, read_queue_depth
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.stream_config import StreamConfig
from thredfi_async.worker.streams import ensure_streams


@dataclass(frozen=True, kw_only=True)
class Publish:
    """The job of `thredfi bulk publish`.

    Args:
        reading: The file, and how it is read.
        nats: Where the queue is.
        dedup_key: A part of every message's id.
        journal: The journal's path, or None for no journal.
        strict: Whether an invalid line keeps everything from being published.
        yes: Whether the question is answered before it is asked.
    """

    reading: Reading
    nats: Nats
    dedup_key: str = ""
    journal: Path | None = None
    strict: bool = False
    yes: bool = False

    def __call__(self, session: Session) -> int:
        """Check everything, show the plan, ask, and do it."""
        settings, stream_config, out = self.nats.settings(), self.nats.stream_config(), session.out
        target = Endpoint(settings.shown.partition(",")[0])
        bad = InvalidLines((lambda line: event(out, "invalid_line", **invalid_line(line))) if out.json else None)
        with contextlib.ExitStack() as stack:
            with preflight_errors(), looking(session, self.reading.source, journal=self._has_journal):
                source = stack.enter_context(contextlib.closing(self.reading.open(bad, json=out.json)))
                facts = self._facts(source, target)
                counted = count(source, bad, whole=self.strict, quiet=out.json or out.quiet)
            goal = Goal(source=source, counted=counted, bad=bad, nats=settings.shown, stream=stream_config.stream)
            if out.json or not out.quiet:
                goal.announce(out, self.journal)
            if self.strict and counted.bad:
                sentence = f"{source.name} has {plural(counted.bad, 'invalid line')}, and --strict takes none."
                raise preflight_error(sentence, advice="fix them, or leave --strict out to publish the others")
            refuse_unusable(source, counted, bad, self.reading)
            confirm(target, goal.customers, yes=self.yes, stdin_is_taken=source.path is None, json=out.json)
            with preflight_errors(), broker_preflight_errors():
                progress = self._progress(stack, goal, stream_config, facts)
                return self._carry_out(session, progress, settings, stream_config)

    @property
    def _has_journal(self) -> bool | None:
        return None if self.journal is None else self.journal.exists()

    def _facts(self, source: Source, target: Endpoint) -> JournalMetadata:
        """Return what the journal is to say; refuse one that says something else already."""
        reading = self.reading
        if self.journal is not None and self.journal.exists() and self.journal.stat().st_size:
            with read_journal(self.journal) as view:
                fits_source(self.journal, JournalMetadata(view.run), source, business_id=reading.business_id)
        invalid_lines = None if reading.invalid_lines is None else str(reading.invalid_lines)
        found = metadata_of(
            source,
            target,
            business_id=reading.business_id,
            allow_missing_fields=reading.allow_missing_fields,
            invalid_lines=invalid_lines,
        )
        # Only the workers know the API's address.
        return JournalMetadata({name: fact for name, fact in found.run.items() if name != "base_url"})

    def _progress(
        self, stack: contextlib.ExitStack, goal: Goal, stream_config: StreamConfig, facts: JournalMetadata
    ) -> Publishing:
        if self.journal is None:
            goal.bad.begin_again(None)
            return Publishing(goal)
        journal = stack.enter_context(writing(self.journal, create=True))
        run = DistributedRun(journal, stream_config)
        counted: dict[str, int | None] = {
            "source_records": goal.counted.records,
            CHECKED_INVALID: goal.counted.bad,
            CHECKED: int(goal.counted.exact),
            "duplicates": goal.counted.repeated,
        }
        journal.describe(**facts.run, **self.nats.as_facts(), dedup_key=self.dedup_key, **counted)
        goal.bad.begin_again(journal)
        return Publishing(goal, journal=journal, run=run)

    def _carry_out(
        self, session: Session, progress: Publishing, settings: NatsSettings, stream_config: StreamConfig
    ) -> int:
        session.known.begins_many()
        began = time.monotonic()
        try:
            followed = asyncio.run(self._publish(session, progress, settings, stream_config))
        except BaseException:
            if progress.published:
                tell(f"{plural(progress.published, 'customer')} published. Running the same again is safe.")
            raise
        finally:
            progress.note()
        journal = path_argument(self.journal or "RUN.db")
        published = Published(
            progress=progress,
            followed=followed,
            elapsed=time.monotonic() - began,
            work=self.nats.repeated("worker"),
            collect=self.nats.repeated("bulk", "collect", "--journal", journal, "--until-done"),
        )
        return conclude(published, session.out, unheard=published.followed.unheard)

    async def _publish(
        self, session: Session, progress: Publishing, settings: NatsSettings, stream_config: StreamConfig
    ) -> Followed:
        async with connected(settings, name="thredfi bulk publish") as broker:
            await ensure_streams(broker, stream_config)
            run = progress.run
            if run is not None:
                await asyncio.to_thread(run.begin, await read_queue_depth(broker, stream_config))
            publisher = Publisher(
                broker,
                stream_config,
                key=None if run is None else run.key,
                message_id=self._message_id(run),
                refuse=progress.refuse,
            )
            progress.begin(broker, publisher)
            followed = await follow(
                self._all(publisher, progress),
                look=progress.look,
                drain=publisher.drain,
                draining="nothing new is published, and what is in flight ends",
                display=display(session.out, logs=session.logs),
            )
            if not followed.interrupted:
                with contextlib.suppress(BrokerError):  # everything is published, whatever is in the queue now
                    progress.queued = (await read_queue_depth(broker, stream_config)).queued
            return followed

    async def _all(self, publisher: Publisher, progress: Publishing) -> None:
        run, source = progress.run, progress.goal.source
        if run is None:
            progress.complete = await publisher.publish(source)
            return
        try:
            progress.complete = await publisher.publish(source, prepare=run.take)
        finally:
            await asyncio.to_thread(run.release, publisher.left())

    def _message_id(self, run: DistributedRun | None) -> Callable[[ArchiveItem], str]:
        of = message_id_of if run is None else run.message_id
        return (lambda item: f"{self.dedup_key}/{of(item)}") if self.dedup_key else of
