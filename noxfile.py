"""The project's sessions: `nox -l` lists them, `nox -s NAME` runs one, `nox` runs all that a change must pass."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import nox
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PYPROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = nox.project.python_versions(PYPROJECT)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
# The tests also run on the running Python, if it is newer than the classifiers.
PYTHONS = SUPPORTED if RUNNING in SUPPORTED else [*SUPPORTED, RUNNING]
WHEELS = Path(".nox", "built")
LOCK = Path("requirements", "ci.txt")
# Percent of a package's branches and lines that the tests must reach; of everything else, it is all.
GATES = {"bulk": 95, "cli": 90, "mock_server": 90, "worker": 90}
# What the programs in tools/ share with the tests.
SUPPORT = {"PYTHONPATH": str(Path("tests", "support").resolve())}

nox.needs_version = ">=2026.4"
nox.options.sessions = ["tests", "lint", "typing", "docs"]
nox.options.default_venv_backend = "uv|virtualenv"
# A Python that is not installed is skipped, on CI too, and never downloaded; `tests_ran` fails if none is.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
# With it, each of the processes that the tests start would compile everything that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def group(*names: str) -> tuple[str, ...]:
    """Return the requirements of dependency groups, expanded, so that pip and uv install the same."""
    return nox.project.dependency_groups(PYPROJECT, *names)


def lowest() -> list[str]:
    """Return every run-time dependency, pinned to the lowest version that pyproject.toml allows."""
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    requirements = [*PYPROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    pins: list[str] = []
    for requirement in map(Requirement, requirements):
        if requirement.name == PYPROJECT["project"]["name"]:
            continue  # an extra that includes our other extras
        (bound,) = (each for each in requirement.specifier if each.operator == ">=")
        pins.append(f"{requirement.name}=={bound.version}" + (f"; {requirement.marker}" if requirement.marker else ""))
    return pins


def built_wheel() -> str:
    """Return the wheel that the session `wheel` has just built, with the extras that the tests need."""
    (path,) = WHEELS.glob("*.whl")
    return f"{path}[all]"


def side_by_side(session: nox.Session, *commands: Sequence[str], env: Mapping[str, str]) -> None:
    """Run commands at the same time, and print the others' output after the first's; each may fail."""
    first, *others = commands
    with ExitStack() as stack, ThreadPoolExecutor(len(others)) as threads:
        outputs = [stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in others]
        running = [
            threads.submit(session.run, *other, env=env, stdout=output)
            for other, output in zip(others, outputs, strict=True)
        ]
        try:
            session.run(*first, env=env)
        finally:
            wait(running)
            for other, output in zip(others, outputs, strict=True):
                output.seek(0)
                session.log("output of `%s`:", shlex.join(other))
                shutil.copyfileobj(output, sys.stdout)
        for each in running:
            each.result()


def files_of(package: str) -> str:
    """Return coverage's pattern for the files of one of our packages."""
    return f"*/thredfi_async/{package}/*"


def check_gates(session: nox.Session, *packages: str, env: Mapping[str, str]) -> None:
    """Fail if the tests reach less of a package than its gate asks for."""
    for package in packages:
        gate = str(GATES[package])
        session.run("coverage", "report", "--include", files_of(package), "--fail-under", gate, env=env)


def run_tests(session: nox.Session) -> None:
    """Run the suite against the installed wheel, and check its coverage.

    The tests of the floors above the gate, and the runs on uvloop with the longest tests, have a process each without
    coverage, which would double their time. Python cannot import the source tree: `PYTHONSAFEPATH` keeps the working
    directory off `sys.path`, here and in processes that the tests start, and pytest's importlib mode adds nothing to
    it.
    """
    env = {"PYTHONSAFEPATH": "1", "COVERAGE_FILE": str(Path(session.create_tmp(), ".coverage").resolve())}
    Path(WHEELS, f"tested-{session.name}").touch()
    if session.posargs:
        session.log("running a part of the suite: coverage is not checked")
        session.run("python", "-m", "pytest", *session.posargs, env=env)
        return
    session.run("coverage", "erase", env=env)
    pytest = ["-m", "pytest", "--durations=10", "-m"]
    side_by_side(
        session,
        ["coverage", "run", *pytest, "not (uvloop or long or unmeasured)"],
        ["python", *pytest, "unmeasured and not uvloop"],
        ["python", *pytest, "uvloop or long"],
        env=env,
    )
    session.run("coverage", "combine", env=env)
    session.run("coverage", "report", "--omit", ",".join(map(files_of, GATES)), env=env)
    check_gates(session, "bulk", "mock_server", env=env)


