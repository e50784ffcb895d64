import threading
import urllib.request

import pytest

from thredfi_async.mock_server import MockServer, in_thread


def status_of(server: MockServer) -> int:
    """Call the server synchronously."""
    business_id = server.business_ids[0]
    url = f"{server.url}/v1/platform/businesses/{business_id}/customers/"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {server.token}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        status: int = answer.status
        return status


def test_a_thread_serves_while_the_block_lasts() -> None:
    """A synchronous test can use a server, and the thread ends with the block, after an error too."""
    before = threading.active_count()
    with in_thread(MockServer(customers=1)) as server:
        assert status_of(server) == 200
    with pytest.raises(ZeroDivisionError), in_thread(MockServer(customers=1)):
        raise ZeroDivisionError
    assert threading.active_count() == before


def test_what_prevents_the_start_is_raised_here() -> None:
    """An error while starting is raised to the caller."""
    with in_thread(MockServer(customers=1)) as server:
        taken = MockServer(customers=1, port=int(server.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address"), in_thread(taken):
            pass


def test_two_servers_run_side_by_side() -> None:
    """Each server has its own port and state."""
    with in_thread(MockServer(customers=1)) as one, in_thread(MockServer(customers=1)) as two:
        assert one.url != two.url
        assert status_of(one) == status_of(two) == 200
