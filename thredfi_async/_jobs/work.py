"""Work that a client's hooks follow: a bulk run, or a message."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, cast

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._engine.hooks import checked, optional_methods, told
from thredfi_async.events import WorkEnded, WorkObserver, WorkStarted

Followers = Sequence[tuple[Any, Callable[[Any], Any]]]

NO_FOLLOWERS: Final[Followers] = ()


def followers_of(client: object) -> Followers:
    """Return the hooks of a client that follow work; a stand-in for a client has none."""
    hooks: object = getattr(client, "hooks", ())
    return optional_methods(cast("tuple[object, ...]", hooks), "on_work") if isinstance(hooks, tuple) else NO_FOLLOWERS


class FollowedWork:
    """One piece of work, from its start to its end, both in one task.

    Args:
        observers: Who follows it.
    """

    def __init__(self, observers: Sequence[WorkObserver]) -> None:
        self._observers = observers

    @classmethod
    def begin(cls, followers: Followers, started: WorkStarted) -> Self:
        """Tell hooks of the start of work."""
        observers = (cast("WorkObserver | None", told(hook, on_work, started)) for hook, on_work in followers)
        return cls([each for each in observers if each is not None])

    def headers(self) -> Mapping[str, str]:
        """Return the headers for messages that tell of the work."""
        found: dict[str, str] = {}
        for each in self._observers:
            found |= checked(each, told(each, _headers_of, each))
        return found or NO_HEADERS

    def end(self, ended: WorkEnded) -> None:
        """Tell of its end; in the opposite order, since each may have entered a context."""
        for each in reversed(self._observers):
            told(each, each.on_end, ended)


def _headers_of(observer: WorkObserver) -> Mapping[str, str]:
    return observer.headers()
