"""The API's address, from options too, and the credentials, from the environment or a file, never argv."""

__lazy_modules__: list[str] = ["ssl", "thredfi_async"]
import enum
import io
import os
import re
import shlex
import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from thredfi_async import ConfigurationError, Environment, Hook, ThredfiClient
from thredfi_async._checks.urls import checked_proxy, environment_proxy
from thredfi_async.cli.formatting import command as command_line
from thredfi_async.cli.formatting import quoted
from thredfi_async.cli.otel import otel_hooks
from thredfi_async.settings import Timeouts

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
        proxy: `--proxy`; what HTTPS_PROXY and NO_PROXY say by default.
        ca_file: `--ca-file`.
        timeout: `--timeout`, in seconds.
        otel: `--otel`.
        kept_timeouts: Timeouts by name that the run had before; `timeout` goes before them.
    """

    base_url: str | None = None
    environment: EnvironmentName | None = None
    env_file: Path | None = None
    proxy: str | None = None
    ca_file: Path | None = None
    timeout: float | None = None
    otel: bool = False
    kept_timeouts: Mapping[str, float | None] = field(default_factory=dict[str, float | None])

    @property
    def deadline(self) -> float | None:
        """Seconds that a call may take, if that was given, now or before."""
        return self.kept_timeouts.get("deadline") if self.timeout is None else self.timeout

    @property
    def warnings(self) -> Sequence[str]:
        """What is better not done: credentials in a file that others on this machine can read."""
        if self.env_file is None or os.name == "nt":
            return ()
        try:
            mode = self.env_file.stat().st_mode
        except OSError:
            return ()  # who reads it says so
        if not stat.S_ISREG(mode) or not mode & (stat.S_IRGRP | stat.S_IROTH):
            return ()
        fix = f"chmod 600 {quoted(self.env_file)}"
        return (f"others on this machine can read the credentials in {self.env_file}: type {fix}",)

    def as_facts(self) -> dict[str, str]:
        """Return for a journal how the API was reached; nothing of it is secret."""
        options = {"base_url": self.base_url, "environment": self.environment, "proxy": self.proxy}
        facts = {f"option_{name}": "" if value is None else str(value) for name, value in options.items()}
        files = {"env_file": self.env_file, "ca_file": self.ca_file}
        paths = {f"option_{name}": "" if path is None else str(path.absolute()) for name, path in files.items()}
        return {**facts, **paths}

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
        if self.ca_file is not None:
            settings["ssl"] = _trusting(self.ca_file)
        variables = None if self.env_file is None else self._variables(self.env_file)
        # Another client, which connects to nothing and is followed by no hook, knows where the API is.
        unhooked: dict[str, Any] = {**settings, "hooks": ()}
        proxy = self._proxy(ThredfiClient.from_env(variables, **unhooked).base_url)
        return ThredfiClient.from_env(variables, **settings, proxy=proxy)

    def _variables(self, env_file: Path) -> Mapping[str, str]:
        variables = read_env_file(env_file)
        if not any(name.startswith("THREDFI_") for name in variables):
            raise ConfigurationError(f"{env_file} sets no variable whose name begins with THREDFI_")
        return variables

    def _proxy(self, base_url: str) -> str | None:
        """Return the proxy to use; netrc is never read, which aiohttp's own way would do."""
        if self.proxy is None:
            try:
                return checked_proxy(environment_proxy(base_url))
            except ConfigurationError:
                raise ConfigurationError(
                    "HTTPS_PROXY, or ALL_PROXY, must be an http or https URL such as http://proxy.example:3128; or let "
                    "NO_PROXY name the API's host"
                ) from None
        if "@" in self.proxy:
            raise ConfigurationError(
                "--proxy must not hold a password, which others on this machine could read: set HTTPS_PROXY instead"
            )
        return self.proxy

    def repeated(self, *command: str) -> str:
        """Return another command that reaches the same API.

        Args:
            *command: Its name and arguments.

        Returns:
            The line to paste.
        """
        options = {
            "--base-url": self.base_url,
            "--environment": self.environment,
            "--env-file": self.env_file,
            "--proxy": self.proxy,
            "--ca-file": self.ca_file,
        }
        given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
        return command_line(*command, *given)


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Return a context that trusts the certificates of a file, beside those that this machine trusts."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise ConfigurationError(f"--ca-file {ca_file} has no certificate in PEM form") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read --ca-file {ca_file}: {error.strerror}") from None
    return context


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
        raise ConfigurationError(f"cannot read {path}: {error.strerror or 'the system gives no reason'}") from None
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
