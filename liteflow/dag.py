"""The DAG of a flow: its calls, numbered, checked and frozen.

    expression of lazy values --compiler.compile_dag--> Dag --engine--> run

A mapped call is one node: how many task instances it becomes may be known only when it runs.

A node's arguments are as a worker is to get them: plain atoms as they are, everything else
pickled, with holes where the results of other nodes go.  Two builds of the same flow with
the same arguments are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from attrs import field, frozen

from liteflow.errors import NoCodeError, UnknownNameError
from liteflow.mapped import STAR, MapPolicy
from liteflow.pickling import Definitions, Packed
from liteflow.task import Task

if TYPE_CHECKING:
    from liteflow.options import StorePath

ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})
"""Values of exactly these types stand in a node as they are."""


class Hole(NamedTuple):
    """Here goes the result of the node `source`, or what `path` leads to in it."""

    source: int
    path: tuple[object, ...] = ()


Argument = object
"""An atom, a Hole, a Packed whose holes are Hole; of a mapped call also a Spread of such."""

# Items of a spread argument that are digested at once.
_AT_ONCE = 10_000


@frozen(slots=False)
class Spread:
    """An argument of a mapped call: each of its task instances gets one item.

    Attributes:
        items: Where the list will come from, or the items, as far as they are there already.

    >>> Spread((1, Hole(0), 2)).holes
    (Hole(source=0, path=()),)
    """

    items: Hole | tuple[Argument, ...]

    @cached_property
    def holes(self) -> tuple[Hole, ...]:
        """All holes in it, in the order of their places."""
        if isinstance(self.items, Hole):
            return (self.items,)
        if ATOMS.issuperset(map(type, self.items)):
            return ()
        return tuple([hole for item in self.items for hole in holes_of(item)])

    @cached_property
    def digest(self) -> bytes:
        """8 bytes that equal arguments have in every process, wherever their holes lead."""
        items = (self.items,) if isinstance(self.items, Hole) else self.items
        # Start-up: OpenSSL takes 2 ms.
        from hashlib import blake2b  # noqa: PLC0415

        digest, rest = blake2b(digest_size=8), iter(items)
        while some := list(islice(rest, _AT_ONCE)):
            if not ATOMS.issuperset(map(type, some)):
                some = [_without_sources(item) for item in some]
            digest.update(atom_text(some).encode("utf-8", "backslashreplace"))
        return digest.digest()


def atom_text(atoms: object) -> str:
    """The `repr` of an atom, or of a list of such; of numbers as large as may be."""
    try:
        return repr(atoms)
    except ValueError:
        # More than 4300 digits (sys.set_int_max_str_digits); hexadecimal ones are not counted.
        many = atoms if isinstance(atoms, list) else [atoms]
        return repr([hex(atom) if type(atom) is int else atom_text(atom) for atom in many])


def _without_sources(item: Argument) -> object:
    """What an argument says whatever its holes' numbers are; no atom is of this form."""
    if type(item) in ATOMS:
        return item
    paths = [hole.path for hole in holes_of(item)]
    return (item.digest, paths) if isinstance(item, Packed) else (paths,)


class Edge(NamedTuple):
    """`target` waits for `source`, whose result goes into `parameter`; None: only the order counts."""

    source: str
    target: str
    parameter: str | None


