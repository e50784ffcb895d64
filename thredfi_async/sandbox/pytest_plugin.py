"""The pytest fixture `thredfi_sandbox`, and the marker that sets it up."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thredfi_async.sandbox.server import SandboxServer


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for those who are strict about markers."""
    config.addinivalue_line(
        "markers",
        "thredfi_sandbox(**settings): settings of the SandboxServer that the fixture thredfi_sandbox gives",
    )


@pytest.fixture
def thredfi_sandbox(request: pytest.FixtureRequest) -> "Iterator[SandboxServer]":
    """A running `SandboxServer`, fresh for each test.

    It runs in a thread of its own, so that it serves tests that are synchronous, that run on asyncio, uvloop
    or anyio, and commands that a test starts. `@pytest.mark.thredfi_sandbox(customers=10, ...)` sets it up.
    """
    # Imported here: whoever has the package installed pays for aiohttp.web only if a test asks for it.
    from thredfi_async.sandbox.server import SandboxServer  # noqa: PLC0415 - as said above
    from thredfi_async.sandbox.thread import in_thread  # noqa: PLC0415 - as said above

    node: pytest.Item = request.node  # pyright: ignore[reportUnknownMemberType] - pytest leaves its type open
    marker = node.get_closest_marker("thredfi_sandbox")
    with in_thread(SandboxServer(**marker.kwargs) if marker else SandboxServer()) as server:
        yield server
