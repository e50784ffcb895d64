"""The customers' state: the seeded records, and what archiving has changed."""

import time
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Literal

import attrs

from thredfi_async.mock_server.checks import RefusedError, decode_object, encode, invalid
from thredfi_async.mock_server.queries import PageRequest
from thredfi_async.mock_server.seed import Seed

Repeat = Literal["ok", "conflict", "invalid"]
MAX_REPLAYS = 100_000
"""The number of idempotency keys remembered, the latest ones."""

NULLABLE = (
    "reference_number",
    "individual_name",
    "company_name",
    "display_name",
    "email",
    "mobile_phone",
    "office_phone",
    "address_line1",
    "address_line2",
    "city",
    "state_county",
    "postal_code",
    "country",
    "full_address",
    "address_string",
    "vat_number",
    "notes",
)
"""The documented text fields that a fault sets to null."""


@attrs.frozen
class Archived:
    """The state of an archived customer.

    Args:
        fields: Its 20 fields as JSON; None if they are the seeded ones, which saves a kilobyte each.
        archived_at: When it was first archived.
        updated_at: When it was last archived.
    """

    fields: bytes | None
    archived_at: str
    updated_at: str


def timestamp(seconds: float) -> str:
    """Return an RFC 3339 timestamp for seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Store:
    """Every customer by its number.

    Args:
        seed: Their seeded records.
        repeat: The answer to archiving an archived customer: `ok`, `conflict` or `invalid`.
    """

    def __init__(self, seed: Seed, *, repeat: Repeat = "ok") -> None:
        self.seed = seed
        self._repeat = repeat
        self._archived: dict[int, Archived] = {}
        self._active = bytearray(b"\x01") * seed.customers
        self._replays: dict[tuple[int, str], Archived] = {}
        self._renamed: dict[str, set[int]] = {}

    def is_archived(self, number: int) -> bool:
        """Return whether a customer is archived."""
        return number in self._archived

    def replay(self, number: int, key: str | None) -> bytes | None:
        """Return the first success answered to an idempotency key, or None."""
        state = None if key is None else self._replays.get((number, key))
        return None if state is None else self.answer(number, state)

    def archive(self, number: int, fields: dict[str, Any], key: str | None) -> bytes:
        """Archive a customer, and overwrite its record with the given fields.

        Returns:
            The answer's body.

        Raises:
            RefusedError: It is archived already, and `repeat` makes that an error; or the fields nest too deeply.
        """
        before = self._archived.get(number)
        if before is not None and self._repeat == "conflict":
            raise RefusedError(409, "conflict", "The customer is already archived.")
        if before is not None and self._repeat == "invalid":
            raise RefusedError(400, "invalid_state", "The customer is already archived.")
        seeded = self.seed.body(number)
        current = seeded if before is None or before.fields is None else decode_object(before.fields)
        merged = {**current, **fields}
        try:
            encoded = encode(merged)
        except ValueError:
            raise invalid({"metadata": ["Nested too deeply."]}) from None
        now = timestamp(time.time())
        state = Archived(
            fields=None if encoded == encode(seeded) else encoded,
            archived_at=now if before is None else before.archived_at,
            updated_at=now,
        )
        self._archived[number] = state
        self._active[number] = 0
        if merged["external_id"] != seeded["external_id"]:
            self._renamed.setdefault(merged["external_id"], set()).add(number)
        if key is not None:
            self._replays[number, key] = state
            if len(self._replays) > MAX_REPLAYS:
                del self._replays[next(iter(self._replays))]
        return encode(self._represent(number, state, merged))

    def fields(self, number: int, state: Archived | None) -> dict[str, Any]:
        """Return the 20 fields of a customer in a state."""
        if state is None or state.fields is None:
            return self.seed.body(number)
        return decode_object(state.fields)

    def retrieve(self, number: int) -> bytes:
        """Return a customer as it is now, as JSON."""
        return self.answer(number, self._archived.get(number))

    def stranger(self, number: int) -> bytes:
        """Return, as JSON, an archived customer other than the requested one."""
        customer_id = self.seed.customer_id(number + 1)
        now = timestamp(time.time())
        body = self._represent(number, Archived(None, now, now), self.seed.body(number))
        return encode({**body, "id": customer_id, "external_id": f"cust-{number + 1:07d}"})

    def answer(self, number: int, state: Archived | None) -> bytes:
        """Return a customer in a state, as JSON."""
        return encode(self._represent(number, state, self.fields(number, state)))

    def page(self, business: int, request: PageRequest) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of matching customers, and those of the page, without their documents.

        Raises:
            RefusedError: 404, there is no such page.
        """
        numbers = self._matching(business, request)
        start = (request.page - 1) * request.page_size
        if start and start >= len(numbers):
            raise RefusedError(404, "not_found", "Invalid page.")
        chosen = numbers[start : start + request.page_size]
        return len(numbers), [self._list_item(number) for number in chosen]

    def _matching(self, business: int, request: PageRequest) -> "range | list[int]":
        step = len(self.seed.business_ids)
        everyone = range(business, self.seed.customers, step)
        if request.external_id is not None:
            return [n for n in self._named(request.external_id) if n in everyone and self._listed(n, request)]
        if request.include_archived or not self._archived:
            return everyone
        return list(compress(everyone, self._active[business::step]))

    def _listed(self, number: int, request: PageRequest) -> bool:
        return request.include_archived or not self.is_archived(number)

    def _named(self, external_id: str) -> list[int]:
        candidates = set(self._renamed.get(external_id, ()))
        seeded = self.seed.by_external_id(external_id)
        if seeded is not None:
            candidates.add(seeded)
        return [n for n in sorted(candidates) if self._external_id(n) == external_id]

    def _external_id(self, number: int) -> object:
        return self.fields(number, self._archived.get(number))["external_id"]

    def _list_item(self, number: int) -> dict[str, Any]:
        state = self._archived.get(number)
        item = self._represent(number, state, self.fields(number, state))
        del item["documents"]
        return item

    def _represent(self, number: int, state: Archived | None, fields: dict[str, Any]) -> dict[str, Any]:
        dice = self.seed.digest("state", number)
        created = (
            f"202{dice[0] % 5}-{dice[1] % 12 + 1:02}-{dice[2] % 28 + 1:02}T{dice[3] % 24:02}:{dice[4] % 60:02}:00Z"
        )
        address = [fields["address_line1"], fields["address_line2"], fields["city"], fields["state_county"]]
        address += [fields["postal_code"], fields["country"]]
        return {
            "type": "CustomerData",
            "id": self.seed.customer_id(number),
            **fields,
            "display_name": fields["company_name"] or fields["individual_name"],
            "full_address": "\n".join(address),
            "address_string": ", ".join(address),
            "status": "ACTIVE" if state is None else "ARCHIVED",
            "is_active": state is None,
            "is_archived": state is not None,
            "credit_limit": fields["credit_limit_cents"],
            "outstanding_balance": int.from_bytes(dice[3:5], "big") * (dice[5] % 2),
            "documents": [self._document(number * 4 + n, dice[7 + n]) for n in range(dice[6] % 3)],
            "created_at": created,
            "updated_at": created if state is None else state.updated_at,
            "archived_at": None if state is None else state.archived_at,
        }

    def _document(self, number: int, size: int) -> dict[str, Any]:
        raw = self.seed.digest("document", number).hex()
        document_id = f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-8{raw[17:20]}-{raw[20:]}"
        return {
            "url": f"https://documents.example.com/{document_id}.pdf?X-Amz-Expires=3600&X-Amz-Signature={raw[::-1]}",
            "expires_in": 3600,
            "document_id": document_id,
            "file_name": f"statement-{number}.pdf",
            "file_size": 20_000 + size * 100,
            "mime_type": "application/pdf",
        }
