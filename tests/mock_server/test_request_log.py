from hashlib import sha256
from uuid import UUID

from thredfi_async.mock_server.request_log import MAX_DISTINCT, CustomerRecord, RequestLog

ID = str(UUID(int=7))


def test_requests_are_recorded() -> None:
    """Keys and digests are kept once each, requests are counted, bodies are not kept."""
    record = RequestLog()
    record.posted(ID, "k1", b"body")
    record.posted(ID, "k1", b"body")
    record.posted(ID, None, None)
    record.read(ID)
    customer = record.of(UUID(int=7))
    assert (customer.requests, customer.reads) == (3, 1)
    assert (customer.keys, customer.digests) == ({"k1"}, {sha256(b"body").hexdigest()})


def test_the_first_application_is_remembered() -> None:
    """Each applied request counts, and the first one's time stays."""
    times = iter([5.0, 6.0])
    record = RequestLog(clock=lambda: next(times))
    record.took_effect(ID)
    record.took_effect(ID)
    assert (record.of(ID).applied, record.of(ID).first_applied, record.applied) == (2, 5.0, 2)


def test_asking_for_a_stranger_keeps_nothing() -> None:
    """A customer without requests has an empty record, which is not kept."""
    record = RequestLog()
    assert record.of(ID) == CustomerRecord()
    assert not record._customers


def test_what_is_kept_of_a_customer_is_bounded() -> None:
    """A client that never uses a key twice does not fill the memory."""
    record = RequestLog()
    for number in range(MAX_DISTINCT * 2):
        record.posted(ID, str(number), b"%d" % number)
    customer = record.of(ID)
    assert len(customer.keys) == len(customer.digests) == MAX_DISTINCT
    assert customer.requests == MAX_DISTINCT * 2


def test_arrivals_are_kept_only_when_asked_for() -> None:
    """Arrival times, which grow without bound, are kept on request."""
    times = iter([1.0, 2.0])
    keeping, plain = RequestLog(keep_arrivals=True, clock=lambda: next(times)), RequestLog()
    for record in (keeping, plain):
        record.arrived("archive")
        record.arrived("get")
    assert keeping.arrivals == [(1.0, "archive"), (2.0, "get")]
    assert plain.arrivals == []
    assert plain.totals == {"archive": 1, "get": 1}
