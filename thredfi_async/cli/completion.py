"""`completion`: a script for a shell, and what such a script asks."""

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.session import Session

# Not typed as exported, though typer's docs show no other way to get a script without installing it.
_typer: Any = import_module("typer.completion")
_PROGRAM: Final = "thredfi"
VARIABLE: Final = "_THREDFI_COMPLETE"
"""Set by a script that asks what may come next."""


@dataclass(frozen=True)
class Complete:
    """The job of `thredfi completion`.

    Args:
        shell: `bash`, `zsh` or `fish`.
    """

    shell: str

    def __call__(self, session: Session) -> int:
        """Write the script."""
        script = _typer.get_completion_script(prog_name=_PROGRAM, complete_var=VARIABLE, shell=self.shell)
        session.out.write(f"{script}\n")
        return ExitCode.DONE


def prepare() -> None:
    """Let typer answer a script, if one asks."""
    if VARIABLE in os.environ:
        _typer.completion_init()
