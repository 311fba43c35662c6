"""May a value of one declared type go where another is declared?

`_fits` takes unions apart; `_one_fits` compares two types that are none.  A pair that is met
again while it is being decided is taken to fit: so types that hold themselves come to an
end, and nothing is decided twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, Flag
from types import FunctionType, GenericAlias
from typing import Any, Literal, Never, NewType, get_args, get_origin

from liteflow.hints.annotations import fields
from liteflow.hints.bases import arguments, is_open_tuple, tuple_items
from liteflow.hints.forms import (
    alternatives,
    class_of,
    is_typed_dict,
    literal,
    parameters_of,
    plain,
    union_of,
)
from liteflow.hints.protocols import Declared, is_protocol, members

_Decided = dict[tuple[Any, Any], bool]
_CALLABLE: Any = Callable


def fits(given: Any, wanted: Any) -> bool:
    """Say whether a value declared as `given` may go where `wanted` is declared.

    Args:
        given: As annotated: what a task returns, say; `Any` if it is not.
        wanted: As annotated, or `Any`.

    Returns:
        False only if it is surely wrong, as mypy and pyright see it, but for containers:
        these are covariant, for what is passed on is a copy.

    Source: https://typing.python.org/en/latest/spec/concepts.html#assignability

    >>> from collections.abc import Sequence
    >>> fits(list[int], Sequence[float]), fits(list[int], list[str])
    (True, False)
    >>> fits(int, int | None), fits(int | None, int)
    (True, False)
    """
    try:
        return _fits(given, wanted, {})
    except RecursionError:  # nested too deeply to be decided
        return True


def arguments_fit(given: Any, wanted: Any) -> bool:
    """Say whether the arguments of a subclass fit those of a generic class.

    >>> arguments_fit(dict[str, int], Mapping[str, str])
    False
    """
    return _arguments_fit(given, wanted, {})


def _fits(given: Any, wanted: Any, decided: _Decided) -> bool:
    pair = (given, wanted)
    try:
        known = decided.get(pair)
    except TypeError:  # an unhashable one, as Literal[[]]
        return _all_fit(given, wanted, decided)
    if known is None:
        decided[pair] = True
        known = decided[pair] = _all_fit(given, wanted, decided)
    return known


def _all_fit(given: Any, wanted: Any, decided: _Decided) -> bool:
    places = alternatives(wanted)

    def has_a_place(form: Any) -> bool:
        if any(_one_fits(form, place, decided) for place in places):
            return True
        values = _all_values(form)
        return bool(values) and all(has_a_place(literal(value)) for value in values)

    return all(has_a_place(form) for form in alternatives(given))


def _all_values(form: Any) -> tuple[object, ...]:
    """Return the values of a type that has a few only."""
    if form is bool:
        return (True, False)
    if isinstance(form, type) and issubclass(form, Enum) and not issubclass(form, Flag):
        return tuple(form)
    return ()


def _one_fits(given: Any, wanted: Any, decided: _Decided) -> bool:  # noqa: PLR0911  a table of cases
    """Compare two plain forms that are no unions."""
    if given is wanted or wanted is Any or wanted is object or given is Any or given is Never:
        return True
    if wanted is Never:
        return False
    if isinstance(given, NewType):
        return _fits(given.__supertype__, wanted, decided)
    if isinstance(wanted, NewType):
        return False
    if get_origin(given) is Literal:
        return given == wanted or _one_fits(type(get_args(given)[0]), wanted, decided)
    if get_origin(wanted) is Literal:
        return False
    if class_of(given) is type:
        return _class_object_fits(given, wanted, decided)
    return _class_fits(given, wanted, decided)


def _class_fits(given: Any, wanted: Any, decided: _Decided) -> bool:  # noqa: PLR0911  a table of cases
    """Compare an instance's type: `given` is a class, maybe with arguments."""
    source, target = class_of(given), class_of(wanted)
    if Any in source.__mro__:
        return True
    if source is _CALLABLE and target is not _CALLABLE:
        source = given = FunctionType
    if target is _CALLABLE:
        return _callable_fits(given, wanted, decided)
    if is_typed_dict(target):
        return _record_fits(given, target, decided)
    if is_typed_dict(source):
        values = union_of(field.hint for field in fields(source).values()) if fields(source) else Any
        return _class_fits(GenericAlias(dict, (str, values)), wanted, decided)
    if is_protocol(target) and target not in source.__mro__:
        return _members_fit(given, wanted, decided)
    if not is_subclass(source, accepted_classes(target)):
        return False
    if target is tuple:
        return _tuple_fits(given, wanted, decided)
    return _arguments_fit(given, wanted, decided)


