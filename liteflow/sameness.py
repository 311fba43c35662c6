"""Is this surely the same code, and are these surely the same arguments, that a result was made with?

    function --identity_of--> 16 bytes; none if it can't be told
    argument --exact_digest--> 16 bytes

A result of any earlier run may be taken over by this, months later and unseen.  So it is stricter than a
fingerprint, by which a run is compared with itself: order in dicts counts, and what stands around a
function does (decorators, constants, classes, the instance it belongs to).  What can't be told is not the
same.  Loaded for tasks that have a cache.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum, EnumMeta
from fractions import Fraction
from functools import cached_property, partial, partialmethod
from hashlib import blake2b
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, get_args

from liteflow import pickling
from liteflow.fingerprint import Canon, TooLargeError, UnstableValueError, code_text, is_users_module, name_of
from liteflow.pickling import Packed

_BYTES = 16
# Larger arguments are told by their bytes.
_LARGE = 64 * 1024
# Functions and classes that one task leads to, near or far: who has more is not the same as anything.
_MOST_LOOKED_AT = 2000
# What never changes: who names it in a module means its value.
_CONSTANT = (
    *(int, float, complex, str, bytes, type(None), Decimal, Fraction, Enum, re.Pattern, range),
    *(date, time, timedelta, PurePath),
)
_CODE = (FunctionType, MethodType, partial, type)
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def identity_of(fn: Callable[..., Any]) -> bytes:
    """Return what stands for a function and all of the user's code and constants that it leads to.

    Nothing (b"") if it can't be told: it holds a lock, say, or an open file.

    >>> identity_of(lambda x: x + 1) == identity_of(lambda x: x + 2)
    False
    """
    try:
        return _Look(lambda _: None).digest(fn)
    except Exception:  # noqa: BLE001  whatever a value of the user's raises when it is taken apart: it can't be told
        return b""


def exact_digest(value: object, packed: Packed) -> bytes:
    """Return what stands for an argument, with the code of the user's classes and functions in it.

    Args:
        value: The argument.
        packed: The same as bytes; its holes are told by their place.

    >>> from liteflow.pickling import Definitions, pack
    >>> one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    >>> packed = [pack(value, lambda _: False, Definitions()) for value in (one, other)]
    >>> exact_digest(one, packed[0]) == exact_digest(other, packed[1])
    False
    """
    if len(packed.data) <= _LARGE:
        places = {id(hole): str(number) for number, hole in enumerate(packed.holes)}
        # The bytes may differ in the next process: then the call runs.
        with suppress(Exception):
            return _Look(lambda part: places.get(id(part))).digest(value)
    return blake2b(packed.data, digest_size=_BYTES).digest()


class _Look(Canon):
    """Writes a value as text, and all code that it leads to, each piece once."""

    def __init__(self, stand_in: Callable[[object], str | None]) -> None:
        super().__init__(stand_in)
        self._found: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._too_many = False

    def digest(self, value: object) -> bytes:
        """Look at all of it."""
        digest = blake2b(self.text(value).encode("utf-8", "backslashreplace"), digest_size=_BYTES)
        # The list is the queue: it grows while we go along it.
        for found in self._found:
            told = self._class(found) if isinstance(found, type) else self._function(found)
            digest.update(f"\n{'|'.join(told)}".encode("utf-8", "backslashreplace"))
        if self._too_many:
            raise UnstableValueError(f"it leads to more than {_MOST_LOOKED_AT} functions and classes")
        return digest.digest()

    # --- code ------------------------------------------------------------------------------

    def _number(self, found: Any) -> str:
        """What stands for a function or a class, which is looked at later."""
        number = self._numbers.setdefault(id(found), len(self._found))
        if number == len(self._found):
            if number >= _MOST_LOOKED_AT:
                self._too_many = True
                return "code"
            self._found.append(found)
        return f"code {number}"

    def _function(self, function: FunctionType) -> Iterator[str]:
        theirs = not is_users_module(_module_of(function))
        # Installed code counts by its name, if it has one; what it was given here by what it is.
        if theirs:
            yield f"{_module_of(function)}.{function.__qualname__}"
        if not theirs or "<" in function.__qualname__:
            yield code_text(function.__code__)
        yield self._held(function.__defaults__)
        yield self._held(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                # Not filled: a function that is still being defined.
                yield "?"
            else:
                yield self._held(held)
        if (wrapped := getattr(function, "__wrapped__", None)) is not None:
            yield self._held(wrapped)
        if not theirs:
            yield from self._named(function)
            yield from map(self.text, _annotated(function))

    def _named(self, function: FunctionType) -> Iterator[str]:
        """What a function names in its module."""
        spaces = function.__globals__
        names = sorted(set(_names(function.__code__)))
        # A method may call those beside it.  What is defined in a function is in no module.
        first, *inner = function.__qualname__.split(".")
        for name in [*names, *([first] if inner and "<locals>" not in inner else [])]:
            value = spaces.get(name)
            if isinstance(value, ModuleType):
                if is_users_module(value.__name__):
                    said = [(n, self._constant(vars(value).get(n))) for n in names]
                    yield f"{name}: {[one for one in said if one[1]]}"
            elif not _of_python(name) and (text := self._constant(value)):
                yield f"{name} {text}"

    def _class(self, cls: type) -> Iterator[str]:
        yield cls.__qualname__
        yield from map(self.text, (type(cls), *cls.__bases__))
        if isinstance(cls, EnumMeta):
            members: dict[str, Any] = dict(cls.__members__)
            yield from (f"{name} {self._lenient(one.value)}" for name, one in members.items())
        for name, member in sorted(vars(cls).items()):
            for inner in _parts(member):
                if (not _of_python(name) or isinstance(inner, FunctionType)) and (
                    text := self._constant(inner)
                ):
                    yield f"{name} {text}"

    # --- values ----------------------------------------------------------------------------

    def _held(self, value: object) -> str:
        """The text of what a function can't do without, however large it is."""
        self._parts = 0
        try:
            return self.text(value)
        except TooLargeError:
            return blake2b(pickling.dumps(value).data).hexdigest()

    def _lenient(self, value: object) -> str:
        """The same of what it may do without."""
        try:
            return self._held(value)
        except Exception:  # noqa: BLE001  as in `identity_of`; there is no end of what may stand in a module
            return type(value).__qualname__

    def _constant(self, value: Any) -> str:
        """What a name of a module, or of a class, says of what is done; nothing of what may change."""
        if value is None:
            return ""
        if isinstance(value, _CONSTANT) or _is_code(value):
            return self._lenient(value)
        if isinstance(value, tuple | frozenset) and all(isinstance(one, _CONSTANT) for one in value):
            return self._lenient(value)
        if isinstance(value, list | tuple):
            return ",".join([self._lenient(one) for one in value if _is_code(one)])
        if isinstance(value, dict):
            return ",".join([f"{k!r} {self._lenient(one)}" for k, one in value.items() if _is_code(one)])
        return self.text(type(value)) if is_users_module(type(value).__module__) else ""

    def _pairs(self, value: dict[Any, Any]) -> str:
        return f"dict{{{','.join([f'{self.text(k)}:{self.text(v)}' for k, v in value.items()])}}}"

    def _by_name(self, value: Any, kind: type) -> str | None:
        if isinstance(value, Enum):
            return f"{self.text(kind)}.{value.name}"
        if isinstance(value, FunctionType) or (isinstance(value, type) and is_users_module(value.__module__)):
            return self._number(value)
        if isinstance(value, type | ModuleType):
            return name_of(value)
        if isinstance(value, BuiltinFunctionType):
            return f"{self.text(value.__self__)}.{name_of(value)}"
        if isinstance(value, re.Pattern):
            return f"pattern {value.flags} {self.text(value.pattern)}"
        return self._by_what_it_calls(value, kind)

    def _by_what_it_calls(self, value: Any, kind: type) -> str | None:
        if kind.__module__ == "liteflow.task":
            return f"task {self.text(value.fn)}"
        identity = getattr(kind, "_whole_identity", getattr(kind, "_identity", None))
        if identity is not None and kind.__module__.startswith("liteflow."):
            return f"{name_of(kind)} {self.text(identity(value))}"
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and not is_users_module(kind.__module__):
            # What functools.lru_cache gives, or what a step of an arrow flow is.
            rest = {name: part for name, part in vars(value).items() if not _of_python(name)}
            return f"{name_of(kind)} {self.text(wrapped)} {self.text(rest)}"
        return None


