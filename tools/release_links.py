"""Puts the repository's address into what a release publishes: no file of the repository knows it.

The README's relative links become absolute, to the files at the release's tag, so that they hold on the page of the
package; pyproject.toml gets `[project.urls]`. `.github/workflows/release.yml` runs it on its own checkout:
`python tools/release_links.py --repository https://HOST/OWNER/NAME --tag v1.2.3`.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_FENCE: Final = re.compile(r"^ *(`{3,}|~{3,})")
_LINK: Final = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^()\s]+)\)")
_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_PAGES: Final = {
    "Source": "",
    "Documentation": "/blob/{tag}/docs/index.md",
    "Changelog": "/blob/{tag}/CHANGELOG.md",
    "Issues": "/issues",
}


class ReleaseError(Exception):
    """A release that must not be published as it is."""


def absolute(text: str, repository: str, tag: str, root: Path) -> str:
    """Make the relative links of a page of Markdown absolute; code blocks are left as they are.

    Args:
        text: The page.
        repository: The repository's address.
        tag: The release's tag.
        root: The folder that the links begin at.

    Returns:
        The page.

    Raises:
        ReleaseError: A link leads to a file that does not exist.
    """

    def replaced(match: re.Match[str]) -> str:
        target = match["target"]
        if target.startswith("#") or urlsplit(target).scheme:
            return match[0]
        if not (root / target.partition("#")[0]).exists():
            raise ReleaseError(f"README.md links to {target}, which does not exist")
        kind = "raw" if match["image"] else "blob"
        return f"{match['image']}[{match['text']}]({repository}/{kind}/{tag}/{target})"

    return "".join(line if is_code else _LINK.sub(replaced, line) for line, is_code in _lines(text))


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it belongs to a block of code."""
    fence = ""
    for line in text.splitlines(keepends=True):
        match = _FENCE.match(line)
        is_code = bool(fence or match)
        if match is not None and not fence:
            fence = match[1]
        elif match is not None and match[1].startswith(fence):
            fence = ""
        yield line, is_code


def urls(repository: str, tag: str) -> Mapping[str, str]:
    """Return the links of the package's page.

    Args:
        repository: The repository's address.
        tag: The release's tag.
    """
    return {name: f"{repository}{path.format(tag=tag)}" for name, path in _PAGES.items()}


def prepare(root: Path, repository: str, tag: str) -> None:
    """Write the address into README.md and pyproject.toml.

    Args:
        root: The folder of the project.
        repository: The repository's address.
        tag: The release's tag.

    Raises:
        ReleaseError: The address is none, the tag is not the version's, a link leads nowhere, or it was done before.
    """
    place = urlsplit(repository)
    if place.scheme != "https" or not place.hostname or not re.fullmatch(r"/[\w.-]+/[\w.-]+", place.path):
        raise ReleaseError(f"--repository must be like https://HOST/OWNER/NAME, not {repository}")
    found = _VERSION.search((root / "thredfi_async" / "_version.py").read_text("utf-8"))
    if found is None or tag != f"v{found[1]}":
        version = None if found is None else found[1]
        raise ReleaseError(f"the tag is {tag}, and the version of the package is {version}: they must be the same")
    project = (root / "pyproject.toml").read_text("utf-8")
    if "urls" in tomllib.loads(project)["project"]:
        raise ReleaseError("pyproject.toml has [project.urls] already")
    readme = absolute((root / "README.md").read_text("utf-8"), repository, tag, root)
    table = "".join(f'{name} = "{url}"\n' for name, url in urls(repository, tag).items())
    (root / "README.md").write_text(readme, "utf-8")
    (root / "pyproject.toml").write_text(f"{project}\n[project.urls]\n{table}", "utf-8")


def main() -> None:
    """Read the command line, and prepare the folder that holds this tool's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", required=True, help="the repository's address, https://HOST/OWNER/NAME")
    parser.add_argument("--tag", required=True, help="the release's tag, such as v1.2.3")
    given = parser.parse_args()
    try:
        prepare(Path(__file__).parents[1], given.repository, given.tag)
    except ReleaseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
