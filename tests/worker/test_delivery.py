"""What the subject for an acknowledgement says of a delivery, compared with nats-py's own reading of it."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.msg import Msg

from thredfi_async.worker.delivery import Delivery

HALF_A_MICROSECOND = 1_790_000_000_123_456_500


@pytest.mark.parametrize("domain", ["", "hub.ABCDEF."])
@pytest.mark.parametrize("end", ["", ".random"])
@given(
    deliveries=st.integers(1, 2**31 - 1),
    sequence=st.integers(1, 2**63 - 1),
    stored_at=st.integers(10**18, 4 * 10**18),
)
@example(deliveries=1, sequence=7, stored_at=HALF_A_MICROSECOND)
@example(deliveries=1, sequence=7, stored_at=HALF_A_MICROSECOND + 1_000)
def test_it_says_what_nats_py_says(domain: str, end: str, deliveries: int, sequence: int, stored_at: int) -> None:
    """Numbers, names and the id are those of nats-py, by which workers of earlier releases tell messages apart."""
    reply = f"$JS.ACK.{domain}THREDFI.worker.{deliveries}.{sequence}.5.{stored_at}.0{end if domain else ''}"
    nats_message: Any = Msg
    facts = nats_message(None, reply=reply).metadata
    delivery = Delivery.of(reply)
    assert delivery is not None
    assert (delivery.stream, delivery.consumer) == (facts.stream, facts.consumer)
    assert (delivery.deliveries, delivery.sequence) == (facts.num_delivered, facts.sequence.stream)
    assert delivery.message_id == f"{facts.stream}/{facts.sequence.stream}/{facts.timestamp.timestamp():.6f}"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "_INBOX.a.1",
        "$JS.ACK.THREDFI.worker.1.2.3.4",
        "$JS.ACK.THREDFI.worker.0.2.3.4.5",
        "$JS.ACK.THREDFI.worker.2147483648.2.3.4.5",
        "$JS.ACK.THREDFI.worker.x.2.3.4.5",
        "$JS.ACK.THREDFI.worker.-1.2.3.4.5",
        "$JS.ACK.THREDFI.worker.1.٢.3.4.5",
        "$JS.ACK.THREDFI.worker.1.2.3." + "9" * 5000 + ".5",
        "$JS.API.THREDFI.worker.1.2.3.4.5",
        "$JS.ACK.a.b.THREDFI.worker.1.2.3.4",
    ],
)
def test_anything_else_is_no_delivery(reply: str) -> None:
    """A reply subject that no consumer gives says nothing."""
    assert Delivery.of(reply) is None
