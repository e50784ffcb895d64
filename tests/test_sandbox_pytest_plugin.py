from pathlib import Path

import pytest

from thredfi_async.sandbox import pytest_plugin

pytest_plugins = ["pytester"]

SUITE = """
import urllib.request
import pytest


def test_default(thredfi_sandbox):
    assert len(thredfi_sandbox.customers) == 1000
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(thredfi_sandbox.url)


@pytest.mark.thredfi_sandbox(customers=3, strict=False)
def test_settings(thredfi_sandbox):
    assert len(thredfi_sandbox.customers) == 3
    assert not thredfi_sandbox.record.totals


@pytest.mark.thredfi_sandbox(customers=-1)
def test_wrong_settings(thredfi_sandbox):
    pass
"""


def test_the_fixture_gives_a_server(pytester: pytest.Pytester) -> None:
    """Each test has a fresh server, set up by the marker, and a wrong setting is the test's error."""
    pytester.makepyfile(SUITE)
    # Registered by the entry point where the package is installed, by name where it is not.
    installed = any(plugin is pytest_plugin for plugin in pytester._request.config.pluginmanager.get_plugins())
    arguments = [] if installed else ["-p", pytest_plugin.__name__]
    pytester.makeini(f"[pytest]\npythonpath = {Path(__file__).parents[1]}\n")
    result = pytester.runpytest_subprocess(*arguments, "--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ValueError: customers must be between 0*"])
