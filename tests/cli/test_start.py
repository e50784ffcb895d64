"""The start of the command, while its modules are loaded."""

import signal
import subprocess
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


STUB = """
import os, signal, sys, types

class Loading(types.ModuleType):
    def __getattr__(self, name):
        os.kill(os.getpid(), signal.SIGTERM)

sys.modules["thredfi_async.cli"] = Loading("thredfi_async.cli")
sys.argv = ["thredfi", {command!r}]
import thredfi_async_cli
thredfi_async_cli.main()
"""


@pytest.mark.parametrize(("command", "code"), [("worker", 0), ("bulk", -signal.SIGTERM)])
def test_sigterm_while_it_is_loaded(command: str, code: int) -> None:
    """SIGTERM before anything runs is a worker's regular end, and of no other command."""
    done = subprocess.run(
        [sys.executable, "-c", STUB.format(command=command)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
