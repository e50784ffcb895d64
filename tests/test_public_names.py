"""The public names: sorted, importable, documented, and all public on purpose."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest

import thredfi_async
from thredfi_async import ThredfiError

PACKAGE = Path(thredfi_async.__file__).parent
UPPER = {"__main__", "bulk", "cli", "mock_server", "worker"}


def definitions(path: Path) -> Iterator[tuple[str, str | None]]:
    """Return the names that a module's top level defines, each with its docstring."""
    body = ast.parse(path.read_text("utf-8")).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, ast.get_docstring(node)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                match following:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield name, text
                    case _:
                        yield name, None
            case _:
                pass


def is_private(name: str) -> bool:
    """Return whether a name, or its module, has an underscore."""
    return any(part.startswith("_") for part in name.split("."))


def floors_0_to_5() -> Iterator[tuple[str, Path]]:
    """Return the modules below the upper floors."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in UPPER:
            yield ".".join(parts), path


DOCUMENTATION = {name: text for _, path in floors_0_to_5() for name, text in definitions(path) if text is not None}


def sort_key(name: str) -> tuple[int, str]:
    """Return the key that sorts constants first, then classes, then the rest, as ruff sorts `__all__`."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_all_is_sorted_and_holds_each_name_once() -> None:
    """`__all__` is in ruff's order, without duplicates."""
    assert thredfi_async.__all__ == sorted(set(thredfi_async.__all__), key=sort_key)


@pytest.mark.parametrize("name", thredfi_async.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    """Every name can be imported from the package, and its definition has a docstring."""
    assert hasattr(thredfi_async, name)
    if name != "__version__":
        assert DOCUMENTATION[name].strip()


def test_the_package_has_no_other_names() -> None:
    """All other names in the package are modules."""
    others = {name for name in vars(thredfi_async) if not name.startswith("_")} - set(thredfi_async.__all__)
    assert {name for name in others if not inspect.ismodule(getattr(thredfi_async, name))} == set()


@pytest.mark.parametrize(
    ("module", "path"), [(module, path) for module, path in floors_0_to_5() if not is_private(module)]
)
def test_what_has_a_public_path_is_meant_to_be_public(module: str, path: Path) -> None:
    """A module without an underscore lists all its public definitions, and the package exports all of them."""
    listed = import_module(f"thredfi_async.{module}").__all__
    assert listed == sorted(listed, key=sort_key)
    assert set(listed) <= set(thredfi_async.__all__)
    if path.name != "__init__.py":
        assert set(listed) == {name for name, _ in definitions(path) if not is_private(name) and name != "T"}


def test_every_error_is_public() -> None:
    """Every error that the library raises can be caught by its public name."""

    def tree(kind: type[ThredfiError]) -> Iterator[type[ThredfiError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from tree(each)

    # Another test may have imported an upper floor, whose errors are public there.
    kinds = [kind for kind in tree(ThredfiError) if kind.__module__.startswith("thredfi_async.")]
    names = {kind.__name__ for kind in kinds if kind.__module__.split(".")[1] not in UPPER}
    assert names <= set(thredfi_async.__all__)


def test_names_keep_the_module_that_they_are_from() -> None:
    """No `__module__` is rewritten: a class shows where its source is."""
    for name in thredfi_async.__all__:
        value = getattr(thredfi_async, name)
        if inspect.isclass(value):
            assert name in {found for found, _ in definitions(Path(inspect.getfile(value)))}


CLASSES = [name for name in thredfi_async.__all__ if inspect.isclass(getattr(thredfi_async, name))]


@pytest.mark.parametrize("name", CLASSES)
def test_methods_and_properties_are_documented(name: str) -> None:
    """Every public member that one of our classes defines has a docstring."""
    kind: type = getattr(thredfi_async, name)
    members: dict[str, Any] = dict(vars(kind))
    for member, value in members.items():
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
            assert inspect.getdoc(getattr(kind, member)), f"{name}.{member}"


@pytest.mark.parametrize(
    "name", [name for name in CLASSES if attrs.has(getattr(thredfi_async, name)) and name != "Customer"]
)
def test_every_argument_is_documented(name: str) -> None:
    """Each field of a value is in its docstring's Args, and the errors in its Raises."""
    text = DOCUMENTATION[name].partition("Args:")[2].partition("Raises:")[0]
    named = {line.strip().partition(":")[0] for line in text.splitlines() if ":" in line}
    assert {field.name for field in attrs.fields(getattr(thredfi_async, name))} <= named


def test_every_setting_of_the_client_is_documented() -> None:
    """Each argument of ThredfiClient is in its docstring."""
    settings = set(inspect.signature(thredfi_async.ThredfiClient).parameters)
    named = {line.strip().partition(":")[0] for line in DOCUMENTATION["ThredfiClient"].splitlines() if ":" in line}
    assert settings <= named
