"""From an expression of lazy values to a Dag.

    expression --survey--> calls --order, name, fill, check, encode--> Dag

Everything is linear in calls and edges, but for the heap that orders calls which were not
made in an order in which they could run.  What is wrong is found here, before anything runs.

Calls are only read.  Arguments that come from outside (`inputs` of a run, the parameters of
a `Flow("name", expression)`) lie beside them, so that the same calls compile again with others.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from liteflow.checking import check, problem_of
from liteflow.collecting import uncollected
from liteflow.dag import ATOMS, Argument, Dag, Hole, Node, Spread
from liteflow.errors import (
    ArgumentError,
    CycleError,
    DefinitionError,
    DuplicateKeyError,
    UnknownNameError,
    nearest,
    shown,
)
from liteflow.hints import is_secret, show
from liteflow.lazy import Build, Call, Item, Lazy, building, place
from liteflow.mapped import STAR, Each, Mapped
from liteflow.parameters import Parameter
from liteflow.pickling import Packed, unpack
from liteflow.survey import Survey, single

_NO_KWARGS: Mapping[str, Argument] = {}


def compile_dag(
    name: str,
    expression: object,
    parameters: Mapping[str, object],
    overrides: Mapping[str, object] | None = None,
    *,
    build: Build | None = None,
) -> Dag:
    """Compile an expression.

    Args:
        name: The flow's name.
        expression: A lazy value, or anything that holds some.
        parameters: The flow's parameters, to be kept in the Dag.
        overrides: "key.parameter" to value, for arguments that no edge feeds.
        build: The building in which the expression was made; calls made in another one
            are refused.

    Raises:
        DefinitionError: What is wrong, where, and what to do.

    >>> from liteflow import task
    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> dag = compile_dag("twice", double(1) >> double(), {})
    >>> [(node.key, node.args) for node in dag.nodes]
    [('double', (1,)), ('double-2', (Hole(source=0, path=()),))]
    """
    with uncollected():
        return assemble(Survey(name, expression, build), parameters, overrides)


def compile_growth(owner: str, expression: object, returns: Any = Any) -> Dag:
    """Compile what a task has returned to go on with: its value is what these calls give.

    Args:
        owner: The name of the task.
        expression: A lazy value, or anything that holds some.
        returns: What the task says that it returns, resolved; Any if it does not say.

    Raises:
        DefinitionError: As `compile_dag`; a note names the task.
        ResultTypeError: The calls give something else than the task's annotation says.

    >>> from liteflow import task
    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> [node.key for node in compile_growth("router", double(double(1)), int).nodes]
    ['double', 'double-2']
    """
    try:
        # A task may run in the very context in which a flow is being built: its calls are that one's.
        survey = Survey(owner, expression, building.get(), "task")
        problem = problem_of(expression, returns)
        if problem is not None:
            from liteflow.errors import ResultTypeError  # noqa: PLC0415  start-up: errors of runs

            raise ResultTypeError(owner, show(returns), problem, shown(expression))
        return assemble(survey, {})
    except DefinitionError as error:
        error.add_note(f"(in what task {owner} returned)")
        raise


def fill(
    survey: Survey,
    free: Mapping[str, Sequence[tuple[Call[Any], Parameter]]],
    values: Mapping[str, object],
) -> None:
    """Give values to required parameters that the calls leave free; one goes to all of its name.

    Args:
        survey: The calls.
        free: What they leave free, as `survey.free()` gives it.
        values: By name.
    """
    for parameter, value in values.items():
        for call, _ in free[parameter]:
            survey.given.setdefault(call, {})[parameter] = call._fed(parameter, value)


@uncollected()
def assemble(
    survey: Survey, parameters: Mapping[str, object], overrides: Mapping[str, object] | None = None
) -> Dag:
    """Make the Dag of a survey; arguments as in `compile_dag`."""
    keys = _keys(survey)
    _override(survey, keys, overrides or {}, parameters)
    calls = survey.calls if survey.ascending else _ordered(survey, keys)
    check(survey, keys, survey.secrets)
    indexes = {call: index for index, call in enumerate(calls)}
    encoder = _Encoder(survey, indexes)
    nodes = tuple([encoder.node(call, keys[call]) for call in calls])
    secrets = [*survey.secrets, *(str(v) for v in parameters.values() if is_secret(type(v)))]
    result, definitions = encoder.filled(survey.expression), survey.definitions
    return Dag(
        survey.flow, nodes, result, dict(parameters), definitions, secrets=tuple(dict.fromkeys(secrets))
    )


# --- names ---------------------------------------------------------------------------------


def _keys(survey: Survey) -> dict[Call[Any], str]:
    """Name the calls: `transform`, `transform-2`, ... in the order in which they were made."""
    taken: dict[str, Call[Any]] = {}
    for call in survey.calls:
        if call._key is not None:
            other = taken.setdefault(call._key, call)
            if other is not call:
                raise DuplicateKeyError(call._key, (str(other._named_at), str(call._named_at)))
    keys: dict[Call[Any], str] = {}
    counts: dict[str, int] = {}
    for call in survey.calls:
        if call._key is not None:
            keys[call] = call._key
            continue
        name = call._task.name
        count = counts.get(name, 0) + 1
        key = name if count == 1 else f"{name}-{count}"
        while key in taken:
            count += 1
            key = f"{name}-{count}"
        counts[name] = count
        taken[key] = call
        keys[call] = key
    return keys


# --- order ---------------------------------------------------------------------------------


def _ordered(survey: Survey, keys: Mapping[Call[Any], str]) -> list[Call[Any]]:
    """Order the calls so that each comes after what it waits for, else as they were made.

    Source: A. B. Kahn, Topological sorting of large networks, CACM 5 (1962), with a heap, so
    that the order is always the same.
    """
    calls = survey.calls
    numbers = {call: number for number, call in enumerate(calls)}
    sources = [{numbers[source] for source in survey.sources(call)} for call in calls]
    followers: list[list[int]] = [[] for _ in calls]
    for number, before in enumerate(sources):
        for source in before:
            followers[source].append(number)
    waits_for = [len(before) for before in sources]
    ready = [number for number, count in enumerate(waits_for) if count == 0]
    order: list[Call[Any]] = []
    while ready:
        number = heapq.heappop(ready)
        order.append(calls[number])
        for follower in followers[number]:
            waits_for[follower] -= 1
            if waits_for[follower] == 0:
                heapq.heappush(ready, follower)
    if len(order) < len(calls):
        stuck = {number for number, count in enumerate(waits_for) if count}
        cycle = [keys[calls[number]] for number in _cycle(sources, stuck)]
        raise CycleError(survey.flow, cycle, survey.what)
    return order


def _cycle(sources: list[set[int]], stuck: set[int]) -> list[int]:
    """Find a cycle among calls each of which waits for another one of them; source first."""
    number = min(stuck)
    steps: dict[int, int] = {}
    while number not in steps:
        steps[number] = len(steps)
        number = min(source for source in sources[number] if source in stuck)
    cycle = list(steps)[steps[number] :][::-1]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


# --- arguments from outside ----------------------------------------------------------------


def _override(
    survey: Survey,
    keys: Mapping[Call[Any], str],
    overrides: Mapping[str, object],
    parameters: Mapping[str, object],
) -> None:
    calls = {key: call for call, key in keys.items()} if overrides else {}
    for name, value in overrides.items():
        key, _, parameter = name.rpartition(".")
        if key in calls and _takes(calls[key], parameter):
            _give(survey, calls[key], key, parameter, value)
        else:
            # The calls most like the one that is named; or the name is one of a call, and no more.
            close = dict.fromkeys([*nearest(key or name, calls), *islice(calls, 10)])
            inputs = [f"{k}.{p}" for k in close if not _is_closed(calls[k]) for p in _open(survey, calls[k])]
            raise UnknownNameError(f"flow {survey.flow}", "input", name, [*parameters, *inputs])


def _takes(call: Call[Any], parameter: str) -> bool:
    signature = call._task.signature
    if _is_closed(call):
        return False
    return parameter in signature.names or (signature.extra is not None and parameter.isidentifier())


def _is_closed(call: Call[Any]) -> bool:
    """Whether what a call takes is nobody's to give: in a workflow file it stands in templates."""
    return getattr(type(call._task.fn), "_closed", False) is True


