"""Invented customers that look real: the same for the same seed, generated on access.

Nothing is kept per customer, so a million cost as little as ten. An id holds its customer's number, scrambled,
in its first eight digits; the rest proves that it was seeded.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, overload
from uuid import UUID

import attrs


def _words(text: str) -> list[str]:
    return text.split()


_FIRST = _words(
    "Avery Bellamy Casimir Dorothea Emrys Fenella Gethin Hester Ivo Juniper Kester Linnea Morwenna Nestor "
    "Ottilie Piran Quilla Rosalind Severin Tamsin Ulric Verity Wilfred Zoë Łucja Søren"
)
_LAST = _words(
    "Ashdown Birchall Copperfield Dunmore Elderwick Fairbourne Greystone Hollowell Inkpen Jessamy "
    "Kettleworth Larkhill Merriwick Northgate Oakenshaw Pennyfold Quickthorn Ravensby Silverdale "
    "Thistlewood Umberfield"
)
_TRADE = _words(
    "Bakery Bindery Brewing Catering Ceramics Cycles Dairy Electrical Florists Foundry Glazing "
    "Instruments Joinery Logistics Masonry Nurseries Optics Plumbing Printworks Roofing Salvage Textiles "
    "Upholstery"
)
_STREET = _words("Alder Bramble Cobbler Drover Foundry Harbour Kiln Larkfield Mill Orchard Priory Tanner Weaver")
_TOWN = _words("Ambleford Brackwater Calderby Dunstead Elmbridge Farrowdale Greywick Holmeford Ivelstow Kelderby")
_COUNTY = _words("Eastmere Fenshire Hollinshire Northmarch Westvale")
_TAGS = ("wholesale", "retail", "trade", "online", "priority", "seasonal")
_SCRAMBLE = 0x9E3779B1
"""Odd, so that multiplying by it modulo 2**32 can be reversed."""
_UNSCRAMBLE = pow(_SCRAMBLE, -1, 2**32)
_EXTERNAL_ID = re.compile(r"cust-([0-9]{7,10})", re.ASCII)


@attrs.frozen(slots=True)
class SeededCustomer:
    """One customer that the mock server has from the start.

    Args:
        business_id: The business that owns it, of the mock server's partner.
        customer_id: Its id.
    """

    business_id: UUID
    customer_id: UUID
    _seed: "Seed" = attrs.field(alias="seed", repr=False, eq=False)
    _number: int = attrs.field(alias="number", repr=False, eq=False)

    @property
    def body(self) -> dict[str, Any]:
        """The 20 fields of its record, a new dict on each access: a valid body for archiving it."""
        return self._seed.body(self._number)


class Seed:
    """Computes ids and records from a seed, and a customer's number from its id.

    Args:
        customers: Number of customers in all, spread evenly over the businesses.
        businesses: Number of businesses that the partner owns, at least 1.
        seed: Any number; another one gives other ids and other customers.

    Raises:
        ValueError: There are no businesses, or fewer than 0 customers, or more than 2**32.
    """

    def __init__(self, customers: int, businesses: int, seed: int) -> None:
        if not 0 <= customers < 2**32:
            raise ValueError(f"customers must be between 0 and 2**32, not {customers}")
        if businesses < 1:
            raise ValueError(f"businesses must be 1 or more, not {businesses}")
        self.customers = customers
        self._key = f"thredfi mock-server {seed}".encode()[:64]
        self.business_ids: list[str] = [
            str(UUID(bytes=self.digest("business", n), version=4)) for n in range(businesses)
        ]
        self._offset = int.from_bytes(self.digest("offset", 0)[:4], "big")
        self._businesses = {business_id: n for n, business_id in enumerate(self.business_ids)}

    def digest(self, purpose: str, number: int) -> bytes:
        """Return 16 bytes that depend only on the seed, the purpose and the number."""
        return blake2b(b"%s:%d" % (purpose.encode(), number), key=self._key, digest_size=16).digest()

    def secret(self, purpose: str) -> str:
        """Return a stable hexadecimal secret for a purpose."""
        return self.digest(purpose, 0).hex()

    def business(self, business_id: str) -> int | None:
        """Return the number of a business by its canonical id, or None for one that is not the partner's."""
        return self._businesses.get(business_id)

    def business_id(self, number: int) -> str:
        """Return the id of the business that owns a customer, given the customer's number."""
        return self.business_ids[number % len(self.business_ids)]

    def customer_id(self, number: int) -> str:
        """Return the canonical id of a customer, given its number."""
        rest = self.digest("customer", number).hex()
        head = (number * _SCRAMBLE + self._offset) & 0xFFFFFFFF
        return f"{head:08x}-{rest[:4]}-4{rest[4:7]}-8{rest[7:10]}-{rest[10:22]}"

    def customer(self, customer_id: str) -> int | None:
        """Return the number of a customer by its canonical id, or None for one that does not exist."""
        head = (int(customer_id[:8], 16) - self._offset) * _UNSCRAMBLE
        number = head & 0xFFFFFFFF
        return number if number < self.customers and self.customer_id(number) == customer_id else None

    def by_external_id(self, external_id: str) -> int | None:
        """Return the number of the customer whose record was seeded with this external id, or None."""
        match = _EXTERNAL_ID.fullmatch(external_id)
        if match is None:
            return None
        number = int(match[1])
        return number if number < self.customers and f"cust-{number:07d}" == external_id else None

    def body(self, number: int) -> dict[str, Any]:
        """Return the 20 fields that a customer's record was seeded with."""
        dice = self.digest("body", number)
        first, last = _FIRST[dice[0] % len(_FIRST)], _LAST[dice[1] % len(_LAST)]
        mailbox = f"{first}.{last}.{number}".lower().encode("ascii", "ignore").decode()
        return {
            "external_id": f"cust-{number:07d}",
            "reference_number": f"REF-{dice[2]:03d}-{number:06d}",
            "individual_name": f"{first} {last}",
            "company_name": f"{_LAST[dice[3] % len(_LAST)]} {_TRADE[dice[4] % len(_TRADE)]} Ltd",
            "email": f"{mailbox}@example.com",
            # Ofcom reserves these two ranges for drama: no one has such a number.
            "mobile_phone": f"+44 7700 900{number % 1000:03d}",
            "office_phone": f"+44 20 7946 0{number % 1000:03d}",
            "address_line1": f"{dice[5] % 180 + 1} {_STREET[dice[6] % len(_STREET)]} Lane",
            "address_line2": f"Unit {dice[7] % 40 + 1}",
            "city": _TOWN[dice[8] % len(_TOWN)],
            "state_county": _COUNTY[dice[9] % len(_COUNTY)],
            # No postal area starts with ZZ.
            "postal_code": f"ZZ{dice[10] % 90 + 10} {dice[11] % 9 + 1}ZZ",
            "country": "GB",
            "vat_number": f"GB{int.from_bytes(dice[:4], 'big') % 10**9:09d}",
            "tax_exempt": dice[12] % 8 == 0,
            "transaction_tags": list(_TAGS[dice[13] % 4 : dice[13] % 4 + dice[14] % 3]),
            "notes": f"Account opened at the {_TOWN[dice[15] % len(_TOWN)]} branch.",
            "metadata": {
                "crm_id": f"crm-{number}",
                "segment": _TAGS[dice[14] % len(_TAGS)],
                "visits": dice[15],
            },
            "payment_terms_days": (14, 30, 60)[dice[12] % 3],
            "credit_limit_cents": (dice[13] + 1) * 10_000,
        }


