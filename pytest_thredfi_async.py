"""The pytest fixture `thredfi_mock_server`, and the marker that sets it up.

pytest imports this at every start, in every project that has the package installed. So it is outside the package,
whose import takes a third of a second, and imports it only for a test that uses the fixture.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thredfi_async.mock_server import MockServer


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for `strict_markers`."""
    config.addinivalue_line(
        "markers",
        "thredfi_mock_server(**settings): settings of the MockServer that the fixture thredfi_mock_server returns",
    )


@pytest.fixture
def thredfi_mock_server(request: pytest.FixtureRequest) -> "Iterator[MockServer]":
    """Run a new `MockServer` for each test.

    It runs in its own thread, so that it serves synchronous tests, tests on asyncio, uvloop or anyio, and commands that
    a test starts. `@pytest.mark.thredfi_mock_server(customers=10, ...)` sets it up.
    """
    from thredfi_async.mock_server import MockServer, in_thread  # noqa: PLC0415 - see the module's docstring

    node: pytest.Item = request.node  # pyright: ignore[reportUnknownMemberType] - pytest leaves its type open
    marker = node.get_closest_marker("thredfi_mock_server")
    with in_thread(MockServer(**marker.kwargs) if marker else MockServer()) as server:
        yield server