def _open(survey: Survey, call: Call[Any]) -> list[str]:
    """The parameters of a call that no edge feeds."""
    arguments = survey.arguments(call)
    names = call._task.signature.names
    return [n for n in names if not survey.lazies(arguments.get(n), call, n)]


def _give(survey: Survey, call: Call[Any], key: str, parameter: str, value: object) -> None:
    signature, arguments = call._task.signature, survey.arguments(call)
    if parameter in signature.names:
        place_of, new, old = parameter, call._replaced(parameter, value, arguments), arguments.get(parameter)
    else:
        place_of = str(signature.extra)
        others = arguments.get(place_of, {})
        new = {**others, parameter: call._replaced(parameter, value, others)}
        old = others.get(parameter)
    feeding = survey.lazies(old, call, parameter)
    if feeding:
        names = ", ".join(sorted({f"{lazy._call()._task.name}()" for lazy in feeding}))
        problem = f"is fed by {names}, so it can't be given in inputs"
        raise ArgumentError(f"{key}()", parameter, problem, place(call))
    refuse_lazy(survey, call, parameter, value)
    survey.given.setdefault(call, {})[place_of] = new


def refuse_lazy(survey: Survey, call: Call[Any], parameter: str, value: object) -> None:
    """Refuse a value from outside that is, or holds, a lazy value."""
    for lazy in survey.lazies(value, call, parameter):
        problem = f"is given {lazy!r}; inputs are plain values, a lazy value belongs into the flow"
        raise ArgumentError(f"{call._task.name}()", parameter, problem)


