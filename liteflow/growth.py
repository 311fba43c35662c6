"""What a task returned is not a value yet, but calls: they are written down where they were made.

    lazy values --compile, wire--> Expansion --marshal--> bytes --driver--> new nodes of the run
    a list to be mapped over --> Items --marshal--> bytes --driver--> a node for each item

The driver unpickles none of it: what it has to know of a task lies beside the task's pickle.  Numbers
of nodes are those of the expansion, from 0; the driver adds where it begins.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from liteflow import pickling, xcom
from liteflow.compiler import compile_growth
from liteflow.control import control_of
from liteflow.dag import ATOMS, Node, Spread
from liteflow.errors import FlowError, NotPicklableError, SettingError
from liteflow.fingerprint import code_of
from liteflow.function import Function
from liteflow.lazy import Joint
from liteflow.mapped import items_of
from liteflow.pickling import Definitions
from liteflow.task import Task
from liteflow.where import name_of
from liteflow.wiring import WireArgument, Wiring, constants_text, feeds_of

GROWTH = "growth"
"""The codec of an attempt's payload that is an expansion, or the items of a map."""

# Marshal's format that all Pythons read from 3.4 on.
_MARSHAL = 4


class WireTask(NamedTuple):
    """What the driver has to know of a task, as plain data.

    `function` is the pickle of its Function, None if it can't be one; `here` its number among
    the live ones of this process, -1 in workers; `policy` are its settings (an
    executor by its name), `is_async` says whether it is an `async def`; `on_lost` and
    `on_timeout` say whether these are worth another attempt; `bundles` are the classes of the
    script that its pickle needs; `star` says that it is given its arguments as one tuple;
    `identity` is that of `identified`.
    """

    function: bytes | None
    here: int
    name: str
    returns: str
    code: str
    policy: dict[str, Any]
    is_async: bool
    on_lost: bool
    on_timeout: bool
    bundles: tuple[tuple[tuple[str, ...], bytes], ...]
    # Stores of before there was a cache have calls without these.
    star: bool = False
    identity: bytes = b""


class WireNode(NamedTuple):
    """A call, as plain data; `feeds` maps parameters to nodes, "" for order alone.

    Of a mapped call `map` is (max_active, on_error, names of what is spread), else None;
    `spread` are the places of the arguments of which each item goes to a task instance of its
    own: positions and names.
    """

    key: str
    task: int
    args: tuple[WireArgument, ...]
    kwargs: dict[str, WireArgument] | None
    feeds: dict[str, list[int]]
    constants: str | None
    map: tuple[int | None, str, tuple[str, ...]] | None
    spread: tuple[int | str, ...]


class Expansion(NamedTuple):
    """The calls that a task has returned; `result` is the value that it stands for, over them."""

    tasks: tuple[WireTask, ...]
    nodes: tuple[WireNode, ...]
    result: WireArgument
    bundles: tuple[tuple[tuple[str, ...], bytes], ...]


class Items:
    """The items of the lists that a call is mapped over, one list for each of its arguments."""

    def __init__(self, lists: Sequence[Sequence[Any]]) -> None:
        self.lists = lists


class Starred:
    """A function that is given its arguments as one tuple, for `starmap`.

    Args:
        fn: The function.
        context_at: Where among its arguments the run's context goes, which is then given before
            the tuple; -1: by name alone; None: it takes none.
    """

    def __init__(self, fn: Callable[..., Any], context_at: int | None = None) -> None:
        self.fn = fn
        self.context_at = context_at

    def __call__(self, *given: Any, **kwargs: Any) -> Any:
        """Call it."""
        at = self.context_at
        if at is None or at < 0:
            item, *args = given
            return self.fn(*item, *args, **kwargs)
        context, item, *args = given
        arguments = [*item, *args]
        arguments.insert(at, context)
        return self.fn(*arguments, **kwargs)


def split_items(*given: Any) -> Items:
    """Take apart what a call is mapped over; (call, parameter, value) each, as the driver asks for it.

    Raises:
        ArgumentError: A value is no list of items.
    """
    return Items([items_of(value, owner, parameter) for owner, parameter, value in given])


def holds_lazy(value: Any) -> bool:
    """Whether a value is, or holds somewhere, lazy values."""
    if isinstance(value, Joint):
        return True
    try:
        return bool(pickling.pack(value, lambda part: isinstance(part, Joint), Definitions()).holes)
    except Exception:  # noqa: BLE001  what can't be pickled for another reason is told by who stores it
        return False


def encoded(value: Any, function: Function, live: Callable[[Function], int] | None) -> xcom.Encoded:
    """Encode calls that a task has returned, or the items of a map, for the driver.

    Args:
        value: What was returned.
        function: The task's.
        live: Keeps a function for others in this process, and gives its number; None in workers.

    Raises:
        DefinitionError: The calls can't be what the task returns; it says why.
    """
    if isinstance(value, Items):
        definitions = Definitions()
        lists = [[_item(item, definitions) for item in items] for items in value.lists]
        return _encoded("list", f"{len(lists[0]) if lists else 0} items", (lists, _bundles(definitions)))
    expansion = expand(value, function, live)
    calls = ", ".join(f"{node.key}()" for node in expansion.nodes[:3])
    more = ", ..." if len(expansion.nodes) > 3 else ""
    # Marshal takes tuples as they are, and none with names.
    plain = (tuple(map(tuple, expansion.tasks)), tuple(map(tuple, expansion.nodes)), *expansion[2:])
    return _encoded(xcom.type_name(type(value)), calls + more, plain)


