"""The API's address, from options too, and the credentials, from the environment or a file, never argv."""

import enum
import io
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from thredfi_async import ConfigurationError, Environment, Hook, ThredfiClient, Timeouts
from thredfi_async.cli.formatting import command as command_line
from thredfi_async.cli.otel import otel_hooks

_TIMEOUTS: Final = frozenset(Timeouts.__annotations__)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class EnvironmentName(enum.StrEnum):
    """The named environments, as `--environment` takes them."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The options for reaching the API.

    Args:
        base_url: `--base-url`.
        environment: `--environment`.
        env_file: `--env-file`.
        timeout: `--timeout`, in seconds.
        otel: `--otel`.
        kept_timeouts: Timeouts by name that the run had before; `timeout` goes before them.
    """

    base_url: str | None = None
    environment: EnvironmentName | None = None
    env_file: Path | None = None
    timeout: float | None = None
    otel: bool = False
    kept_timeouts: Mapping[str, float | None] = field(default_factory=dict[str, float | None])

    @property
    def deadline(self) -> float | None:
        """Seconds that a call may take, if that was given, now or before."""
        return self.kept_timeouts.get("deadline") if self.timeout is None else self.timeout

    def as_facts(self) -> dict[str, str]:
        """Return for a journal how the API was reached; nothing of it is secret."""
        options = {"base_url": self.base_url, "environment": self.environment}
        facts = {f"option_{name}": "" if value is None else str(value) for name, value in options.items()}
        return {**facts, "option_env_file": "" if self.env_file is None else str(self.env_file.absolute())}

    def client(self, *hooks: Hook, **more: Any) -> ThredfiClient:  # noqa: ANN401 - as ThredfiClient
        """Make the client.

        Args:
            *hooks: Called with events.
            **more: Further settings of the client.

        Returns:
            The client.

        Raises:
            ConfigurationError: Settings are missing, or contradict each other.
        """
        if self.base_url is not None and self.environment is not None:
            raise ConfigurationError("give --base-url or --environment, not both")
        hooks = (*hooks, *otel_hooks(asked=self.otel))
        settings: dict[str, Any] = {"hooks": hooks, "base_url": self.base_url, **more}
        if self.environment is not None:
            settings["base_url"] = Environment[self.environment.name]
        bounds: dict[str, Any] = {name: value for name, value in self.kept_timeouts.items() if name in _TIMEOUTS}
        if self.timeout is not None:
            bounds["deadline"] = self.timeout
        if bounds:
            settings["timeouts"] = Timeouts(**bounds)
        if self.env_file is None:
            return ThredfiClient.from_env(**settings)
        variables = read_env_file(self.env_file)
        if not any(name.startswith("THREDFI_") for name in variables):
            raise ConfigurationError(f"{self.env_file} sets no variable whose name begins with THREDFI_")
        return ThredfiClient.from_env(variables, **settings)

    def repeated(self, *command: str) -> str:
        """Return another command that reaches the same API.

        Args:
            *command: Its name and arguments.

        Returns:
            The line to paste.
        """
        options = {"--base-url": self.base_url, "--environment": self.environment, "--env-file": self.env_file}
        given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
        return command_line(*command, *given)


def read_env_file(path: Path) -> Mapping[str, str]:
    """Read variables from a file of `NAME=VALUE` lines.

    A line is read as a shell reads it, with quotes, comments and a leading `export`; but nothing is expanded, and a
    value ends with its line.

    Args:
        path: The file.

    Returns:
        The variables.

    Raises:
        ConfigurationError: The file cannot be read, or a line is no assignment; it names the line, not what it says.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot read {path}: it is not UTF-8 text") from None
    variables: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            variables.update(_assignment(line))
        except ValueError as problem:
            msg = f"{path}, line {number}: {problem}; write NAME=VALUE, with quotes around a value that has spaces"
            raise ConfigurationError(msg) from None
    return variables


def _assignment(line: str) -> dict[str, str]:
    # shlex's own comments would end a word too: a#b is one word, in a shell and in an API key.
    source = io.StringIO(line)
    words = shlex.shlex(source, posix=True)
    words.whitespace_split, words.commenters = True, ""
    if not line.strip() or line.lstrip().startswith("#"):
        return {}
    word = _next_word(words)
    if word == "export":
        word = _next_word(words)
    name, equals, value = (word or "").partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise ValueError("this is no assignment")
    rest = source.read().strip()
    if rest and not rest.startswith("#"):
        raise ValueError("something follows the value")
    return {name: value}


def _next_word(words: shlex.shlex) -> str | None:
    try:
        return words.get_token()
    except ValueError:
        raise ValueError("a quote is not closed") from None
