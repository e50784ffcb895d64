"""The JSON Schemas of the messages, and the code that reads and writes them: neither accepts what the other refuses."""

import json
from collections.abc import Callable
from typing import Any, Literal

import jsonschema_rs
import pytest
from helpers import body
from hypothesis import given, settings
from messages import COMMANDS, LETTERS, OUTCOMES, changed

from thredfi_async import InvalidRequestError
from thredfi_async.worker import ArchiveCommand, DeadLetter, OutcomeEvent
from thredfi_async.worker.schemas import schema

Name = Literal["command", "outcome", "dead_letter"]
NAMES: tuple[Name, ...] = ("command", "outcome", "dead_letter")
VALIDATORS = {name: jsonschema_rs.Draft202012Validator(schema(name), validate_formats=True) for name in NAMES}


def agree(name: Name, read: Callable[[bytes], Any], fields: dict[str, Any]) -> Any:
    """Check that schema and code take, or refuse, the same message; return what was read."""
    refused: tuple[str, ...] = ()
    try:
        message = read(json.dumps(fields).encode())
    except InvalidRequestError as error:
        message, refused = None, error.problems
    if "\ud800" in json.dumps(fields, ensure_ascii=False):  # no schema can say it, and no validator reads it
        known = {field: value for field, value in fields.items() if field in schema(name)["properties"]}
        assert message is None or "\ud800" not in json.dumps(known, ensure_ascii=False)
        return None
    assert VALIDATORS[name].is_valid(fields) is (message is not None), (refused, fields)
    return message


@settings(max_examples=400)
@given(changed(COMMANDS))
def test_commands(fields: dict[str, Any]) -> None:
    """Schema and reader agree about a command, and what the code writes satisfies the schema."""
    if (command := agree("command", ArchiveCommand.from_json, fields)) is not None:
        VALIDATORS["command"].validate(json.loads(command.to_json()))


@settings(max_examples=400)
@given(changed(OUTCOMES))
def test_outcomes(fields: dict[str, Any]) -> None:
    """Schema and reader agree about an outcome event, and what the code writes satisfies the schema."""
    if (event := agree("outcome", OutcomeEvent.from_json, fields)) is not None:
        VALIDATORS["outcome"].validate(json.loads(event.to_json()))
        assert OutcomeEvent.from_json(event.to_json()) == event


@settings(max_examples=400)
@given(changed(LETTERS))
def test_dead_letters(fields: dict[str, Any]) -> None:
    """Schema and reader agree about a dead letter, and what the code writes satisfies the schema."""
    if (letter := agree("dead_letter", DeadLetter.from_json, fields)) is not None:
        VALIDATORS["dead_letter"].validate(json.loads(letter.to_json()))
        assert DeadLetter.from_json(letter.to_json()) == letter


@pytest.mark.parametrize("name", body())
def test_every_field_of_a_body(name: str) -> None:
    """Each field of the body is required unless the command is partial, and null in none."""
    ids = {"version": 1, "business_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a"}
    ids["customer_id"] = ids["business_id"]
    less = {field: value for field, value in body().items() if field != name}
    for customer in (body(), body() | {name: None}, less):
        for partial in (True, False):
            agree("command", ArchiveCommand.from_json, {**ids, "customer": customer, "partial": partial})


def test_the_asyncapi_document() -> None:
    """It names the subjects and the schemas that there are."""
    document = schema("asyncapi")
    assert [channel["address"] for channel in document["channels"].values()] == [
        "thredfi.archive",
        "thredfi.archive.outcomes.{state}",
        "thredfi.archive.dead",
    ]
    payloads = {name: message["payload"]["$ref"] for name, message in document["components"]["messages"].items()}
    assert payloads == {name: f"./{name}.json" for name in VALIDATORS}
