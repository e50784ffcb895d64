"""What the tests of the command line share: a clean place to type in, and a mock server that it leads to."""

from pathlib import Path

import pytest
from bulk_cli import Bulk, run_bulk

from thredfi_async.mock_server import MockServer


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and no setting but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)
    return tmp_path


@pytest.fixture
def server(clean: Path, thredfi_mock_server: MockServer, monkeypatch: pytest.MonkeyPatch) -> MockServer:
    """A mock server that the environment points at."""
    del clean
    monkeypatch.setenv("THREDFI_BASE_URL", thredfi_mock_server.url)
    monkeypatch.setenv("THREDFI_PARTNER_UUID", thredfi_mock_server.partner_uuid)
    monkeypatch.setenv("THREDFI_API_KEY", thredfi_mock_server.api_key)
    return thredfi_mock_server


@pytest.fixture
def bulk(clean: Path, capsys: pytest.CaptureFixture[str]) -> Bulk:
    """Runs `thredfi bulk` in an empty folder, and returns what it told."""
    del clean
    return lambda *argv: run_bulk(capsys, *argv)
