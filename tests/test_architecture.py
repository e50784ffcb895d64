"""The layers of the package, checked against its imports: data goes down once and comes up once.

The table is the one of CONTRIBUTING.md, which the docs include.
"""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import attrs
import pytest

import thredfi_async

PACKAGE = Path(thredfi_async.__file__).parent
NAME = "thredfi_async"
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"
NO_RUN_TIME = {"_typeshed"}
"""Packages that only type checkers import."""
KEPT_FOR = {"aiohttp.web": {"mock_server", "worker"}, "sqlite3": {"bulk"}, "nats": {"worker"}}
"""Parts of a package, or modules, that only these may import: too slow, or not needed, for the others."""


@attrs.frozen
class Row:
    """A row of the table: its modules, and the third-party packages that they may import."""

    floor: int
    names: tuple[str, ...]
    packages: frozenset[str]


def table() -> list[Row]:
    """Return the rows, from the lowest floor up."""
    text = CONTRIBUTING.read_text("utf-8")
    _, _, text = text.partition("<!-- layers -->\n")
    text, _, _ = text.partition("<!-- end of layers -->")
    _, _, *lines = text.strip().splitlines()
    rows: list[Row] = []
    for line in lines:
        floor, where, _, packages = (cell.strip() for cell in line.strip("|").split("|"))
        names = (name.removesuffix(".py").rstrip("/") for name in re.findall(r"`([^`]+)`", where))
        rows.append(Row(int(floor), tuple(names), frozenset(re.findall(r"`([^`]+)`", packages))))
    return rows


ROWS = table()


def modules() -> list[str]:
    """Return every module of the package, by its dotted name below the package's."""
    files = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(file.parts) for file in files)


def row_of(module: str) -> int | None:
    """Return the row of a module, listed itself or by its package."""
    top = module.partition(".")[0]
    return next((number for number, row in enumerate(ROWS) if top in row.names), None)


def imports(module: str) -> Iterator[str]:
    """Return the full names of all imports of a module, anywhere in it, including imports for types."""
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(origin), names=names, level=0):
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(name))]):
                yield name
            case ast.ImportFrom():
                pytest.fail(f"{module} imports relatively; the table cannot see that")
            case _:
                pass


def own(imported: str) -> str | None:
    """Return the module of ours that an import names, or None for another package's."""
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
    """A new module must be added to the table."""
    assert [module for module in modules() if row_of(module) is None] == []


def test_the_table_has_nothing_that_is_gone() -> None:
    """Every entry of the table exists, once, and the floors ascend."""
    names = [name for row in ROWS for name in row.names]
    assert [name for name in names if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").exists()] == []
    assert len(names) == len(set(names))
    assert [row.floor for row in ROWS] == sorted(row.floor for row in ROWS)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_from_above_its_row_only(module: str) -> None:
    """A module imports from its own package or lower floors only, and the mock server from its own package only."""
    number, top = row_of(module), module.partition(".")[0]
    assert number is not None
    for imported in imports(module):
        target = own(imported)
        if target is None or target.partition(".")[0] == top:
            continue
        other = row_of(target)
        assert other is not None, f"{module} imports {imported}"
        assert other < number, f"{module} (row {number}) imports {target} (row {other})"
        assert top != "mock_server", f"{module} imports {target}"


def test_no_modules_import_each_other() -> None:
    """Neither indirectly, nor for types, nor inside a package."""
    graph = {module: {target for each in imports(module) if (target := own(each)) is not None} for module in modules()}
    for module, targets in graph.items():
        targets.discard(module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_the_packages_it_may(module: str) -> None:
    """Besides the standard library, a module imports only what the table allows."""
    number, top = row_of(module), module.partition(".")[0]
    assert number is not None
    for imported in imports(module):
        package = imported.partition(".")[0]
        if package not in sys.stdlib_module_names and package not in {NAME, *NO_RUN_TIME}:
            assert package in ROWS[number].packages, f"{module} imports {imported}"
        for part, keepers in KEPT_FOR.items():
            assert top in keepers or not f"{imported}.".startswith(f"{part}."), f"{module} imports {imported}"


def test_every_permission_is_used() -> None:
    """A row does not allow a package that it does not use."""
    used = {number: set[str]() for number in range(len(ROWS))}
    for module in modules():
        number = row_of(module)
        if number is not None:
            used[number] |= {imported.partition(".")[0] for imported in imports(module)}
    unused = {row.names: row.packages - used[number] for number, row in enumerate(ROWS)}
    # Each exists on some Pythons only.
    assert {names: left for names, left in unused.items() if left - {"backports", "compression"}} == {}


def test_the_door_to_aiohttp_is_the_transport() -> None:
    """Below the mock server, only the transport imports aiohttp at run time; the client names it in a type."""
    core = [module for module in modules() if (number := row_of(module)) is not None and ROWS[number].floor < 6]
    users = {
        module.partition(".")[0]
        for module in core
        if any(imported.partition(".")[0] in {"aiohttp", "yarl"} for imported in imports(module))
    }
    assert users == {"_transport", "client"}


def test_no_star_imports() -> None:
    """Modules import every name explicitly."""
    assert [module for module in modules() if any(imported.endswith(".*") for imported in imports(module))] == []


def test_no_private_attribute_is_asked_for_by_name() -> None:
    """`getattr` with a private name would bypass pyright."""
    found = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"getattr", "setattr", "hasattr"}
        and isinstance(node.args[0], ast.Name)
        and node.args[0].id != "self"
        and isinstance(node.args[1], ast.Constant)
        and str(node.args[1].value).startswith("_")
        and not str(node.args[1].value).startswith("__")
    ]
    assert found == []