@frozen
class Node:
    """One call in a DAG: a task instance to be.

    Attributes:
        index: Its number; every node that it waits for has a smaller one.
        key: Its name in the run.
        task: The task that is called.
        args, kwargs: The arguments.
        after: Indexes of nodes that must end before it starts, though it gets nothing from them.
        map: Of a mapped call, which has at least one Spread among its arguments: how its items
            are run.  None for any other.
    """

    index: int
    key: str
    task: Task[..., Any]
    args: tuple[Argument, ...]
    kwargs: Mapping[str, Argument]
    after: tuple[int, ...]
    map: MapPolicy | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indexes of the nodes whose results it gets, each once, in the order of the arguments."""
        return tuple(dict.fromkeys(s for sources in self.feeds().values() for s in sources))

    def feeds(self) -> dict[str, tuple[int, ...]]:
        """Return, for each parameter that results go into, the indexes of the nodes they come from."""
        fed: dict[str, dict[int, None]] = {}
        for parameter, value in self.arguments():
            if type(value) in ATOMS:
                continue
            for hole in holes_of(value):
                fed.setdefault(parameter, {})[hole.source] = None
        return {parameter: tuple(sources) for parameter, sources in fed.items()}

    def arguments(self) -> Iterator[tuple[str, Argument]]:
        """Iterate over (parameter, argument); what goes to `*rest` has its name each time.

        The tuples of a starred map, which feed several parameters, go under "*".
        """
        if self.map is not None and self.map.star:
            yield STAR, self.args[0]
            yield from self.kwargs.items()
            return
        signature = self.task.signature
        for i, value in enumerate(self.args):
            named = i < len(signature.positional)
            yield (signature.positional[i] if named else str(signature.rest)), value
        yield from self.kwargs.items()


def holes_of(argument: Argument) -> tuple[Hole, ...]:
    """Return the holes of an argument, in the order of their places."""
    if isinstance(argument, Hole):
        return (argument,)
    return argument.holes if isinstance(argument, Packed | Spread) else ()


@frozen(slots=False, eq=False, repr=False)
class Dag:
    """A compiled flow.

    Attributes:
        name: The flow's name.
        nodes: Its calls in an order in which they could run one by one, which is always the
            same for the same flow; `nodes[i].index` is i.
        result: What the flow returns, with holes for results.
        parameters: The flow's parameters, name to value.
        definitions: Classes of the main script that the arguments need.
        routes: The tasks that may run next, by name, of a flow whose tasks say what that is (see nexts.py).
            Such a flow has one call, the first one.
        secrets: Texts in the arguments that are not to be shown.

    >>> from liteflow import flow, task
    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> @flow
    ... def twice(x: int = 1):
    ...     return double(x) >> double()
    >>> dag = twice.compile()
    >>> dag.edges
    (Edge(source='double', target='double-2', parameter='x'),)
    >>> dag.leaves
    ('double-2',)
    """

    name: str
    nodes: tuple[Node, ...]
    result: Packed
    parameters: Mapping[str, object]
    definitions: Definitions
    routes: Mapping[str, Task[..., Any]] = field(factory=dict)
    secrets: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[Node, ...]:
        """The calls; another name for `nodes`."""
        return self.nodes

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, by target; those of data before those of order."""
        keys = [node.key for node in self.nodes]
        edges: list[Edge] = []
        for node in self.nodes:
            fed = node.feeds()
            edges += [Edge(keys[s], node.key, name) for name, sources in fed.items() for s in sources]
            edges += [Edge(keys[s], node.key, None) for s in node.after]
        return tuple(edges)

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Keys of the final calls: those that no other call waits for."""
        waited_for = {s for node in self.nodes for s in (*node.inputs, *node.after)}
        return tuple(node.key for node in self.nodes if node.index not in waited_for)

    @cached_property
    def _indexes(self) -> dict[str, int]:
        return {node.key: node.index for node in self.nodes}

    def node(self, key: str) -> Node:
        """Return the call of that key.

        Raises:
            UnknownNameError: There is none; the error lists similar ones.
        """
        index = self._indexes.get(key)
        if index is None:
            raise UnknownNameError(f"flow {self.name}", "call", key, list(self._indexes))
        return self.nodes[index]

    @staticmethod
    def load(name_or_run: str, db: StorePath | None = None) -> RecordedDag:
        """Return the graph of a recorded run, with its states: good for looking, not for running.

        Args:
            name_or_run: A run's id or the beginning of one, a flow's name (its latest run), or
                "latest".
            db: The store file; None: `LITEFLOW_DB`, else `liteflow.db` here.

        Raises:
            StoreError: There is no such file, or no such run in it.
        """
        # Start-up: only who looks back needs to read stores.
        from liteflow.store.history import History  # noqa: PLC0415
        from liteflow.store.place import default_db  # noqa: PLC0415

        with History(default_db() if db is None else db) as history:
            run = history.find_run(name_or_run)
            tasks = history.tasks(run.id)
            edges = tuple(Edge(row.source, row.target, row.parameter) for row in history.edges(run.id))
        nodes = tuple(RecordedNode(n, row.key, row.task, row.state) for n, row in enumerate(tasks))
        return RecordedDag(run.flow, run.id, run.state, nodes, edges, run.script, history.path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dag):
            return NotImplemented
        # The parameters have gone into the arguments; as values they need not be comparable.
        return (self.name, self.nodes, self.result) == (other.name, other.nodes, other.result)

    def __hash__(self) -> int:
        return hash((self.name, len(self.nodes), self.result.data))

    def __repr__(self) -> str:
        return f"<Dag {self.name}: {len(self.nodes)} calls, {len(self.edges)} edges>"


@frozen
class RecordedNode:
    """A call as a store remembers it: `task` is a name, `state` what became of it."""

    index: int
    key: str
    task: str
    state: str


@frozen(slots=False)
class RecordedDag:
    """The graph of a run, from a store.  It holds no code, so it can't run.

    Attributes:
        name: The flow's name.
        run_id: The run.
        state: The run's state.
        nodes: Its calls, in the order of the graph.
        edges: What waits for what.
        script: The file that defines the flow, if that is known.
        db: The store file.
    """

    name: str
    run_id: str
    state: str
    nodes: tuple[RecordedNode, ...]
    edges: tuple[Edge, ...]
    script: str | None
    db: str

    @property
    def calls(self) -> tuple[RecordedNode, ...]:
        """The calls; another name for `nodes`."""
        return self.nodes

    @property
    def states(self) -> dict[str, str]:
        """The state of each call, by key."""
        return {node.key: node.state for node in self.nodes}

    @property
    def leaves(self) -> tuple[str, ...]:
        """Keys of the final calls: those that no other call waits for."""
        waited_for = {edge.source for edge in self.edges}
        return tuple(node.key for node in self.nodes if node.key not in waited_for)

    def node(self, key: str) -> RecordedNode:
        """Return the call of that key.

        Raises:
            UnknownNameError: There is none.
        """
        for node in self.nodes:
            if node.key == key:
                return node
        raise UnknownNameError(f"run {self.run_id}", "call", key, [node.key for node in self.nodes])

    def run(self, *_args: object, **_options: object) -> NoReturn:
        """Refuse.

        Raises:
            NoCodeError: Always; it says why, and what to run instead.
        """
        raise NoCodeError(self.name, self.db, self.script)
