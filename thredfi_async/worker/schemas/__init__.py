"""The contract of the messages, for programs in any language: a JSON Schema of each, and an AsyncAPI document."""

import json
from importlib.resources import files
from typing import Any, Literal, TypeAlias

__all__ = ["SchemaName", "schema"]

SchemaName: TypeAlias = Literal["command", "outcome", "dead_letter", "asyncapi"]
"""The JSON Schema of a message, or the AsyncAPI document that refers to all three."""


def schema(name: SchemaName) -> dict[str, Any]:
    """Return the contract of a message.

    Args:
        name: Which one.

    Returns:
        A JSON Schema (draft 2020-12), or for `asyncapi` a document of AsyncAPI 3.0.
    """
    document: dict[str, Any] = json.loads(files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
    return document