def build(session: nox.Session, folder: Path) -> None:
    """Build sdist and wheel into a folder, which is emptied first, and check both as an index would."""
    shutil.rmtree(folder, ignore_errors=True)
    session.install(*PYPROJECT["build-system"]["requires"], *group("release"))
    session.run("python", "-m", "hatchling", "build", "-d", str(folder))
    session.run("twine", "check", "--strict", *map(str, folder.iterdir()))
    session.run("check-wheel-contents", *map(str, folder.glob("*.whl")))


@nox.session
def wheel(session: nox.Session) -> None:
    """Build and check the wheel once, for the sessions that test it."""
    build(session, WHEELS)
    session.notify("tests_ran")


@nox.session(default=False)
def package(session: nox.Session) -> None:
    """Build sdist and wheel into dist/, and check both: a release publishes these."""
    build(session, Path("dist"))


@nox.session(python=PYTHONS, requires=["wheel"])
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed, on asyncio and on uvloop."""
    session.install(built_wheel(), *group("test"))
    run_tests(session)


@nox.session(python=PYTHONS[0], requires=["wheel"])
def tests_min(session: nox.Session) -> None:
    """Run the tests with the lowest versions that the dependencies allow."""
    session.install(built_wheel(), *lowest(), *group("test"))
    run_tests(session)


@nox.session(python=PYTHONS, default=False, requires=["wheel"])
def tests_locked(session: nox.Session) -> None:
    """Run the tests with the very versions and files of requirements/ci.txt, so that a run of CI can be repeated."""
    session.install("--require-hashes", "-r", str(LOCK))
    (path,) = WHEELS.glob("*.whl")
    session.install("--no-deps", str(path))
    run_tests(session)


@nox.session(default=False, requires=["wheel"])
def upper_floors(session: nox.Session) -> None:
    """Measure the tests of `cli` and `worker`, which `tests` runs without coverage, and check their gates."""
    session.install(built_wheel(), *group("test"))
    env = {"PYTHONSAFEPATH": "1", "COVERAGE_FILE": str(Path(session.create_tmp(), ".coverage").resolve())}
    session.run("coverage", "erase", env=env)
    session.run("coverage", "run", "-m", "pytest", "-m", "not uvloop", "tests/cli", "tests/worker", env=env)
    session.run("coverage", "combine", env=env)
    check_gates(session, "cli", "worker", env=env)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write requirements/ci.txt: the newest version of everything that the tests take, for every Python and system."""
    session.install("uv")
    command = ["uv", "pip", "compile", "--quiet", "--upgrade", "--universal", "--generate-hashes", "--no-header"]
    command += ["--all-extras", "--group", "test", f"--python-version={PYTHONS[0]}", f"--output-file={LOCK}"]
    session.run(*command, "pyproject.toml")


@nox.session(python=False, default=False)
def tests_ran(session: nox.Session) -> None:
    """Fail if there was no Python to run the tests (`wheel` schedules this last)."""
    if not list(WHEELS.glob("tested-*")):
        session.error(f"the tests did not run on any Python: install one of {', '.join(PYTHONS)}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code with ruff, and its format; `nox -s lint -- --fix` fixes what ruff can fix."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if session.posargs else ["--check"]))


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict, and that every public name has a type."""
    session.install(".[all]", *group("typing"))
    # The wheels include pyright and its Node.js: nothing is downloaded, and no version is checked for.
    env = {"PYRIGHT_PYTHON_GLOBAL_NODE": "0", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    side_by_side(session, ["pyright"], ["mypy"], env=env)
    # Run from another folder, so that pyright checks the installed package and not the source tree.
    with session.chdir(session.create_tmp()):
        package = PYPROJECT["project"]["name"].replace("-", "_")
        session.run("pyright", "--verifytypes", package, "--ignoreexternal", env=env)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build, with warnings as errors."""
    session.install("-e", ".[bulk,otel,worker]", *group("docs"))
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-q", "-E", "docs", "docs/_build")