def decoded(data: bytes) -> Any:
    """The inverse of `encoded`: an Expansion, or (lists, bundles) of items."""
    found = marshal.loads(data)
    if len(found) == 2:
        return found
    tasks, nodes, result, bundles = found
    return Expansion(
        tuple([WireTask(*task) for task in tasks]),
        tuple([WireNode._make(node) for node in nodes]),
        result,
        bundles,
    )


def expand(value: Any, function: Function, live: Callable[[Function], int] | None) -> Expansion:
    """Compile the calls that a task has returned; arguments and errors as `encoded`."""
    dag = compile_growth(function.name, value, function.returns)
    wiring = Wiring(dag.definitions, by_reference=False)
    numbers: dict[tuple[int, bool], int] = {}
    tasks: list[WireTask] = []
    nodes = []
    for node in dag.nodes:
        if control_of(node.task) is not None:
            problem = "has guards, iterations or loops, so a task can't go on as it; call it in a flow"
            raise FlowError(node.task.name, problem)
        star = node.map is not None and node.map.star
        number = numbers.get((id(node.task), star))
        if number is None:
            number = numbers[id(node.task), star] = len(tasks)
            tasks.append(_wire_task(node.task, star, live))
        nodes.append(_wire_node(node, number, wiring))
    places = [wiring.place(hole) for hole in dag.result.holes]
    result = places[0] if isinstance(value, Joint) else (dag.result.data, tuple(places))
    return Expansion(tuple(tasks), tuple(nodes), result, _bundles(dag.definitions))


def identified(task: Task[..., Any]) -> bytes:
    """What stands for the code of a task whose results may be taken over; nothing for any other."""
    if not task.policy.cache:
        return b""
    from liteflow.sameness import identity_of  # noqa: PLC0415  start-up: few tasks have a cache

    return identity_of(task.fn)


def function_of(task: Task[..., Any], star: bool = False) -> Function:
    """What an executor needs of a task.

    Raises:
        SettingError: Its results can't be taken over, as it says they are to be.
    """
    signature = task.signature
    if task.policy.cache and (signature.context or task.is_generator or task.is_async_generator):
        does = "shares values by a Context" if signature.context else "yields chunks while it runs"
        wants = f"False for one that {does}, which can't be taken over with its result"
        raise SettingError(f"task {task.name}", "cache", task.policy.cache, wants)
    context = None if signature.context is None else (signature.context, signature.context_at)
    fn = task.fn
    if star:
        fn = Starred(fn, None if context is None else context[1])
        # Before the tuple, or by name.
        context = context and (context[0], min(context[1], 0))
    streams = task.is_generator or task.is_async_generator
    return Function(fn, task.name, signature.returns, task.is_async, task.policy.retry_on, context, streams)


# --- how -----------------------------------------------------------------------------------


def _encoded(type_: str, preview: str, body: Any) -> xcom.Encoded:
    data = marshal.dumps(body, _MARSHAL)
    sha = hashlib.sha256(data).digest()
    return xcom.Encoded(type_, GROWTH, len(data), sha, preview, False, False, (data,))


def _item(item: Any, definitions: Definitions) -> WireArgument:
    return item if type(item) in ATOMS else (pickling.dumps(item, definitions).data, ())


def _bundles(definitions: Definitions) -> tuple[tuple[tuple[str, ...], bytes], ...]:
    return tuple([(tuple(bundle.names), bundle.data) for bundle in definitions.bundles])


def spread(node: Node) -> tuple[int | str, ...]:
    """The places of the arguments of a mapped call of which each item goes apart."""
    places: list[int | str] = [i for i, a in enumerate(node.args) if type(a) is Spread]
    return (*places, *(name for name, a in node.kwargs.items() if type(a) is Spread))


def spread_names(node: Node) -> tuple[str, ...]:
    """The parameters that these go to."""
    signature = node.task.signature
    return tuple(
        place
        if isinstance(place, str)
        else [*signature.positional, str(signature.rest)][min(place, len(signature.positional))]
        for place in spread(node)
    )


def _wire_node(node: Node, task: int, wiring: Wiring) -> WireNode:
    return WireNode(
        node.key,
        task,
        tuple(map(wiring.argument, node.args)),
        {name: wiring.argument(a) for name, a in node.kwargs.items()} or None,
        feeds_of(node),
        constants_text(node),
        None if node.map is None else (node.map.max_active, node.map.on_error, spread_names(node)),
        spread(node),
    )


# By the task's id; the task itself beside it, so that no id can come to mean another.
_known: dict[tuple[int, bool, bool], tuple[Task[..., Any], WireTask]] = {}
_MOST_KNOWN = 1000


def _wire_task(task: Task[..., Any], star: bool, live: Callable[[Function], int] | None) -> WireTask:
    place = (id(task), star, live is not None)
    known = _known.get(place)
    if known is not None:
        wired = known[1]
        return wired if live is None else wired._replace(here=live(function_of(task, star)))
    function, definitions = function_of(task, star), Definitions()
    try:
        data: bytes | None = pickling.dumps(tuple(function), definitions).data
    except NotPicklableError:
        if live is None:
            raise
        data = None
    policy = {k: v for k, v in task.policy.facts().items() if k != "retry_on"}
    if task.policy.executor is not None:
        # An executor factory itself stays with the driver, which knows it by its name.
        policy["executor"] = name_of(task.policy.executor)
    wired = WireTask(
        data,
        -1 if live is None else live(function),
        task.name,
        task.signature.returns_said,
        code_of(task.fn),
        policy,
        task.is_async or task.is_async_generator,
        Exception in task.policy.retry_on,
        Exception in task.policy.retry_on or TimeoutError in task.policy.retry_on,
        _bundles(definitions),
        star,
        identified(task),
    )
    if len(_known) < _MOST_KNOWN:
        _known[place] = (task, wired)
    return wired
