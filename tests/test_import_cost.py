"""The modules that `import thredfi_async` loads, and those that it must not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import thredfi_async

# Optional packages, expensive parts of the required ones, and our own upper floors.
LEFT_OUT = [
    "aiohttp.pytest_plugin",
    "aiohttp.test_utils",
    "aiohttp.web",
    "hypothesis",
    "jinja2",
    "multiprocessing",
    "nats",
    "opentelemetry",
    "pdb",
    "prometheus_client",
    "pyarrow",
    "pytest",
    "rich",
    "sqlite3",
    "thredfi_async.bulk",
    "thredfi_async.cli",
    "thredfi_async.mock_server",
    "thredfi_async.telemetry._instruments",
    "thredfi_async.worker",
    "tkinter",
    "tornado",
    "trio",
    "typer",
    "unittest",
    "uvloop",
    "yaml",
]
SCRIPT = """
import sys
from pathlib import Path
import thredfi_async
client = thredfi_async.ThredfiClient("token")
print(thredfi_async.__file__)
print(*sys.modules, sep="\\n")
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Return the modules that a new process has loaded when it has made a client."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    where, *modules = run.stdout.splitlines()
    assert (where, run.stderr) == (thredfi_async.__file__, "")
    return set(modules)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out(loaded: set[str], name: str) -> None:
    """A program that only archives loads none of these, installed or not."""
    assert [module for module in loaded if f"{module}.".startswith(f"{name}.")] == []


def test_what_is_loaded(loaded: set[str]) -> None:
    """The core and its dependencies are loaded, which shows that the test above checks the right process."""
    assert {"thredfi_async.client", "aiohttp", "attrs", "cattrs", "msgspec", "tenacity"} <= loaded


def test_what_the_package_loads_when_it_is_used() -> None:
    """On Python 3.15, `__init__` loads each of our modules when a name of it is used, but for the version."""
    tree = ast.parse(Path(thredfi_async.__file__).read_text("utf-8"))
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert set(thredfi_async.__lazy_modules__) == imported - {"thredfi_async._version"}


@pytest.mark.skipif(sys.version_info < (3, 15), reason="older versions load everything at once")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["bulk", "--help"]])
def test_what_the_command_leaves_out(arguments: list[str]) -> None:
    """Where no request is sent, the command loads nothing that sends one."""
    command = [sys.executable, "-X", "importtime", "-m", "thredfi_async", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "thredfi_async.cli.app" in loaded
    assert loaded.isdisjoint({"aiohttp", "cattrs", "tenacity", "ssl", "sqlite3", "thredfi_async.client"})
