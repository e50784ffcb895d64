"""The cost of importing the package, for a program that already has its dependencies."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rounds import Ratio, in_rounds
from settings import Section, Settings, Table, Target

_STATEMENTS: Final = {
    "thredfi_async": "import thredfi_async",
    "its dependencies": "import aiohttp, attrs, cattrs, msgspec, tenacity",
    "Python alone": "pass",
}
_PAIRS: Final = 3
"""Processes of each per round."""


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Import in new processes, alternately."""
    for statement in _STATEMENTS.values():
        _cpu(statement)  # compiles missing bytecode
    tasks = {name: partial(_measured, statement) for name, statement in _STATEMENTS.items()}
    samples = in_rounds(tasks, settings.rounds * _PAIRS, lambda text: say(f"imports, {text}"))
    costs = {name: [_first(each) for each in rounds] for name, rounds in samples.items()}
    ratios = {name: Ratio.of(cost, costs["its dependencies"]) for name, cost in costs.items()}
    return Section(
        title="Importing",
        text=(
            (
                "CPU of a whole process that does nothing but import, to that of one that imports aiohttp, attrs, "
                "cattrs, msgspec and tenacity alone."
            ),
        ),
        tables=[
            Table("CPU of the process, as ratios", ["imported", "ratio"], [[k, str(v)] for k, v in ratios.items()])
        ],
        targets=[Target("importing thredfi_async, to importing its dependencies", ratios["thredfi_async"], 1.15)],
        data=dict(ratios),
    )


def _measured(statement: str) -> list[dict[str, Any]]:
    return [{"cpu": _cpu(statement)}]


def _first(lines: list[dict[str, Any]]) -> float:
    return float(lines[0]["cpu"])


def _cpu(statement: str) -> float:
    process = subprocess.Popen([sys.executable, "-c", statement])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, statement)
    return usage.ru_utime + usage.ru_stime
