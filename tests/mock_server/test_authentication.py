from base64 import b64encode

import pytest

from thredfi_async.mock_server import authentication
from thredfi_async.mock_server.authentication import TokenBucket, Tokens, check_partner
from thredfi_async.mock_server.checks import RefusedError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Clock:
    """A clock that is set by hand."""
    return Clock()


def code_of(tokens: Tokens, header: str | None) -> str:
    """Return the error code that a header is refused with."""
    with pytest.raises(RefusedError) as caught:
        tokens.check(header)
    assert caught.value.status == 401
    return caught.value.code


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc"])
def test_no_token_asks_for_authentication(header: str | None, hands: Clock) -> None:
    """A header without a bearer token is no authentication."""
    assert code_of(Tokens("static", lifetime=10, clock=hands), header) == "authentication_required"


def test_issued_tokens_expire(hands: Clock) -> None:
    """An issued token is valid for its lifetime, the static one for ever."""
    tokens = Tokens("static", lifetime=10, clock=hands)
    token = tokens.issue()
    assert tokens.check(f"bearer  {token}") == token
    hands.now += 10
    assert code_of(tokens, f"Bearer {token}") == "invalid_token"
    assert tokens.check("Bearer static") == "static"


def test_killed_tokens_are_refused(hands: Clock) -> None:
    """A killed token is refused, and all are when all are killed."""
    tokens = Tokens("static", lifetime=10, clock=hands)
    first, second = tokens.issue(), tokens.issue()
    tokens.kill(first)
    assert code_of(tokens, f"Bearer {first}") == "invalid_token"
    assert tokens.check(f"Bearer {second}") == second
    tokens.kill_all()
    assert code_of(tokens, "Bearer static") == code_of(tokens, f"Bearer {second}") == "invalid_token"


def test_expired_tokens_are_forgotten(hands: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that fetches tokens in a loop does not fill the memory, and valid tokens stay valid."""
    monkeypatch.setattr(authentication, "_MAX_TOKENS", 3)
    tokens = Tokens("static", lifetime=10, clock=hands)
    for _ in range(20):
        token = tokens.issue()
        hands.now += 6
        assert tokens.check(f"Bearer {token}") == token
    assert len(tokens._expiry) <= 4
    assert tokens.check("Bearer static") == "static"


def test_partner_credentials_are_checked() -> None:
    """Only the partner's own UUID and key are accepted."""
    right = b64encode(b"partner:key").decode()
    check_partner(f"Basic {right}", "partner", "key")
    for header in (None, "Basic", "Basic !!", f"Bearer {right}", "Basic " + b64encode(b"partner:keyy").decode()):
        with pytest.raises(RefusedError) as caught:
            check_partner(header, "partner", "key")
        assert caught.value.status == 401


def test_a_burst_drains_the_bucket_and_time_fills_it(hands: Clock) -> None:
    """One second's worth passes at once, then requests at the rate."""
    bucket = TokenBucket(5, clock=hands)
    for _ in range(5):
        bucket.take()
    with pytest.raises(RefusedError) as caught:
        bucket.take()
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    hands.now += 0.2
    bucket.take()


def test_a_slow_rate_tells_how_long_to_wait(hands: Clock) -> None:
    """Retry-After is the time until a request would pass, in whole seconds."""
    bucket = TokenBucket(0.1, clock=hands)
    bucket.take()
    with pytest.raises(RefusedError) as caught:
        bucket.take()
    assert caught.value.headers == {"Retry-After": "10"}


def test_a_rate_is_above_zero() -> None:
    """A rate that lets nothing through is refused."""
    with pytest.raises(ValueError, match="rate_limit"):
        TokenBucket(0)
