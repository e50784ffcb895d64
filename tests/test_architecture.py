"""The layers of the package, held against its imports: data goes down once and comes up once."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import thredfi_async

PACKAGE = Path(thredfi_async.__file__).parent
NAME = "thredfi_async"

# Each row may import from the rows above it, and no module from another of its own row. A package stands for all that
# is in it. Beside each module, the third-party packages that it may import.
ROWS: list[dict[str, set[str]]] = [
    {"errors": set(), "_version": set(), "_json": set(), "_headers": set(), "_rate": set(), "_redaction": set()},
    {"settings": {"attrs"}, "_quick": {"attrs"}, "_rules": set()},
    {"_ports": {"attrs"}},
    {"_envelope": set(), "_translation": {"aiohttp"}, "_wire": {"aiohttp", "yarl"}},
    {
        "_alarms": set(),
        "_base_url": set(),
        "_call": set(),
        "_lifetime": set(),
        "auth": {"attrs"},
        "limits": set(),
        "models": {"attrs"},
        "retry": {"attrs", "tenacity"},
        "telemetry": set(),
        "transport": {"aiohttp", "attrs", "yarl"},
    },
    {"_converter": {"attrs", "cattrs", "orjson"}, "_pipeline": {"attrs"}},
    {"resources.__init__": set()},
    {"resources._archiving": {"attrs"}},
    {"resources._requests": {"attrs"}},
    {"resources.customers": set()},
    {"client": {"aiohttp"}},
    {"__init__": set()},
    {
        "bulk": {"aiolimiter", "attrs", "jinja2", "orjson", "backports", "compression", "pyarrow"},
        "mock_server": {"aiohttp", "attrs", "orjson", "pytest"},
    },
    {"worker": {"aiohttp", "attrs", "nats", "orjson", "prometheus_client"}},
    {"cli": {"attrs", "orjson", "rich", "typer"}},
    {"__main__": set()},
]
# A part of a third-party package that only these may import: for the others it is too dear, or not theirs to use.
KEPT_FOR = {"aiohttp.web": {"mock-server", "worker"}, "sqlite3": {"bulk"}}


def modules() -> list[str]:
    """Every module of the package, as the table writes it."""
    files = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(file.parts) for file in files)


def row_of(module: str) -> tuple[int, str] | None:
    """The row in which a module stands, and the name under which it does."""
    for number, row in enumerate(ROWS):
        for name in row:
            if module == name or module.startswith(f"{name}."):
                return number, name
    return None


def imports(module: str) -> Iterator[str]:
    """The full names of all that a module imports, wherever in it, for types too."""
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(origin), names=names, level=0):
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                pytest.fail(f"{module} imports relatively; the table cannot see that")
            case _:
                pass


def own(imported: str) -> str | None:
    """The module of ours that an import names, or None for somebody else's."""
    if imported.partition(".")[0] != NAME:
        return None
    parts = imported.split(".")[1:]
    while parts:
        path = PACKAGE.joinpath(*parts)
        if path.with_suffix(".py").exists():
            return ".".join(parts)
        if path.is_dir():
            return ".".join([*parts, "__init__"])
        parts.pop()
    return "__init__"


def test_every_module_is_in_the_table() -> None:
    """A new module needs a place before it is written."""
    assert [module for module in modules() if row_of(module) is None] == []


def test_the_table_has_no_module_that_is_gone() -> None:
    """Of floors 0 to 5, what the table names is there."""
    there = set(modules())
    upper = {"bulk", "mock-server", "worker", "cli"}
    assert [name for row in ROWS for name in row if name not in there and name not in upper] == []


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_from_below_only(module: str) -> None:
    """Not from above, not from beside, and the mock server, which must not share a mistake with the client, nothing."""
    place = row_of(module)
    assert place is not None
    number, name = place
    for imported in imports(module):
        target = own(imported)
        if target is None:
            continue
        below = row_of(target)
        assert below is not None, f"{module} imports {imported}"
        inside = below[1] == name and name not in {module, target}
        assert inside or below[0] < number, f"{module} (row {number}) imports {target} (row {below[0]})"
        assert inside or name != "mock-server", f"{module} imports {target}"


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_the_packages_it_may(module: str) -> None:
    """Besides the standard library, a module has what the table gives it, and no more."""
    place = row_of(module)
    assert place is not None
    number, name = place
    for imported in imports(module):
        top = imported.partition(".")[0]
        # `_typeshed` is there for type checkers alone.
        if top not in sys.stdlib_module_names and top not in {NAME, "_typeshed"}:
            assert top in ROWS[number][name], f"{module} imports {imported}"
        for part, keepers in KEPT_FOR.items():
            assert name in keepers or not f"{imported}.".startswith(f"{part}."), f"{module} imports {imported}"


def test_every_permission_is_used() -> None:
    """Of floors 0 to 5, a module that no longer needs a package gives the permission back."""
    unused: list[str] = []
    for row in ROWS:
        for name, allowed in row.items():
            if name in modules():
                used = {imported.partition(".")[0] for imported in imports(name)}
                unused += [f"{name}: {package}" for package in allowed - used]
    assert unused == []


def test_nobody_imports_by_star() -> None:
    """What a module uses, it names."""
    stars = [module for module in modules() if any(imported.endswith(".*") for imported in imports(module))]
    assert stars == []
