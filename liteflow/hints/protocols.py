"""What members does a protocol ask for, and what is known of a class's own?

Only declarations are read.  What a class sets in its `__init__` is not among them, so an
attribute that is not found is missing only where nobody could have set it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence, Set
from types import FunctionType
from typing import Any, NamedTuple, Protocol, TypeVar

from liteflow.hints.annotations import own_attributes, resolve
from liteflow.hints.bases import arguments
from liteflow.hints.forms import class_of, is_named_tuple, parameters_of, substitute

T_co = TypeVar("T_co", covariant=True)


class _Empty(Protocol[T_co]):
    """A protocol of no members: what its namespace holds is Python's own in any."""


_NOT_MEMBERS = frozenset(vars(_Empty)) | {
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__class_getitem__",
    "__conditional_annotations__",
    "__firstlineno__",
    "__match_args__",
    "__new__",
    "__non_callable_proto_members__",
    "__protocol_attrs__",
    "__slots__",
    "__static_attributes__",
    "__type_params__",
    "_is_runtime_protocol",
}
# In a function's code flags.  Source: https://docs.python.org/3/library/inspect.html#inspect.CO_COROUTINE
_COROUTINE = 0x80


class Member(NamedTuple):
    """What is declared of one attribute or method.

    What two return can be compared when they are of the same kind.
    """

    kind: str  # "attribute", "method", "coroutine"; "unknown" if it can only be seen to be there
    hint: Any  # the attribute's type, or what the method returns

    @property
    def held(self) -> Any:
        """The type of what is got by the name."""
        return Callable if self.kind in ("method", "coroutine") else self.hint


_NONE = Member("unknown", None)


def is_protocol(form: Any) -> bool:
    return isinstance(form, type) and vars(form).get("_is_protocol") is True and form is not Protocol


def members(protocol: Any) -> dict[str, Member]:
    """Return what a protocol, with its arguments, asks for.

    >>> class Sized(Protocol):
    ...     name: str
    ...     def size(self) -> int: ...
    >>> members(Sized)["size"]
    Member(kind='method', hint=<class 'int'>)
    """
    cls = class_of(protocol)
    names: set[str] = set()
    for base in cls.__mro__:
        if is_protocol(base):
            names |= vars(base).keys() - _NOT_MEMBERS
            names |= base.__annotations__.keys()
        else:  # an abstract class of the standard library, such as Iterable
            names |= getattr(base, "__abstractmethods__", frozenset())
    declared = Declared(protocol)
    found = {name: declared.member(name) for name in names}
    return {name: member for name, member in found.items() if member is not None}


class Declared:
    """What is declared of a class's members."""

    def __init__(self, form: Any) -> None:
        self._form = form
        self._bases = [(base, own_attributes(base)) for base in class_of(form).__mro__]

    def member(self, name: str) -> Member | None:
        """Return what is declared under a name, and None if nothing is."""
        for base, hints in self._bases:
            if name not in hints and name not in vars(base):
                continue
            found = Member("attribute", hints[name]) if name in hints else _read(vars(base)[name])
            # `__hash__ = None` says that there is none.
            if found == _NONE and name.startswith("__"):
                return None
            own = arguments(self._form, base) or ()
            meanings = dict(zip(parameters_of(base), own, strict=False))
            return Member(found.kind, substitute(found.hint, meanings))
        return None

    def lacks(self, name: str, kind: str) -> bool:
        """Whether instances surely have no such member, declared or not."""
        cls = class_of(self._form)
        if self.member(name) or any("__getattr__" in vars(base) for base in cls.__mro__):
            return False
        # Checkers think that a tuple has __reversed__, as every Sequence has by its definition.
        kinds = [abstract for abstract in (Sequence, Mapping, Set) if issubclass(cls, abstract)]
        if any(vars(base).get(name) is not None for kind in kinds for base in kind.__mro__[:-1]):
            return False
        return kind != "attribute" or _says_all(cls)


def _says_all(cls: Any) -> bool:
    """Whether instances have the attributes that are declared, and no others."""
    return (
        not cls.__dictoffset__  # no instance has a __dict__
        or is_protocol(cls)
        or is_named_tuple(cls)
        or hasattr(cls, "__dataclass_fields__")
        or hasattr(cls, "__attrs_attrs__")
    )


def _read(found: Any) -> Member:
    if found is None:
        return _NONE
    if isinstance(found, property):
        return Member("attribute", resolve(found.fget).get("return", Any))
    if isinstance(found, functools.cached_property):
        return Member("attribute", resolve(found.func).get("return", Any))
    if isinstance(found, FunctionType):
        kind = "coroutine" if found.__code__.co_flags & _COROUTINE else "method"
        return Member(kind, resolve(found).get("return", Any))
    return Member("unknown", Any)
