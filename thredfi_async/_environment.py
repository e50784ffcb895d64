"""What the process's environment says of a client."""

from collections.abc import Mapping

from thredfi_async.auth import PartnerCredentials
from thredfi_async.errors import ConfigurationError
from thredfi_async.settings import Environment


class Variables:
    """Environment variables, which no traceback shows; an empty one counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return self._environ.get(name) or None


def credentials_of(variables: Variables) -> PartnerCredentials | None:
    names = ("THREDFI_PARTNER_UUID", "THREDFI_API_KEY")
    given = [name for name in names if variables.get(name) is not None]
    has_token = variables.get("THREDFI_TOKEN") is not None
    if has_token and given:
        raise ConfigurationError(f"set THREDFI_TOKEN or {' and '.join(names)}, not both")
    if not has_token and len(given) < len(names):
        missing = " and ".join(name for name in names if name not in given)
        raise ConfigurationError(f"set THREDFI_TOKEN, or {' and '.join(names)}; not set: {missing}")
    return PartnerCredentials(*(variables.get(name) or "" for name in names)) if given else None


def base_url_of(variables: Variables) -> Environment | str:
    url, name = variables.get("THREDFI_BASE_URL"), variables.get("THREDFI_ENVIRONMENT")
    if url is not None and name is not None:
        raise ConfigurationError("set THREDFI_BASE_URL or THREDFI_ENVIRONMENT, not both")
    if url is not None or name is None:
        return url or Environment.SANDBOX
    try:
        return Environment[name.upper()]
    except KeyError:
        names = " or ".join(environment.name.lower() for environment in Environment)
        raise ConfigurationError(f"THREDFI_ENVIRONMENT must be {names}") from None
