from email.utils import parsedate_to_datetime
from uuid import UUID

import pytest

from thredfi_async.mock_server.faults import Fault, FaultDeck, FaultKind, Faults

ID = UUID(int=7)
SLOW = Fault(FaultKind.LATENCY)
BUSY = Fault(FaultKind.THROTTLE)
READ = Fault(FaultKind.HANG, on="get")


def test_a_plan_is_used_up_in_order() -> None:
    """A customer's entries come in order, separately for archive requests and GETs, and then no more."""
    deck = FaultDeck(Faults(plan={ID: [SLOW, READ, None, BUSY]}))
    assert [deck.draw("archive", str(ID)) for _ in range(4)] == [SLOW, None, BUSY, None]
    assert [deck.draw("get", str(ID)) for _ in range(2)] == [READ, None]
    assert deck.draw("archive", str(UUID(int=8))) is None


def test_a_plan_takes_ids_of_any_form() -> None:
    """Ids are UUIDs or their text, in capitals too, and entries add up."""
    deck = FaultDeck(Faults(plan={str(ID).upper(): [SLOW]}))
    deck.add(ID, [BUSY])
    assert [deck.draw("archive", str(ID)) for _ in range(2)] == [SLOW, BUSY]


def test_token_and_list_have_plans_of_their_own() -> None:
    """The endpoints without a customer use up their own entries."""
    deck = FaultDeck(Faults(token=[BUSY], pages=[None, SLOW]))
    assert [deck.draw("token") for _ in range(2)] == [BUSY, None]
    assert [deck.draw("list") for _ in range(3)] == [None, SLOW, None]


def test_settings_serve_many_servers() -> None:
    """Drawing from one deck does not change another with the same settings."""
    faults = Faults(plan={ID: [SLOW]}, rates={FaultKind.HANG: 0.5}, seed=3)
    decks = FaultDeck(faults), FaultDeck(faults)
    first, second = ([deck.draw("archive", str(ID)) for _ in range(50)] for deck in decks)
    assert first == second
    assert first[0] == SLOW


def test_chances_are_about_what_they_say() -> None:
    """Rates apply to archive requests only, from a seeded generator."""
    deck = FaultDeck(Faults(rates={FaultKind.HANG: 0.2, BUSY: 0.3}, seed=1))
    drawn = [deck.draw("archive", str(UUID(int=n))) for n in range(2000)]
    assert drawn.count(Fault(FaultKind.HANG)) == pytest.approx(400, abs=60)
    assert drawn.count(BUSY) == pytest.approx(600, abs=60)
    assert {deck.draw(kind) for kind in ("get", "list", "token") for _ in range(100)} == {None}


def test_chances_may_include_gets() -> None:
    """With `include_gets` the rates apply to GETs and lists, never to tokens."""
    deck = FaultDeck(Faults(rates={BUSY: 1.0}, include_gets=True))
    assert [deck.draw(kind) for kind in ("archive", "get", "list", "token")] == [BUSY, BUSY, BUSY, None]


@pytest.mark.parametrize("rates", [{FaultKind.HANG: -0.1}, {FaultKind.HANG: 1.1}, {SLOW: 0.6, BUSY: 0.6}])
def test_rates_are_probabilities(rates: dict[FaultKind | Fault, float]) -> None:
    """A rate out of range, or rates above 1 in all, are refused."""
    with pytest.raises(ValueError, match="rates"):
        Faults(rates=rates)


def test_a_kind_may_be_named_by_its_text() -> None:
    """The text of a kind stands for the kind; another text is refused."""
    assert Fault("hang") == Fault(FaultKind.HANG)
    with pytest.raises(ValueError, match="hung"):
        Fault("hung")


def test_retry_after_has_three_forms() -> None:
    """Whole seconds, an HTTP-date and milliseconds; a text is sent unchanged, and None sends no header."""
    kind = FaultKind.THROTTLE
    assert Fault(kind).retry_headers() == {}
    assert Fault(kind, retry_after=1.2).retry_headers() == {"Retry-After": "2"}
    assert Fault(kind, retry_after=0.05, form="ms").retry_headers() == {"Retry-After-Ms": "50"}
    assert Fault(kind, retry_after="soon").retry_headers() == {"Retry-After": "soon"}
    date = Fault(kind, retry_after=60, form="http-date").retry_headers()["Retry-After"]
    assert parsedate_to_datetime(date).tzinfo is not None


def test_statuses_have_defaults() -> None:
    """A throttle is a 429 and a server error a 503 by default."""
    assert (BUSY.http_status, Fault(FaultKind.SERVER_ERROR).http_status) == (429, 503)
    assert Fault(FaultKind.SERVER_ERROR, status=500).http_status == 500
