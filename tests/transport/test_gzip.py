"""How gzip bodies are read: every member, zeros behind them, up to the bound, in linear time."""

import gzip
import zlib
from typing import Any

import pytest
from faultserver import Answer, FaultServer, Healthy, Step, faults
from growth import assert_linear
from helpers import BUSINESS, CUSTOMER, ONCE, body, client_of, failure
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async import Effect, ResponseDecodeError
from thredfi_async._transport.gzip import gunzip

LARGE = 1 << 30
EMPTY = gzip.compress(b"", mtime=0)
TINY = gzip.compress(b"x", mtime=0)


@given(
    members=st.lists(
        st.tuples(st.binary(max_size=3000), st.integers(0, 9), st.integers(0, 700)), min_size=1, max_size=6
    )
)
def test_it_reads_what_gzip_reads(members: list[tuple[bytes, int, int]]) -> None:
    """Members of any size and level, with any padding, are read as the standard library reads them."""
    packed = b"".join(gzip.compress(plain, level, mtime=0) + bytes(padding) for plain, level, padding in members)
    assert gunzip(packed, LARGE) == (gzip.decompress(packed), None)


@given(
    members=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    bound=st.integers(1, 1200),
)
def test_the_bound_is_exact(members: list[bytes], bound: int) -> None:
    """The bound counts the plain bytes of all members together."""
    plain = b"".join(members)
    read, flaw = gunzip(b"".join(map(gzip.compress, members)), bound)
    assert read == plain[:bound]
    assert flaw == (None if len(plain) <= bound else f"is longer than max_body_bytes ({bound})")


@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=3), data=st.data())
def test_a_cut_is_noticed(members: list[bytes], data: st.DataObject) -> None:
    """Wherever the last member is cut, the body is incomplete."""
    packed = [gzip.compress(plain, mtime=0) for plain in members]
    keep = data.draw(st.integers(1, len(packed[-1]) - 1))
    _, flaw = gunzip(b"".join(packed[:-1]) + packed[-1][:keep], LARGE)
    assert flaw == "is cut short"


@pytest.mark.parametrize(
    "packed",
    [
        b"{}",
        bytes(8) + TINY,
        TINY + b"{}",
        TINY + bytes(600) + b"{}",
        TINY + zlib.compress(b"x"),
        TINY[:-8] + b"\x00" * 8,
        TINY[:-4] + b"\x02\x00\x00\x00",
        b"\x1f\x8b\x09" + TINY[3:],
    ],
    ids=["JSON", "zeros first", "JSON behind", "padding, JSON", "zlib behind", "checksum", "length", "method"],
)
def test_what_is_no_gzip(packed: bytes) -> None:
    """Anything else than members and zeros is refused, and nothing of it is kept."""
    assert gunzip(packed, LARGE) == (b"", "is not the gzip that it is said to be")


@pytest.mark.parametrize("member", [EMPTY, TINY, TINY + bytes(10_000), gzip.compress(bytes(5_000))])
def test_it_is_linear_in_the_number_of_members(member: bytes) -> None:
    """Eight times as many members take about eight times as long."""
    assert_linear(lambda packed: gunzip(packed, LARGE), lambda size: member * size, 300)


def test_very_many_members() -> None:
    """Members that hold a byte each are read, and no more of them than the bound allows."""
    packed = TINY * 100_000
    assert gunzip(packed, LARGE) == (b"x" * 100_000, None)
    assert gunzip(packed, 1000) == (b"x" * 1000, "is longer than max_body_bytes (1000)")


def test_padding_without_end_is_linear() -> None:
    """Zeros are skipped at once, however many there are."""
    assert_linear(lambda packed: gunzip(packed, LARGE), lambda size: TINY + bytes(size), 1_000_000)


@pytest.mark.parametrize("members", [2, 50])
async def test_a_record_in_several_members(members: int) -> None:
    """A customer whose answer is of several members is read, whether it answers a POST or a GET."""
    answer = faults.gzip_members(members, padding=3)
    async with FaultServer([answer, answer]) as server, client_of(server.url, retry=ONCE) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
        assert (await client.customers.get(BUSINESS, CUSTOMER)).is_archived
        assert server.connections == 1


async def test_a_bomb_in_several_members() -> None:
    """Members that are harmless one by one are stopped at the bound of all."""
    bomb = Answer.content(200, gzip.compress(b" " * 60_000) * 100, {"Content-Encoding": "gzip"})
    script: list[Step] = [bomb, Healthy()]
    options: dict[str, Any] = {"max_body_bytes": 100_000, "retry": ONCE}
    async with FaultServer(script) as server, client_of(server.url, **options) as client:
        call = client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False)
        error = await failure(call, ResponseDecodeError)
    assert error.effect is Effect.UNKNOWN
    assert "max_body_bytes (100000)" in str(error)
