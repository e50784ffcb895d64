"""How a bulk run ends: the exit code, the words, and the command to go on with."""

from typing import Any

import pytest
from rich.console import Console

from thredfi_async.cli.bulk.ending import Commands, Ending, Next

COMMANDS = Commands(
    resume="thredfi bulk resume r.db",
    report="thredfi bulk report r.db",
    again="... --failed",
    bad=Next(why="see the invalid lines with", command="thredfi bulk report b.db"),
)


def ending(**facts: Any) -> Ending:
    """An ending of a run that archived one customer, unless the facts say otherwise."""
    usual: dict[str, Any] = {"states": {"archived": 1}, "commands": COMMANDS}
    return Ending(**usual | facts)


def text(end: Ending) -> str:
    """What people read."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(end.as_text())
    return capture.get()


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, 0),
        ({"states": {}}, 0),
        ({"states": {"archived": 5, "already_archived": 5}}, 0),
        ({"duplicates": 3}, 0),
        ({"bad": 1}, 1),
        ({"states": {"archived": 5, "rejected": 1}}, 1),
        ({"states": {"archived": 5, "failed": 1}}, 1),
        ({"states": {"rejected": 1, "failed": 1, "unknown": 1}}, 3),
        ({"states": {"unknown": 1}, "bad": 1}, 3),
        ({"states": {"archived": 1, "pending": 1}}, 4),
        ({"unread": True}, 4),
        ({"stopped": "The API is down.", "states": {"unknown": 1}}, 4),
        ({"interrupted": "SIGINT", "unread": True}, 130),
        ({"interrupted": "SIGTERM", "states": {"pending": 1, "unknown": 1}}, 130),
        ({"interrupted": "SIGINT"}, 0),
        ({"interrupted": "SIGINT", "states": {"rejected": 1}}, 1),
    ],
)
def test_the_exit_code(facts: dict[str, Any], code: int) -> None:
    """What is still open counts before what has failed for good; a signal after the last item does not count."""
    assert ending(**facts).exit_code == code
    assert ending(**facts).as_json()["exit_code"] == code


@pytest.mark.parametrize(
    ("facts", "commands"),
    [
        ({}, []),
        ({"bad": 1}, ["thredfi bulk report b.db"]),
        ({"unread": True}, [COMMANDS.resume]),
        ({"stopped": "The credentials were refused.", "states": {"unknown": 1}}, [COMMANDS.resume]),
        ({"stopped": "The journal is gone.", "resumable": False}, []),
        ({"states": {"failed": 1}}, [COMMANDS.resume]),
        ({"states": {"unknown": 1, "rejected": 1}}, [COMMANDS.resume, COMMANDS.report, COMMANDS.again]),
        ({"states": {"rejected": 1}}, [COMMANDS.report, COMMANDS.again]),
    ],
)
def test_the_commands_to_go_on_with(facts: dict[str, Any], commands: list[str]) -> None:
    """Each ending names exactly the commands that help, to people and to machines."""
    end = ending(**facts)
    assert [each["command"] for each in end.as_json()["next"]] == commands
    assert all(f": {each}\n" in text(end) for each in commands)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "Done: every customer is archived."),
        ({"states": {"archived": 1200}, "elapsed": 125.0}, "  1,200 archived; in 2 min 5 s\n"),
        ({"bad": 2}, "  2 invalid lines, left out\n"),
        ({"bad": 1}, "not everything is archived"),
        ({"duplicates": 1}, "  1 repeated line; each customer was sent once\n"),
        ({"states": {"unknown": 2}}, "some outcomes are unknown"),
        ({"states": {"unknown": 2}}, "  0 archived, 2 unknown\n"),
        ({"stopped": "the API is down"}, "Stopped: the API is down"),
        ({"interrupted": "SIGINT", "states": {"pending": 3}}, "Interrupted; what was in flight has ended."),
        ({"interrupted": "SIGINT", "at_once": True, "unread": True}, "requests were cut off are asked about"),
        ({"interrupted": "SIGINT", "states": {"pending": 3}}, "  3 not yet started\n"),
        ({"interrupted": "SIGINT", "unread": True}, "  the source was not read to its end\n"),
    ],
)
def test_the_words(facts: dict[str, Any], words: str) -> None:
    """People read in the first line how it ended, and below it what there is to know."""
    assert words in text(ending(**facts))
