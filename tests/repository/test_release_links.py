"""A release has absolute links to the repository that makes it, and to files that are there."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import release_links
from release_links import ReleaseError, absolute, prepare, urls

from thredfi_async._version import __version__

pytestmark = pytest.mark.unmeasured  # nothing of the package runs here

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://git.example/owner/name"
TAG = f"v{__version__}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a small project: its README links to a page and an image, and shows code."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").touch()
    (tmp_path / "chart.svg").touch()
    (tmp_path / "README.md").write_text("[page](docs/page.md)\n", "utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n', "utf-8")
    (tmp_path / "thredfi_async").mkdir()
    shutil.copy(ROOT / "thredfi_async" / "_version.py", tmp_path / "thredfi_async")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("[page](docs/page.md)", f"[page]({REPOSITORY}/blob/v1/docs/page.md)"),
        ("[`page`](docs/page.md#part)", f"[`page`]({REPOSITORY}/blob/v1/docs/page.md#part)"),
        ("[a](docs) [b](docs)", f"[a]({REPOSITORY}/blob/v1/docs) [b]({REPOSITORY}/blob/v1/docs)"),
        ("![chart](chart.svg)", f"![chart]({REPOSITORY}/raw/v1/chart.svg)"),
        ("[other](https://host.example/a.md), [here](#here)", None),
        ("```md\n[page](nowhere.md)\n```", None),
        ("````md\n```\n[page](nowhere.md)\n```\n````", None),
    ],
)
def test_links(project: Path, text: str, becomes: str | None) -> None:
    """Links to files become absolute, images lead to their bytes, and other links and code stay as they are."""
    assert absolute(text, REPOSITORY, "v1", project) == (becomes or text)


def test_a_link_behind_code(project: Path) -> None:
    """After a block of code, links are links again."""
    made = absolute("```\n[a](b)\n```\n[page](docs/page.md)", REPOSITORY, "v1", project)
    assert made == f"```\n[a](b)\n```\n[page]({REPOSITORY}/blob/v1/docs/page.md)"


def test_a_link_to_nowhere(project: Path) -> None:
    """A link to a file that is not there stops the release."""
    with pytest.raises(ReleaseError, match=r"README\.md links to docs/gone\.md, which does not exist"):
        absolute("[page](docs/gone.md)", REPOSITORY, "v1", project)


@pytest.mark.parametrize(
    ("repository", "tag", "sentence"),
    [
        ("owner/name", TAG, "--repository must be like https://HOST/OWNER/NAME, not owner/name"),
        ("http://git.example/owner/name", TAG, "--repository must be like"),
        ("https://git.example/owner", TAG, "--repository must be like"),
        (REPOSITORY, "v99.0.0", f"the tag is v99.0.0, and the version of the package is {__version__}"),
        (REPOSITORY, __version__, "they must be the same"),
    ],
)
def test_what_is_refused(project: Path, repository: str, tag: str, sentence: str) -> None:
    """An address that is none, and a tag that is not the version's, stop the release, and nothing is written."""
    before = {path: path.read_bytes() for path in (project / "README.md", project / "pyproject.toml")}
    with pytest.raises(ReleaseError, match=re.escape(sentence)):
        prepare(project, repository, tag)
    assert {path: path.read_bytes() for path in before} == before


def test_twice_is_refused(project: Path) -> None:
    """What was prepared already is not prepared again."""
    prepare(project, REPOSITORY, TAG)
    with pytest.raises(ReleaseError, match=r"has \[project\.urls\] already"):
        prepare(project, REPOSITORY, TAG)


def test_the_command_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is said in a sentence, and the exit code is not zero."""
    monkeypatch.setattr(sys, "argv", ["release_links.py", "--repository", "nowhere", "--tag", TAG])
    with pytest.raises(SystemExit, match="--repository must be like"):
        release_links.main()


def test_what_is_written(project: Path) -> None:
    """The README has absolute links, and pyproject.toml the links of the package's page, and is otherwise the same."""
    before = (project / "pyproject.toml").read_text("utf-8")
    prepare(project, REPOSITORY, TAG)
    assert (project / "README.md").read_text("utf-8") == f"[page]({REPOSITORY}/blob/{TAG}/docs/page.md)\n"
    text = (project / "pyproject.toml").read_text("utf-8")
    assert text.startswith(before)
    links = tomllib.loads(text)["project"]["urls"]
    assert links.keys() == {"Source", "Documentation", "Changelog", "Issues"}
    assert links["Source"] == REPOSITORY
    assert links["Changelog"] == f"{REPOSITORY}/blob/{TAG}/CHANGELOG.md"


def test_the_readme() -> None:
    """Each link of our README becomes absolute, and those to the repository lead to files that it has."""
    page = absolute((ROOT / "README.md").read_text("utf-8"), REPOSITORY, TAG, ROOT)
    targets = re.findall(r"\]\(([^)\s]+)\)", page)
    ours = [target.removeprefix(f"{REPOSITORY}/blob/{TAG}/") for target in targets if target.startswith(REPOSITORY)]
    assert len(ours) > 20
    assert [target for target in targets if not target.startswith("https://")] == []
    assert [target for target in ours if not (ROOT / target.partition("#")[0]).exists()] == []
    pages = [url.partition(f"/blob/{TAG}/")[2] for url in urls(REPOSITORY, TAG).values()]
    assert all((ROOT / page).is_file() for page in pages if page)
