from typing import Any

import msgspec
import pytest

from thredfi_async.mock_server import store as module
from thredfi_async.mock_server.checks import RefusedError
from thredfi_async.mock_server.queries import PageRequest
from thredfi_async.mock_server.seed import Seed
from thredfi_async.mock_server.store import Repeat, Store


def archive(store: Store, number: int, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """Archive a customer with some fields changed."""
    answer: dict[str, Any] = msgspec.json.decode(store.archive(number, {**store.seed.body(number), **fields}, key))
    return answer


def listed(store: Store, business: int = 0, **wanted: Any) -> list[str]:
    """Return the external ids of a list request."""
    return [customer["external_id"] for customer in store.page(business, PageRequest(**wanted))[1]]


def test_archiving_sets_the_state_and_overwrites_the_record() -> None:
    """An archived customer has that status, and the body's fields become its record."""
    store = Store(Seed(3, 1, 1))
    before = msgspec.json.decode(store.retrieve(1))
    assert (before["status"], before["is_active"], before["archived_at"]) == ("ACTIVE", True, None)
    answer = archive(store, 1, city="Elsewhere", metadata={"n": True})
    assert (answer["status"], answer["is_active"], answer["is_archived"]) == ("ARCHIVED", False, True)
    assert answer["city"] == "Elsewhere"
    assert "Elsewhere" in answer["full_address"]
    assert answer["archived_at"] == answer["updated_at"]
    assert msgspec.json.decode(store.retrieve(1)) == answer
    assert (store.is_archived(1), store.is_archived(2)) == (True, False)


def test_fields_left_out_stay_as_they_were() -> None:
    """A partial body overwrites its own fields, on top of earlier changes."""
    store = Store(Seed(1, 1, 1))
    archive(store, 0, city="Elsewhere")
    answer = msgspec.json.decode(store.archive(0, {"notes": "n"}, None))
    assert (answer["city"], answer["notes"]) == ("Elsewhere", "n")


def test_a_repeat_is_accepted_and_keeps_the_first_time() -> None:
    """By default archiving again succeeds, and `archived_at` stays."""
    store = Store(Seed(1, 1, 1))
    first = archive(store, 0)
    again = archive(store, 0)
    assert again["archived_at"] == first["archived_at"]


@pytest.mark.parametrize(("repeat", "status"), [("conflict", 409), ("invalid", 400)])
def test_a_repeat_may_be_an_error(repeat: Repeat, status: int) -> None:
    """The other two answers to a repeat, which is not documented; the 400 is no validation error."""
    store = Store(Seed(1, 1, 1), repeat=repeat)
    archive(store, 0)
    with pytest.raises(RefusedError) as caught:
        archive(store, 0)
    assert caught.value.status == status
    assert caught.value.code != "validation_error"


def test_a_key_replays_the_first_answer() -> None:
    """A key replays the first success, whatever has happened since, and only for its customer."""
    store = Store(Seed(2, 1, 1))
    first = archive(store, 0, "k", city="Elsewhere")
    archive(store, 0, "other", city="Nowhere")
    assert msgspec.json.decode(store.replay(0, "k") or b"") == first
    assert store.replay(1, "k") is store.replay(0, None) is None


def test_keys_are_forgotten_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the latest keys are remembered."""
    monkeypatch.setattr(module, "MAX_REPLAYS", 2)
    store = Store(Seed(1, 1, 1))
    for key in "abc":
        archive(store, 0, key)
    assert [store.replay(0, key) is not None for key in "abc"] == [False, True, True]


def test_too_deep_metadata_is_refused_and_changes_nothing() -> None:
    """A request that cannot be answered is not applied."""
    deep: list[Any] = []
    for _ in range(1_000_000):
        deep = [deep]
    store = Store(Seed(1, 1, 1))
    with pytest.raises(RefusedError, match="not valid"):
        archive(store, 0, metadata=deep)
    assert not store.is_archived(0)
    while deep:  # unnest it, or freeing it recurses
        deep = deep[0]


def test_integers_of_any_size_are_kept() -> None:
    """An integer over 64 bits comes back unchanged, also later."""
    store = Store(Seed(1, 1, 1))
    archive(store, 0, credit_limit_cents=10**30)
    assert str(10**30).encode() in store.retrieve(0)


def test_lists_are_of_active_customers_of_a_business() -> None:
    """Lists leave out archived customers unless asked for, and other businesses' customers always."""
    store = Store(Seed(6, 2, 1))
    archive(store, 2)
    assert listed(store) == ["cust-0000000", "cust-0000004"]
    assert listed(store, include_archived=True) == ["cust-0000000", "cust-0000002", "cust-0000004"]
    assert listed(store, 1) == ["cust-0000001", "cust-0000003", "cust-0000005"]


def test_external_ids_filter_exactly() -> None:
    """The filter uses the record's current id, within its business and the listed customers."""
    store = Store(Seed(4, 2, 1))
    archive(store, 0, external_id="mine")
    assert listed(store, external_id="mine") == []
    assert listed(store, external_id="mine", include_archived=True) == ["mine"]
    assert listed(store, external_id="cust-0000000", include_archived=True) == []
    assert listed(store, external_id="cust-0000002") == ["cust-0000002"]
    assert listed(store, external_id="cust-0000001") == []


def test_pages_end() -> None:
    """The last page may be short, the one after it does not exist, and an empty first page does."""
    store = Store(Seed(5, 1, 1))
    assert len(listed(store, page=2, page_size=3)) == 2
    with pytest.raises(RefusedError) as caught:
        listed(store, page=3, page_size=3)
    assert caught.value.status == 404
    assert Store(Seed(0, 1, 1)).page(0, PageRequest()) == (0, [])


def test_documents_come_with_one_customer_only() -> None:
    """Items of a list have no documents; a retrieved customer has them, with URLs that look presigned."""
    store = Store(Seed(20, 1, 1))
    assert all("documents" not in customer for customer in store.page(0, PageRequest())[1])
    documents = [document for n in range(20) for document in msgspec.json.decode(store.retrieve(n))["documents"]]
    assert documents
    assert all("X-Amz-Signature" in document["url"] for document in documents)


def test_a_stranger_is_somebody_else() -> None:
    """The wrong answer is about an archived customer with another id."""
    store = Store(Seed(1, 1, 1))
    stranger = msgspec.json.decode(store.stranger(0))
    assert stranger["id"] != store.seed.customer_id(0)
    assert stranger["is_archived"] is True
