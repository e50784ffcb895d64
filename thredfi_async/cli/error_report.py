"""Describes a failure: what happened, what is known of the effect, and what to do next; no customer data."""

__lazy_modules__: list[str] = ["rich.text"]
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rich.text import Text

from thredfi_async import (
    APIError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ConnectionLostError,
    Effect,
    InvalidRequestError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiError,
)
from thredfi_async._outcomes import Fault, Remedy, classify
from thredfi_async.cli.exit_codes import ExitCode, exit_code
from thredfi_async.cli.formatting import sentence
from thredfi_async.cli.session import Session

_HAPPENED: Final[tuple[tuple[type[ThredfiError], str], ...]] = (
    (InvalidRequestError, "The request is wrong, and was not sent"),
    (ConfigurationError, "The settings cannot work"),
    (ServerError, "The API failed"),
    (APIError, "The API said no"),
    (ConnectError, "The API was not reached"),
    (ConnectionLostError, "The answer was lost"),
    (RequestTimeoutError, "Time ran out"),
    (ResponseDecodeError, "The answer is not what was asked for"),
    (ThredfiError, "The call failed"),
)
ADVICE: Final = {
    Remedy.CHECK_BASE_URL: "check the address (--base-url), where something else than the API may have answered",
    Remedy.RENEW_CREDENTIALS: (
        "check THREDFI_PARTNER_UUID and THREDFI_API_KEY, or THREDFI_TOKEN, and that they belong to this --environment"
    ),
    Remedy.CHECK_ACCESS: "check BUSINESS_ID: the partner of these credentials must own the business",
    Remedy.CHECK_IDS: "check both ids and the --environment",
    Remedy.FIX_INPUT: "fix what is named here, in the arguments or in the file of --body, and run the same again",
    Remedy.FIX_SETTINGS: "fix the setting that is named here; thredfi --help lists the variables",
    Remedy.CHECK_RECORD: "look at the record before anything else, with thredfi get",
    Remedy.CHECK_CERTIFICATE: (
        "check the address (--base-url); if the certificate there is your own network's, trust it with --ca-file"
    ),
    Remedy.CHECK_PROXY: "check the proxy (--proxy, or HTTPS_PROXY) and its credentials",
    Remedy.CHECK_NETWORK: "check the address (--base-url) and the network, then run the same again",
    Remedy.MAKE_A_CLIENT: "run the same again",
    Remedy.ALLOW_MORE_TIME: "run the same again, with a longer --timeout if need be",
    Remedy.RUN_AGAIN: "run the same again",
    Remedy.RUN_AGAIN_LATER: "run the same again later",
    Remedy.REPORT_BUG: "run the same again with --debug, and report what is named if it is not yours",
    Remedy.FREE_JOURNAL: "wait until the other run has ended, or name another --journal",
    Remedy.FIX_JOURNAL: "do what the message says about the journal, or name another --journal",
    Remedy.FIX_SOURCE: "name the file that the run began with: thredfi bulk resume RUN.db FILE",
    Remedy.CHECK_BROKER: "check the broker's address (--nats) and its credentials, then run the same again",
}
"""What to do next, for each remedy."""
_COMES_FIRST: Final = frozenset({Fault.SETTINGS, Fault.TOKEN})
"""Faults that any other command would meet, too."""
_SETTING: Final = re.compile(r"(?<![\w-])base_url\b")
_EFFECTS: Final = {
    Effect.NOT_APPLIED: "NOT_APPLIED, certainly nothing was changed by this call",
    Effect.UNKNOWN: "UNKNOWN, the customer may be archived or not",
    Effect.APPLIED: "APPLIED, the customer is archived",
}


@dataclass(frozen=True, kw_only=True)
class ErrorReport:
    """The description of a failure.

    Args:
        kind: The error's class name, for machines.
        sentence: What happened, in one sentence.
        exit_code: How the command ends.
        effect: What the call did; None where there was no such call, and more than one.
        is_of_write: Whether something could have been changed, so that people are told the effect.
        advice: What to do next.
        problems: What is wrong, one by one, if it is more than a sentence.
        notes: What else the client did about it.
        facts: Request id, idempotency key and the like; None is left out.
    """

    kind: str
    sentence: str
    exit_code: ExitCode
    effect: Effect | None
    is_of_write: bool = False
    advice: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "error": self.kind,
            "message": self.sentence,
            "effect": None if self.effect is None else self.effect.name,
            "exit_code": int(self.exit_code),
            "next": self.advice,
            "problems": list(self.problems),
            "notes": list(self.notes),
            **{name: value for name, value in self.facts.items() if value is not None},
        }

    def as_text(self) -> list[Text]:
        """Return it for people, line by line."""
        done = self.exit_code is ExitCode.DONE
        head = ("warning: ", "bold yellow") if done else ("error: ", "bold red")
        effect = _EFFECTS[self.effect] if self.is_of_write and self.effect is not None else None
        facts = {"effect": effect, "next": self.advice, **self.facts}
        return [
            Text.assemble(head, self.sentence),
            *(Text(f"  - {problem}") for problem in self.problems),
            *(Text(f"  ({note})") for note in self.notes),
            *(
                Text.assemble((f"{name.replace('_', ' ').capitalize()}: ", "bold"), str(value))
                for name, value in facts.items()
                if value is not None
            ),
        ]


