"""The code in README.md and docs/ runs as it is pasted: each block alone, in a new process, with nothing prepared."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import CO_COROUTINE
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from collector import collecting

import thredfi_async
import thredfi_async.bulk
import thredfi_async.mock_server
import thredfi_async.worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from natsserver import NatsServer

ROOT: Final = Path(__file__).parents[2]
PASTED: Final = ROOT / "tests" / "support" / "pasted.py"
TUTORIALS: Final = {"docs/tutorial.md", "docs/bulk-tutorial.md", "docs/worker-tutorial.md"}
"""Their blocks need what their own text says before them: `test_tutorials.py` does as it says."""
NATS: Final = "127.0.0.1:4222"
OTLP: Final = "exporter.otlp"
CLEAN: Final = {name: value for name, value in os.environ.items() if not name.startswith("THREDFI_")}
FENCE: Final = re.compile(
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

    @property
    def missing(self) -> list[str]:
        """The packages of others that it imports, from the group `examples`, and that are not installed."""
        imported = re.findall(r"^(?:from|import) (\w+)", self.source, re.MULTILINE)
        return [name for name in imported if name in {"celery", "django"} and find_spec(name) is None]

    def command(self, file: Path) -> list[str]:
        """Return how a reader runs it: with pytest, in `python -m asyncio`, or as a script."""
        code = compile(self.source, str(self), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if re.search(r"^(?:async )?def test_", self.source, re.MULTILINE):
            return [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:asyncio", str(file)]
        return [sys.executable, "-W", "error", *([str(PASTED)] if code.co_flags & CO_COROUTINE else []), str(file)]

    def run(self, folder: Path, nats: str = NATS, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run it in an empty folder; where it names NATS's usual port, which another test may have, with this one."""
        file = folder / "test_pasted.py"
        file.write_text(self.source.replace(NATS, nats), "utf-8")
        # A reader's folder is below no configuration of pytest; ours may be below the project's.
        folder.joinpath("pytest.ini").write_text("[pytest]\n", "utf-8")
        command = self.command(file)
        env = CLEAN | environ
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=50)


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The blocks of Python code in the text of a page."""
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        source = "".join(line[indent:] or "\n" for line in match["source"].splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, match.start("source")) + 1, source, match["reason"])


PAGES: Final = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]
ALL: Final = [
    block for path in PAGES for block in blocks_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
]
BLOCKS: Final = [block for block in ALL if block.reason is None and block.page not in TUTORIALS]


def check(run: subprocess.CompletedProcess[str]) -> None:
    """Fail with what a run wrote, unless it ended well; what a destructor complains of does not change how it ends."""
    is_well = run.returncode == 0 and re.search("Traceback|Warning|Exception ignored", run.stderr) is None
    assert is_well, f"{run.stdout}\n{run.stderr}"


ALONE: Final = [block for block in BLOCKS if NATS not in block.source and OTLP not in block.source]


@pytest.mark.parametrize("block", ALONE, ids=str)
def test_block_runs_as_pasted(block: Block, tmp_path: Path) -> None:
    """With nothing defined, no variable of ours and an empty folder, it runs, and complains of nothing."""
    if block.missing and os.environ.get("CI") != "true":
        pytest.skip(f"not installed: {', '.join(block.missing)}")
    run = block.run(tmp_path)
    check(run)
    if re.search(r"^ *print\(", block.source, re.MULTILINE):
        assert run.stdout


@pytest.mark.parametrize("block", [block for block in BLOCKS if NATS in block.source], ids=str)
def test_block_runs_with_nats(block: Block, tmp_path: Path, nats_server: NatsServer) -> None:
    """What a block needs besides is a NATS server with JetStream, at its usual address, which has nothing in it."""
    folder = tmp_path / "empty"
    folder.mkdir()
    check(block.run(folder, nats_server.url.removeprefix("nats://")))


@pytest.mark.parametrize("block", [block for block in BLOCKS if OTLP in block.source], ids=str)
def test_block_runs_with_a_collector(block: Block, tmp_path: Path) -> None:
    """What a block needs besides is a collector for OpenTelemetry, which gets its spans and metrics."""
    with collecting() as collector:
        check(block.run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url))
    assert "customers.archive" in {span.name for _, span in collector.spans}
    assert "thredfi.client.call.duration" in collector.metrics


def test_readme_has_code() -> None:
    """The README shows code, and all of it runs."""
    found = [block for block in ALL if block.page == "README.md"]
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


def test_nothing_is_left_out() -> None:
    """No block of the docs is marked: to add one is to say here why it cannot run."""
    assert [str(block) for block in ALL if block.reason is not None] == []


def test_block_in_a_list_is_found() -> None:
    """A block that is indented under a list is dedented and keeps its line number."""
    (block,) = blocks_of("page", "- so:\n  ```python\n  if True:\n      pass\n\n  ```\n")
    assert (block.line, block.source) == (3, "if True:\n    pass\n\n")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("await missing()\n", "NameError"),
        ("missing()\n", "NameError"),
        ("def test_it():\n    assert missing\n", ""),
        ("import asyncio\nasync with asyncio.timeout(9):\n    pass\nprint(5)\n", "SyntaxError"),
        ("import asyncio\nasync with asyncio.timeout(9):\n    a = 1\n\n    print(a)\n", "IndentationError"),
    ],
)
def test_block_that_fails_fails(source: str, error: str, tmp_path: Path) -> None:
    """An error fails, in a script, in a test and in a paste; also what only an editor would take, and no prompt."""
    run = Block("page", 1, source, None).run(tmp_path)
    assert run.returncode != 0
    assert error in run.stderr


def test_block_may_be_a_whole_script(tmp_path: Path) -> None:
    """A block that calls `asyncio.run` itself works, and has the variables of no one."""
    source = "import asyncio, os\nasync def main():\n    print([n for n in os.environ if n.startswith('THREDFI_')])\n"
    run = Block("page", 1, f"{source}\nasyncio.run(main())\n", None).run(tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "[]\n", "")


def test_every_public_class_has_an_example() -> None:
    """The reference shows each public class at work, in a block that runs."""
    shown = {
        node.id
        for block in ALL
        if block.page.startswith("docs/reference/")
        for node in ast.walk(ast.parse(block.source))
        if isinstance(node, ast.Name)
    }
    modules = (thredfi_async, thredfi_async.bulk, thredfi_async.mock_server, thredfi_async.worker)
    public = {name for module in modules for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert public - shown == set()
