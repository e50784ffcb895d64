"""The package as users get it: what is built, what it requires, and how it is tested."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import thredfi_async
from thredfi_async._version import __version__

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
CORE = {"aiohttp", "attrs", "cattrs", "msgspec", "tenacity"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the sdist, built from this tree."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel_names(built: Path) -> set[str]:
    """Return the names of the wheel's files."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def wheel_metadata(built: Path) -> Message:
    """Return the wheel's metadata."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(wheel.read(name).decode())


def supported() -> list[str]:
    """Return the Python versions of the classifiers."""
    found = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", c) for c in PROJECT["classifiers"])
    return [match[1] for match in found if match]


def readme_command(name: str) -> list[str]:
    """Return the lines of the README's code block that is marked as the command `name`."""
    pattern = rf"^<!-- command: {name} -->\n```sh\n(.*?)^```$"
    (block,) = re.findall(pattern, (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(block).splitlines()


def test_wheel_holds_the_package_and_nothing_else(wheel_names: set[str]) -> None:
    """The wheel has every source file of the package, `py.typed`, the modules beside it, and no more."""
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "thredfi_async").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    source |= {"pytest_thredfi_async.py", "thredfi_async_cli.py"}
    info = f"thredfi_async-{__version__}.dist-info/"
    packaged = {name for name in wheel_names if not name.startswith(info)}
    assert packaged == source
    assert "thredfi_async/py.typed" in packaged
    assert f"{info}licenses/LICENSE" in wheel_names


def test_sdist_holds_what_testing_it_takes(built: Path) -> None:
    """The sdist has the tests, the docs and everything that they read."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "noxfile.py", ".ci/run"}
    assert names >= {"docs/conf.py", "docs/index.md", "tests/test_packaging.py", "thredfi_async/py.typed"}
    assert not [name for name in names if name.startswith((".nox", ".venv", "docs/_build"))]


def test_core_has_exactly_five_dependencies(wheel_metadata: Message) -> None:
    """Without an extra, the wheel requires exactly the five dependencies of the core."""
    requirements = [Requirement(line) for line in wheel_metadata.get_all("Requires-Dist", [])]
    core = {requirement.name for requirement in requirements if requirement.marker is None}
    assert core == CORE
    assert all("extra ==" in str(requirement.marker) for requirement in requirements if requirement.marker)


CAPPED = {"aiohttp": "<4", "nats-py": "<2.17"}
"""Dependencies of whose private names some are used: a version beyond is allowed once it was looked at."""


def test_every_dependency_has_one_lower_bound() -> None:
    """Dependencies have one lower bound, so that the lowest versions can be pinned and tested, and few have another."""
    lines = [
        *PROJECT["dependencies"],
        *(x for extra in PROJECT["optional-dependencies"].values() for x in extra),
    ]
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            continue  # an extra that includes our other extras
        others = [str(bound) for bound in requirement.specifier if bound.operator != ">="]
        assert len(requirement.specifier) == 1 + len(others), requirement
        assert others == [CAPPED[requirement.name]] if requirement.name in CAPPED else not others, requirement


def test_version_is_said_once(wheel_metadata: Message) -> None:
    """The wheel and the installed package have the package's own version, and the changelog has it."""
    assert wheel_metadata["Version"] == metadata.version("thredfi-async") == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_license_and_python_are_stated(wheel_metadata: Message) -> None:
    """The metadata has the licence's SPDX expression and the lowest Python of the classifiers."""
    assert wheel_metadata["License-Expression"] == "MIT"
    assert wheel_metadata["Requires-Python"] == f">={supported()[0]}"


def test_entry_points_load() -> None:
    """The command and the pytest plugin of the metadata exist."""
    points = metadata.distribution("thredfi-async").entry_points
    assert {(point.group, point.name) for point in points} == {
        ("console_scripts", "thredfi"),
        ("pytest11", "thredfi_async"),
    }
    assert all(point.load() is not None for point in points)


def test_nox_runs_the_pythons_of_the_classifiers() -> None:
    """There is one session `tests` for each Python of the classifiers, and one for a newer one that runs nox."""
    noxfile = str(ROOT / "noxfile.py")
    command = [sys.executable, "-m", "nox", "-f", noxfile, "--list", "--json", "-s", "tests", "tests_min"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    pythons = supported() if running in supported() else [*supported(), running]
    assert [session["python"] for session in listed if session["name"] == "tests"] == pythons
    assert [session["python"] for session in listed if session["name"] == "tests_min"] == supported()[:1]


@pytest.mark.parametrize("name", ["tests", "demo"])
def test_readme_command_is_what_ci_runs(name: str) -> None:
    """The README has each command as one line, and `.ci/run` runs that line: its beginning once, then its end."""
    (line,) = readme_command(name)
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    prepare, _, end = line.rpartition(" && ")
    assert end == f".venv/bin/nox -s {name}"
    assert {command.rpartition(" && ")[0] for command in readme_command("tests")} == {prepare}
    assert f"{name}=$(readme {name})" in script
    assert 'step prepare bash -c "${tests% && *}"' in script
    assert f'step {name} bash -c "${{{name}##* && }}"' in script


@pytest.mark.skipif(
    not os.environ.get("NOX_CURRENT_SESSION", "").startswith("tests"),
    reason="only nox installs the wheel; elsewhere an editable install will do",
)
def test_nox_tests_the_built_wheel() -> None:
    """Under nox, the installed wheel is imported, and Python cannot import the source tree."""
    installed = Path(thredfi_async.__file__)
    assert installed.is_relative_to(sysconfig.get_path("purelib"))
    assert ROOT not in [Path(entry).resolve() for entry in sys.path]
    origin = json.loads(metadata.distribution("thredfi-async").read_text("direct_url.json") or "{}")
    assert origin["url"].endswith(".whl")
    code = "import thredfi_async; print(thredfi_async.__file__)"
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert Path(child.stdout.strip()) == installed


ALONE = """
import importlib, sys

# Not even found, for those that look before they import.
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
for module in sys.argv[2].split(","):
    importlib.import_module(module)
"""


def brought(extra: str) -> set[str]:
    """Return the distributions that an extra installs, with all their requirements."""
    found: set[str] = set()
    todo = [("thredfi-async", frozenset({"", extra}))]
    while todo:
        name, extras = todo.pop()
        if (key := f"{name}[{','.join(sorted(extras))}]") in found:
            continue
        found.add(key)
        for line in metadata.distribution(name).requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": each}) for each in extras):
                todo.append((canonicalize_name(needed.name), frozenset({"", *needed.extras})))
    return {key.partition("[")[0] for key in found}


@pytest.mark.parametrize(
    ("extra", "commands"),
    [
        ("cli", "thredfi_async.cli.app,thredfi_async.cli.demo,thredfi_async.cli.mock_server"),
        ("metrics", "thredfi_async.telemetry.prometheus,prometheus_client"),
        ("otel", "thredfi_async.telemetry._tracer,opentelemetry.exporter.otlp.proto.http.trace_exporter"),
        ("bulk", "thredfi_async.cli.bulk.archive,thredfi_async.cli.bulk.report,jinja2"),
        ("excel", "thredfi_async.cli.bulk.archive,thredfi_async.bulk.readers.workbook_xlsx,xlrd"),
        ("report", "thredfi_async.bulk.report,jinja2"),
        ("parquet", "thredfi_async.cli.bulk.archive,thredfi_async.bulk.readers.parquet_records"),
        ("worker", "thredfi_async.cli.worker,thredfi_async.worker.worker,thredfi_async.cli.bulk.publish"),
    ],
)
def test_an_extra_brings_what_its_command_needs(extra: str, commands: str) -> None:
    """Each extra is enough to run its command: nothing from another extra is imported."""
    mine = brought(extra)
    hidden = {
        package
        for package, names in metadata.packages_distributions().items()
        if not {canonicalize_name(name) for name in names} & mine and package != "backports"
    }
    command = [sys.executable, "-c", ALONE, ",".join(sorted(hidden)), commands]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_all_brings_everything() -> None:
    """The extra `all` includes each of the others."""
    extras = PROJECT["optional-dependencies"]
    (line,) = extras["all"]
    assert Requirement(line).extras == extras.keys() - {"all"}
