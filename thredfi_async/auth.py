"""What a caller passes for authentication: partner credentials, or a token provider."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import attrs

from thredfi_async._checks.headers import is_token
from thredfi_async._checks.numbers import must_be, positive_seconds
from thredfi_async.errors import ConfigurationError

__all__ = ["AccessToken", "PartnerCredentials", "TokenProvider"]


def _secret(instance: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    if not is_token(value):
        setting = f"{type(instance).__name__}.{attribute.name}"
        msg = f"{setting} must be visible ASCII characters without spaces, and not empty"
        raise ConfigurationError(msg)


def _partner(value: UUID | str) -> str:
    try:
        return str(value if isinstance(value, UUID) else UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError("PartnerCredentials.partner_uuid must be a UUID") from None


@attrs.frozen
class PartnerCredentials:
    """The credentials that a partner exchanges for tokens at the API's OAuth2 endpoint.

    Args:
        partner_uuid: The partner's UUID.
        api_key: The partner's API key, hidden in `repr`.

    Raises:
        ConfigurationError: One of them is not valid.
    """

    partner_uuid: str = attrs.field(converter=_partner)
    api_key: str = attrs.field(validator=_secret, repr=False)


@attrs.frozen
class AccessToken:
    """A bearer token and how long it lasts.

    Args:
        token: The token, hidden in `repr`.
        expires_in: Seconds from now until it expires; None, the default, means until the API refuses it.

    Raises:
        ConfigurationError: The token cannot be sent in a header, or the lifetime is not a positive number.
    """

    token: str = attrs.field(validator=_secret, repr=False)
    expires_in: float | None = attrs.field(default=None, validator=must_be(positive_seconds, optional=True))


TokenProvider: TypeAlias = Callable[[], Awaitable[str | AccessToken]]
"""An async callable that returns a token, with or without its lifetime."""
