"""JSON bytes to models and back: cattrs with hooks that never coerce."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from operator import attrgetter, eq
from types import NoneType
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from thredfi_async._checks.json import as_array, as_object
from thredfi_async._codec.fast_structure import Hook, fast_hook
from thredfi_async._codec.json import dumps, loads_leniently
from thredfi_async.errors import InvalidRequestError, ResponseDecodeError
from thredfi_async.models import (
    UNSET,
    Customer,
    CustomerRequest,
    CustomerStatus,
    Document,
    Unset,
)

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Page:
    """One page of a list: its customers, the link to the next page, and whatever it says of their number."""

    next: str | None = attrs.field(repr=False)
    results: tuple[Customer, ...]
    count: Any = attrs.field(default=None, repr=False)


def encode(request: CustomerRequest) -> bytes:
    """Encode an archive body, leaving out what is `UNSET`.

    Args:
        request: The body, already validated.

    Returns:
        JSON in UTF-8.

    Raises:
        InvalidRequestError: It contains a number or a nesting that Python's encoders cannot write.
    """
    values = _field_values(request)
    body = dict(zip(CustomerRequest.FIELD_NAMES, values, strict=True))
    if Unset in set(map(type, values)):
        body = {name: value for name, value in body.items() if value is not UNSET}
    try:
        return dumps(body)
    except ValueError:
        pass  # what is raised below has no context, which could quote the number
    problem = "transaction_tags, metadata: hold a number or a nesting that is too large to be encoded"
    raise InvalidRequestError([problem])


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Decode JSON as every reader of it does, but for NaN, which is none, and null at the top, which says nothing.

    Args:
        body: The bytes of an answer.

    Returns:
        The value; never None.

    Raises:
        ResponseDecodeError: The body is not JSON, or is empty or null.
    """
    try:
        value = loads_leniently(body)
    except ValueError:
        value = None
    if value is None:
        problem = "the body is not JSON" if body.strip() not in {b"", b"null"} else "the body is empty or null"
        raise ResponseDecodeError(problem, problems=[f"$: {problem}"])
    return value


def structure(value: object, model: type[T]) -> T:
    """Make a model from parsed JSON.

    Args:
        value: Parsed JSON.
        model: `Customer` or `Page`.

    Returns:
        The model.

    Raises:
        ResponseDecodeError: A field does not fit the model; `.problems` names every one by its path, in a list those
            of its first entries.
    """
    try:
        return cast("T", _QUICK[model](value, model))
    except ValueError:
        pass
    try:
        # The fast hooks stop at the first problem without its path; cattrs collects all problems.
        # That takes its time, so that of very many entries only the first few are looked at.
        _thorough().structure(_shortened(value, _DEEPEST), model)
        problems = [f"$: an entry of a list does not fit, behind its first {_LOOKED_AT}"]
    except (cattrs.BaseValidationError, ValueError) as error:
        problems = _problems(error)
    where = ", ".join(problem.partition(":")[0] for problem in problems)
    raise ResponseDecodeError(f"the body cannot be read at {where}", problems=problems)


_LOOKED_AT: Final = 20
_DEEPEST: Final = 6
"""Levels in which a model may have lists."""


def _shortened(value: Any, levels: int) -> Any:  # noqa: ANN401 - JSON is anything
    """Return parsed JSON with the first few entries of each list."""
    if levels and isinstance(value, dict):
        return {name: _shortened(each, levels - 1) for name, each in cast("dict[str, Any]", value).items()}
    if levels and isinstance(value, list):
        entries = cast("Sequence[Any]", value)
        return [_shortened(each, levels - 1) for each in entries[:_LOOKED_AT]]
    return value


def _problems(error: Exception) -> list[str]:
    found = cattrs.transform_error(error, format_exception=_sentence)
    return [f"{path}: {problem}" for problem, _, path in (each.rpartition(" @ ") for each in found)]


def _sentence(error: BaseException, _: object) -> str:
    return "is missing" if isinstance(error, KeyError) else str(error)


def _wrong(expected: str, value: object) -> ValueError:
    """Return an error that names only the type: the value may be personal data."""
    return ValueError(f"must be {expected}, not {'null' if value is None else type(value).__name__}")


def _exactly(*kinds: type, expected: str) -> Callable[[object, object], Any]:
    def hook(value: object, _: object) -> Any:  # noqa: ANN401 - one of the kinds
        # By the exact type: isinstance takes True for an int, and JSON does not.
        if type(value) in kinds:
            return value
        raise _wrong(expected, value)

    return hook


