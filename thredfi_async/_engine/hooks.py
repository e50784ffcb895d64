"""Tells hooks what happens. Whatever a hook raises or offers, it changes no call's result."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import attrs

from thredfi_async._checks.headers import LONGEST, NO_HEADERS, headers_problems, plain
from thredfi_async.events import AttemptStarted, CallContext, CallObserver, CallStarted, Hook

T = TypeVar("T")
R = TypeVar("R")

_LOG: Final = logging.getLogger("thredfi_async")

_MOST_NAMES: Final = 64
_good_names: Final[set[str]] = set()
"""Names of headers that hooks have offered and that were found good."""

Follow = Callable[[CallStarted], CallObserver | CallContext | None]


class Following:
    """Who follows one call.

    Args:
        receivers: Receive its events.

    Attributes:
        observers: Those of them that are told of its attempts.
        headers: What each of its requests carries.
    """

    __slots__ = ("_closing", "headers", "observers", "receivers")

    def __init__(self, receivers: Sequence[Hook | CallObserver]) -> None:
        self.receivers = receivers
        self.observers: Sequence[CallObserver] = ()
        self.headers: Mapping[str, str] = NO_HEADERS
        self._closing: Sequence[tuple[Hook, Callable[[], None]]] = ()

    def follow(self, hook: Hook, on_call: Follow, started: CallStarted) -> None:
        """Tell a hook of the call's start, and take what it follows the call with."""
        try:
            found = on_call(started)
        except Exception as error:  # noqa: BLE001 - as in `told`
            _has_failed(hook, error)
            found = None
        if isinstance(found, CallContext):
            headers = checked(hook, found.headers)
            self.headers = {**self.headers, **headers} if self.headers else headers
            self._closing = (*self._closing, (hook, found.close))
            if found.is_silent:
                return
            found = None
        elif found is not None:
            self.observers = (*self.observers, found)
        self.receivers = (*self.receivers, hook if found is None else found)

    def close(self) -> None:
        """Tell of the call's end."""
        for hook, close in self._closing:
            try:
                close()
            except Exception as error:  # noqa: BLE001 - as in `told`
                _has_failed(hook, error)


@attrs.frozen(eq=False)
class Followers:
    """The hooks that follow each call, and those that only receive events; the methods are looked up once.

    Args:
        plain: Hooks without `on_call`.
        following: Hooks with their `on_call`.
        of_all: Who follows every call, if no hook has one.
    """

    plain: tuple[Hook, ...]
    following: tuple[tuple[Hook, Follow], ...]
    of_all: Following | None

    @classmethod
    def of(cls, hooks: Sequence[Hook]) -> "Followers | None":
        """Return them; None if there are no hooks."""
        if not hooks:
            return None
        methods = optional_methods(hooks, "on_call")
        following = {id(hook) for hook, _ in methods}
        plain = tuple(hook for hook in hooks if id(hook) not in following)
        return cls(plain, methods, None if methods else Following(plain))

    def follow(self, operation: str, queued: float) -> Following:
        """Tell of a call's start; return who follows the call, and how."""
        if self.of_all is not None:
            return self.of_all
        following, started = Following(self.plain), CallStarted(operation=operation, queued=queued)
        for hook, on_call in self.following:
            following.follow(hook, on_call, started)
        return following


def optional_methods(hooks: Sequence[object], name: str) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
    """Return the hooks that have this method, each with it."""
    methods = ((hook, getattr(hook, name, None)) for hook in hooks)
    return tuple((hook, method) for hook, method in methods if callable(method))


def told(hook: object, method: Callable[[T], R], what: T) -> R | None:
    """Call a method of a hook; return what it returns, or None if it raised."""
    try:
        return method(what)
    except Exception as error:  # noqa: BLE001 - a failing hook must not change the call's result
        _has_failed(hook, error)
        return None


def _has_failed(hook: object, error: Exception) -> None:
    # Without its traceback, which would show the hook's variables.
    _LOG.warning("the hook %s raised %s", type(hook).__name__, type(error).__name__)


def tell_of_client(hooks: Sequence[Hook], client: object) -> None:
    """Tell those hooks of a client that want to know it."""
    for hook, on_client in optional_methods(hooks, "on_client"):
        told(hook, on_client, client)


def offered_headers(observers: Sequence[CallObserver], started: AttemptStarted) -> Mapping[str, str]:
    """Tell observers of an attempt; return the headers that they offer for it."""
    offered: dict[str, str] = {}
    for observer in observers:
        offered |= checked(observer, told(observer, observer.on_attempt, started))
    return offered


def checked(hook: object, headers: object) -> Mapping[str, str]:
    """Return the headers that a hook offers if they can be sent; otherwise the log says why not, and there are none."""
    if not headers:
        return NO_HEADERS
    given: object = headers
    if type(headers) is dict:
        pairs = cast("dict[str, str]", headers)
        # A tracer offers the same names for every attempt, with values of visible ASCII.
        for name, value in pairs.items():
            is_visible = type(value) is str and value.isascii() and value.isprintable() and " " not in value
            if name not in _good_names or not is_visible or not 0 < len(value) <= LONGEST:
                break
        else:
            return pairs
    if problems := headers_problems(given):
        _LOG.warning("headers of the hook %s are left out: %s", type(hook).__name__, "; ".join(problems))
        return NO_HEADERS
    good = {plain(name): plain(value) for name, value in cast("Mapping[str, str]", given).items()}
    if len(_good_names) < _MOST_NAMES:
        _good_names.update(good)
    return good
