import subprocess
import sys
from pathlib import Path

import pytest

import pytest_thredfi_async

pytest_plugins = ["pytester"]

SUITE = """
import urllib.request
import pytest


def test_default(thredfi_mock_server):
    assert len(thredfi_mock_server.customers) == 1000
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(thredfi_mock_server.url)


@pytest.mark.thredfi_mock_server(customers=3, strict=False)
def test_settings(thredfi_mock_server):
    assert len(thredfi_mock_server.customers) == 3
    assert not thredfi_mock_server.requests.totals


@pytest.mark.thredfi_mock_server(customers=-1)
def test_wrong_settings(thredfi_mock_server):
    pass
"""


def test_the_fixture_gives_a_server(pytester: pytest.Pytester) -> None:
    """Each test gets a new server, configured by the marker, and an invalid setting is the test's error."""
    pytester.makepyfile(SUITE)
    # Registered by the entry point where the package is installed, by name where it is not.
    installed = any(plugin is pytest_thredfi_async for plugin in pytester._request.config.pluginmanager.get_plugins())
    arguments = [] if installed else ["-p", pytest_thredfi_async.__name__]
    pytester.makeini(f"[pytest]\npythonpath = {Path(__file__).parents[2]}\n")
    result = pytester.runpytest_subprocess(*arguments, "--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ValueError: customers must be between 0*"])


def test_pytest_starts_without_us(tmp_path: Path) -> None:
    """A project that does not use the fixture imports nothing of the package."""
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    assert 'pytest_thredfi_async' in sys.modules\n"
        "    assert 'thredfi_async' not in sys.modules\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
