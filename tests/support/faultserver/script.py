"""Scripts: the order of steps."""

from collections.abc import Callable, Iterable, Mapping

from .answer import Answer
from .steps import Step
from .wire import Request

StepLike = Step | Callable[[Request], bytes]
Routes = Mapping[tuple[str, str], Iterable[StepLike]]


class Script:
    """Steps taken one by one; the last one for ever, if requested."""

    def __init__(self, steps: Iterable[StepLike], *, repeat_last: bool) -> None:
        # A bare function takes the request and returns the bytes of an answer.
        self._steps: list[Step] = [Answer.raw(step) if callable(step) else step for step in steps]
        self._repeat_last = repeat_last
        self._position = 0

    @property
    def remaining(self) -> int:
        """Return how many steps have not been taken yet."""
        return len(self._steps) - self._position

    @property
    def has_early(self) -> bool:
        """Return whether a step is played before there is a request."""
        return any(is_early(step) for step in self._steps)

    def peek(self) -> Step | None:
        """Return the step that `take` would return."""
        if self.remaining:
            return self._steps[self._position]
        return self._steps[-1] if self._steps and self._repeat_last else None

    def take(self) -> Step | None:
        """Return the next step, or None if the script has ended."""
        step = self.peek()
        self._position = min(self._position + 1, len(self._steps))
        return step


def is_early(step: Step) -> bool:
    """Return whether the step is played before there is a request."""
    return step.at in {"accept", "bytes"}
