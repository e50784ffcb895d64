"""Archives a CSV file with a plain pool of tasks, as written by hand, without keeping any results."""

import argparse
import asyncio
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from work import TOKEN

from thredfi_async import CustomerRequest, ThredfiClient

_TASKS: Final = 100


def _rows(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            fields: dict[str, Any] = dict(row)
            business, customer = fields.pop("business_id"), fields.pop("customer_id")
            fields["tax_exempt"] = fields["tax_exempt"] == "true"
            for name in ("transaction_tags", "metadata"):
                fields[name] = json.loads(fields[name])
            for name in ("payment_terms_days", "credit_limit_cents"):
                fields[name] = int(fields[name])
            yield business, customer, fields


async def pool(path: Path, url: str) -> int:
    """Archive every row; return how many there were."""
    rows, done = _rows(path), 0

    async def work() -> None:
        nonlocal done
        for business, customer, fields in rows:
            await client.customers.archive(business, customer, CustomerRequest(**fields))
            done += 1

    async with ThredfiClient(TOKEN, base_url=url) as client, asyncio.TaskGroup() as tasks:
        for _ in range(_TASKS):
            tasks.create_task(work())
    return done


def main() -> None:
    """Archive, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("url")
    options = parser.parse_args()
    print(asyncio.run(pool(options.file, options.url)))


if __name__ == "__main__":
    main()
