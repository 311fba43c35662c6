"""Does what flows to each parameter fit it?

Every required parameter has an argument, every literal argument is of the declared type, and
so is what each edge brings; inside lists, tuples, dicts and sets too.  Of what a call is
mapped over, the items are checked, and that lists which are there have one length.  What
cannot be decided is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args

from liteflow import hints
from liteflow.dag import ATOMS
from liteflow.errors import ArgumentError, EdgeTypeError, shown
from liteflow.lazy import Call, Lazy, path_of, place
from liteflow.mapped import STAR, Each, Mapped
from liteflow.survey import Survey, single


def check(survey: Survey, keys: Mapping[Call[Any], str], secrets: list[str]) -> None:
    """Check the arguments of all calls.

    Args:
        survey: The calls.
        keys: Their names.
        secrets: Gets what is given as a secret to a task itself.

    Raises:
        ArgumentError: A required argument is missing, or a literal one does not fit.
        EdgeTypeError: The result of a call does not fit where it goes.
    """
    checker = _Checker(keys, secrets)
    given = survey.given
    for call in survey.calls:
        signature = call._task.signature
        if len(call._args) < signature.enough:
            _refuse_missing(survey, call, keys[call])
        typed = signature.typed
        if type(call) is Mapped:
            checker.mapped(call, list(single(call, given.get(call))))
        elif typed:
            type_of = typed.get if signature.extra is None else signature.type_of
            for name, value in single(call, given.get(call) if given else None):
                wanted = type_of(name)
                if wanted is not None and wanted is not Any and type(value) is not wanted:
                    checker.argument(call, name, value, wanted)


def _refuse_missing(survey: Survey, call: Call[Any], key: str) -> None:
    for name in survey.missing(call):
        problem = "is missing; give it in the call, feed it with >>, or run with "
        if name == "context" and name not in call._task.signature.typed:
            problem = "is missing; what the run gives is annotated, context: Context; else run with "
        problem += f"inputs={{{f'{key}.{name}'!r}: ...}}"
        raise ArgumentError(f"{key}()", name, problem, place(call))


class _Checker:
    def __init__(self, keys: Mapping[Call[Any], str], secrets: list[str]) -> None:
        self._keys = keys
        self._secrets = secrets
        self._known: dict[int, bool] = {}
        # Pairs of ids of a task or an argument and of an annotation; the calls keep them alive.
        self._fine: set[tuple[int, int]] = set()

    def argument(self, call: Call[Any], name: str, value: Any, wanted: Any) -> None:
        # The same few tasks, and the same objects, meet the same parameters again and again.
        pair = (id(value._task if type(value) is Call else value), id(wanted))
        if pair in self._fine:
            return
        if type(value) in ATOMS:
            self.literal(call, name, value, wanted)
            return
        if isinstance(value, Lazy):
            given = value._type()
            if not hints.fits(given, wanted):
                raise self.misfit(value, call, name, hints.show(wanted), _none_apart(given, wanted))
        else:
            self.literal(call, name, value, wanted)
        self._fine.add(pair)

    def mapped(self, call: Mapped[Any], arguments: list[tuple[str, Any]]) -> None:
        """Check a mapped call: what it is mapped over, and what goes to each item as it is."""
        signature = call._task.signature
        for name, value in arguments:
            wanted = Any if name == STAR else signature.type_of(name)
            if type(value) is not Each:
                if wanted is not Any and type(value) is not wanted:
                    self.argument(call, name, value, wanted)
            elif isinstance(value.items, Lazy):
                self._list(call, name, value.items, wanted)
            elif wanted is not Any and set(map(type, value.items)) != {wanted}:
                self.literal(call, name, list(value.items), hints.list_of(wanted))
        self._lengths(call, [(name, value.items) for name, value in arguments if type(value) is Each])
        if call._map.star:
            _Tuples(self, call, {name for name, _ in arguments}).check(dict(arguments)[STAR].items)

    def _list(self, call: Mapped[Any], name: str, lazy: Lazy[Any], wanted: Any) -> None:
        """Check a list that is still to come: that it is one, and that its items fit."""
        given = lazy._type()
        item = hints.iterated_type(given)
        if item is None or not hints.fits(item, wanted):
            takes = hints.list_of(wanted)
            raise self.misfit(lazy, call, name, hints.show(takes), _none_apart(given, takes))

    def _lengths(self, call: Mapped[Any], lists: list[tuple[str, Any]]) -> None:
        if not lists:
            problem = "is mapped over nothing; give it a list, or feed it one with >>"
            raise self.error(call, None, problem)
        known = [(name, len(items)) for name, items in lists if not isinstance(items, Lazy)]
        if len({length for _, length in known}) > 1:
            lengths = ", ".join(f"{name} has {length}" for name, length in known)
            problem = f"is mapped over lists of different lengths: {lengths}; make them one length"
            raise self.error(call, None, problem)

    def literal(self, call: Call[Any], name: str, value: Any, wanted: Any) -> None:
        """Check a value that is there, but for lazy ones that it may hold."""
        problem = problem_of(value, wanted)
        if problem is None:
            if not isinstance(value, int | float):
                self.hide(value, wanted)
            return
        asked = _asked_last(value, wanted)
        if asked is not None:
            # The phrase is "PATH gives TYPE, not TYPE": of the lazy value that was asked last.
            path, found, takes = problem.partition(f"gives {hints.show(asked._type())}, not ")
            if found:
                raise self.misfit(asked, call, name + path.strip(), takes)
        if self._is_secret(wanted):
            problem = f"is a secret, which is text, not {type(value).__name__}"
        raise self.error(call, name, problem)

    def hide(self, value: Any, wanted: Any) -> None:
        """See that a value's texts are not shown, if they are secrets."""
        if self._is_secret(wanted):
            self._secrets += _texts_in(value)

    def _is_secret(self, wanted: Any) -> bool:
        # To ask takes longer than to check the value.
        known = self._known.get(id(wanted))
        if known is None:
            known = self._known[id(wanted)] = hints.is_secret(wanted)
        return known

    def error(self, call: Call[Any], name: str | None, problem: str) -> ArgumentError:
        """Return the error that an argument is wrong."""
        return ArgumentError(f"{self._keys[call]}()", name, problem, place(call))

    def misfit(
        self, source: Lazy[Any], call: Call[Any], name: str, takes: str, none_apart: bool = False
    ) -> EdgeTypeError:
        """Return the error that what a lazy value gives does not fit."""
        of, to = f"{self._keys[source._call()]}(){path_of(source)}", f"{self._keys[call]}()"
        remedy = "change one annotation, or put a task between them"
        if none_apart:
            remedy = f"it may be None, so let {name} be {takes} | None, or put a task between them"
        return EdgeTypeError(of, hints.show(source._type()), to, name, takes, remedy, place(call))


