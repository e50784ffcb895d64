"""The scenarios: a module each, with a function `measure` that takes the settings and returns a section.

To add one, add a module here and a line in `SCENARIOS`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from settings import Section, Settings

from scenarios import anatomy, bulk, calls, connections, imports, limits, waiting

Say = Callable[[str], None]

SCENARIOS: Final[Mapping[str, Callable[[Settings, Say], Section]]] = {
    "calls": calls.measure,
    "anatomy": anatomy.measure,
    "connections": connections.measure,
    "waiting": waiting.measure,
    "imports": imports.measure,
    "bulk": bulk.measure,
    "limits": limits.measure,
}
"""The scenarios by their names for `--scenarios`, in the order of the page."""
