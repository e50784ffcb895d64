"""What GitHub, Read the Docs and pre-commit read is valid, and agrees with pyproject.toml and noxfile.py."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nox
import pytest
import yaml
from check_jsonschema import main as check_jsonschema  # pyright: ignore[reportMissingTypeStubs]
from click.testing import CliRunner
from packaging.requirements import Requirement

pytestmark = pytest.mark.unmeasured  # what runs here is other programs

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PYTHON = re.compile(r"Programming Language :: Python :: (3\.\d+)")
PYTHONS = [match[1] for each in PYPROJECT["project"]["classifiers"] if (match := PYTHON.fullmatch(each))]


def loaded(path: Path) -> dict[str, Any]:
    """Return what a file of YAML says, by the rules of YAML 1.1, which has GitHub's readers take `on` for true."""
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def ran(*command: str) -> str:
    """Run a checker of this environment from the project's folder, and return what it said; it must be content."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each step of each workflow, with the workflow's name."""
    for path in WORKFLOWS:
        for job in loaded(path)["jobs"].values():
            for step in job.get("steps", ()):
                yield path.name, step


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.readthedocs", [ROOT / ".readthedocs.yaml"]),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_schemas(schema: str, files: list[Path]) -> None:
    """Each file fits the schema of what reads it."""
    assert files
    # In this process: starting it takes ten times as long as the check.
    checked = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, *map(str, files)])
    assert checked.exit_code == 0, checked.output


def test_workflows_are_safe() -> None:
    """Zizmor finds nothing in the workflows and in dependabot.yml: no action by a tag, no right that no step needs."""
    zizmor = shutil.which("zizmor", path=Path(sys.executable).parent)
    assert zizmor is not None, "zizmor is not installed: pip install --group test"
    said = ran(zizmor, "--offline", "--no-progress", ".github")
    assert "No findings" in said
    assert all(path.name in said for path in (*WORKFLOWS, GITHUB / "dependabot.yml"))


def test_every_action_is_pinned_alike() -> None:
    """An action is named by its commit, with its version beside it, and by one commit in all workflows."""
    found: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for line in re.findall(r"uses: (?!\./)(.+)", path.read_text("utf-8")):
            match = re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert match is not None, f"{path.name}: {line}"
            found.setdefault(match[1], set()).add(match[2])
    assert found
    assert {name: pins for name, pins in found.items() if len(pins) > 1} == {}


def test_rights() -> None:
    """No workflow has a right by default; jobs read, and only the one that publishes, and checks nothing out, signs."""
    for path in WORKFLOWS:
        workflow = loaded(path)
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            publishes = (path.name, name) == ("release.yml", "publish")
            assert job["permissions"] == ({"id-token": "write"} if publishes else {"contents": "read"}), name
    publish = loaded(GITHUB / "workflows" / "release.yml")["jobs"]["publish"]
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert publish["steps"][-1]["with"] == {"attestations": True}


def test_a_release_needs_tests_and_checks() -> None:
    """Nothing is published before all tests have passed, and what is published is what `nox -s package` checked."""
    jobs = loaded(GITHUB / "workflows" / "release.yml")["jobs"]
    assert jobs["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert set(jobs["publish"]["needs"]) == {"tests", "build"}
    commands = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert commands[-2].startswith("python tools/release_links.py ")
    assert commands[-1] == "nox -s package"
    assert all("build" not in step.get("run", "") for step in jobs["publish"]["steps"])


def test_tests_run_on_what_is_supported() -> None:
    """The tests run on each Python and each system of the classifiers, and on no other."""
    classifiers = PYPROJECT["project"]["classifiers"]
    systems = {each.rpartition(" ")[2] for each in classifiers if each.startswith("Operating System ::")}
    assert systems == {"Linux", "MacOS", "Windows"}
    matrix = loaded(GITHUB / "workflows" / "tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix == {"os": ["ubuntu-latest", "macos-latest", "windows-latest"], "python": PYTHONS}


def test_other_pythons_are_supported_ones() -> None:
    """Whatever else names a Python names the oldest or the newest that is supported."""
    named = {step["with"]["python-version"] for _, step in steps() if "python-version" in step.get("with", {})}
    assert named == {"${{ matrix.python }}", PYTHONS[0], PYTHONS[-1]}
    # Read the Docs, whose schema lists its Pythons, has a new one some months after its release.
    assert loaded(ROOT / ".readthedocs.yaml")["build"]["tools"]["python"] in PYTHONS[-2:]


def test_sessions_exist() -> None:
    """Each session that a workflow runs is one of noxfile.py, and all that a change must pass are among them."""
    jobs = loaded(GITHUB / "workflows" / "tests.yml")["jobs"]
    used = {*jobs["sessions"]["strategy"]["matrix"]["session"], *(f"tests-{python}" for python in PYTHONS)}
    used |= {name for _, step in steps() for name in re.findall(r"nox -s (\w+)", step.get("run", ""))}
    listed = json.loads(ran(sys.executable, "-m", "nox", "--list", "--json", "-s", *used))
    assert {each["name"] for each in listed} >= {"tests", "lint", "typing", "docs"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_warn_of_what_is_public(path: Path) -> None:
    """Each form says that it is public, before it asks anything, and its choices are text in every reader of YAML."""
    first, *fields = loaded(path)["body"]
    assert first["type"] == "markdown"
    assert "public" in first["attributes"]["value"]
    assert re.search(r"[Ll]eave out tokens, API keys,", first["attributes"]["value"].replace("*", ""))
    for field in fields:
        options = field["attributes"].get("options", ())
        assert field["type"] == "checkboxes" or all(isinstance(each, str) for each in options), field["id"]


def test_the_bug_form_asks_for_what_matters() -> None:
    """A report of a bug has the version, the Python, and the effect; and its sender has looked for secrets."""
    fields = {field.get("id"): field for field in loaded(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"]}
    assert all(fields[name]["validations"]["required"] for name in ("version", "python", "effect", "truth"))
    effects = " ".join(fields["effect"]["attributes"]["options"])
    assert all(effect in effects for effect in ("NOT_APPLIED", "UNKNOWN", "APPLIED"))
    assert fields["clean"]["attributes"]["options"][0]["required"]


def test_hooks() -> None:
    """The hooks are what pre-commit reads, and have the versions of pyproject.toml; a job of a workflow runs them."""
    ran(sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml")
    allowed = {
        requirement.name: str(requirement)
        for requirement in map(Requirement, nox.project.dependency_groups(PYPROJECT, "lint", "test"))
    }
    own, foreign = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in own["hooks"]:
        (line,) = hook["additional_dependencies"]
        assert str(Requirement(line)) == allowed[Requirement(line).name], hook["id"]
        assert hook["entry"].startswith(f"{Requirement(line).name} ")
    assert [hook["id"] for hook in foreign["hooks"]] == ["actionlint"]
    hooks = loaded(GITHUB / "workflows" / "tests.yml")["jobs"]["hooks"]["steps"]
    assert hooks[-1]["run"].startswith("pre-commit run --all-files")
