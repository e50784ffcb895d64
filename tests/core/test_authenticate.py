"""A token before the first call, so that wrong credentials show at the start."""

import pytest
from helpers import client_of

from thredfi_async import ClientStateError, ConfigurationError, ThredfiError


async def test_a_provider_is_asked_once() -> None:
    """The token is fetched, and kept: asking again fetches none."""
    asked: list[int] = []

    async def provider() -> str:
        asked.append(1)
        return "secret-token"

    async with client_of("http://127.0.0.1:9", token_provider=provider) as client:
        assert await client.authenticate()
        assert await client.authenticate()
    assert asked == [1]


async def test_a_fixed_token_proves_nothing() -> None:
    """Only a call can prove it; a closed client says that it is closed."""
    async with client_of("http://127.0.0.1:9") as client:
        assert not await client.authenticate()
    with pytest.raises(ClientStateError):
        await client.authenticate()


async def test_a_provider_that_fails() -> None:
    """Its error is one of fetching a token."""

    async def provider() -> str:
        raise ConfigurationError("there is no token")

    async with client_of("http://127.0.0.1:9", token_provider=provider) as client:
        with pytest.raises(ThredfiError) as caught:
            await client.authenticate()
    assert caught.value.is_token_error
