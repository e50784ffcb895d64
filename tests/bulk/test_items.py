from typing import Any
from uuid import UUID

import pytest
from bulk_api import BUSINESS, item, lost, refusal

from thredfi_async import InvalidRequestError, RequestTimeoutError, ThredfiError
from thredfi_async._outcomes import code_of
from thredfi_async.bulk import ArchiveItem, ArchiveResult, BusinessSkippedError, ItemState


def test_ids_may_be_text() -> None:
    """Text in the canonical form becomes the UUID that it stands for."""
    made = ArchiveItem(str(BUSINESS).upper(), str(BUSINESS))
    assert made == ArchiveItem(BUSINESS, BUSINESS)


@pytest.mark.parametrize("wrong", ["Ann Example", 5, None, "{33333333-3333-4333-8333-333333333333}"])
@pytest.mark.parametrize("name", ["business_id", "customer_id"])
def test_an_id_that_is_none(name: str, wrong: object) -> None:
    """The error names the field, and does not quote what may be a name."""
    ids: dict[str, object] = {"business_id": BUSINESS, "customer_id": BUSINESS, name: wrong}
    with pytest.raises(InvalidRequestError, match=f"^{name}: must be a UUID") as caught:
        ArchiveItem(**ids)  # type: ignore[arg-type]  # wrong on purpose
    assert "Ann" not in str(caught.value)


def test_repr_hides_the_body() -> None:
    """Logging an item or a result logs no customer's data."""
    made = ArchiveItem(BUSINESS, BUSINESS, {"individual_name": "Ann Example"})
    assert "Ann" not in repr(ArchiveResult(made, 0, ItemState.ARCHIVED))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusal(404, "not_found"), "not_found"),
        (refusal(404, "Ann Example"), "http_404"),
        (refusal(503), "http_503"),
        (RequestTimeoutError("late", phase="read"), "timeout_read"),
        (lost(), "connection_lost"),
        (InvalidRequestError(["email: is missing"]), "invalid_request"),
        (BusinessSkippedError("skipped", business_id=UUID(int=1)), "business_skipped"),
        (ThredfiError("else"), "error"),
    ],
)
def test_codes(error: ThredfiError, code: str) -> None:
    """Each error has a reason for machines, and a server's free text never becomes one."""
    assert (code_of(error), ArchiveResult(item(0), 0, ItemState.FAILED, error=error).code) == (code, code)


def test_which_states_are_final() -> None:
    """A success or a refusal is final; what failed or is not known is sent again."""
    assert [state.value for state in ItemState if state.is_final] == ["archived", "already_archived", "rejected"]


@pytest.mark.parametrize("line", [0, -1, True, 1.0, "1", 2**53, 10**100])
def test_a_line_is_one_of_a_file(line: Any) -> None:
    """What is no number of a line is refused at once, and never reaches a journal, which no command would read."""
    with pytest.raises(InvalidRequestError, match=r"^line: ") as caught:
        ArchiveItem(UUID(int=1), UUID(int=2), line=line)
    assert len(str(caught.value)) < 100
    assert ArchiveItem(UUID(int=1), UUID(int=2), line=2**53 - 1).line == 2**53 - 1
