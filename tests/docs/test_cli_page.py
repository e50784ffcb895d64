"""The page of the command line has the commands as they are."""

import pytest
from cli_page import PAGE, commands, page


def test_page_is_up_to_date() -> None:
    """Arguments, options and their help stand on the page as `-h` shows them."""
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "run: nox -s cli_page"


def test_every_command_is_there() -> None:
    """Commands within groups have a section too, with their arguments."""
    headings = [line for line in commands().splitlines() if line.startswith("### `")]
    assert "### `thredfi bulk resume RUN.db [FILE]`" in headings
    assert "### `thredfi dead-letters discard [ID...]`" in headings
    assert len(headings) == len(set(headings))


def test_a_page_without_a_place_for_them_is_refused() -> None:
    """The text around the commands is written by hand: without the comments, nothing is replaced."""
    with pytest.raises(ValueError, match="has no place for the commands"):
        page("# Command line\n")
