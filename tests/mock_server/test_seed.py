import re
from uuid import UUID, uuid4

import pytest

from thredfi_async.mock_server.checks import FIELDS, customer_request, encode
from thredfi_async.mock_server.seed import Seed, SeededCustomers, seeded_customers


def test_same_seed_gives_same_customers() -> None:
    """The same settings give the same ids and records, another seed gives others."""
    first, again, other = (list(seeded_customers(20, 3, seed)) for seed in (7, 7, 8))
    assert first == again
    assert [customer.body for customer in first] == [customer.body for customer in again]
    assert not {customer.customer_id for customer in first} & {customer.customer_id for customer in other}


def test_every_seeded_body_is_valid() -> None:
    """A seeded body has all 20 fields and passes the contract's checks."""
    for customer in seeded_customers(300):
        assert set(customer.body) == set(FIELDS)
        assert len(FIELDS) == 20
        assert customer_request(encode(customer.body), strict=True) == customer.body


def test_seeded_people_are_invented() -> None:
    """Addresses and numbers are from ranges that belong to no one."""
    for customer in seeded_customers(300):
        body = customer.body
        assert body["email"].endswith("@example.com")
        assert re.fullmatch(r"\+44 7700 900\d{3}", body["mobile_phone"])
        assert re.fullmatch(r"\+44 20 7946 0\d{3}", body["office_phone"])


def test_ids_lead_back_to_their_customers() -> None:
    """An id gives its customer's number, and an id that was not seeded gives none."""
    seed = Seed(5000, 3, 1)
    ids = [seed.customer_id(number) for number in range(5000)]
    assert len(set(ids)) == 5000
    assert [seed.customer(customer_id) for customer_id in ids] == list(range(5000))
    assert all(UUID(customer_id).version == 4 for customer_id in ids[:50])
    assert seed.customer(seed.customer_id(5000)) is None
    assert all(seed.customer(str(uuid4())) is None for _ in range(1000))


def test_external_ids_lead_back_to_their_customers() -> None:
    """Only the exact external id of a seeded customer finds it."""
    seed = Seed(12, 1, 1)
    assert seed.by_external_id(seed.body(11)["external_id"]) == 11
    for stranger in ("cust-0000012", "cust-11", "cust-00000011", "", "x"):
        assert seed.by_external_id(stranger) is None


def test_businesses_take_turns() -> None:
    """Customers are spread evenly over the businesses."""
    customers = SeededCustomers(Seed(9, 3, 1))
    owners = [customer.business_id for customer in customers]
    assert owners[:3] == owners[3:6] == owners[6:]
    assert len(set(owners)) == 3


def test_customers_are_a_sequence() -> None:
    """The customers index, slice and count like any sequence, without being kept."""
    customers = seeded_customers(1_000_000)
    assert len(customers) == 1_000_000
    assert customers[-1] == customers[999_999]
    assert customers[10:12] == [customers[10], customers[11]]
    with pytest.raises(IndexError):
        customers[1_000_000]


def test_a_body_is_its_callers_to_change() -> None:
    """Changing a body changes no other."""
    customer = seeded_customers(1)[0]
    customer.body["notes"] = ""
    assert customer.body["notes"]


def test_a_seeded_customer_shows_no_personal_data() -> None:
    """The repr has ids only."""
    customer = seeded_customers(1)[0]
    assert customer.body["email"] not in repr(customer)


@pytest.mark.parametrize(("customers", "businesses"), [(-1, 1), (2**32 + 1, 1), (1, 0)])
def test_impossible_counts_are_refused(customers: int, businesses: int) -> None:
    """Counts out of range are named."""
    with pytest.raises(ValueError, match="must be"):
        seeded_customers(customers, businesses)
