"""The code in README.md and docs/ runs, each block on its own, against a mock server."""

from __future__ import annotations

import ast
import asyncio
import builtins
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from inspect import CO_COROUTINE
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

import pytest
from collector import Collector, collecting

from thredfi_async.mock_server import MockServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?"
    r"^(?P<indent> *)(?P<ticks>`{3,})(?:python|\{code-block\} python)[ ]*\n"
    r"(?P<source>.*?)"
    r"^(?P=indent)(?P=ticks)[ ]*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of Python code in a page."""

    page: str
    line: int
    source: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    async def run(self, namespace: dict[str, object]) -> None:
        """Run the block in the running loop if it awaits something, and in a thread of its own if not.

        A block that awaits nothing may be a whole script, which calls `asyncio.run` itself.
        """
        source = "\n" * (self.line - 1) + self.source  # so that a traceback points into the page
        code = compile(source, self.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        # Without it, modules that a block imports, such as pickle, run without builtins.
        namespace["__builtins__"] = builtins
        block = FunctionType(code, namespace)
        if code.co_flags & CO_COROUTINE:
            await block()
        else:
            await asyncio.to_thread(block)


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The blocks of Python code in the text of a page."""
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        source = "".join(line[indent:] or "\n" for line in match["source"].splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, match.start("source")) + 1, source, match["reason"])


PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]
BLOCKS = [
    block
    for path in PAGES
    for block in blocks_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    if block.reason is None
]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Run a collector for OpenTelemetry."""
    with collecting() as running:
        yield running


@pytest.mark.parametrize("block", BLOCKS, ids=str)
async def test_block_runs(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, collector: Collector) -> None:
    """Every block of Python code runs unchanged, with `server` and a customer's two ids defined."""
    monkeypatch.chdir(tmp_path)
    for name in ("THREDFI_TOKEN", "THREDFI_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    async with MockServer(customers=1000, businesses=1, seed=1) as server:
        monkeypatch.setenv("THREDFI_BASE_URL", str(server.url))
        monkeypatch.setenv("THREDFI_PARTNER_UUID", str(server.partner_uuid))
        monkeypatch.setenv("THREDFI_API_KEY", server.api_key)
        # Where the code sends traces and metrics.
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        customer = server.customers[0]
        await block.run(
            {
                "__name__": "__main__",
                "server": server,
                "business_id": customer.business_id,
                "customer_id": customer.customer_id,
            },
        )


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.page == "README.md"], ids=str)
def test_readme_block_runs_as_pasted(block: Block, tmp_path: Path) -> None:
    """Each is a script: in a new process, with nothing defined and an empty environment, it prints something."""
    script = tmp_path / "pasted.py"
    script.write_text(block.source, "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THREDFI_")}
    run = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


def test_readme_has_code() -> None:
    """The README shows code, and all of it runs."""
    found = list(blocks_of("README.md", (ROOT / "README.md").read_text("utf-8")))
    assert found
    assert [block.reason for block in found] == [None] * len(found)


def test_only_a_marked_block_is_left_out() -> None:
    """Only a marker with a reason directly before a block skips it."""
    fence = "```python\npass\n```\n"
    markers = (
        "<!-- not run: it never ends -->\n",
        "<!-- not run:  -->\n",
        "<!-- not run: too far off -->\n\n",
    )
    text = "".join(marker + fence for marker in markers)
    assert [block.reason for block in blocks_of("page", text)] == ["it never ends", None, None]


def test_block_in_a_list_is_found() -> None:
    """A block that is indented under a list is dedented and keeps its line number."""
    (block,) = blocks_of("page", "- so:\n  ```python\n  if True:\n      pass\n\n  ```\n")
    assert (block.line, block.source) == (3, "if True:\n    pass\n\n")


async def test_block_that_fails_fails() -> None:
    """An error in a block is raised, awaited or not, and points at the block's line in the page."""
    for source in ("await missing()\n", "missing()\n"):
        with pytest.raises(NameError) as caught:
            await Block("page", 7, source, None).run({})
        assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == ("page", 6)


async def test_block_may_be_a_whole_script() -> None:
    """A block that calls `asyncio.run` itself works although a loop is running."""
    namespace: dict[str, object] = {}
    source = "import asyncio\nasync def main():\n    return 5\nresult = asyncio.run(main())\n"
    await Block("page", 1, source, None).run(namespace)
    assert namespace["result"] == 5
