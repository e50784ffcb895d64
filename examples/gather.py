"""Archive the customers listed in a file, one UUID per line, in one `asyncio.gather`.

    export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=...
    python examples/gather.py BUSINESS_ID ids.txt > left.txt

It writes the ids not known to be archived to stdout, as input of the next run. For more than about ten thousand, use
`thredfi bulk archive`, which keeps a journal and holds only a window of them in memory.
"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from thredfi_async import ConfigurationError, Effect, ThredfiClient, ThredfiError


def read_ids(path: Path) -> list[UUID]:
    """Read the whole file, so that an invalid line is found before anything is sent; repeated ids count once."""
    ids: dict[UUID, None] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.strip():
            try:
                ids[UUID(line.strip())] = None
            except ValueError:
                raise SystemExit(f"{path}, line {number}: this is not a UUID") from None
    return list(ids)


async def archive_one(client: ThredfiClient, business_id: UUID, customer_id: UUID, left: dict[UUID, str]) -> None:
    """Archive one customer and remove it from `left`, or record there why it is not archived."""
    try:
        await client.customers.archive(business_id, customer_id)
    except ThredfiError as error:
        if error.effect is not Effect.APPLIED:
            left[customer_id] = f"{error}, effect {error.effect}"
            return
    del left[customer_id]


async def archive_all(client: ThredfiClient, business_id: UUID, ids: Iterable[UUID], left: dict[UUID, str]) -> None:
    """Archive all of them at once: the client sends as many at a time as it has connections, the others wait.

    No call raises an error of the client here, so that none ends `gather` while others are in flight. If this is
    cancelled, for instance by Ctrl-C, all calls are, and `left` still shows which are done.
    """
    left.update(dict.fromkeys(ids, "was not started, or was interrupted"))
    await asyncio.gather(*(archive_one(client, business_id, each, left) for each in list(left)))


async def main(business_id: UUID, ids: list[UUID], left: dict[UUID, str]) -> None:
    """Own the client for as long as the script runs."""
    async with ThredfiClient.from_env() as client:
        await archive_all(client, business_id, ids, left)


if __name__ == "__main__":
    customer_ids = read_ids(Path(sys.argv[2]))
    not_archived: dict[UUID, str] = {}
    try:
        asyncio.run(main(UUID(sys.argv[1]), customer_ids, not_archived))
    except ConfigurationError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    for customer_id, why in not_archived.items():
        print(customer_id)
        print(f"{customer_id}: {why}", file=sys.stderr)
    print(f"{len(customer_ids) - len(not_archived)} archived, {len(not_archived)} left", file=sys.stderr)
    raise SystemExit(1 if not_archived else 0)
