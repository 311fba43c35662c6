"""What a run had gained before it goes on: which of it stays, and the same nodes again.

recorded task instances + what stays of the flow --pure--> order, new places, what is dropped
growths as they were written down --regrow--> nodes behind those of the Dag
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Collection, Container, Mapping
from typing import Any

from attrs import field, frozen

from liteflow.engine.controlled import WiredCall, grow_controlled
from liteflow.engine.growing import grow_calls, grow_items
from liteflow.engine.plan import Plan
from liteflow.engine.planned import has_executor
from liteflow.engine.spans import Grown
from liteflow.growth import Expansion, WireTask, decoded
from liteflow.pickling import Bundle
from liteflow.wiring import shifted, sources_in


@frozen
class Regrowth:
    """What an earlier driver's growths come to.

    Attributes:
        parents: (place now, place then) of the calls that had grown and do so again, in order; a
            controlled one for each of its calls.
        calls: The place then of that call, beside each; None of what has grown at once.
        moved: Place then -> place now, of all that had grown; what is dropped stands behind.
        dropped: Places now of what is dropped.
        empty: As `parents`, of those that have grown to nothing: maps over no items.
        undone: Places then of calls that are to grow anew: their code is another, or it can't be told.
    """

    parents: list[tuple[int, int]] = field(factory=list)
    calls: list[int | None] = field(factory=list)
    moved: dict[int, int] = field(factory=dict)
    dropped: list[int] = field(factory=list)
    empty: list[tuple[int, int]] = field(factory=list)
    undone: list[int] = field(factory=list)


@frozen
class Regrown:
    """A growth that is there again; `facts` are those of its attempt, None if it had none.

    `controlled`: it is one of the calls that a controller wanted.
    """

    grown: Grown
    facts: tuple[Any, ...] | None
    blob: bytes | None
    controlled: bool = False


def plan_regrowth(
    parents: Mapping[int, int],
    staying: Mapping[int, int],
    first: int,
    had_grown: Collection[int] = (),
    stuck: Collection[int] = (),
    *,
    controlled: Mapping[int, Container[int]] | None = None,
) -> Regrowth:
    """Decide which growths stay.

    Args:
        parents: Place of each call that had grown -> place of the call it grew from.
        staying: Place then -> place now, of the calls of the flow that are what they were.
        first: The place of the first node that grows again.
        had_grown: Places of calls that had, those too that no other has grown from.
        stuck: Those of which what has grown can't go on here.
        controlled: Place then of each controlled call -> places then of its calls that stay.

    >>> plan_regrowth({2: 0, 3: 2, 4: 1}, {0: 0}, 2).parents
    [(0, 0), (2, 2)]
    """
    made = Regrowth()
    alive = dict(staying)
    controlled = controlled or {}
    growths: list[tuple[int, list[int]]] = []
    children: dict[int, list[int]] = {}
    for child in sorted(parents):
        parent = parents[child]
        if parent in controlled or parent not in children:
            growths.append((parent, children.setdefault(parent, [])))
        if parent in controlled:
            growths[-1] = (parent, [child])
        else:
            children[parent].append(child)
    lost = []
    place = first
    for parent, grown in growths:
        stays = parent in alive and parent not in stuck
        if not stays or (parent in controlled and grown[0] not in controlled[parent]):
            lost += grown
            continue
        made.parents.append((alive[parent], parent))
        made.calls.append(grown[0] if parent in controlled else None)
        for child in grown:
            alive[child] = made.moved[child] = place
            place += 1
    for child in lost:
        made.moved[child] = place
        made.dropped.append(place)
        place += 1
    again = {then for then in (*had_grown, *children) if then in alive and then not in stuck}
    made.empty.extend((alive[then], then) for then in sorted(again) if then not in {*children, *controlled})
    # Children that are dropped go with all that is known of them.
    gone = {child for child in lost if child not in alive}
    made.undone.extend(sorted({*had_grown, *children} - again - gone - controlled.keys()))
    return made


def is_stuck(blob: bytes) -> bool:
    """Whether some of the calls that a call went on as are of what only that process had."""
    body = decoded(marshal.loads(blob)[1])
    return isinstance(body, Expansion) and not all(
        task.function is not None and has_executor(task) for task in body.tasks
    )


def regrow(
    plan: Plan,
    regrowth: Regrowth,
    blob_of: Callable[[int], bytes | None],
    call_of: Callable[[int, int], WiredCall],
) -> list[Regrown]:
    """Let calls grow again as they did.

    Args:
        plan: The nodes of the flow, and what has grown so far.
        regrowth: What stays.
        blob_of: What was written down of a growth, by its place then; None: a map of plain lists.
        call_of: What a controller wanted, by its place now and the call's place then.
    """
    found = []
    calls = [*regrowth.calls, *[None] * len(regrowth.empty)]
    for (now, then), call in zip((*regrowth.parents, *regrowth.empty), calls, strict=True):
        if call is not None:
            grown = grow_controlled(plan, now, [call_of(now, call)])
            found.append(Regrown(grown, None, None, controlled=True))
            continue
        blob = blob_of(then)
        if blob is None:
            found.append(Regrown(grow_items(plan, now, ()), None, None))
            continue
        facts, payload = marshal.loads(blob)
        found.append(Regrown(grown_of(plan, now, payload, ours=False), facts, blob))
    return found


def grown_of(plan: Plan, node: int, payload: bytes, *, ours: bool = True) -> Grown:
    """Let a node go on as what its attempt has returned: calls, or the items of a map.

    Args:
        plan: The nodes.
        node: The one that has returned it.
        payload: What it has returned.
        ours: Whether that was while this driver runs, whose live functions have the numbers in it.

    Raises:
        MapLengthError: The lists that a call is mapped over are not of one length.
        UnknownExecutorError: A task names an executor that is not in this process.
        GrownTooDeepError: The value would be nested too deep.
    """
    body = decoded(payload)
    if isinstance(body, Expansion):
        if not ours:
            body = body._replace(tasks=tuple(map(_from_elsewhere, body.tasks)))
        return grow_calls(plan, node, body)
    lists, bundles = body
    for names, data in bundles:
        plan.dag.definitions.add(Bundle(tuple(names), data))
    if node not in plan.maps:
        # A controller wanted to see the items; that they are there is all.
        plan.made_of(node, lists, sorted(sources_in(lists)))
        return Grown(node, len(plan), 0, [], lists, {}, False)
    return grow_items(plan, node, lists)


def wire_of(blob: bytes | None, first: int) -> Any:
    """What the value of a call is made of that went on as calls from `first` on; None for a map."""
    if blob is None:
        return None
    body = decoded(marshal.loads(blob)[1])
    return shifted(body.result, first) if isinstance(body, Expansion) else None


def _from_elsewhere(task: WireTask) -> WireTask:
    """A task of an earlier driver: its number there means nothing, nor an executor that is not here."""
    # What goes on here has its executor (`is_stuck`): one that has none is of calls that are complete.
    policy = task.policy if has_executor(task) else {**task.policy, "executor": None}
    return task._replace(here=-1, policy=policy)
