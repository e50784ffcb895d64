"""Tells hooks what happens. Whatever a hook raises or offers, it changes no call's result."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import attrs

from thredfi_async._checks.headers import headers_problems, plain
from thredfi_async._interfaces import Request
from thredfi_async.events import AttemptStarted, CallObserver, CallStarted, Hook

T = TypeVar("T")
R = TypeVar("R")

_LOG: Final = logging.getLogger("thredfi_async")

Follow = Callable[[CallStarted], CallObserver | None]


@attrs.frozen(eq=False)
class Followers:
    """The hooks that follow each call, and those that only receive events; the methods are looked up once.

    Args:
        plain: Hooks without `on_call`.
        following: Hooks with their `on_call`.
    """

    plain: tuple[Hook, ...]
    following: tuple[tuple[Hook, Follow], ...]

    @classmethod
    def of(cls, hooks: Sequence[Hook]) -> "Followers | None":
        """Return them; None if no hook follows calls."""
        methods = optional_methods(hooks, "on_call")
        if not methods:
            return None
        following = {id(hook) for hook, _ in methods}
        return cls(tuple(hook for hook in hooks if id(hook) not in following), methods)

    def follow(self, started: CallStarted) -> tuple[tuple[Hook | CallObserver, ...], tuple[CallObserver, ...]]:
        """Tell of a call's start; return who receives its events, and who of these is told of its attempts."""
        receivers: list[Hook | CallObserver] = [*self.plain]
        observers: list[CallObserver] = []
        for hook, on_call in self.following:
            observer = told(hook, on_call, started)
            if observer is None:
                receivers.append(hook)
            else:
                receivers.append(observer)
                observers.append(observer)
        return tuple(receivers), tuple(observers)


def optional_methods(hooks: Sequence[object], name: str) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
    """Return the hooks that have this method, each with it."""
    methods = ((hook, getattr(hook, name, None)) for hook in hooks)
    return tuple((hook, method) for hook, method in methods if callable(method))


def told(hook: object, method: Callable[[T], R], what: T) -> R | None:
    """Call a method of a hook; return what it returns, or None if it raised."""
    try:
        return method(what)
    except Exception as error:  # noqa: BLE001 - a failing hook must not change the call's result
        # Without its traceback, which would show the hook's variables.
        _LOG.warning("the hook %s raised %s", type(hook).__name__, type(error).__name__)
        return None


def tell_of_client(hooks: Sequence[Hook], client: object) -> None:
    """Tell those hooks of a client that want to know it."""
    for hook, on_client in optional_methods(hooks, "on_client"):
        told(hook, on_client, client)


def with_offered_headers(request: Request[T], observers: Sequence[CallObserver], started: AttemptStarted) -> Request[T]:
    """Tell observers of an attempt; return the request with the headers that they offer."""
    offered: dict[str, str] = {}
    for observer in observers:
        offered |= checked(observer, told(observer, observer.on_attempt, started))
    if not offered:
        return request
    own = {name.lower() for name in request.headers}
    added = {name: value for name, value in offered.items() if name.lower() not in own}
    return attrs.evolve(request, headers={**added, **request.headers})


def checked(hook: object, headers: object) -> Mapping[str, str]:
    """Return the headers that a hook offers if they can be sent; otherwise the log says why not, and there are none."""
    if not headers:
        return {}
    if problems := headers_problems(headers):
        _LOG.warning("headers of the hook %s are left out: %s", type(hook).__name__, "; ".join(problems))
        return {}
    return {plain(name): plain(value) for name, value in cast("Mapping[str, str]", headers).items()}
