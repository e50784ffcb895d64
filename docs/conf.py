"""How Sphinx builds these pages; `nox -s docs` runs it with every warning an error."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from sphinx.util import logging

import thredfi_async
from thredfi_async import bulk, mock_server, worker

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)
PUBLIC = {*thredfi_async.__all__, *mock_server.__all__, *bulk.__all__, *worker.__all__} - {"__version__"}

project = "thredfi-async"
author = "thredfi-async contributors"
project_copyright = author
release = version = metadata.version(project)

default_role = "code"  # so that `name` in a docstring means what it means in Markdown
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "benchmarks/*"]  # the latter are included by the page of that name
html_theme = "furo"
html_title = f"{project} {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "show-inheritance": True,
}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

nitpicky = True
# No inventory of another project is fetched, so that the build needs no network: what belongs to others is
# named here, and everything else must resolve.
nitpick_ignore_regex = [
    ("py:.*", r"(asyncio|collections|contextlib|datetime|enum|logging|os|pathlib|ssl|types|uuid)\..*"),
    ("py:.*", r"(aiohttp|multidict|opentelemetry|prometheus_client|tenacity|yarl)\..*"),
    ("py:.*", r"thredfi_async\.worker\.broker\.Broker"),  # as the next
    ("py:class", r"CollectorRegistry|Metric|MeterProvider|TextMapPropagator|TracerProvider"),  # of extras
    ("py:.*", r"thredfi_async\._.*"),  # what parts hand each other is no part of the reference
    ("py:.*", r"thredfi_async\.\w+\.[A-Z]"),  # type variables
]


def docstring(_app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Rewrite a docstring, in place, where Markdown or napoleon would be misread."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment, else napoleon takes what stands before a colon for a type
    inside = False
    for index, line in enumerate(lines):
        if line.strip().startswith("```"):
            inside = not inside
            lines[index : index + 1] = ["::", ""] if inside else [""]
        elif inside:
            lines[index] = f"    {line}"


def complete(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that no page of the reference has."""
    documented = {name.rpartition(".")[2] for name in env.domains.python_domain.objects}
    for name in sorted(PUBLIC - documented):
        logger.warning("no page of the reference has the public name %s", name)


def setup(app: Sphinx) -> None:
    """Let autodoc read docstrings as they are written here, and hold the reference to the public names."""
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    app.connect("env-check-consistency", complete)
