"""The names of a queue's streams and subjects on the broker."""

import re
from typing import Final

import attrs

from thredfi_async import ConfigurationError
from thredfi_async._checks.numbers import must_be, seconds_between

_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
_SUBJECT: Final = re.compile(r"[!#-)+-=?-~]{1,512}", re.ASCII)  # visible, without the wildcards and quotes

_SHORTEST: Final = 0.1  # the broker's own minimum
_LONGEST: Final = 86_400.0 * 365


def _check_name(instance: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not _STREAM.fullmatch(value):
        setting = f"{type(instance).__name__}.{attribute.name}"
        raise ConfigurationError(f"{setting} must be letters, digits, - and _, such as {attribute.default}")


def _check_subject(instance: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not _SUBJECT.fullmatch(value) or not all(value.split(".")):
        setting = f"{type(instance).__name__}.{attribute.name}"
        what = "words joined by dots, without * and >, at most 512 characters, such as thredfi.archive"
        raise ConfigurationError(f"{setting} must be {what}")


@attrs.frozen(kw_only=True)
class StreamConfig:
    """The streams and subjects of commands, outcomes and dead letters, all derived from two names.

    - Commands, kept until they are done: stream `THREDFI`, subject `thredfi.archive`.
    - Outcomes, kept for a week: stream `THREDFI_OUTCOMES`, subjects `thredfi.archive.outcomes.<state>`.
    - Dead letters, kept until they are deleted or `dead_letters_max_age` is over: stream `THREDFI_DEAD`, subject
      `thredfi.archive.dead`.

    Two queues on one broker share nothing as long as both names differ.

    Args:
        stream: The work queue's stream; the other two add `_OUTCOMES` and `_DEAD`.
        subject: The subject of commands; the other subjects begin with it.
        consumer: The durable consumer that all workers of this queue share.
        dedup_window: Seconds in which the broker accepts a message id once; one hour by default.
        dead_letters_max_age: Seconds after which the broker deletes a dead letter, and with it the personal data in the
            original message; None, the default, for no limit. A stream that exists with another limit is refused.

    Raises:
        ConfigurationError: A name is not valid at a broker, or the window is out of range.
    """

    stream: str = attrs.field(default="THREDFI", validator=_check_name)
    subject: str = attrs.field(default="thredfi.archive", validator=_check_subject)
    consumer: str = attrs.field(default="thredfi-worker", validator=_check_name)
    dedup_window: float = attrs.field(
        default=3600.0, validator=must_be(seconds_between(_SHORTEST, _LONGEST, "from 0.1 to a year"))
    )

    dead_letters_max_age: float | None = attrs.field(
        default=None,
        validator=must_be(seconds_between(_SHORTEST, _LONGEST, "from 0.1 to a year"), optional=True),
    )

    @property
    def outcomes_stream(self) -> str:
        """The stream of outcome events."""
        return f"{self.stream}_OUTCOMES"

    @property
    def outcomes_subjects(self) -> str:
        """All subjects of outcome events, to subscribe to."""
        return f"{self.subject}.outcomes.*"

    def outcomes_subject(self, state: str) -> str:
        """Return the subject of events about this state."""
        return f"{self.subject}.outcomes.{state}"

    @property
    def dead_stream(self) -> str:
        """The stream of dead letters."""
        return f"{self.stream}_DEAD"

    @property
    def dead_subject(self) -> str:
        """The subject of dead letters."""
        return f"{self.subject}.dead"