# --- nodes ---------------------------------------------------------------------------------


class _Encoder:
    """Makes nodes of calls: lazy values become holes, other values bytes, atoms stay."""

    def __init__(self, survey: Survey, indexes: Mapping[Call[Any], int]) -> None:
        self._survey = survey
        self._indexes = indexes
        # One Hole for all that a call feeds, and one Packed for all that get the same object.
        self._holes: dict[Lazy[Any], Hole] = {}
        self._filled: dict[int, Packed] = {}
        self._exactly: dict[int, Packed] = {}

    def node(self, call: Call[Any], key: str) -> Node:
        args, kwargs = self._arguments(call)
        after: tuple[int, ...] = ()
        if call._after:
            after = tuple(dict.fromkeys(self._indexes[lazy._call()] for lazy in call._after))
        policy = call._map if isinstance(call, Mapped) else None
        return Node(self._indexes[call], key, call._task, args, kwargs, after, policy)

    def _arguments(self, call: Call[Any]) -> tuple[tuple[Argument, ...], Mapping[str, Argument]]:
        signature, given = call._task.signature, self._survey.given.get(call)
        if call._named is None and given is None and not signature.fresh:
            args = [v if type(v) in ATOMS else self._argument(v, call, name) for name, v in single(call)]
            return tuple(args), _NO_KWARGS
        # A default that a call could change goes along as an argument, so each attempt has its own.
        arguments = {**signature.fresh, **self._survey.arguments(call)}
        if STAR in arguments:
            return self._starred(call)
        args = []
        for name in signature.positional:
            if name in arguments:
                args.append(self._argument(arguments[name], call, name))
            elif signature.rest in arguments or name not in signature.keywords:
                # What follows goes by position, so the default has to be written out.
                args.append(self._argument(signature.defaults[name], call, name))
            else:
                break
        done = signature.positional[: len(args)]
        kwargs: dict[str, Argument] = {}
        for name, value in arguments.items():
            if name == signature.rest:
                args += [self._argument(item, call, name) for item in value]
            elif name == signature.extra:
                # They may have any names, that of `*rest` too.
                kwargs.update({key: self._argument(item, call, key) for key, item in value.items()})
            elif name not in done:
                kwargs[name] = self._argument(value, call, name)
        return tuple(args), kwargs or _NO_KWARGS

    def _starred(self, call: Call[Any]) -> tuple[tuple[Argument, ...], Mapping[str, Argument]]:
        """The arguments of a starred map: its tuples give the positional ones, the rest is named."""
        given = self._survey.given.get(call)
        encoded = {name: self._argument(value, call, name) for name, value in single(call, given)}
        for name, default in call._task.signature.fresh.items():
            if name not in call._task.signature.positional:
                encoded.setdefault(name, self._argument(default, call, name))
        return (encoded.pop(STAR),), encoded or _NO_KWARGS

    def _argument(self, value: Any, call: Call[Any], parameter: str) -> Argument:
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is Call or isinstance(value, Lazy):
            return self._hole(value)
        if kind is Each:
            return self._spread(value, call, parameter)
        packed = self._survey.packed(value, call, parameter)
        if call._task.policy.cache:
            packed = self._exact(value, packed)
        return self.filled(packed)

    def _exact(self, value: object, packed: Packed) -> Packed:
        """The same, told from all that is not just the same: a result may be taken over for it."""
        known = self._exactly.get(id(packed))
        if known is None:
            from liteflow.sameness import exact_digest  # noqa: PLC0415  start-up: few tasks have a cache

            known = self._exactly[id(packed)] = packed._replace(exact=exact_digest(value, packed))
        return known

    def _spread(self, each: Each, call: Call[Any], parameter: str) -> Spread:
        items = each.items
        if isinstance(items, Lazy):
            return Spread(self._hole(items))
        if ATOMS.issuperset(map(type, items)):
            return Spread(items)
        return Spread(tuple([self._argument(item, call, parameter) for item in items]))

    def _hole(self, lazy: Lazy[Any]) -> Hole:
        hole = self._holes.get(lazy)
        if hole is None:
            hole = self._holes[lazy] = Hole(self._indexes[lazy._call()], lazy._path())
        return hole

    def filled(self, packed: Packed) -> Packed:
        """Return a pickle with Holes where the lazy values were."""
        known = self._filled.get(id(packed))
        if known is None:
            holes = tuple([self._hole(lazy) for lazy in packed.holes])
            known = self._filled[id(packed)] = packed._replace(holes=holes)
        return known


# --- copies --------------------------------------------------------------------------------


def copied(survey: Survey) -> Any:
    """Return the expression again, with calls of its own, and values from outside in them."""
    calls = survey.calls if survey.ascending else _ordered(survey, _keys(survey))
    copies: dict[Call[Any], Call[Any]] = {}

    def lazy(old: Lazy[Any]) -> Lazy[Any]:
        new = copies[old._call()]
        return Item(new, old._path()) if type(old) is Item else new

    def value(old: Any, call: Call[Any], parameter: str) -> Any:
        if type(old) in ATOMS:
            return old
        if isinstance(old, Lazy):
            return lazy(old)
        packed = survey.packed(old, call, parameter)
        return unpack(packed.data, [lazy(hole) for hole in packed.holes]) if packed.holes else old

    for call in calls:
        given = survey.given.get(call, {})
        # What is given may hold lazy values of the flow around this one: they stay what they are.
        new = {name: value(old, call, name) for name, old in call._arguments.items() if name not in given}
        copies[call] = call._copied({**new, **given}, [lazy(before) for before in call._after])
    return unpack(survey.expression.data, [lazy(hole) for hole in survey.expression.holes])
