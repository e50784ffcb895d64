"""How commands reach the API: proxies, and certificates that are trusted."""

import asyncio
import json
from pathlib import Path

import pytest
from faultserver import Answer, FaultServer, bodies, faults
from faultserver.certificates import authority_pem

from thredfi_async import ConfigurationError
from thredfi_async.bulk import read_journal
from thredfi_async.cli import main
from thredfi_async.cli.bulk.commands import connection_of
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata
from thredfi_async.cli.settings import Connection

Capture = pytest.CaptureFixture[str]
CUSTOMER = "11111111-1111-4111-8111-111111111111"
ELSEWHERE = ["--base-url", "https://api.example"]
GET = ["get", CUSTOMER, CUSTOMER]
ARCHIVE = ["bulk", "archive", "a.csv", "--journal", "run.db", "--yes", "--outage-timeout", "1ms"]


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but the test's own, and a file of one customer."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(f"business_id,customer_id\n{CUSTOMER},{CUSTOMER}\n", "utf-8")
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)
    monkeypatch.setenv("THREDFI_TOKEN", "t")


async def typed(*argv: str) -> int:
    """Run a command in a thread: the server of the test has this one."""
    return await asyncio.to_thread(main, list(argv))


@pytest.mark.parametrize("argv", [GET, ARCHIVE], ids=["get", "bulk"])
@pytest.mark.parametrize("by", ["--proxy", "HTTPS_PROXY", "https_proxy"])
async def test_a_proxy(by: str, argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The proxy of the option or of the environment is asked, and nothing goes past it."""
    async with FaultServer([faults.proxy_refusal()], repeat_last=True) as proxy:
        more = ["--proxy", proxy.url] if by == "--proxy" else []
        if not more:
            monkeypatch.setenv(by, proxy.url)
        assert await typed(*argv, *ELSEWHERE, *more) in {1, 4}
        assert {(each.method, each.target) for each in proxy.requests} == {("CONNECT", "api.example:443")}
    told = "".join(capsys.readouterr())
    assert "the proxy answered 407" in told


async def test_a_host_that_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY excepts hosts, an option excepts none, and this machine never needs one."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "api.example")
    connection = Connection(base_url="https://api.example")
    assert connection._proxy("https://api.example") is None
    assert connection._proxy("https://other.example") == "http://proxy.example:3128"
    given = Connection(proxy="http://mine.example:3128")
    assert given._proxy("https://api.example") == "http://mine.example:3128"
    page: dict[str, object] = {"count": 0, "next": None, "previous": None, "results": []}
    async with FaultServer([Answer.json(200, page)]) as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert await typed("list", CUSTOMER, "--base-url", server.url) == 0


@pytest.mark.parametrize(
    ("proxy", "sentence"),
    [
        ("http://me:secret@proxy.example:3128", "--proxy must not hold a password"),
        ("socks5://proxy.example", "proxy must be an http or https URL"),
    ],
    ids=["password", "socks"],
)
def test_a_proxy_of_no_use(proxy: str, sentence: str, capsys: Capture) -> None:
    """A password in argv is refused and not shown, and so is another kind of proxy."""
    assert main([*GET, "--proxy", proxy]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert "secret" not in err


def test_a_proxy_of_no_use_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not passed by in silence: the sentence names the variables, and not their values."""
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy.example")
    with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY, or ALL_PROXY, must be .* NO_PROXY") as caught:
        Connection().client()
    assert "secret" not in str(caught.value)


async def test_a_certificate_of_ones_own(tmp_path: Path, capsys: Capture) -> None:
    """A certificate of a company's own authority is trusted where its file is named, and else refused with advice."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority_pem())
    answer = Answer.json(200, bodies.customer(CUSTOMER))
    async with FaultServer([answer], tls="good") as server:
        assert await typed(*GET, "--base-url", server.url) == 1
        assert "--ca-file" in capsys.readouterr().err
        assert await typed(*GET, "--base-url", server.url, "--ca-file", str(path), "--json") == 0
        assert json.loads(capsys.readouterr().out)["id"] == CUSTOMER


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), (b"no", "no certificate in PEM form")])
def test_a_file_without_certificates(content: bytes | None, problem: str, tmp_path: Path, capsys: Capture) -> None:
    """It is named, with what is wrong."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    assert main([*GET, "--ca-file", str(path)]) == 2
    err = capsys.readouterr().err
    assert (problem in err, str(path) in err) == (True, True)


async def test_a_journal_keeps_the_way(tmp_path: Path) -> None:
    """The commands that lead on have the same proxy and certificates; another user's journal says nothing of either."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority_pem())
    async with FaultServer([faults.proxy_refusal()], repeat_last=True) as proxy:
        assert await typed(*ARCHIVE, *ELSEWHERE, "--proxy", proxy.url, "--ca-file", str(ca)) == 4
        with read_journal("run.db") as view:
            metadata = JournalMetadata(view.run)
        connection = connection_of(metadata, own=True)
        assert (connection.proxy, connection.ca_file) == (proxy.url, ca)
        assert connection_of(metadata, own=False) == Connection()
        assert connection.repeated("get").endswith(f"--proxy {proxy.url} --ca-file {ca}")


@pytest.mark.parametrize("status", [302, 308])
async def test_a_redirect_to_another_host(status: int, capsys: Capture) -> None:
    """No command leads on to the same address, and what to change is named as an option, once."""
    moved = faults.html(status, {"Location": "https://elsewhere.example/"})
    async with FaultServer([moved], repeat_last=True) as server:
        assert await typed(*GET, "--base-url", server.url) == 1
        err = capsys.readouterr().err
        assert "a redirect to elsewhere.example, which is not followed.\n" in err
        assert "again" not in err
        assert await typed(*ARCHIVE, "--base-url", server.url) == 4
        out = capsys.readouterr().out
        assert "Go on with: thredfi bulk resume run.db --allow-host-change --base-url URL\n" in out
        assert (out.count("check the address (--base-url)"), out.count(" base_url")) == (1, 0)
    async with FaultServer([Answer.json(404, {})], repeat_last=True) as server:
        # It is true of that address alone: another session starts without it.
        await typed("bulk", "resume", "run.db", "--base-url", server.url, "--allow-host-change", "--yes")
        assert "--base-url URL" not in capsys.readouterr().out