@nox.session
def contract(session: nox.Session) -> None:
    """Check the mock server against the project's copy of the wire contract, with schemathesis."""
    session.install("-e", ".[cli]", *group("contract"))
    session.run("python", "tools/contract.py", *session.posargs)


@nox.session
def pure_parser(session: nox.Session) -> None:
    """Run the tests of the transport and the fault matrix with aiohttp's Python parser, which its pure wheel has."""
    session.install(".[all]", *group("test"))
    session.run("python", "-m", "pytest", "tests/transport", *session.posargs, env={"AIOHTTP_NO_EXTENSIONS": "1"})


@nox.session
def tracers(session: nox.Session) -> None:
    """Show what real tracers, recorders and mocks see of the client's requests, each in a process of its own."""
    session.install(".", *group("tracers"))
    session.run("python", "tools/tracers.py", *session.posargs, env=SUPPORT)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Throw everything at archive calls for 5 minutes, and hold each statement against the server: `-- --seed N`."""
    session.install(".", "uvloop; sys_platform != 'win32'")
    session.run("python", "tools/fuzz.py", *session.posargs)


@nox.session
def gateways(session: nox.Session) -> None:
    """Archive through nginx, haproxy and squid that misbehave, and hold each statement against the server."""
    session.install(".")
    session.run("python", "tools/gateways.py", *session.posargs)


@nox.session
def outages(session: nox.Session) -> None:
    """Break an API in every way that comes and goes, also behind nginx and haproxy, and count what that costs."""
    session.install(".")
    session.run("python", "tools/outages.py", *session.posargs, env=SUPPORT)


@nox.session
def soak(session: nox.Session) -> None:
    """Archive 50,000 customers through all faults, and check every result against the server: `-- --seed N`."""
    session.install(".")
    session.run("python", "tools/soak.py", *session.posargs, env=SUPPORT)


@nox.session
def fault_matrix_page(session: nox.Session) -> None:
    """Rewrite the page of the fault matrix in docs/."""
    session.install(".", *group("test"))
    session.run("python", "tools/fault_matrix_page.py", env=SUPPORT)


@nox.session
def cli_page(session: nox.Session) -> None:
    """Rewrite the commands on the page of the command line in docs/."""
    session.install(".[all]", *group("test"))
    session.run("python", "tools/cli_page.py", env=SUPPORT)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure a call against a bare aiohttp post and generated SDKs, and write docs/benchmarks: `-- --quick`."""
    session.install(".[bulk]", *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs, env=SUPPORT)


@nox.session
def properties(session: nox.Session) -> None:
    """Run 20,000 simulated bulk runs, and hold each outcome against its script: `-- 50000` for more."""
    session.install(".[bulk]", *group("test"))
    env = {"THREDFI_EXAMPLES": session.posargs[0] if session.posargs else "20000"}
    session.run("python", "-m", "pytest", "--timeout=0", "tests/bulk/engine/test_properties.py", env=env)


@nox.session
def bulk_kill(session: nox.Session) -> None:
    """Kill 30 bulk runs at random moments, resume them, and check their journals against the server: `-- --runs N`."""
    session.install(".[bulk]")
    session.run("python", "tools/bulk_kill.py", *session.posargs, env=SUPPORT)


@nox.session
def worker_chaos(session: nox.Session) -> None:
    """Kill workers and their broker, stop or limit the API, and time the worker: `-- deaths --seed N`."""
    session.install(".[bulk,worker]", *group("test"))
    beside = os.pathsep.join([SUPPORT["PYTHONPATH"], str(Path("benchmarks").resolve())])
    session.run("python", "tools/worker_chaos.py", *session.posargs, env={"PYTHONPATH": beside})


@nox.session(default=False)
def wheels(session: nox.Session) -> None:
    """Rewrite the page of Pythons and systems on which every dependency has a wheel; ten minutes."""
    session.install("nox", "pip>=26")
    session.run("python", "tools/wheels.py")


@nox.session
def mutants(session: nox.Session) -> None:
    """Switch the client's defences off one at a time, and show which test fails: `-- NAME...` for some."""
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "tools/mutants.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Archive 500 customers against a mock server that misbehaves: `thredfi demo`."""
    session.install(".[cli]")
    session.run("thredfi", "demo", *session.posargs)