# --- what leads where ------------------------------------------------------------------------


def _is_code(value: Any) -> bool:
    if isinstance(value, _CODE):
        return True
    return type(value).__module__ == "liteflow.task" or callable(getattr(value, "__wrapped__", None))


def _module_of(function: FunctionType) -> str:
    return function.__globals__.get("__name__") or function.__module__


def _of_python(name: str) -> bool:
    """Whether a name is one that Python, or a library, gives by itself."""
    return (name.startswith("_") and name.endswith("_")) or name == "_abc_impl"


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _parts(member: Any) -> Iterator[Any]:
    """The functions of what stands in a class; else what it is itself."""
    if isinstance(member, staticmethod | classmethod):
        yield member.__func__
    elif isinstance(member, property):
        yield from (fn for fn in (member.fget, member.fset, member.fdel) if fn is not None)
    elif isinstance(member, cached_property | partialmethod):
        yield member.func
    else:
        yield member


def _annotated(function: FunctionType) -> Iterator[type]:
    """The user's classes that a function is annotated with: it may call their methods."""
    try:
        waiting = [note for _, note in sorted(function.__annotations__.items())]
    except NameError:
        # From 3.14 on they are made when they are asked for; this one is for checkers alone.
        return
    for note in waiting:
        if isinstance(note, str):
            for name in _NAME.findall(note):
                first, *rest = name.split(".")
                # In a worker the globals of a script's function are those that its code names.
                module = vars(sys.modules.get(function.__module__, sys))
                found = function.__globals__.get(first, module.get(first))
                for part in rest:
                    found = getattr(found, part, None)
                waiting += [found] if isinstance(found, type) else []
        elif isinstance(note, type) and not get_args(note):
            if is_users_module(note.__module__):
                yield note
        else:
            waiting += get_args(note)
