"""`dead-letters list` and `show`."""

import base64
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.bulk.preflight_errors import preflight_error
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import Output
from thredfi_async.cli.session import Session, run_now
from thredfi_async.worker.dead_letters import StoredLetter, dead_letters

_COLUMNS = f"{'ID':>8}  {'AT':<20}  {'CODE':<24}  {'EFFECT':<11}  {'BUSINESS':<36}  CUSTOMER"


@dataclass(frozen=True, kw_only=True)
class ListLetters:
    """The job of `thredfi dead-letters list`.

    Args:
        nats: Where the queue is.
        code: Only letters with this code.
    """

    nats: Nats
    code: str | None = None

    def __call__(self, session: Session) -> int:
        """List them, each as soon as it is known."""
        settings, config = self.nats.settings(), self.nats.stream_config()

        async def work() -> int:
            count = 0
            async with dead_letters(settings, config) as letters:
                async for stored in letters.all():
                    if self.code is not None and (stored.letter is None or stored.letter.code != self.code):
                        continue
                    if session.out.json:
                        session.out.data(facts(stored))
                    else:
                        session.out.show(*([] if count else [_COLUMNS]), _line(stored), wrap=False)
                    count += 1
            return count

        with broker_preflight_errors():
            if run_now(work()) == 0 and not session.out.json:
                session.out.show("No dead letters.")
        return ExitCode.DONE


@dataclass(frozen=True, kw_only=True)
class ShowLetter:
    """The job of `thredfi dead-letters show`.

    Args:
        nats: Where the queue is.
        number: Which one.
        original: Whether to write the original message alone.
    """

    nats: Nats
    number: int
    original: bool = False

    def __call__(self, session: Session) -> int:
        """Show it."""
        settings, config = self.nats.settings(), self.nats.stream_config()

        async def work() -> StoredLetter | None:
            async with dead_letters(settings, config) as letters:
                return await letters.get(self.number)

        with broker_preflight_errors():
            stored = run_now(work())
        if stored is None:
            sentence = f"There is no dead letter {self.number} in the stream {config.dead_stream}."
            raise preflight_error(sentence, advice=self.nats.repeated("dead-letters", "list"))
        if self.original and stored.letter is None:
            sentence = f"The message {self.number} is no dead letter that this release reads."
            raise preflight_error(sentence, advice=f"read it with `nats stream get {config.dead_stream} {self.number}`")
        self._show(stored, session.out)
        return ExitCode.DONE

    def _show(self, stored: StoredLetter, out: Output) -> None:
        letter = stored.letter
        if self.original and letter is not None and out.json:
            out.data({"original": base64.b64encode(letter.original).decode(), "cut": letter.cut})
        elif self.original and letter is not None:
            out.content(letter.original)
        elif out.json:
            out.data(facts(stored))
        else:
            table = Table.grid(padding=(0, 2))
            for name, value in facts(stored).items():
                table.add_row(name, "" if value is None else str(value))
            out.show(table)


def facts(stored: StoredLetter) -> dict[str, Any]:
    """Return what is known of a dead letter, without the body of its command."""
    letter, command = stored.letter, stored.command
    if letter is None:
        return {"id": stored.number, "readable": False}
    return {
        "id": stored.number,
        "readable": True,
        "at": letter.at.isoformat(),
        "code": letter.code,
        "reason": letter.reason,
        "effect": str(letter.effect),
        "attempts": letter.attempts,
        "deliveries": letter.deliveries,
        "business_id": None if command is None else str(command.business_id),
        "customer_id": None if command is None else str(command.customer_id),
        "command_id": letter.command_id,
        "idempotency_key": letter.idempotency_key,
        "subject": letter.subject,
        "original_bytes": len(letter.original),
        "cut": letter.cut,
    }


def _line(stored: StoredLetter) -> str:
    letter, command = stored.letter, stored.command
    if letter is None:
        return f"{stored.number:>8}  cannot be read"
    ids = "no command" if command is None else f"{command.business_id}  {command.customer_id}"
    at = letter.at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{stored.number:>8}  {at:<20}  {letter.code:<24}  {letter.effect!s:<11}  {ids}"
