"""Says how to install an extra, as this installation was made."""

import sys
from pathlib import PurePath


def how_to_install(extra: str, prefix: str | None = None) -> str:
    """Return the command that installs an extra.

    Args:
        extra: Its name, such as `bulk`.
        prefix: The folder of the Python environment; this one by default.

    Returns:
        The command: pip's, or that of pipx or uv where these have made the environment.
    """
    wanted = f"'thredfi-async[{extra}]'"
    folders = PurePath(sys.prefix if prefix is None else prefix).parts
    if "pipx" in folders:
        return f"pipx runpip thredfi-async install {wanted}"
    if "archive-v0" in folders:  # uv's cache, from which uvx runs
        return f"uvx --from {wanted} thredfi"
    if folders[-3:-1] == ("uv", "tools"):
        return f"uv tool install {wanted}"
    return f"pip install {wanted}"
