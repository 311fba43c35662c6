"""Is this still the code, and are these still the arguments, that a result was made with?

    function --> "3.11 9f2c... source 77ab..."      the function, and the user's own ones that it calls
    value    --> 16 bytes                           the same in every process for equal plain data

A fingerprint decides whether a resumed run may keep a result, so it must neither change by
itself (pickles do: by the order of sets, by what happens to be the same object) nor miss a
change.  Comments, blank lines, docstrings and the settings of `@task` are no change.

Bytecode is compared between processes of one Python minor version, source between others.
What a function reads while it runs (files, global variables) is not looked at.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from hashlib import blake2b
from pickle import PickleBuffer
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

# A digest of so many bytes: two texts of a run have the same by chance once in 10^19.
_BYTES = 8
# Functions that one task calls, near or far; and parts of one value.  Beyond: by name, and by its pickle.
_MOST_FUNCTIONS = 500
_MOST_PARTS = 100_000
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class UnstableValueError(Exception):
    """A value has no form that is the same in every process."""


class TooLargeError(UnstableValueError):
    """A value has too many parts to look at each."""


def code_of(fn: Callable[..., Any]) -> str:
    """Return the fingerprint of a function, with the user's own functions that it calls.

    >>> code_of(lambda x: x + 1) == code_of(lambda x: x + 2)
    False
    """
    code, source = blake2b(digest_size=_BYTES), blake2b(digest_size=_BYTES)
    readable = True
    for name, function, rest in _reachable(fn):
        said = f"{name}{rest}".encode("utf-8", "backslashreplace")
        code.update(said)
        source.update(said)
        if function is None:
            continue
        code.update(code_text(function.__code__).encode("utf-8", "backslashreplace"))
        text = _source_text(function) if readable else None
        readable = text is not None
        source.update((text or "").encode("utf-8", "backslashreplace"))
    return f"{_VERSION} {code.hexdigest()}" + (f" source {source.hexdigest()}" if readable else "")


def is_same_code(before: str | None, now: str) -> bool:
    """Whether two fingerprints of `code_of` are of the same code, as far as can be told.

    >>> is_same_code("3.11 aa source cc", "3.12 bb source cc"), is_same_code("3.11 aa", "3.11 bb")
    (True, False)
    """
    if before is None:
        return False
    (version, code, *source), (version_now, code_now, *source_now) = before.split(), now.split()
    if version == version_now:
        return code == code_now
    return bool(source) and source == source_now


def digest_of(value: object, stand_in: Callable[[object], str | None] = lambda _: None) -> bytes:
    """Return a digest that equal plain values have in every process.

    Args:
        value: Anything that can be pickled.
        stand_in: Gives a text for objects that are not to be looked into (lazy values).

    Raises:
        UnstableValueError: It has no stable form, or is too large to look for one.

    >>> digest_of({"b": {1, 2}, "a": [None]}) == digest_of({"a": [None], "b": {2, 1}})
    True
    """
    try:
        text = Canon(stand_in).text(value)
    except UnstableValueError:
        raise
    except Exception as error:
        raise UnstableValueError(f"{type(value).__name__}: {error}") from error
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=_BYTES).digest()


# --- functions -----------------------------------------------------------------------------


def _reachable(fn: Any) -> Iterator[tuple[str, FunctionType | None, str]]:
    """The function and all of the user's that it leads to: (name, function, its own constants)."""
    waiting: list[tuple[str, Any]] = [("", fn)]
    seen: set[int] = set()
    # The list is the queue: it grows while we go along it.
    for name, found in waiting:
        if id(found) in seen or len(seen) > _MOST_FUNCTIONS:
            continue
        seen.add(id(found))
        if isinstance(found, functools.partial):
            waiting.append((f"{name}()", found.func))
            yield name, None, _plainly((found.args, found.keywords))
        elif isinstance(found, MethodType):
            waiting.append((f"{name}()", found.__func__))
            waiting.append((f"{name}.self", type(found.__self__)))
        elif isinstance(found, FunctionType):
            yield name, found, _own_constants(found)
            waiting += [(f"{name}.{n}", value) for n, value in _mentioned(found)]
        elif isinstance(found, type):
            yield name, None, f"class {found.__qualname__}"
            waiting += [(f"{name}.{n}", member) for n, member in _methods(found)]
        elif isinstance(found, BuiltinFunctionType):
            yield name, None, f"builtin {found.__qualname__}"
        else:
            # What it holds is a part of what it does, as with a partial.
            identity = getattr(type(found), "_identity", None)
            held = found if identity is None else identity(found)
            yield name, None, type(found).__qualname__ + _plainly(held)
            if is_users_module(type(found).__module__):
                waiting.append((f"{name}()", type(found)))
            if callable(wrapped := getattr(found, "__dict__", {}).get("__wrapped__")):
                waiting.append((f"{name}.__wrapped__", wrapped))


