"""`thredfi bulk` in this process, for tests: what it told, and the commands that it printed."""

import csv
import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from thredfi_async.cli import main
from thredfi_async.mock_server import Fault, FaultKind, MockServer, SeededCustomer


@dataclass
class Told:
    """What a command told.

    Args:
        capsys: What it was captured with.
        code: The exit code.
        out: Stdout.
        err: Stderr.
    """

    capsys: pytest.CaptureFixture[str]
    code: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, Any]]:
        """The objects on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def commands(self) -> list[str]:
        """The commands to go on with, as they were printed, or as JSON has them."""
        if self.out.startswith("{"):
            return [each["command"] for each in self.json[-1]["next"] if each["command"]]
        parts = (line.partition(": thredfi ") for line in self.out.splitlines())
        return [f"thredfi {command}" for _, found, command in parts if found]

    def type(self, command: str, *more: str) -> "Told":
        """Type a command as it was printed."""
        program, *argv = shlex.split(command)
        assert program == "thredfi"
        return _run(self.capsys, *argv, *more)


Bulk: TypeAlias = Callable[..., Told]
"""Runs a command of `thredfi bulk`, and returns what it told."""


def run_bulk(capsys: pytest.CaptureFixture[str], *argv: str) -> Told:
    """Run a command of `thredfi bulk`."""
    return _run(capsys, "bulk", *argv)


def _run(capsys: pytest.CaptureFixture[str], *argv: str) -> Told:
    capsys.readouterr()
    code = main(list(argv))
    told = capsys.readouterr()
    return Told(capsys, code, told.out, told.err)


def ids_of(path: str, customers: Iterable[SeededCustomer]) -> list[str]:
    """Write a file with the ids of customers; return its lines."""
    lines = ["business_id,customer_id", *(f"{each.business_id},{each.customer_id}" for each in customers)]
    Path(path).write_text("\n".join(lines) + "\n", "utf-8")
    return lines


def file_of(path: str, customers: Iterable[SeededCustomer]) -> None:
    """Write a file with the ids and the bodies of customers."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        for number, each in enumerate(customers):
            if number == 0:
                lines.writerow(["business_id", "customer_id", *each.body])
            values = (json.dumps(value) if not isinstance(value, str) else value for value in each.body.values())
            lines.writerow([each.business_id, each.customer_id, *values])


def lost(server: MockServer, *customers: SeededCustomer) -> None:
    """Let customers be archived without a usable answer, so that this run does not know about them."""
    for each in customers:
        get = Fault(FaultKind.SERVER_ERROR, status=501, on="get")
        server.queue_faults(each.customer_id, Fault(FaultKind.NOT_JSON), get)
