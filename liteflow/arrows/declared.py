"""What `@task` declarations say of each name: its base, its parameters, or the block it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve, field, frozen

from liteflow.arrows.errors import ArrowError, DeclarationError, Origin
from liteflow.arrows.model import Block, Fan, FlowDeclaration, Literal, Mention, Model, TaskDeclaration


@frozen
class Declared:
    """A name, aliases resolved: the task that does its work (`base`) with default parameters, or a block.

    `steps` is how many steps it stands for.
    """

    base: str
    parameters: Any = None
    doc: str | None = None
    block: Block | None = field(default=None, repr=False)
    steps: int = 1

    def parameters_with(self, own: Literal | None) -> Any:
        """The parameters of a mention: its own win over the defaults.

        >>> Declared("A", {"level": 1, "dry": False}).parameters_with(Literal("json", {"dry": True}))
        {'level': 1, 'dry': True}
        """
        if own is None or own.form == "empty":
            return self.parameters
        return _over(self.parameters, own.value)


def _over(defaults: Any, own: Any) -> Any:
    return {**defaults, **own} if isinstance(defaults, dict) and isinstance(own, dict) else own


def declared(model: Model) -> dict[str, Declared]:
    """What each declared name means.

    Raises:
        DeclarationError: A name is declared twice, or in terms of itself, or a named block is given
        parameters.
    """
    origin = model.origin
    _at_most_one_flow(model)
    by_name: dict[str, TaskDeclaration] = {}
    for task in model.tasks:
        first = by_name.setdefault(task.name, task)
        if first is not task:
            what = f"{task.name} is declared twice" + (f"; the first is at {first.at}" if first.at else "")
            raise DeclarationError.of(origin, task.at, what, "put both together")
    steps = _no_block_in_itself(origin, by_name)
    names = {name: evolve(_resolved(origin, by_name, name), steps=steps[name]) for name in by_name}
    for mention in model.mentions():
        known = names.get(mention.name)
        if known is not None and known.block is not None and mention.parameters is not None:
            raise _takes_none(origin, mention.name, mention.parameters)
    return names


def _at_most_one_flow(model: Model) -> None:
    flows = [item for item in model.items if isinstance(item, FlowDeclaration)]
    if len(flows) > 1:
        what = "a text is one flow, and has at most one @flow"
        raise DeclarationError.of(model.origin, flows[1].at, what, "put flows into files of their own")


def _takes_none(origin: Origin, name: str, parameters: Literal) -> ArrowError:
    what = f"{name} is a block, and takes no parameters"
    return DeclarationError.of(origin, parameters.at, what, "give them to the tasks in the block")


def _resolved(origin: Origin, by_name: dict[str, TaskDeclaration], name: str) -> Declared:
    chain = [by_name[name]]
    seen = {name}
    while chain[-1].base is not None and chain[-1].base in by_name:
        following = by_name[chain[-1].base]
        if following.name in seen:
            what = f"{name} is declared as another name for itself" + _by_way_of(
                [task.name for task in chain[1:]]
            )
            raise DeclarationError.of(origin, chain[0].at, what, "let one of them name a task")
        seen.add(following.name)
        chain.append(following)
    parameters: Any = None
    for task in reversed(chain):
        if task.parameters is not None and task.parameters.form != "empty":
            parameters = _over(parameters, task.parameters.value)
    last = chain[-1]
    given = next((task.parameters for task in chain if task.parameters is not None), None)
    if last.block is not None and given is not None:
        raise _takes_none(origin, name, given)
    doc = next((task.doc for task in chain if task.doc is not None), None)
    return Declared(last.base or last.name, parameters, doc, last.block)


def _by_way_of(names: list[str]) -> str:
    return f", by way of {', '.join(names)}" if names else ""


def _no_block_in_itself(origin: Origin, by_name: dict[str, TaskDeclaration]) -> dict[str, int]:
    """A walk over which named block mentions which (aliases count as mentions).

    It gives how many steps each name stands for.
    """
    done: dict[str, int] = {}
    for name in by_name:
        way: dict[str, Iterator[str]] = {}
        follow: str | None = name
        while follow is not None or way:
            if follow is not None and follow not in done and follow in by_name:
                if follow in way and by_name[follow].block is not None:
                    inside = list(way)[list(way).index(follow) + 1 :]
                    what = f"the block {follow} contains itself" + _by_way_of(inside)
                    remedy = "for a loop, lead an arrow back by a label: `... → :again`"
                    raise DeclarationError.of(origin, by_name[follow].at, what, remedy)
                if follow not in way:
                    way[follow] = _mentioned(by_name[follow])
            last = next(reversed(way), None)
            follow = None if last is None else next(way[last], None)
            if last is not None and follow is None:
                # What it mentions is done already.
                done[last] = sum(done.get(mention, 1) for mention in _mentioned(by_name[last])) or 1
                del way[last]
    return done


def _mentioned(task: TaskDeclaration) -> Iterator[str]:
    if task.base is not None:
        yield task.base
    stack: list[Mention | Fan | Block] = [task.block] if task.block is not None else []
    while stack:
        body = stack.pop()
        match body:
            case Mention(name):
                yield name
            case Fan(mentions):
                yield from (mention.name for mention in mentions)
            case Block(statements):
                stack.extend(step.body for statement in statements for step in statement.steps)
