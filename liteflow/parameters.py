"""What a function takes, and how the arguments of a call are bound to its parameters.

    function --Signature.of--> Signature --bind(args, kwargs)--> (values, {parameter: value})

Used for tasks and for flows alike.  Binding may leave required parameters out (`>>` fills
them later, and compiling checks that none is left), so it is not `inspect.Signature.bind`;
it is also ten times as fast, because it happens once for every call of a flow.  Annotations
are read when somebody asks for them: a forward reference may name what is defined later.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, get_args

from attrs import frozen

from liteflow import hints
from liteflow.errors import ArgumentError, UnknownNameError

Kind = inspect._ParameterKind

POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
POSITIONAL_OR_KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD
VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD

REQUIRED: Any = inspect.Parameter.empty
"""Stands as the `default` of a parameter that has none."""

Bound = tuple[tuple[Any, ...], dict[str, Any] | None]
"""Arguments: the first by position, the others by name, None if there are none."""

# Other objects may be what they are by identity, as a sentinel is; these never are.
_CHANGEABLE = (list, dict, set, bytearray, deque)

_ANYTHING = (
    inspect.Parameter("args", VAR_POSITIONAL),
    inspect.Parameter("kwargs", VAR_KEYWORD),
)


@frozen
class Parameter:
    """One parameter: `kind` as in `inspect.Parameter`, `default` REQUIRED if it has none."""

    name: str
    kind: Kind
    default: Any
    annotation: Any

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is REQUIRED and self.kind not in (VAR_POSITIONAL, VAR_KEYWORD)


@frozen(slots=False, eq=False)
class Signature:
    """The parameters of a function, laid out so that binding a call is quick.

    Attributes:
        function: Whose signature it is; its annotations are read lazily.
        owner: How errors call it: `transform()`, `flow etl`.
        positional: Names that a position can bind, in order.
        keywords: Names that a keyword can bind.
        names: The names of all parameters but `*rest` and `**extra`, in order.
        required: Those of them that have no default.
        enough: So many values by position give all that is required.
        rest, extra: The names of the `*` and the `**` parameter, None if there is none.
        defaults: The default values.
        fresh: Those of them that a call could change, so that each call needs its own copy.
        context: The parameter that gets the run's Context, which no call gives: none of the above.
        context_at: Its place among those that a position can bind; -1 if only its name can.
    """

    function: Callable[..., Any]
    owner: str
    raw: tuple[inspect.Parameter, ...]
    positional: tuple[str, ...]
    keywords: frozenset[str]
    names: tuple[str, ...]
    required: tuple[str, ...]
    enough: int
    rest: str | None
    extra: str | None
    defaults: Mapping[str, Any]
    fresh: Mapping[str, Any]
    context: str | None = None
    context_at: int = -1

    @classmethod
    def of(cls, function: Callable[..., Any], owner: str) -> Signature:
        """Read a function's signature; one that has none (written in C) takes anything.

        A parameter annotated `Context` is not the caller's to give.  A class whose objects all take
        the same says so by `_one_signature`: a workflow file may have thousands of them.

        >>> def scale(rows, factor=1.0): ...
        >>> signature = Signature.of(scale, "scale()")
        >>> signature.bind(([1, 2],), {"factor": 3.0})
        (([1, 2],), {'factor': 3.0})
        >>> signature.required
        ('rows',)
        """
        if getattr(type(function), "_one_signature", False):
            return _of_class(function)._called(owner)
        return cls._read(function, owner)

    @classmethod
    def _read(cls, function: Callable[..., Any], owner: str) -> Signature:
        try:
            raw = tuple(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            raw = _ANYTHING
        single = [p for p in raw if p.kind not in (VAR_POSITIONAL, VAR_KEYWORD)]
        context = next((p for p in single if _is_context(p.annotation, function)), None)
        place = -1
        if context is not None:
            place = -1 if context.kind is KEYWORD_ONLY else single.index(context)
            single.remove(context)
        needed = [i for i, p in enumerate(single, 1) if p.default is REQUIRED]
        return cls(
            function=function,
            owner=owner,
            raw=raw,
            positional=tuple(p.name for p in single if p.kind is not KEYWORD_ONLY),
            keywords=frozenset(p.name for p in single if p.kind is not POSITIONAL_ONLY),
            names=tuple(p.name for p in single),
            required=tuple(p.name for p in single if p.default is REQUIRED),
            enough=max(needed, default=0),
            rest=next((p.name for p in raw if p.kind is VAR_POSITIONAL), None),
            extra=next((p.name for p in raw if p.kind is VAR_KEYWORD), None),
            defaults={p.name: p.default for p in single if p.default is not REQUIRED},
            fresh={p.name: p.default for p in single if isinstance(p.default, _CHANGEABLE)},
            context=None if context is None else context.name,
            context_at=place,
        )

    def _called(self, owner: str) -> Signature:
        """The same for another function of its class, with what has been found out of its annotations."""
        # These are found out once for all; an object of a frozen class is written to like this.
        _ = self.parameters, self.typed, self._yields, self.returns_said
        made = object.__new__(Signature)
        vars(made).update(vars(self), owner=owner)
        return made

    @cached_property
    def _yields(self) -> bool:
        kinds = inspect.isgeneratorfunction, inspect.isasyncgenfunction
        call = getattr(type(self.function), "__call__", None)  # noqa: B004  it is asked for, not whether
        return any(is_one(self.function) or is_one(call) for is_one in kinds)

    @cached_property
    def annotations(self) -> Mapping[str, Any]:
        """Annotations by parameter name, and "return"; what can't be resolved is Any."""
        return hints.resolve(self.function)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, in order, with their annotations."""
        known = self.annotations
        return tuple(Parameter(p.name, p.kind, p.default, known.get(p.name, Any)) for p in self.raw)

    @property
    def returns(self) -> Any:
        """What the function says that it returns; Any if it does not say.

        Of a generator function it is the type of what stands after its `return`.
        """
        declared = self.annotations.get("return", Any)
        if declared is Any or not self._yields:
            return declared
        return hints.returned_type(declared)

    @cached_property
    def returns_said(self) -> str:
        """The same as the user wrote it."""
        return hints.show(self.returns)

    @cached_property
    def typed(self) -> Mapping[str, Any]:
        """Annotations of the parameters that say more than Any."""
        return {p.name: p.annotation for p in self.parameters if p.annotation is not Any}

    def type_of(self, name: str) -> Any:
        """Return the annotation for an argument: of its parameter, or of `**extra`."""
        if self.extra is not None and name not in self.names and name != self.rest:
            name = self.extra
        return self.typed.get(name, Any)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """Return the arguments: the first ones by position, the others by parameter name.

        Required ones may be missing.  What `*rest` takes stands under its name as a tuple,
        what `**extra` takes under its name as a dict.  Arguments by name are None if there
        are none: most calls have none, and a flow may have a million calls.

        Raises:
            ArgumentError: Too many positional arguments, or one is given twice.
            UnknownNameError: A keyword is no parameter.
        """
        positional = self.positional
        if not kwargs and len(args) <= len(positional):
            return args, None
        named: dict[str, Any] = {}
        if len(args) > len(positional):
            if self.rest is None:
                raise ArgumentError(self.owner, None, self._too_many(len(args)))
            args, named[self.rest] = args[: len(positional)], args[len(positional) :]
        given = positional[: len(args)]
        extra: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in given:
                raise ArgumentError(self.owner, name, "is given twice, by position and by name")
            if name in self.keywords:
                named[name] = value
            elif name in positional:
                # Python lets `**extra` take it; two arguments of one name would confuse everybody.
                raise ArgumentError(self.owner, name, "can be given by position only")
            elif self.extra is not None:
                extra[name] = value
            else:
                raise self.unknown(name)
        if extra:
            named[str(self.extra)] = extra
        return args, named

    def by_name(self, args: tuple[Any, ...], named: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return bound arguments, all of them by parameter name."""
        return {**dict(zip(self.positional, args, strict=False)), **(named or {})}

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error that there is no parameter of this name."""
        return UnknownNameError(self.owner, "parameter", name, list(self.names))

    def _too_many(self, given: int) -> str:
        takes = len(self.positional)
        names = f" ({', '.join(self.positional)})" if self.positional else ""
        plural = "" if takes == 1 else "s"
        number = f"{given} {'is' if given == 1 else 'are'}"
        return f"takes {takes or 'no'} positional argument{plural}{names}, but {number} given"


_OF_CLASSES: dict[type, Signature] = {}


def _of_class(function: Callable[..., Any]) -> Signature:
    """The signature of all objects of a class that says that they have one."""
    kind = type(function)
    if kind not in _OF_CLASSES:
        _OF_CLASSES[kind] = Signature._read(function, kind.__name__)
    return _OF_CLASSES[kind]


def _is_context(annotation: Any, function: Callable[..., Any]) -> bool:
    """Whether an annotation is `Context`, perhaps as text, perhaps `| None`."""
    if annotation is REQUIRED:
        return False
    if not isinstance(annotation, str):
        return any(getattr(one, "_is_context", False) is True for one in (annotation, *get_args(annotation)))
    if not _NAME.fullmatch(annotation):
        return False
    head, *rest = _NAME.fullmatch(annotation)[1].split(".")  # type: ignore[index]
    names = getattr(inspect.unwrap(function), "__globals__", {})
    found = names.get(head, _closure(function).get(head))
    for name in rest:
        found = getattr(found, name, None)
    if found is None:
        # Imported for type checkers alone, or in the function around this one.
        return (rest or [head])[-1] == "Context"
    return getattr(found, "_is_context", False) is True


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    function = inspect.unwrap(function)
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if cells else ()
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=False) if _is_filled(cell)}


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty one raises
    except ValueError:
        return False
    return True


# A name, with dots, perhaps in quotes (of a text within a text), perhaps `| None`.
_NAME = re.compile(r"""\s*["']?([A-Za-z_][\w.]*)["']?\s*(?:\|\s*None\s*)?""")