def _uuid(value: object, _: object) -> UUID:
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise _wrong("a UUID", value)


def _optional_uuid(value: object, kind: object) -> UUID | None:
    return None if value is None else _uuid(value, kind)


def _moment(value: object, _: object) -> dt.datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if moment.tzinfo is not None:
                return moment
    raise _wrong("a date and time with its offset", value)


def _status(value: object, _: object) -> CustomerStatus | str:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    return _STATUSES.get(value, value)


def _array(value: object, _: object) -> tuple[Any, ...]:
    if value is None:
        return ()
    items = as_array(value)
    if items is None:
        raise _wrong("a list", value)
    return tuple(items)


def _object_hook(model: type[T], converter: cattrs.Converter) -> Callable[[object, object], T]:
    extra = override(omit=True)
    inner = make_dict_structure_fn(model, converter, extra=extra)

    def hook(value: object, _: object) -> T:
        fields = as_object(value)
        if fields is None:
            raise _wrong("an object", value)
        return inner(fields, model)

    return hook


def _customer_hook(converter: cattrs.Converter) -> Callable[[object, object], Customer]:
    inner = _object_hook(Customer, converter)

    def hook(value: object, _: object) -> Customer:
        customer = inner(value, Customer)
        fields = as_object(value) or {}
        if fields.keys() <= _DOCUMENTED:
            return customer
        return attrs.evolve(customer, extra={key: part for key, part in fields.items() if key not in _DOCUMENTED})

    return hook


def _documents_hook(listed: Callable[[list[Any], Any], list[Document]]) -> Hook:
    def hook(value: object, kind: object) -> tuple[Document, ...]:
        array = list(_array(value, kind))
        return tuple(listed(array, list[Document])) if array else ()

    return hook


def _results_hook(listed: Callable[[list[Any], Any], list[Customer]]) -> Hook:
    def hook(value: object, _: object) -> tuple[Customer, ...]:
        results = as_array(value)
        # cattrs' own hook takes any iterable: an empty object would become an empty page.
        if results is None:
            raise _wrong("a list", value)
        return tuple(listed(results, list[Customer]))

    return hook


@cache
def _thorough() -> cattrs.Converter:
    # Compiled only for the first invalid answer: it takes as long as importing the rest of the package.
    converter = cattrs.Converter()
    for kind, expected in _PLAIN.items():
        converter.register_structure_hook(kind, _exactly(kind, expected=expected))
        converter.register_structure_hook(kind | None, _exactly(kind, NoneType, expected=expected))
    for kind, hook in _HOOKS.items():
        converter.register_structure_hook_func(partial(eq, kind), hook)
    converter.register_structure_hook(Document, _object_hook(Document, converter))
    documents = _documents_hook(converter.get_structure_hook(list[Document]))
    converter.register_structure_hook_func(partial(eq, tuple[Document, ...]), documents)
    converter.register_structure_hook(Customer, _customer_hook(converter))
    results = _results_hook(converter.get_structure_hook(list[Customer]))
    converter.register_structure_hook_func(partial(eq, tuple[Customer, ...]), results)
    converter.register_structure_hook(Page, _object_hook(Page, converter))
    return converter


def _each(item: Callable[[object, object], T]) -> Callable[[list[Any], Any], list[T]]:
    return lambda values, kind: [item(value, kind) for value in values]


_field_values: Final[Callable[[CustomerRequest], tuple[Any, ...]]] = attrgetter(*CustomerRequest.FIELD_NAMES)
_PLAIN: Final[Mapping[type, str]] = {str: "a string", int: "an integer", bool: "true or false"}
_STATUSES: Final[Mapping[str, CustomerStatus]] = {status.value: status for status in CustomerStatus}
_DOCUMENTED: Final = frozenset(field.name for field in attrs.fields(Customer)) - {"extra"}
_HOOKS: Final[Mapping[Any, Hook]] = {
    UUID: _uuid,
    UUID | None: _optional_uuid,
    dt.datetime | None: _moment,
    CustomerStatus | str: _status,
    tuple[Any, ...]: _array,
}
_DOCUMENT: Final = fast_hook(Document, _HOOKS)
_CUSTOMER: Final = fast_hook(Customer, {**_HOOKS, tuple[Document, ...]: _documents_hook(_each(_DOCUMENT))})
_PAGE: Final = fast_hook(Page, {tuple[Customer, ...]: _results_hook(_each(_CUSTOMER))})
_QUICK: Final[Mapping[type, Hook]] = {Customer: _CUSTOMER, Page: _PAGE}
