"""How to install an extra, as the installation was made."""

import pytest

from thredfi_async._extras import how_to_install


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/usr", "pip install 'thredfi-async[bulk]'"),
        ("/home/a/project/.venv", "pip install 'thredfi-async[bulk]'"),
        ("/home/a/.local/share/pipx/venvs/thredfi-async", "pipx runpip thredfi-async install 'thredfi-async[bulk]'"),
        ("/home/a/.local/share/uv/tools/thredfi-async", "uv tool install 'thredfi-async[bulk]'"),
        ("/home/a/.cache/uv/archive-v0/QSSIo8fIkMDCtpmjfuC8x", "uvx --from 'thredfi-async[bulk]' thredfi"),
    ],
)
def test_the_command_fits_the_installation(prefix: str, command: str) -> None:
    """pip, pipx, uv and uvx each get their own command, with the extra in quotes for a shell."""
    assert how_to_install("bulk", prefix) == command


def test_this_installation() -> None:
    """Without a folder, it is the one that runs."""
    assert "'thredfi-async[cli]'" in how_to_install("cli")