class ReportedError(Exception):
    """An error that is already described.

    Args:
        failure: The description.

    Attributes:
        correct: Makes the command that was typed right, if that can be told; it becomes the advice.
    """

    def __init__(self, failure: ErrorReport) -> None:
        """Take the description."""
        super().__init__(failure.sentence)
        self.failure = failure
        self.correct: Callable[[Sequence[str]], str | None] | None = None


def error_report(error: ThredfiError, session: Session) -> ErrorReport:
    """Describe an error of the client.

    Args:
        error: The error.
        session: What the command was about.

    Returns:
        The description; it quotes nothing that the server or the caller wrote.
    """
    problems = error.problems if isinstance(error, InvalidRequestError) else ()
    happened = _first(_HAPPENED, error)
    facts: dict[str, Any] = {
        "request_id": error.request_id,
        "idempotency_key": error.idempotency_key,
        "attempts": error.attempts or None,
    }
    if isinstance(error, APIError):
        facts |= {"status": error.status, "retry_after": error.retry_after}
    return ErrorReport(
        kind=type(error).__name__,
        sentence=sentence(happened if problems else f"{happened}: {_summary(error)}"),
        exit_code=exit_code(error),
        effect=None if session.known.effect is None else error.effect,
        is_of_write=session.known.began and not isinstance(error, InvalidRequestError | ConfigurationError),
        advice=_advice(error, session),
        problems=problems,
        notes=tuple(getattr(error, "__notes__", ())),
        facts=facts,
    )


def in_options(text: str) -> str:
    """Return a message of the library with the command line's options in the place of the library's settings."""
    for remedy, advice in ADVICE.items():
        text = text.replace(remedy.value, advice)
    return _SETTING.sub("--base-url", text.replace(": check base_url", ""))


def corrected(error: ReportedError, session: Session, arguments: Sequence[str]) -> ErrorReport:
    """Return a description without an effect where there was more than one call by then, and with the right command."""
    failure = error.failure
    if error.correct is not None and (line := error.correct(arguments)) is not None:
        failure = replace(failure, advice=line)
    return replace(failure, effect=None) if session.known.effect is None else failure


def warning(happened: str) -> ErrorReport:
    """Return a warning, which changes nothing.

    Args:
        happened: What of, in a sentence that says what to do.
    """
    return ErrorReport(kind="Warning", sentence=sentence(happened), exit_code=ExitCode.DONE, effect=None)


def interruption(session: Session) -> ErrorReport:
    """Return what is known after Ctrl-C."""
    known = session.known
    return ErrorReport(
        kind="Interrupted",
        sentence=session.interrupted,
        exit_code=ExitCode.INTERRUPTED,
        effect=known.effect,
        is_of_write=known.began,
        advice=_look(known.effect, session, known.idempotency_key),
        facts={"idempotency_key": known.idempotency_key},
    )


def internal_error(happened: str, session: Session, *, kind: str, code: ExitCode, advice: str) -> ErrorReport:
    """Describe an error that is not the client's: a stdout that fails, a bug.

    Args:
        happened: What happened, in a sentence.
        session: What the command was about.
        kind: The name for machines.
        code: The exit code, unless it is unknown whether the customer is archived.
        advice: What to do next, after a look at the record if that may have changed.

    Returns:
        The description.
    """
    known = session.known
    return ErrorReport(
        kind=kind,
        sentence=happened,
        exit_code=ExitCode.UNKNOWN if known.effect is Effect.UNKNOWN else code,
        effect=known.effect,
        is_of_write=known.began,
        advice="; ".join(filter(None, (_look(known.effect, session, known.idempotency_key), advice))),
        facts={"idempotency_key": known.idempotency_key},
    )


def _advice(error: ThredfiError, session: Session) -> str:
    row = classify(error)
    look = _look(error.effect, session, error.idempotency_key)
    if look is not None and error.effect is Effect.UNKNOWN and row.fault in _COMES_FIRST:
        advice = f"{ADVICE[row.remedy]}; then {look}"
    else:
        advice = look or ADVICE[row.remedy]
    if isinstance(error, ConflictError) and session.look is not None:
        advice += f": {session.look}"
    if isinstance(error, InvalidRequestError) and any("is missing" in problem for problem in error.problems):
        advice += "; --allow-missing-fields leaves missing fields out of the body on purpose"
    if isinstance(error, APIError) and error.retry_after is not None and error.effect is Effect.NOT_APPLIED:
        advice += f", in {error.retry_after:g} s at the earliest"
    return advice


def _look(effect: Effect | None, session: Session, key: str | None) -> str | None:
    if effect is Effect.NOT_APPLIED or session.look is None:
        return None
    if effect is None:
        return f"see how far it came with: {session.look}"
    if effect is Effect.APPLIED:
        return f"see the record with: {session.look}"
    again = f"; if it is not archived, run the same again with --idempotency-key {key}" if key else ""
    return f"look with: {session.look}{again}"


def _summary(error: ThredfiError) -> str:
    # The request id has a line of its own.
    return in_options(str(error).removesuffix(f", request id {error.request_id}"))


def _first(table: Iterable[tuple[type[ThredfiError], str]], error: ThredfiError) -> str:
    return next(words for kind, words in table if isinstance(error, kind))
