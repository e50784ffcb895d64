"""What SECURITY.md promises is held by code and by tests that exist."""

import re
from pathlib import Path

import pytest

from thredfi_async.mock_server import MockServer

pytestmark = pytest.mark.unmeasured  # nothing of the package runs here

ROOT = Path(__file__).parents[2]
POLICY = (ROOT / "SECURITY.md").read_text("utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", POLICY)))
FILES = sorted(set(re.findall(r"`((?:thredfi_async|tests|deploy|docs|\.github)/[\w./-]+)(?:::\w+)?`", POLICY)))
UNTRUSTED = POLICY.partition("## What is not trusted\n")[2].partition("## What is not protected against\n")[0]


@pytest.mark.parametrize(("file", "name"), TESTS, ids=lambda each: Path(each).stem)
def test_named_tests_exist(file: str, name: str) -> None:
    """A test that the policy names is in that file."""
    assert name.startswith("test_")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_named_files_exist() -> None:
    """A file that the policy names is there."""
    assert len(FILES) > 40
    assert [file for file in FILES if not (ROOT / file).exists()] == []


def test_every_promise_names_a_test() -> None:
    """Each promise about what is not trusted names a test."""
    promises = re.findall(r"^- .+(?:\n  .+)*", UNTRUSTED, re.MULTILINE)
    assert len(promises) > 20
    assert [promise for promise in promises if "::test_" not in promise] == []


def test_no_address_is_invented() -> None:
    """Reports go through the repository, whatever its address is: the pages for people name no other way."""
    for name in ("SECURITY.md", "CODE_OF_CONDUCT.md"):
        text = (ROOT / name).read_text("utf-8")
        assert '"Report a vulnerability"' in text
        assert re.findall(r"https?://|[\w.]+@[\w.]+", text) == []


def test_the_mock_servers_credentials_are_no_secret() -> None:
    """The mock server's credentials follow from its seed, as the policy says: they protect nothing."""
    first, again = MockServer(1, seed=1), MockServer(1, seed=1)
    assert (first.token, first.api_key) == (again.token, again.api_key)
    assert first.api_key != MockServer(1, seed=2).api_key