class _Tuples:
    """Checks the tuples of a starred map: how many arguments they give, and of which types.

    `named` are the parameters that are given by name.
    """

    def __init__(self, checker: _Checker, call: Mapped[Any], named: set[str]) -> None:
        self._checker = checker
        self._call = call
        self._signature = call._task.signature
        self._named = named

    def check(self, items: Lazy[Any] | tuple[Any, ...]) -> None:
        """Check them, or what is declared of them."""
        if isinstance(items, Lazy):
            self._declared(items, hints.iterated_type(items._type()), "")
            return
        for number, item in enumerate(items):
            if isinstance(item, Lazy):
                self._declared(item, item._type(), f"[{number}]")
            elif not isinstance(item, tuple | list):
                problem = f"[{number}] is {shown(item, 40)} ({type(item).__name__}), not a tuple of arguments"
                raise self._checker.error(self._call, STAR, problem)
        plain = [(number, item) for number, item in enumerate(items) if not isinstance(item, Lazy)]
        # The first of each length stands for all.
        for length, number in {len(item): number for number, item in reversed(plain)}.items():
            self._count(length, f"[{number}]")
        for index in range(max((len(item) for _, item in plain), default=0)):
            self._column(index, [(number, item[index]) for number, item in plain if len(item) > index])

    def _column(self, index: int, values: list[tuple[int, Any]]) -> None:
        wanted = self._type_at(index)
        column = [value for _, value in values]
        self._checker.hide(column, wanted)
        if (
            wanted is Any
            or set(map(type, column)) == {wanted}
            or problem_of(column, hints.list_of(wanted)) is None
        ):
            return
        for number, value in values:
            self._checker.literal(self._call, f"{STAR}[{number}][{index}]", value, wanted)

    def _declared(self, lazy: Lazy[Any], form: Any, path: str) -> None:
        length = hints.tuple_length(form)
        if length is None:
            return
        self._count(length, path)
        for index in range(length):
            wanted = self._type_at(index)
            if not hints.fits(hints.item_type(form, index), wanted):
                name = f"{STAR}{path}[{index}]"
                raise self._checker.misfit(lazy, self._call, name, hints.show(wanted))

    def _count(self, length: int, path: str) -> None:
        positional = self._signature.positional
        items = f"{length} item{'' if length == 1 else 's'}"
        where = f"{path} has {items}" if path else f"gives tuples of {items}"
        problem = None
        if length > len(positional) and self._signature.rest is None:
            problem = f"{where}, but it takes {len(positional)} by position: {', '.join(positional)}"
        for number, name in enumerate(positional):
            if number < length and name in self._named:
                problem = f"{where}, so {name} is given twice: by the tuple, and by name"
            elif number >= length and name in self._signature.required and name not in self._named:
                problem = problem or f"{where}, so {name} is missing"
        if problem is not None:
            raise self._checker.error(self._call, STAR, problem)

    def _type_at(self, index: int) -> Any:
        positional = self._signature.positional
        name = positional[index] if index < len(positional) else self._signature.rest
        return self._signature.typed.get(name, Any)


def _none_apart(given: Any, wanted: Any) -> bool:
    """Whether only the None of an `X | None` is in the way."""
    parts = get_args(given)
    return NoneType in parts and all(hints.fits(t, wanted) for t in parts if t is not NoneType)


def problem_of(value: Any, wanted: Any) -> str | None:
    """Say what is wrong with a value that may hold lazy ones, as `hints.problem` does."""
    if type(value) is list and set(map(type, value)) == {Call}:
        # All items of a list are asked the same, so one call of each task will do.
        one_each = {id(item._task): item for item in value}
        if hints.problem(list(one_each.values()), wanted, _declared_type) is None:
            return None
    return hints.problem(value, wanted, _declared_type)


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts_in(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts_in(item)


def _asked_last(value: Any, wanted: Any) -> Lazy[Any] | None:
    """The lazy value inside `value` at which the search for a problem ended."""
    asked: list[Lazy[Any]] = []

    def lazy_type(part: object) -> Any:
        if isinstance(part, Lazy):
            asked[:] = [part]
        return _declared_type(part)

    hints.problem(value, wanted, lazy_type)
    return asked[0] if asked else None


def _declared_type(part: object) -> Any:
    """Return the declared type of a lazy value, None for anything else."""
    return part._type() if isinstance(part, Lazy) else None
