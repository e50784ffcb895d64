"""What the page about versions promises agrees with the package."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unmeasured  # nothing of the package runs here

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "versioning.md").read_text("utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_pythons_of_the_page() -> None:
    """The page's table has the Pythons of the classifiers, each until the October five years after its release."""
    rows = re.findall(r"^\| (3\.\d+) \| October (\d{4}) \|$", PAGE, re.MULTILINE)
    classified = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in PROJECT["classifiers"])
    assert [python for python, _ in rows] == [match[1] for match in classified if match]
    # From 3.9 on, each October has a release (PEP 602): 3.9 was 2020's.
    assert [int(year) for _, year in rows] == [2020 + int(python.partition(".")[2]) - 9 + 5 for python, _ in rows]


def test_no_upper_bound() -> None:
    """No newer Python is refused, and no dependency has an upper bound that its line does not explain."""
    assert re.fullmatch(r">=3\.\d+", PROJECT["requires-python"])
    text = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.scripts]")[0]
    bounded = re.findall(r'^  "[\w-]+>=[\w.]+,<[\w.]+"(.*)$', text, re.MULTILINE)
    assert bounded
    assert all(re.fullmatch(r",  # .+", rest) for rest in bounded)


def test_the_policy_is_linked() -> None:
    """The README and the index of the docs lead to the page, and the changelog too."""
    assert "(docs/explanation/versioning.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "explanation/versioning" in (ROOT / "docs" / "index.md").read_text("utf-8")
    assert "(docs/explanation/versioning.md)" in (ROOT / "CHANGELOG.md").read_text("utf-8")