def _mentioned(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The user's functions and classes that a function names, by name."""
    spaces = function.__globals__
    names = sorted(set(_names(function.__code__)))
    for name in names:
        value = spaces.get(name)
        if _is_users(value):
            yield name, _unwrapped(value)
        elif isinstance(value, ModuleType) and is_users_module(value.__name__):
            for attribute in names:
                member = vars(value).get(attribute)
                if _is_users(member):
                    yield f"{name}.{attribute}", _unwrapped(member)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            # Not filled yet: a function that is still being defined.
            continue
        if _is_users(value):
            yield name, _unwrapped(value)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _methods(cls: type) -> Iterator[tuple[str, Any]]:
    if not is_users_module(cls.__module__):
        return
    for base in cls.__bases__:
        if base is not object:
            yield f"({base.__name__})", base
    for name, member in sorted(vars(cls).items()):
        inner = member.fget if isinstance(member, property) else member
        inner = getattr(inner, "__func__", inner)
        if isinstance(inner, FunctionType):
            yield name, inner


def _unwrapped(value: Any) -> Any:
    if type(value).__module__ == "liteflow.task":
        value = value.fn
    return value if isinstance(value, type) else inspect.unwrap(value)


def _is_users(value: Any) -> bool:
    # Of a task that is called within a task too: what it returns is what the other goes on as.
    if type(value).__module__ == "liteflow.task":
        value = value.fn
    return isinstance(value, FunctionType | type) and is_users_module(getattr(value, "__module__", None))


@functools.cache
def is_users_module(name: str | None) -> bool:
    """Return whether a module is the user's own: neither Python's, nor installed, nor ours."""
    if not name or name.partition(".")[0] == "liteflow":
        return False
    if name in sys.builtin_module_names or name.partition(".")[0] in sys.stdlib_module_names:
        return name.startswith("__m")
    file = getattr(sys.modules.get(name), "__file__", None)
    return not file or not file.startswith(installed_folders())


@functools.cache
def installed_folders() -> tuple[str, ...]:
    """Return the folders that hold what is installed and what Python brings: no code of the user's."""
    paths = sysconfig.get_paths()
    return tuple({paths[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")})


def _own_constants(function: FunctionType) -> str:
    """Defaults and what a closure holds, as far as it is plain data."""
    held = []
    for cell in function.__closure__ or ():
        try:
            held.append(_plainly(cell.cell_contents))
        except ValueError:
            held.append("?")
    return f"{_plainly(function.__defaults__)}{_plainly(function.__kwdefaults__)}{held}"


def _plainly(value: object) -> str:
    try:
        return digest_of(value).hex()
    except UnstableValueError:
        return type(value).__qualname__


def code_text(code: CodeType) -> str:
    """Return what a code object does, as text: not where it stands, and not what it says of itself."""
    # By what is loaded, not by its number: a docstring is the constant with number 0.
    steps = [
        f"{step.opcode} {_constant(step.argval) if step.opcode in dis.hasconst else step.arg}"
        for step in dis.get_instructions(code)
    ]
    shape = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return f"{steps}{shape}{names}{code.co_exceptiontable.hex()}"


# *args, **kwargs, and whether it is a generator or a coroutine.
_FLAGS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


def _constant(value: object) -> str:
    if isinstance(value, CodeType):
        return code_text(value)
    if isinstance(value, frozenset):
        return f"{{{sorted(map(_constant, value))}}}"
    if isinstance(value, tuple):
        return f"({list(map(_constant, value))})"
    return f"{type(value).__name__}{value!r}"


def _source_text(function: FunctionType) -> str | None:
    """The source as a tree, without what is no code; None if it can't be read."""
    try:
        (statement, *_) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return None
    return tree_text(statement)


def tree_text(node: Any) -> str:
    """Return what a piece of source does, as text: without comments, docstrings and settings of `@task`."""
    if isinstance(node, list):
        return f"[{','.join(map(tree_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = {name: getattr(node, name, None) for name in node._fields if name not in _NO_CODE}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        parts["decorator_list"] = [d for d in node.decorator_list if not _is_task_decorator(d)]
        if ast.get_docstring(node, clean=False) is not None:
            parts["body"] = node.body[1:]
    # Fields that are empty are left out: newer Pythons have some that older ones lack.
    inside = [f"{name}={tree_text(part)}" for name, part in parts.items() if part not in (None, [])]
    return f"{type(node).__name__}({','.join(inside)})"


_NO_CODE = ("ctx", "kind", "type_comment")


def _is_task_decorator(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        node = node.func
    return (getattr(node, "id", None) or getattr(node, "attr", None)) == "task"


# --- values --------------------------------------------------------------------------------


class Canon:
    """Writes a value as text, by the parts it would be rebuilt from (PEP 307), in an order of its own.

    Args:
        stand_in: As of `digest_of`.
    """

    def __init__(self, stand_in: Callable[[object], str | None]) -> None:
        self._stand_in = stand_in
        self._within: dict[int, int] = {}
        self._parts = 0

    def text(self, value: Any) -> str:
        """Return the text of a value.

        Raises:
            TooLargeError: With all that it has written before, it has too many parts.
            Exception: The value can't be taken apart.
        """
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise TooLargeError("it is too large")
        kind = type(value)
        if kind in _ATOMS:
            return f"{kind.__name__}{value!r}"
        if (known := self._stand_in(value)) is not None:
            return f"~{known}"
        if id(value) in self._within:
            return f"^{self._within[id(value)]}"
        self._within[id(value)] = len(self._within)
        try:
            return self._inside(value, kind)
        finally:
            del self._within[id(value)]

    def _inside(self, value: Any, kind: type) -> str:
        if kind is list or kind is tuple:
            texts = self._stood_in(value) or map(self.text, value)
            return f"{kind.__name__}[{','.join(texts)}]"
        if kind is dict:
            return self._pairs(value)
        if kind is set or kind is frozenset:
            return f"{kind.__name__}{{{','.join(sorted(map(self.text, value)))}}}"
        if isinstance(value, PickleBuffer | bytearray | memoryview):
            data = value.raw() if isinstance(value, PickleBuffer) else value
            return f"{kind.__name__}{blake2b(data).hexdigest()}"
        return self._by_name(value, kind) or self._by_parts(value, kind)

    def _pairs(self, value: dict[Any, Any]) -> str:
        return f"dict{{{','.join(sorted(f'{self.text(k)}:{self.text(v)}' for k, v in value.items()))}}}"

    def _stood_in(self, items: Sequence[Any]) -> list[str] | None:
        """The texts of items for all of which others stand in: what a thousand calls give to one."""
        if not items or type(items[0]) in _ATOMS:
            return None
        known = list(map(self._stand_in, items))
        if None in known:
            return None
        self._parts += len(items)
        return [f"~{text}" for text in known]

    def _by_name(self, value: Any, kind: type) -> str | None:
        if isinstance(value, Enum):
            return f"{name_of(kind)}.{value.name}"
        if isinstance(value, FunctionType):
            return f"function {code_of(value)}"
        if isinstance(value, type | BuiltinFunctionType | ModuleType):
            return name_of(value)
        return None

    def _by_parts(self, value: Any, kind: type) -> str:
        reduced = value.__reduce_ex__(5)
        if isinstance(reduced, str):
            return f"{name_of(kind)} {reduced}"
        make, args, state, items, pairs = (*reduced, None, None, None)[:5]
        rest = (state, list(items) if items else None, dict(pairs) if pairs else None)
        return f"{self.text(make)}{self.text(args)}{self.text(rest)}"


_ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex, type(...), type(NotImplemented)})


def name_of(value: Any) -> str:
    """Return where a function or a class is found."""
    module = getattr(value, "__module__", "")
    return f"{module}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"
