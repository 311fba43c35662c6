"""An annotation as a tree of checks, made once, so that looking at values is fast."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Mapping
from functools import cached_property, lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Literal, Never, NewType, get_args, get_origin

from liteflow.hints.annotations import Field, fields
from liteflow.hints.bases import arguments, is_open_tuple, tuple_items
from liteflow.hints.fitting import accepted_classes, arguments_fit, fits, is_subclass
from liteflow.hints.forms import alternatives, class_of, is_alias, is_typed_dict, is_union, plain
from liteflow.hints.looking import Check, Look
from liteflow.hints.protocols import Declared, is_protocol, members
from liteflow.hints.text import preview, show

# What can be walked without running anybody's code is told by its __iter__.
_ORDERED = frozenset({list.__iter__, tuple.__iter__, deque.__iter__})
_DICTS = frozenset({dict.__iter__, OrderedDict.__iter__})
_WALKED = _ORDERED | _DICTS | {set.__iter__, frozenset.__iter__}
_MISSING = object()
_CALLABLE: Any = Callable


def check_of(hint: Any) -> Check:
    """Return the check for values declared as `hint`, whose phrases show it as it is written."""
    try:
        return _kept_check_of(hint, show(hint))
    except TypeError:  # unhashable, as Literal[[]]
        return _new_check_of(hint)


class OfClass(Check):
    """An instance of one of some classes, whatever it holds."""

    def __init__(self, hint: Any, classes: tuple[type, ...]) -> None:
        super().__init__(hint)
        self.classes = classes

    def wrong(self, value: object, look: Look) -> str | None:
        return None if is_instance(value, self.classes) else self.is_not(value)

    def surely(self, values: Iterable[object], look: Look) -> bool:
        kinds = look.kinds(values)
        return kinds is not None and all(is_subclass(kind, self.classes) for kind in kinds)


class OfNumber(OfClass):
    """A number of the tower: also a scalar of numpy, which checkers mostly see as Any.

    `array.sum()` in a task that says `-> int` must not fail for being an `np.int64`.
    """

    def __init__(self, hint: Any, classes: tuple[type, ...], kind: str) -> None:
        super().__init__(hint, classes)
        self._kind = kind

    def wrong(self, value: object, look: Look) -> str | None:
        if is_instance(value, self.classes):
            return None
        import numbers  # noqa: PLC0415  start-up: only what is no plain number needs it

        return None if is_instance(value, (getattr(numbers, self._kind),)) else self.is_not(value)


_TOWER = {int: "Integral", float: "Real", complex: "Complex"}


class OfGeneric(OfClass):
    """An instance of a generic class with arguments, such as `Sequence[int]`."""

    def __init__(self, hint: Any, form: Any) -> None:
        super().__init__(hint, (class_of(form),))
        self._form = form
        pair = arguments(form, Mapping)
        one = arguments(form, Iterable) or arguments(form, Container)
        self._value = check_of(pair[1]) if pair else None
        self._item = check_of(one[0]) if one else None
        self._fitting: dict[type, bool] = {}

    def wrong(self, value: Any, look: Look) -> str | None:
        kind = type(value)
        if not is_instance(value, self.classes):
            return self.is_not(value)
        if self._item is None or _walk_of(kind) not in _WALKED:
            if kind not in self._fitting:
                self._fitting[kind] = arguments_fit(kind, self._form)
            return None if self._fitting[kind] else self.is_not(value)
        if found := look.first_wrong(value, self._item):
            index, _, phrase = found
            if _walk_of(kind) in _ORDERED:
                return f"[{index}]{phrase}"
            part = "a key" if isinstance(value, dict) else "an item"
            return f" has {part} that{phrase}" if phrase[0] == " " else f" has {part} whose {phrase}"
        if self._value is None or _walk_of(kind) not in _DICTS:
            return None
        found = look.first_wrong(dict.values(value), self._value)
        return f"[{preview(next(islice(value, found[0], None))) or '...'}]{found[2]}" if found else None

    def surely(self, values: Iterable[object], look: Look) -> bool:
        values = _kept(values)
        kinds = look.kinds(values)
        if kinds is None or self._item is None:
            return False
        if not all(_walk_of(kind) in _WALKED and is_subclass(kind, self.classes) for kind in kinds):
            return False
        nested: Any = values
        if self._value is None:
            return self._item.surely(chain.from_iterable(nested), look)
        return (
            all(_walk_of(kind) in _DICTS for kind in kinds)
            and self._item.surely(chain.from_iterable(nested), look)
            and self._value.surely(chain.from_iterable(map(dict.values, nested)), look)
        )


class FixedTuple(OfClass):
    """A tuple of so many items, `tuple[int, str]`."""

    def __init__(self, hint: Any, items: tuple[Any, ...]) -> None:
        super().__init__(hint, (tuple,))
        self._items = [check_of(item) for item in items]

    def wrong(self, value: object, look: Look) -> str | None:
        if not is_instance(value, self.classes):
            return self.is_not(value)
        if not isinstance(value, tuple) or _walk_of(type(value)) is not tuple.__iter__:
            return None
        if len(value) != len(self._items):
            return f" has {len(value)} items, not {len(self._items)} as in {show(self.hint)}"
        for index, (item, check) in enumerate(zip(value, self._items, strict=True)):
            if phrase := look.wrong(item, check):
                return f"[{index}]{phrase}"
        return None

    def surely(self, values: Iterable[object], look: Look) -> bool:
        nested: Any = _kept(values)
        return (
            look.kinds(nested) == {tuple}
            and set(map(len, nested)) == {len(self._items)}
            and all(check.surely(map(itemgetter(i), nested), look) for i, check in enumerate(self._items))
        )


class Record(OfClass):
    """A TypedDict.  It may have more keys than are declared: so it is for checkers too."""

    def __init__(self, hint: Any, cls: Any) -> None:
        super().__init__(hint, (dict,))
        self._record = cls

    @cached_property
    def _fields(self) -> list[tuple[str, Field, Check]]:
        return [(name, field, check_of(field.hint)) for name, field in fields(self._record).items()]

    def wrong(self, value: object, look: Look) -> str | None:
        if not issubclass(type(value), dict):
            return self.is_not(value)
        return look.inside(self, value, lambda: self._wrong_field(value, look))

    def _wrong_field(self, value: Any, look: Look) -> str | None:
        for name, field, check in self._fields:
            held = dict.get(value, name, _MISSING)
            if held is _MISSING:
                if field.required:
                    return f" lacks the key {name!r} of {show(self.hint)}"
            elif phrase := look.wrong(held, check):
                return f"[{name!r}]{phrase}"
        return None

    def surely(self, values: Iterable[object], look: Look) -> bool:
        records: Any = _kept(values)
        return look.kinds(records) == {dict} and look.surely_inside(
            self, lambda: all(_surely_held(records, name, check, look) for name, _, check in self._fields)
        )


def _surely_held(records: Iterable[Any], name: str, check: Check, look: Look) -> bool:
    try:
        return check.surely(map(itemgetter(name), records), look)
    except KeyError:  # one lacks it: to be looked at
        return False


class Either(Check):
    """A union: of some classes, or right for one of the other checks."""

    def __init__(self, hint: Any, parts: list[Check]) -> None:
        super().__init__(hint)
        simple = [part for part in parts if type(part) is OfClass]
        self._simple = OfClass(hint, tuple(cls for part in simple for cls in part.classes))
        self._others = [part for part in parts if type(part) is not OfClass]

    def wrong(self, value: object, look: Look) -> str | None:
        if is_instance(value, self._simple.classes):
            return None
        phrases = []
        for part in self._others:
            phrase = part.wrong(value, look)
            if phrase is None:
                return None
            phrases.append(phrase)
        # If it is one of them but for a part of it, say which part.
        telling = [phrase for phrase in phrases if not phrase.startswith(" is ")]
        return telling[0] if len(telling) == 1 else self.is_not(value)

    def surely(self, values: Iterable[object], look: Look) -> bool:
        values = _kept(values)
        kinds = look.kinds(values)
        if kinds is None:
            return False
        others = {kind for kind in kinds if not is_subclass(kind, self._simple.classes)}
        if not others or len(self._others) != 1:
            return not others
        return self._others[0].surely([value for value in values if type(value) in others], look)


class OneOf(Check):
    """A `Literal`: the same value, of the same type."""

    def __init__(self, hint: Any, values: tuple[object, ...]) -> None:
        super().__init__(hint)
        self._kinds = {type(value) for value in values}
        self._values = {(type(value), value) for value in values}

    def wrong(self, value: object, look: Look) -> str | None:
        right = type(value) in self._kinds and (type(value), value) in self._values
        return None if right else self.is_not(value)

    def surely(self, values: Iterable[object], look: Look) -> bool:
        values = _kept(values)
        kinds = look.kinds(values)
        if kinds is None or not kinds <= self._kinds:
            return False
        return set(zip(map(type, values), values, strict=True)) <= self._values


class ClassItself(Check):
    """A class, `type[Base]`."""

    def __init__(self, hint: Any, of: Any) -> None:
        super().__init__(hint)
        self._of = of

    def wrong(self, value: object, look: Look) -> str | None:
        return None if is_instance(value, (type,)) and fits(value, self._of) else self.is_not(value)

    def surely(self, values: Iterable[object], look: Look) -> bool:
        return False


class CallableWith(Check):
    """Something that can be called with so many positional arguments."""

    def __init__(self, hint: Any, count: int) -> None:
        super().__init__(hint)
        self._count = count

    def wrong(self, value: object, look: Look) -> str | None:
        if not callable(value):
            return self.is_not(value)
        if _takes(value, self._count):
            return None
        return f" cannot be called with {self._count} positional arguments, as {show(self.hint)} is"

    def surely(self, values: Iterable[object], look: Look) -> bool:
        return False


def _takes(function: Callable[..., object], count: int) -> bool:
    import inspect  # noqa: PLC0415  it takes 6 ms, and few need it

    try:
        signature = inspect.signature(function)
    except Exception:  # noqa: BLE001  not every builtin has one, and __signature__ may be anything
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


class WithMembers(Check):
    """An instance of a protocol: it has the members, and the attributes it holds are right."""

    def __init__(self, hint: Any, form: Any) -> None:
        super().__init__(hint)
        self._form = form
        self._missing: dict[type, list[str]] = {}

    @cached_property
    def _members(self) -> dict[str, Check | None]:
        found = members(self._form).items()
        return {name: check_of(member.hint) if member.kind == "attribute" else None for name, member in found}

    def wrong(self, value: object, look: Look) -> str | None:
        kind = type(value)
        if class_of(self._form) in kind.__mro__:
            return None
        if kind not in self._missing:
            declared = Declared(kind)
            self._missing[kind] = [name for name in self._members if declared.lacks(name, "method")]
        held = getattr(value, "__dict__", {})
        for name in self._missing[kind]:
            on_class = isinstance(value, type) and any(name in vars(base) for base in value.__mro__)
            if name not in held and not on_class:
                return f"{self.is_not(value)}: it has no {name!r}"
        return look.inside(self, value, lambda: self._wrong_attribute(held, look))

    def _wrong_attribute(self, held: Mapping[str, object], look: Look) -> str | None:
        for name, check in self._members.items():
            if check is not None and name in held and (phrase := look.wrong(held[name], check)):
                return f".{name}{phrase}"
        return None

    def surely(self, values: Iterable[object], look: Look) -> bool:
        kinds = look.kinds(values)
        return kinds is not None and all(class_of(self._form) in kind.__mro__ for kind in kinds)


class Named(Check):
    """A `type` alias, which may hold itself: what it means is looked up when a value comes."""

    @cached_property
    def _meaning(self) -> Check:
        return _check_of_form(self.hint, plain(self.hint))

    def wrong(self, value: object, look: Look) -> str | None:
        return look.inside(self, value, lambda: self._meaning.wrong(value, look))

    def surely(self, values: Iterable[object], look: Look) -> bool:
        return look.surely_inside(self, lambda: self._meaning.surely(values, look))


def _new_check_of(hint: Any) -> Check:
    return Named(hint) if is_alias(hint) else _check_of_form(hint, plain(hint))


@lru_cache(maxsize=1024)
def _kept_check_of(hint: Any, written: str) -> Check:
    # Python takes `int | None` and `None | int` for equal: so the text is part of the key.
    return _new_check_of(hint)


@lru_cache(maxsize=1024)
def equal_check_of(hint: Any) -> Check:
    """Return, fast, the check of this hint or of one that is equal to it.

    Raises:
        TypeError: The hint is unhashable.
    """
    return check_of(hint)


def _check_of_form(hint: Any, form: Any) -> Check:
    if form is Any or form is object:
        return Check(hint)
    if form is Never:
        return OfClass(hint, ())
    if isinstance(form, NewType):
        return _check_of_form(hint, plain(form.__supertype__))
    if get_origin(form) is Literal:
        decided = not any(one is Any for one in alternatives(form))
        return OneOf(hint, get_args(form)) if decided else Check(hint)
    if is_union(form):
        parts = [check_of(part) for part in get_args(form)]
        return Check(hint) if any(type(part) is Check for part in parts) else Either(hint, parts)
    return _check_of_class(hint, form)


def _check_of_class(hint: Any, form: Any) -> Check:  # noqa: PLR0911  a table of cases
    cls, parameters = class_of(form), get_args(form)
    if is_typed_dict(cls):
        return Record(hint, cls)
    if is_protocol(cls):
        return WithMembers(hint, form)
    if cls is tuple and (items := tuple_items(form)) is not None and not is_open_tuple(form):
        return FixedTuple(hint, items)
    if cls is type and parameters:
        return ClassItself(hint, parameters[0])
    if cls is _CALLABLE and parameters and isinstance(parameters[0], list):
        return CallableWith(hint, len(parameters[0]))
    if parameters and cls is not _CALLABLE:
        return OfGeneric(hint, form)
    if cls in _TOWER:
        return OfNumber(hint, accepted_classes(cls), _TOWER[cls])
    return OfClass(hint, accepted_classes(cls))


def is_instance(value: object, classes: tuple[type, ...]) -> bool:
    """Ask isinstance; a metaclass that cannot say has not said no."""
    try:
        return isinstance(value, classes)
    except Exception:  # noqa: BLE001  __instancecheck__ is anybody's code
        return True


def _walk_of(kind: type) -> Any:
    return getattr(kind, "__iter__", None)


def _kept(values: Iterable[object]) -> Iterable[object]:
    """Return the values so that they can be gone through more than once."""
    return list(values) if isinstance(values, chain | map) else values
