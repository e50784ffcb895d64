"""What a caller passes for authentication: partner credentials, or a token provider."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from uuid import UUID

import attrs

from thredfi_async._checks.headers import is_token, plain
from thredfi_async._checks.numbers import positive_seconds
from thredfi_async.errors import ConfigurationError

__all__ = ["AccessToken", "PartnerCredentials", "TokenProvider"]

_VISIBLE: Final = "must be visible ASCII characters without spaces, and not empty"


def _partner(value: UUID | str) -> str | None:
    try:
        return str(value if isinstance(value, UUID) else UUID(value))
    except (ValueError, AttributeError, TypeError):
        return None


@attrs.frozen(init=False)
class PartnerCredentials:
    """The credentials that a partner exchanges for tokens at the API's OAuth2 endpoint.

    Args:
        partner_uuid: The partner's UUID.
        api_key: The partner's API key, hidden in `repr`.

    Raises:
        ConfigurationError: One of them is not valid.
    """

    partner_uuid: str
    api_key: str = attrs.field(repr=False)

    def __init__(self, partner_uuid: UUID | str, api_key: str) -> None:
        """Check both."""
        partner, is_good = _partner(partner_uuid), is_token(api_key)
        if partner is None or not is_good:
            del partner_uuid, api_key  # no traceback shows them: the one may stand in the other's place
            what = "partner_uuid must be a UUID" if partner is None else f"api_key {_VISIBLE}"
            raise ConfigurationError(f"PartnerCredentials.{what}")
        self.__attrs_init__(partner, plain(api_key))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@attrs.frozen(init=False)
class AccessToken:
    """A bearer token and how long it lasts.

    Args:
        token: The token, hidden in `repr`.
        expires_in: Seconds from now until it expires; None, the default, means until the API refuses it.

    Raises:
        ConfigurationError: The token cannot be sent in a header, or the lifetime is not a positive number.
    """

    token: str = attrs.field(repr=False)
    expires_in: float | None = None

    def __init__(self, token: str, expires_in: float | None = None) -> None:
        """Check both."""
        is_good = is_token(token)
        problem = None if expires_in is None else positive_seconds(expires_in)
        if not is_good or problem is not None:
            is_number = isinstance(expires_in, int | float)
            kind = None if is_number else f"must be a positive number of seconds, not a {type(expires_in).__name__}"
            what = f"expires_in {kind or problem}" if is_good else f"token {_VISIBLE}"
            del token, expires_in, problem  # no traceback shows them: the one may stand in the other's place
            raise ConfigurationError(f"AccessToken.{what}")
        self.__attrs_init__(plain(token), expires_in)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


TokenProvider: TypeAlias = Callable[[], Awaitable[str | AccessToken]]
"""An async callable that returns a token, with or without its lifetime."""
