"""What each rule of grammar.lark gives: the parser calls these while it reads, so no tree is ever built.

A fault inside a rule is raised as `TextFaultError` with the span of text it is about; parse.py, which has
the text, makes the error of it.
"""

from __future__ import annotations

import inspect
from typing import Any

from lark import Token, Transformer, v_args

from liteflow.arrows.errors import At
from liteflow.arrows.literals import LiteralError, read_json, read_yaml
from liteflow.arrows.model import (
    Block,
    Destination,
    End,
    Fan,
    FlowDeclaration,
    Guard,
    Label,
    Literal,
    Mention,
    Resource,
    Start,
    Statement,
    Step,
    TaskDeclaration,
)


class TextFaultError(Exception):
    """Something is wrong with a span of the text."""

    def __init__(self, start: int, end: int, problem: str, remedy: str) -> None:
        super().__init__(start, end, problem, remedy)
        self.start, self.end, self.problem, self.remedy = start, end, problem, remedy


def place(token: Token) -> At:
    """Where a word stands."""
    return At(token.line, token.column, token.start_pos, token.end_pos)  # type: ignore[arg-type]


def _label(token: Token | None) -> Label | None:
    return None if token is None else Label(token[1:], at=place(token))


def _doc(token: Token | None) -> str | None:
    return None if token is None else inspect.cleandoc(token[3:-3]).strip() or None


@v_args(inline=True)
class Reader(Transformer[Token, Any]):
    """The rules of the grammar by name; each takes what its parts gave, and None for what isn't there."""

    def start(self, *items: Any) -> tuple[Any, ...]:
        return items

    def flow_declaration(
        self, word: Token, name: Token, parameters: Literal | None, doc: Token | None
    ) -> FlowDeclaration:
        return FlowDeclaration(str(name), parameters, _doc(doc), at=place(name), begins=word.start_pos)

    def task_declaration(
        self,
        word: Token,
        name: Token,
        base: Token | None,
        *rest: Any,
    ) -> TaskDeclaration:
        parameters, doc, block = rest
        if base is not None and block is not None:
            raise TextFaultError(
                name.start_pos or 0,
                name.end_pos or 0,
                f"{name} is declared as another name for {base} and with a block of its own",
                "leave out one of them; if the block is a statement by itself, put a `;` before it",
            )
        base_name = None if base is None else str(base)
        return TaskDeclaration(
            str(name), base_name, parameters, _doc(doc), block, at=place(name), begins=word.start_pos
        )

    def statement(self, source: Any, *rest: Any) -> Statement:
        *steps, destination = rest
        return Statement(tuple(steps), source, destination, at=source.at if source else steps[0].at)

    def source(self, given: Any) -> Any:
        if not isinstance(given, Token):
            return given
        return Start(at=place(given)) if given.type == "START" else _label(given)

    def destination(self, merge: Token | None, target: Any) -> Destination:
        if isinstance(target, Token):
            at = place(target)
            kinds = {"START": Start, "END": End}
            target = kinds[target.type](at=at) if target.type in kinds else _label(target)
        return Destination(target, merge is not None, at=target.at)

    def step(
        self,
        input_label: Token | None,
        prefix: Token | None,
        guard: Token | None,
        body: Mention | Fan | Block,
        output_label: Token | None,
    ) -> Step:
        first = next((token for token in (input_label, prefix, guard) if token is not None), None)
        return Step(
            body,
            _label(input_label),
            "" if prefix is None else str(prefix),
            None if guard is None else _guard(guard),
            _label(output_label),
            at=body.at if first is None else place(first),
        )

    def fan(self, *mentions: Mention) -> Mention | Fan:
        return mentions[0] if len(mentions) == 1 else Fan(mentions, at=mentions[0].at)

    def mention(self, name: Token, parameters: Literal | None) -> Mention:
        return Mention(str(name), parameters, at=place(name))

    def block(self, opened: Token, *rest: Any) -> Block:
        return Block(tuple(rest[:-1]), at=place(opened), closed_at=place(rest[-1]))

    def resource(self, uri: Token, parameters: Literal | None) -> Resource:
        return Resource(uri[1:-1], parameters, at=place(uri))

    def literal(self, token: Token) -> Literal:
        return _literal(token, "empty" if token.type == "NOTHING" else token.type[:4].lower())

    def parameters(self, token: Token) -> Literal:
        made = _literal(token, "empty" if token.type == "NO_PARAMETERS" else token.type[:4].lower())
        if not isinstance(made.value, dict | list):
            at = made.at
            raise TextFaultError(
                at.start if at else 0,
                at.end if at else 0,
                f"parameters are an object or a list, not {made.value!r}",
                "write `(- name: value -)`, or `([ value ])`",
            )
        return made


def _guard(token: Token) -> Guard:
    begin = token.index("`") + 1
    at = place(token)
    line = at.line + token.count("\n", 0, begin)
    column = at.column + begin if line == at.line else begin - token.rindex("\n", 0, begin)
    return Guard(token[begin:-1], at=At(line, column, at.start + begin, at.end - 1))


_LITERAL_REMEDIES = (
    "put what is meant as text in quotes; in YAML, each line of an object is `name: value`, "
    "or all stand in one: `{name: value, name: value}`",
    'write it as JSON has it: `{"name": "value"}`, each name once, texts in double quotes',
)


def _literal(token: Token, form: str) -> Literal:
    """The value of a literal.  Of a JSON mark (`<{`) one character is ours, of a YAML mark two are."""
    at = place(token)
    if form == "empty":
        return Literal(form, {}, "", at=at)
    mark = 1 if form == "json" else 2
    text = token[mark:-mark]
    try:
        value = read_json(text) if form == "json" else read_yaml(text, at.column + mark)
    except LiteralError as error:
        start = at.start + mark + min(error.offset, len(text))
        raise TextFaultError(start, start + 1, error.problem, _LITERAL_REMEDIES[form == "json"]) from None
    return Literal(form, {} if value is None else value, text, at=at)