class SeededCustomers(Sequence[SeededCustomer]):
    """All customers of a mock server, in the order of their numbers, each generated on access."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed

    def __len__(self) -> int:
        return self._seed.customers

    @overload
    def __getitem__(self, index: int) -> SeededCustomer: ...

    @overload
    def __getitem__(self, index: slice) -> list[SeededCustomer]: ...

    def __getitem__(self, index: int | slice) -> SeededCustomer | list[SeededCustomer]:
        if isinstance(index, slice):
            return [self._make(number) for number in range(len(self))[index]]
        return self._make(range(len(self))[index])

    def __iter__(self) -> Iterator[SeededCustomer]:
        return map(self._make, range(len(self)))

    def _make(self, number: int) -> SeededCustomer:
        seed = self._seed
        return SeededCustomer(
            business_id=UUID(seed.business_id(number)),
            customer_id=UUID(seed.customer_id(number)),
            seed=seed,
            number=number,
        )


def seeded_customers(customers: int = 1000, businesses: int = 1, seed: int = 1) -> Sequence[SeededCustomer]:
    """Return the customers that a mock server with these settings would have, without starting one.

    Args:
        customers: Number of customers in all; 1,000 by default.
        businesses: Number of businesses that they are spread over; 1 by default.
        seed: The mock server's seed; 1 by default.

    Returns:
        A sequence that generates each customer on access.

    Raises:
        ValueError: A count is out of range.
    """
    return SeededCustomers(Seed(customers, businesses, seed))
