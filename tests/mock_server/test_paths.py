import pytest

from thredfi_async.mock_server.paths import Route, match_path

B, C = "99cabdeb-4fbb-4dd3-a0d9-d429d2a1ee4f", "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CUSTOMERS = f"/v1/platform/businesses/{B}/customers/"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/platform/oauth2/token/", Route("token")),
        (CUSTOMERS, Route("list", B)),
        (f"{CUSTOMERS}{C}/", Route("get", B, C)),
        (f"{CUSTOMERS}{C}/archive/", Route("archive", B, C)),
        (f"{CUSTOMERS}{C}/archive/".replace("-", "%2D"), Route("archive", B, C)),
        (f"/v1/platform/businesses/{B}/customers/{C.upper()}/", Route("get", B, C)),
    ],
)
def test_a_path_leads_to_its_endpoint(path: str, route: Route) -> None:
    """The four paths of the contract match, with ids in canonical form."""
    assert match_path(path) == route


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "*",
        "http://127.0.0.1/v1/platform/oauth2/token/",
        "/v1/platform/oauth2/token",
        CUSTOMERS[:-1],
        f"{CUSTOMERS}{C}/archive",
        f"{CUSTOMERS}{C}/archive/x",
        f"{CUSTOMERS}x/",
        f"{CUSTOMERS}{C.replace('-', '')}/",
        f"{CUSTOMERS}{{{C}}}/",
        f"{CUSTOMERS}%00/",
        f"{CUSTOMERS}{C}\u0661/",
        f"/v1/platform/businesses/{B}/customers//",
        f"/v1/platform/businesses/..%2f{B}/customers/",
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    """A missing slash, another form of id, or anything else is no path of the contract."""
    assert match_path(path) is None
