import pytest

from thredfi_async.mock_server.checks import RefusedError
from thredfi_async.mock_server.queries import MAX_PAGE_SIZE, PageRequest, page_request, token_request


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", PageRequest()),
        ("include_archived=true", PageRequest(include_archived=True)),
        ("include_archived=False", PageRequest()),
        ("external_id=a%20b", PageRequest(external_id="a b")),
        ("external_id=", PageRequest(external_id="")),
        ("page=2&page_size=007", PageRequest(page=2, page_size=7)),
        ("page_size=99999", PageRequest(page_size=MAX_PAGE_SIZE)),
        ("page=" + "9" * 5000, PageRequest(page=10**18)),
        ("ordering=name&ordering=id", PageRequest()),
    ],
)
def test_a_query_is_read(query: str, wanted: PageRequest) -> None:
    """Documented parameters are read, others are ignored, large pages are cut."""
    assert page_request(query) == wanted


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("page=0", {"page"}),
        ("page=-1&page_size=x", {"page", "page_size"}),
        ("page=", {"page"}),
        ("page=1.0", {"page"}),
        ("page=%D9%A1", {"page"}),
        ("include_archived=1", {"include_archived"}),
        ("page=1&page=2", {"page"}),
    ],
)
def test_a_wrong_query_is_refused(query: str, fields: set[str]) -> None:
    """Every wrong parameter is named at once."""
    with pytest.raises(RefusedError) as caught:
        page_request(query)
    assert caught.value.status == 400
    assert set(caught.value.details) == fields


def test_a_flood_of_parameters_is_refused() -> None:
    """A query with far too many parameters is a 400, not a crash."""
    with pytest.raises(RefusedError) as caught:
        page_request("&".join("a=1" for _ in range(200)))
    assert caught.value.status == 400


def test_a_token_form_is_read() -> None:
    """The one supported grant passes."""
    token_request(b"grant_type=client_credentials&scope=all")


@pytest.mark.parametrize("form", [b"", b"grant_type=", b"grant_type=password", b"grant_type=a&grant_type=b"])
def test_another_grant_is_refused(form: bytes) -> None:
    """A form without the supported grant names the field."""
    with pytest.raises(RefusedError) as caught:
        token_request(form)
    assert list(caught.value.details) == ["grant_type"]


@pytest.mark.parametrize("form", [b"\xff", b"&".join([b"a=1"] * 200)])
def test_an_unreadable_form_is_refused(form: bytes) -> None:
    """Bytes that are no form are a 400."""
    with pytest.raises(RefusedError) as caught:
        token_request(form)
    assert caught.value.status == 400