def accepted_classes(cls: Any) -> tuple[type, ...]:
    """Return the classes whose instances are taken for a class's own: an int is a fine float.

    Source: https://typing.python.org/en/latest/spec/special-types.html#special-cases-for-float-and-complex
    """
    if cls is float:
        return (float, int)
    return (complex, float, int) if cls is complex else (cls,)


def is_subclass(cls: Any, targets: tuple[type, ...]) -> bool:
    """Ask issubclass; a metaclass that cannot say has not said no."""
    try:
        return issubclass(cls, targets)
    except Exception:  # noqa: BLE001  __subclasscheck__ is anybody's code
        return True


def _arguments_fit(given: Any, wanted: Any, decided: _Decided) -> bool:
    target = class_of(wanted)
    have, want = arguments(given, target), get_args(wanted)
    if have is None or len(have) != len(want):
        return True
    turned = [getattr(parameter, "__contravariant__", False) for parameter in parameters_of(target)]
    turned += [False] * (len(want) - len(turned))
    return all(
        _fits(w, h, decided) if against else _fits(h, w, decided)
        for h, w, against in zip(have, want, turned, strict=False)
    )


def _tuple_fits(given: Any, wanted: Any, decided: _Decided) -> bool:
    want = tuple_items(wanted)
    have_form = given if class_of(given) is tuple else tuple_form(given)
    have = tuple_items(have_form)
    if want is None or have is None:
        return True
    if is_open_tuple(wanted):
        return all(_fits(item, want[0], decided) for item in have)
    if is_open_tuple(have_form):
        # Of unknown length: checkers let it pass only if nothing is known of it.
        return plain(have[0]) is Any
    return len(have) == len(want) and all(_fits(h, w, decided) for h, w in zip(have, want, strict=True))


def tuple_form(form: Any) -> Any:
    """Return a subclass of tuple as the tuple it is: `tuple[int, str]`.

    >>> from typing import NamedTuple
    >>> tuple_form(NamedTuple("P", [("x", int), ("y", str)]))
    tuple[int, str]
    """
    have = arguments(form, tuple)
    return tuple if have is None else GenericAlias(tuple, have)


def _record_fits(given: Any, wanted: Any, decided: _Decided) -> bool:
    """Compare with a TypedDict; a dict fits only if nothing is known of its values."""
    source = class_of(given)
    if not is_typed_dict(source):
        have = arguments(given, Mapping) if is_subclass(source, (dict,)) else ()
        return have is None or (len(have) == 2 and any(one is Any for one in alternatives(have[1])))
    have_fields, want_fields = fields(source), fields(wanted)
    return all(
        name in have_fields
        and (have_fields[name].required or not want.required)
        and _fits(have_fields[name].hint, want.hint, decided)
        for name, want in want_fields.items()
    )


def _members_fit(given: Any, wanted: Any, decided: _Decided) -> bool:
    declared = Declared(given)
    for name, want in members(wanted).items():
        have = declared.member(name)
        if have is None:
            if declared.lacks(name, want.kind):
                return False
        elif have.kind == want.kind:
            if not _fits(have.hint, want.hint, decided):
                return False
        elif not _fits(have.held, want.held, decided):
            return False
    return True


def _class_object_fits(given: Any, wanted: Any, decided: _Decided) -> bool:
    """Compare `type[X]`, a class itself."""
    of = plain(get_args(given)[0]) if get_args(given) else Any
    target = class_of(wanted)
    if target is type:
        return not get_args(wanted) or _fits(of, get_args(wanted)[0], decided)
    if target is _CALLABLE:
        return True  # what its constructor takes is not decided
    if is_protocol(target):
        return class_of(of) is Any or not isinstance(class_of(of), type) or _is_on_class(class_of(of), wanted)
    metaclass = type(of) if isinstance(of, type) and of is not Any else type
    return not is_typed_dict(target) and is_subclass(metaclass, (target,))


def _is_on_class(cls: Any, wanted: Any) -> bool:
    """Whether a class itself may have what a protocol asks for: of its own, or by its metaclass."""
    own, of_metaclass = Declared(cls), Declared(type(cls))
    return not any(
        own.lacks(name, "method") and of_metaclass.lacks(name, "method") for name in members(wanted)
    )


def _callable_fits(given: Any, wanted: Any, decided: _Decided) -> bool:
    if class_of(given) is not _CALLABLE:
        return not Declared(given).lacks("__call__", "method")
    if not get_args(given) or not get_args(wanted):
        return True
    (have_parameters, have_result), (want_parameters, want_result) = get_args(given), get_args(wanted)
    if not _fits(have_result, want_result, decided):
        return False
    if not isinstance(have_parameters, list) or not isinstance(want_parameters, list):
        return True  # `...`, a ParamSpec
    return len(have_parameters) == len(want_parameters) and all(
        _fits(want, have, decided) for have, want in zip(have_parameters, want_parameters, strict=True)
    )
