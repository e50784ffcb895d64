"""What is measured: a module each, with a function `measure` that takes the settings and returns a section.

A new one is a module in here and a line in `SCENARIOS`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from settings import Section, Settings

from scenarios import anatomy, bulk, calls, connections, imports, waiting

Say = Callable[[str], None]

SCENARIOS: Final[Mapping[str, Callable[[Settings, Say], Section]]] = {
    "calls": calls.measure,
    "anatomy": anatomy.measure,
    "connections": connections.measure,
    "waiting": waiting.measure,
    "imports": imports.measure,
    "bulk": bulk.measure,
}
"""By the names that `--scenarios` takes, in the order of the page."""
