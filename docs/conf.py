"""How Sphinx builds these pages; `nox -s docs` runs it with every warning an error."""

from __future__ import annotations

import os
import re
from html import escape
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from sphinx.util import logging

import thredfi_async
from thredfi_async import bulk, mock_server, worker

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)
# Not `_interfaces.Clock`: the path of a type is not shown, and leads to the page of its public name.
PRIVATE = re.compile(r"(?<![\w.])_[A-Za-z]\w*(?![\w.])|<[^>]*>")
BUILT_IN = re.compile(r"<built-in (?:function|method) (\w+)[^>]*>")
PUBLIC = {*thredfi_async.__all__, *mock_server.__all__, *bulk.__all__, *worker.__all__} - {"__version__"}

project = "thredfi-async"
author = "thredfi-async contributors"
project_copyright = author
release = version = metadata.version(project)

default_role = "code"  # so that `name` in a docstring means what it means in Markdown
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "benchmarks/*"]  # the latter are included by the page of that name
html_theme = "furo"
html_title = f"{project} {release}"
# The pages link to their sources only where the address of the repository is given: no file of it knows that.
html_theme_options = {
    "source_repository": os.environ.get("DOCS_REPOSITORY", ""),
    "source_branch": os.environ.get("DOCS_BRANCH", "main"),
    "source_directory": "docs/",
}
html_static_path = ["_static"]
html_css_files = ["width.css"]
copybutton_prompt_text = "$ "  # of a block with prompts, only the commands are copied

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
}
autodoc_typehints = "signature"
autodoc_preserve_defaults = False  # else a signature shows the names of private constants
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False

INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "aiohttp": "https://docs.aiohttp.org/en/stable/",
    "attrs": "https://www.attrs.org/en/stable/",
}


def is_reachable(url: str) -> bool:
    """Return whether a project's inventory can be fetched; without a network, names of others are no links."""
    try:
        with urlopen(Request(f"{url}objects.inv", method="HEAD"), timeout=5):  # noqa: S310 - https, as above
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False


intersphinx_mapping = {name: (url, None) for name, url in INVENTORIES.items() if is_reachable(url)}

nitpicky = True
# What belongs to others is named here, so that the build needs no network; everything else must resolve.
nitpick_ignore_regex = [
    ("py:.*", r"(asyncio|collections|contextlib|datetime|enum|logging|os|pathlib|ssl|types|uuid)\..*"),
    ("py:.*", r"(_pytest|aiohttp|multidict|opentelemetry|prometheus_client|sqlite3|tenacity|typing|yarl)\..*"),
    ("py:class", r"CollectorRegistry|HasLimits|Metric|MeterProvider|TextMapPropagator|TracerProvider"),  # loaded late
    ("py:.*", r"thredfi_async\.worker\.broker\.Broker"),  # as the next
    ("py:.*", r"thredfi_async\.(\w+\.)?_.*"),  # what parts hand each other is no part of the reference
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


def signature(
    _app: Sphinx, _what: str, name: str, _object: object, _options: object, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Name the function that is a default, and warn of a signature that shows what is private."""
    arguments = None if arguments is None else BUILT_IN.sub(r"\1", arguments)
    if arguments is not None and (found := PRIVATE.search(arguments)) is not None:
        logger.warning("the signature of %s shows %s", name, found[0])
    return arguments, returns


def is_paragraph(node: Any) -> bool:  # noqa: ANN401 - docutils has no types
    """Return whether a part of a page is a paragraph."""
    return bool(node.tagname == "paragraph")


def description(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], doctree: Any) -> None:  # noqa: ANN401 - docutils has no types
    """Describe a page to search engines and previews by its first paragraph."""
    paragraphs = () if doctree is None else doctree.findall(is_paragraph)
    first = next(iter(paragraphs), None)
    if first is not None:
        text = escape(" ".join(first.astext().split()))
        context["metatags"] += f'\n<meta name="description" content="{text}" />'


def complete(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that no page of the reference has."""
    documented = {name.rpartition(".")[2] for name in env.domains.python_domain.objects}
    for name in sorted(PUBLIC - documented):
        logger.warning("no page of the reference has the public name %s", name)


def setup(app: Sphinx) -> None:
    """Let autodoc read docstrings as they are written here, and hold the reference to the public names."""
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", signature)
    app.connect("html-page-context", description)
    app.connect("env-check-consistency", complete)
