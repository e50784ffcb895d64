"""Writes docs/reference/platforms.md: on which Pythons and systems every dependency has a wheel.

    nox -s wheels

For each pair, pip resolves all extras as it would there, and takes nothing but wheels. It installs nothing.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import nox

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "platforms.md"
PURE: Final = {"nkeys": "pynacl"}
"""Packages that have only a source distribution, of Python alone, so that they install everywhere: what they need."""
PLATFORMS: Final = {
    "Linux x86_64": ("manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "Linux aarch64": ("manylinux_2_17_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "Alpine x86_64": tuple(f"musllinux_1_{musl}_x86_64" for musl in (1, 2)),
    "Alpine aarch64": tuple(f"musllinux_1_{musl}_aarch64" for musl in (1, 2)),
    "macOS x86_64": tuple(f"macosx_{version}_x86_64" for version in ("10_9", "10_13", "10_15", "11_0", "12_0", "13_0")),
    "macOS arm64": tuple(f"macosx_{version}_arm64" for version in ("11_0", "12_0", "13_0", "14_0")),
    "Windows amd64": ("win_amd64",),
}
"""The tags that pip takes on a system: glibc 2.28 and musl 1.2 or newer, macOS 13 (Intel) and 14 (Apple) or newer."""

_INTRODUCTION: Final = """\
<!-- Written by `nox -s wheels`, which asks pip; change it there. -->

# Platforms

Where the table says "yes", `pip install 'thredfi-async[all]'` compiles nothing, since every dependency has a wheel.
Elsewhere the table names what has none for it.

"""
_END: Final = """
A "t" stands for the free-threaded build of that Python.
Linux means glibc 2.28 or newer, Alpine musl 1.2 or newer, and macOS version 13 or newer.
{pure} has no wheel at all; it is of Python alone, and installs everywhere.

The workflow `Tests` runs the tests on Linux, macOS and Windows, with each Python.
What differs on Windows and macOS is also simulated in the tests on Linux.
On Windows, Ctrl-C and Ctrl-Break let a run drain, as Ctrl-C and SIGTERM do elsewhere.
A journal needs SQLite 3.37 or newer, and says so before anything is sent.
The tests have not run on a free-threaded build, and the classifiers do not claim one.
"""


def requirements(python: str) -> list[str]:
    """Return the requirements of all extras, but for our own extras and what is not for this Python."""
    project = nox.project.load_toml(ROOT / "pyproject.toml")["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    # pip takes markers for the running Python, whatever --python-version says.
    is_old = tuple(map(int, python.split("."))) < (3, 14)
    return [
        line.partition(";")[0].strip()
        for line in [*lines, *PURE.values()]
        if not line.startswith((f"{project['name']}[", *PURE)) and (is_old or "python_version < '3.14'" not in line)
    ]


def answer(python: str, platform: str) -> str:
    """Return "yes", or the first package that has no wheel for a Python on a platform."""
    version = python.removesuffix("t")
    abi = "cp" + python.replace(".", "")
    tags = [f"--platform={tag}" for tag in PLATFORMS[platform]]
    abis = [f"--abi={each}" for each in (abi, *(() if python.endswith("t") else ("abi3",)), "none")]
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
        command += ["--only-binary=:all:", f"--python-version={version}", "--implementation=cp", f"--target={folder}"]
        command += [*tags, *abis, *requirements(version)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return "yes"
    missing = [line.rpartition(" ")[2] for line in run.stderr.splitlines() if "No matching distribution" in line]
    if not missing:
        raise RuntimeError(run.stderr[-500:])
    return missing[0]


def main() -> None:
    """Ask for each pair, and write the page."""
    pythons = nox.project.python_versions(nox.project.load_toml(ROOT / "pyproject.toml"))
    pythons = [*pythons, *(f"{version}t" for version in pythons if int(version.partition(".")[2]) >= 14)]
    pairs = [(python, platform) for platform in PLATFORMS for python in pythons]
    with ThreadPoolExecutor(2) as threads:
        answers = threads.map(answer, *zip(*pairs, strict=True))
        found = dict(zip(pairs, answers, strict=True))
    rows = [["", *pythons], ["---"] * (len(pythons) + 1)]
    rows += [[platform, *(found[python, platform] for python in pythons)] for platform in PLATFORMS]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    PAGE.write_text(f"{_INTRODUCTION}{table}\n{_END.format(pure=', '.join(PURE))}", "utf-8")
    sys.stdout.write(f"{table}\n")


if __name__ == "__main__":
    main()
