"""Check the strict mock server against the contract with schemathesis: `python tools/contract.py [--seconds 75]`.

It fails on any violation, and if an operation did not also succeed many times: a server that refuses everything
violates nothing.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from thredfi_async.mock_server import MockServer, in_thread

# By name, since type checkers also run without these two installed.
schemathesis: Any = import_module("schemathesis")
command_line: Any = import_module("schemathesis.cli").schemathesis
yaml: Any = import_module("yaml")

CONTRACT = Path(__file__).parents[1] / "docs" / "openapi.yaml"
ENOUGH = 20
"""How often each operation must have been answered with 200."""


def refine(contract: dict[str, Any]) -> dict[str, Any]:
    """Add the contract's prose rules to its schema, since client generators cannot read prose."""
    schemas = contract["components"]["schemas"]
    request = schemas["CustomerRequest"]
    names = ["individual_name", "company_name"]
    request["required"] = [field for field in request["required"] if field not in names]
    request["anyOf"] = [{"required": [name]} for name in names]
    # The reference says that documents come "retrieve only, not in list".
    listed = {**schemas["Customer"]}
    listed["required"] = [field for field in listed["required"] if field != "documents"]
    schemas["ListedCustomer"] = listed
    page = contract["paths"]["/v1/platform/businesses/{business_id}/customers/"]["get"]["responses"]["200"]
    results = page["content"]["application/json"]["schema"]["properties"]["results"]
    results["items"] = {"$ref": "#/components/schemas/ListedCustomer"}
    return contract


def settings(server: MockServer) -> str:
    """Return schemathesis's settings, as TOML: the server's address, and the authentication of each operation."""
    return f"""
    base-url = "{server.url}"
    [auth.openapi.partner]
    bearer = "{server.token}"
    [auth.openapi.partner_credentials]
    username = "{server.partner_uuid}"
    password = "{server.api_key}"
    """


def known_ids(server: MockServer, given: Mapping[str, Any] | None) -> dict[str, str]:
    """Return replacements for well-formed ids, so that most requests are about existing customers.

    One id in ten stays as generated. The choice depends only on the id, so that a failure can be replayed.
    """
    ids: dict[str, str] = {}
    for name, known in (
        ("business_id", server.business_ids),
        ("customer_id", [customer.customer_id for customer in server.customers]),
    ):
        try:
            number = UUID(str((given or {})[name])).int
        except (KeyError, ValueError):
            continue
        if number % 10:
            ids[name] = str(known[number % len(known)])
    return ids


def hook_up(server: MockServer) -> Counter[tuple[str, int]]:
    """Register the hooks; return the count of answers by operation and status."""
    answers: Counter[tuple[str, int]] = Counter()

    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **known_ids(server, case.path_parameters)}

    def after_call(context: Any, case: Any, response: Any) -> None:
        answers[case.operation.label, response.status_code] += 1

    for hook in (before_call, after_call):
        schemathesis.hook(hook)
    return answers


def report(answers: Counter[tuple[str, int]], operations: list[str]) -> bool:
    """Print the statuses of each operation; return whether every one was answered with 200 often enough."""
    statuses = sorted({status for _, status in answers})
    width = max(map(len, operations))
    print("\n" + "operation".ljust(width), *(str(status).rjust(6) for status in statuses))
    for operation in operations:
        print(operation.ljust(width), *(str(answers[operation, status]).rjust(6) for status in statuses))
    lacking = [operation for operation in operations if answers[operation, 200] < ENOUGH]
    for operation in lacking:
        print(f"FAILED: {operation} was answered with 200 fewer than {ENOUGH} times")
    return not lacking


def main() -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=75, help="time for the whole run, default %(default)s")
    parser.add_argument("--max-examples", type=int, default=150, help="cases per operation, default %(default)s")
    options = parser.parse_args()
    contract = refine(yaml.safe_load(CONTRACT.read_text()))
    operations = [f"{method.upper()} {path}" for path, item in contract["paths"].items() for method in item]
    with tempfile.TemporaryDirectory() as folder, in_thread(MockServer(customers=200)) as server:
        schema, config = Path(folder) / "openapi.json", Path(folder) / "schemathesis.toml"
        schema.write_bytes(msgspec.json.encode(contract))
        config.write_text(settings(server))
        answers = hook_up(server)
        arguments = ["--config-file", str(config), "run", str(schema), "--checks", "all"]
        arguments += ["--max-examples", str(options.max_examples), "--max-time", str(options.seconds)]
        arguments += ["--generation-deterministic", "--workers", "1"]
        try:
            command_line.main(args=arguments, prog_name="schemathesis")
        except SystemExit as end:
            violations = end.code
        else:
            violations = None
    return 0 if report(answers, operations) and not violations else 1


if __name__ == "__main__":
    sys.exit(main())
