"""What a run gains while it goes on, in vectors: the calls that a task returned, the items of a map.

Expansion, or lists of items --Grower--> Grown --> schedule, journal
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat

from liteflow import errors
from liteflow.engine.plan import Plan
from liteflow.engine.spans import Calls, Grown, InstanceRow, ItemCalls, Span
from liteflow.engine.states import When
from liteflow.growth import Expansion
from liteflow.pickling import Bundle
from liteflow.wiring import Nodes, WireArgument, feeds_text, is_alias, shifted, sources_in

_SERIAL = re.compile(r"-\d+$")
_RULES = {"all": When.ALL, "any": When.ANY, "always": When.ALWAYS}


def grow_calls(plan: Plan, parent: int, expansion: Expansion) -> Grown:
    """Let a node go on as the calls that it has returned; raises as `grown_of`."""
    if not is_alias(expansion.result):
        plan.check_nesting(parent)
    first = len(plan)
    for names, data in expansion.bundles:
        plan.dag.definitions.add(Bundle(names, data))
    learnt = [plan.learn(task) for task in expansion.tasks]
    root = plan.root(parent)
    keys, rules, predecessors = [], {}, []
    for offset, node in enumerate(expansion.nodes):
        name = expansion.tasks[node.task].name
        stem = name if _SERIAL.sub("", node.key) == name else node.key
        count = plan.number_of(root, stem)
        keys.append(f"{root}/{stem}" if count == 1 else f"{root}/{stem}-{count}")
        policy = plan.tasks[learnt[node.task][0]].policy
        if rule := _RULES[policy.when]:
            rules[first + offset] = rule
        predecessors.append([s + first for s in dict.fromkeys(s for fed in node.feeds.values() for s in fed)])
    tasks = [learnt[node.task][0] for node in expansion.nodes]
    lanes = bytes(learnt[node.task][1] for node in expansion.nodes)
    for offset, node in enumerate(expansion.nodes):
        if node.map is not None:
            predecessors[offset] = plan.plan_grown_map(first, offset, node)
    plan.extend(Calls(first, parent, root, tuple(keys), expansion.nodes), tasks, lanes, predecessors)
    for offset, node in enumerate(expansion.nodes):
        if node.map is not None:
            plan.hold(first + offset)
    result = shifted(expansion.result, first)
    plan.made_of(parent, result, sorted(sources_in(result)))
    return Grown(parent, first, len(tasks), predecessors, result, rules, False)


def grow_items(plan: Plan, node: int, split: Sequence[Sequence[WireArgument]]) -> Grown:
    """Let a mapped call go on as one call for each item.

    Args:
        plan: The nodes.
        node: The mapped call.
        split: The items of the lists that had to be taken apart, in their order.

    Raises:
        MapLengthError: The lists are not of one length.
        GrownTooDeepError: Their values would be nested too deep.
    """
    plan.check_nesting(node)
    facts = plan.maps[node]
    apart = iter(split)
    lists: list[Sequence[WireArgument]] = []
    for place in facts.spread:
        known = _items(plan, facts.list_in(place))
        lists.append(next(apart) if known is None else known)
    lengths = {name: len(items) for name, items in zip(facts.names, lists, strict=True)}
    if len(set(lengths.values())) > 1:
        raise errors.MapLengthError(plan.key(node), lengths)
    first, count = len(plan), len(lists[0])
    predecessors = _predecessors(facts.fixed_sources, lists, count)
    span = ItemCalls(
        first,
        node,
        plan.key(node),
        facts.args,
        facts.kwargs,
        facts.spread,
        tuple(lists),
        facts.names,
        facts.feeds,
    )
    plan.extend(span, [plan.task_of[node]] * count, bytes([plan.lane_of[node]]) * count, predecessors)
    result = Nodes(first, count)
    plan.made_of(node, result, range(first, first + count))
    rule = _RULES[plan.policy(node).when]
    rules = dict.fromkeys(range(first, first + count), rule) if rule else {}
    return Grown(node, first, count, predecessors, result, rules, facts.on_error != "raise")


def instances(plan: Plan, grown: Grown) -> Iterator[InstanceRow]:
    """What the journal writes down of the new nodes."""
    if not grown.count:
        return iter(())
    span, nodes = plan.span(grown.first), range(grown.first, grown.first + grown.count)
    if isinstance(span, ItemCalls) and span.fed_by_nothing():
        task, parent = plan.task_of[grown.first], grown.parent
        # Rows that no Python makes one by one: there may be a million.
        return zip(nodes, map(span.key, nodes), repeat(task), repeat(parent), repeat(None), repeat(None))
    return (_instance(plan, span, node, grown.parent) for node in nodes)


def _instance(plan: Plan, span: Span, node: int, parent: int) -> InstanceRow:
    feeds, constants = span.recorded(node)
    return node, span.key(node), plan.task_of[node], parent, feeds_text(feeds), constants


def _predecessors(
    fixed: Sequence[int], lists: Sequence[Sequence[WireArgument]], count: int
) -> Sequence[Sequence[int]]:
    """What each item waits for: what all get, and where its own items come from."""
    moving = [items for items in lists if isinstance(items, Nodes) or any(map(_is_made, items))]
    if not moving:
        return [fixed] * count
    if len(moving) == 1 and not fixed and isinstance(moving[0], Nodes):
        return [(item[0],) for item in moving[0]]
    return [
        sorted({*fixed, *(s for items in moving for s in sources_in(items[i]) if s >= 0)})
        for i in range(count)
    ]


def _is_made(wire: WireArgument) -> bool:
    """Whether an item is, or holds, what calls give: only tuples do, and lists."""
    return (type(wire) is tuple or type(wire) is list) and any(s >= 0 for s in sources_in(wire))


def _items(plan: Plan, wire: WireArgument) -> Sequence[WireArgument] | None:
    """The items of a list that are known here; None if it has to be taken apart."""
    if type(wire) is list:
        return wire
    if plan.is_map_result(wire):
        found = plan.parts[wire[0]]
        assert isinstance(found, Nodes)
        return found
    return None
