"""Parsed JSON to models, the quick way: for objects in which nothing is wrong, which nearly every one is."""

from collections.abc import Callable, Mapping
from operator import contains
from types import NoneType
from typing import Any, Final, TypeVar, cast

import attrs

from thredfi_async._checks.json import as_object

T = TypeVar("T")
Hook = Callable[[object, Any], Any]
"""What cattrs calls a structure hook: makes what the second argument says of the first, or raises a ValueError."""


def fast_hook(model: type[T], hooks: Mapping[Any, Hook]) -> Callable[[object, object], T]:
    """Compile a hook that makes a model of an object, or raises a ValueError without saying where the problem is.

    It goes by the model's annotations, as cattrs does, and converts with the same hooks. But fields of JSON's own
    types, which are most of a customer, are looked at all together, where cattrs calls a hook for each: that is worth
    a twentieth of a call. A field that is not there counts as null, which comes to the same for every optional one.

    Args:
        model: An attrs class. Unknown fields go to its field `extra`, if it has one, or nowhere.
        hooks: For every type in the model that JSON does not have itself.

    Returns:
        The hook.
    """
    fields = attrs.fields_dict(cast("type[attrs.AttrsInstance]", model))
    kinds = {name: field.type for name, field in fields.items() if name != "extra"}
    blank = {name: _MISSING if fields[name].default is attrs.NOTHING else None for name in kinds}
    allowed = {name: _OF_JSON[kind] for name, kind in kinds.items() if kind in _OF_JSON}
    names, types = tuple(allowed), tuple(allowed.values())
    converted = [(name, hooks[kind], kind) for name, kind in kinds.items() if kind not in _OF_JSON]

    def hook(value: object, _: object) -> T:
        given = as_object(value)
        if given is None:
            raise ValueError
        # The keys are those of `blank` now, which Python finds the model's parameters by at once.
        values = blank | given
        if not all(map(contains, types, map(type, map(values.__getitem__, names)))):
            raise ValueError
        for name, convert, kind in converted:
            values[name] = convert(values[name], kind)
        if len(values) > len(blank):
            extra = {name: values.pop(name) for name in list(values)[len(blank) :]}
            if "extra" in fields:
                values["extra"] = extra
        return model(**values)

    return hook


# By identity of the type: True is an int to isinstance, and JSON knows the difference.
_OF_JSON: Final[Mapping[Any, frozenset[type]]] = {
    **{kind: frozenset({kind}) for kind in (str, int, bool)},
    **{kind | None: frozenset({kind, NoneType}) for kind in (str, int, bool)},
    Any: frozenset({NoneType, bool, int, float, str, list, dict}),
}
_MISSING: Final = object()
