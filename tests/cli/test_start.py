"""The start of the command, while its modules are loaded."""

import sys
from types import ModuleType

import pytest

import thredfi_async_cli


class Interrupting(ModuleType):
    """A module whose loading Ctrl-C cuts off."""

    def __getattr__(self, name: str) -> object:
        """Be interrupted."""
        raise KeyboardInterrupt


def test_ctrl_c_while_it_is_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C before anything runs is no stack trace."""
    monkeypatch.setitem(sys.modules, "thredfi_async.cli", Interrupting("thredfi_async.cli"))
    assert thredfi_async_cli.main() == 130
    assert capsys.readouterr() == ("", "")


def test_it_runs_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise it is the command."""
    monkeypatch.setattr(sys, "argv", ["thredfi", "--version"])
    assert thredfi_async_cli.main() == 0
    assert capsys.readouterr().out.startswith("thredfi-async ")
