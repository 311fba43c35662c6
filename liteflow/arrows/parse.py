"""Text → model, or an error that shows the place and says what to do.

The grammar is grammar.lark; here are the limits, and the sentences for what does not fit it.  Nothing
recurses over the text, and the time is linear in its length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from liteflow.arrows.errors import ArrowError, ArrowLimitError, ArrowSyntaxError, At, Origin
from liteflow.arrows.model import Model
from liteflow.collecting import uncollected

# A flow that long is data; it reaches a flow as its input, or by `<uri>`.
MAX_CHARACTERS = 10 * 1024 * 1024
# Words: names, arrows, braces, literals, ...  What they become takes some hundred bytes each.
MAX_WORDS = 1_000_000
# Blocks in blocks.  What is read is printed, compared and drawn by functions that recurse over them.
MAX_LEVELS = 100

# Control characters, and those that make a text look like another: refused wherever they stand.
# Source: https://trojansource.codes
REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_LIKE_ARROWS = re.compile(r"[⇒⟶⟹➔➜➝➞➡⭢↦⇨⇾›»＞]|-{2,}>|={1,2}>|[－–—]>?|~>")
_NAMES_OF_WORDS = {
    "NAME": "a task",
    "LABEL": "a label",
    "START": "`:start`",
    "END": "`:end`",
    "_ARROW": "`→`",
    "_SEMICOLON": "`;`",
    "MERGE": "`>`",
    "EACH": "`*`",
    "GUARD": "a guard",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LBRACKET": "`[`",
    "RBRACKET": "`]`",
    "FLOW": "`@flow`",
    "TASK": "`@task`",
    "VBAR": "`|`",
    "EQUAL": "`=`",
    "DOC": "documentation",
    "RESOURCE": "`<uri>`",
}
_CLOSERS = {"LBRACE": "RBRACE", "LBRACKET": "RBRACKET"}
_TASK_WANTED = "write a task here, such as `A`, or a block `{ A  B }`"


def parse(text: str, name: str = "<text>") -> Model:
    """Read a flow in the arrow language.

    Args:
        text: The flow.
        name: What messages call it, such as its file name.

    Raises:
        ArrowSyntaxError: It can't be read; the error shows where and says what to do.
        ArrowLimitError: It is longer than MAX_CHARACTERS or MAX_WORDS, or nested more than MAX_LEVELS times.

    >>> model = parse("A → { B → C  D } → E")
    >>> [mention.name for mention in model.mentions()]
    ['A', 'B', 'C', 'D', 'E']
    >>> parse("A → → B")
    Traceback (most recent call last):
    ...
    liteflow.arrows.errors.ArrowSyntaxError: <text>:1:5: a task was expected, not `→`
        A → → B
            ^
    write a task here, such as `A`, or a block `{ A  B }`
    """
    return read(text, name)[0]


def read(text: str, name: str = "<text>") -> tuple[Model, list[tuple[int, int]]]:
    """As `parse`, and the spans of all words, between which there is nothing but blanks and comments."""
    if len(text) > MAX_CHARACTERS:
        raise ArrowLimitError.of(
            Origin(name),
            None,
            f"{name}: a flow of {len(text):,} characters is too long; {MAX_CHARACTERS:,} are read",
            "load data by `<uri>` or give it as the flow's input",
        )
    origin = Origin(name, text)
    refused = REFUSED.search(text)
    if refused:
        character = _character(refused[0])
        raise _error(origin, refused.start(), f"the character {character} can't stand in a flow", "remove it")
    with uncollected():
        items, words = _items(origin)
    if not items:
        raise _error(origin, max(0, len(text) - 1), "a task was expected, but there is none", _TASK_WANTED)
    return Model(items, origin), words


def _items(origin: Origin) -> tuple[tuple[Any, ...], list[tuple[int, int]]]:
    from lark import UnexpectedCharacters, UnexpectedToken  # noqa: PLC0415  `import liteflow` loads no lark

    from liteflow.arrows.reading import TextFaultError  # noqa: PLC0415  it needs lark

    parser = _parser().parse_interactive(origin.text)
    words: list[tuple[int, int]] = []
    openers: list[Any] = []
    token = None
    try:
        for token in parser.lexer_thread.lex(parser.parser_state):
            parser.feed_token(token)
            words.append((token.start_pos, token.end_pos))
            _count(origin, token, openers, len(words))
        return parser.feed_eof(token), words
    except UnexpectedCharacters as error:
        raise _unreadable(origin, error.pos_in_stream or 0) from None
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise _ends_early(origin, error.accepts or error.expected, openers) from None
        raise _misplaced(origin, error.token, error.accepts or error.expected, openers) from None
    except TextFaultError as fault:
        raise _error(origin, fault.start, fault.problem, fault.remedy, fault.end) from None


@cache
def _parser() -> Any:
    """The parser; made at the first use, which takes some tens of milliseconds."""
    from lark import Lark  # noqa: PLC0415  `import liteflow` loads no lark

    from liteflow.arrows.reading import Reader  # noqa: PLC0415  it needs lark

    grammar = files("liteflow.arrows").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", transformer=Reader(), maybe_placeholders=True)


def _count(origin: Origin, token: Any, openers: list[Any], words: int) -> None:
    """Note which braces are open, and hold the limits."""
    if token.type in _CLOSERS:
        openers.append(token)
        if len(openers) > MAX_LEVELS:
            what = f"blocks are nested more than {MAX_LEVELS} times here"
            raise _error(origin, token.start_pos, what, "name some: `@task X { ... }`", limit=True)
    elif token.type in ("RBRACE", "RBRACKET"):
        openers.pop()
    if words > MAX_WORDS:
        what = f"a flow of more than {MAX_WORDS:,} words is too long"
        raise _error(origin, token.start_pos, what, "use `* step` for what is done many times", limit=True)


# --- what is said ---------------------------------------------------------------------------


def _error(
    origin: Origin, start: int, problem: str, remedy: str, end: int | None = None, *, limit: bool = False
) -> ArrowError:
    kind = ArrowLimitError if limit else ArrowSyntaxError
    return kind.of(origin, origin.at(start, end), problem, remedy)


def _character(character: str) -> str:
    """A character by its code point and name; itself only if it can be seen."""
    name = unicodedata.name(character, "")
    seen = f"`{character}` " if character.isprintable() and not unicodedata.combining(character) else ""
    return f"{seen}(U+{ord(character):04X}{', ' + name.lower() if name else ''})"


def _unreadable(origin: Origin, at: int) -> ArrowError:
    """Something that is no word of the language."""
    text = origin.text
    arrow = _LIKE_ARROWS.match(text, at)
    if arrow:
        what = f"`{arrow[0]}` is no arrow here"
        return _error(origin, at, what, "did you mean `→` or `->`?", arrow.end())
    for opener, (problem, remedy) in _UNCLOSED.items():
        if text.startswith(opener, at):
            end_of_text = f"the text ends at {_end(origin)}"
            return _error(origin, at, f"{problem}; {end_of_text}", remedy, at + len(opener))
    character = text[at]
    if unicodedata.combining(character):
        remedy = "write accents as one character with their letter (Unicode NFC)"
    elif character.isdigit():
        remedy = "names begin with a letter or `_`"
    elif character.isspace():
        remedy = "write an ordinary space"
    elif character == ":":
        remedy = "a label is `:` and a name, with no space between: `A :x`"
    else:
        remedy = "names have letters, digits, `_`, `-` and `:`; a comment begins with `#`"
    return _error(origin, at, f"{_character(character)} can't stand here", remedy)


_UNCLOSED = {
    "'''": ("documentation begins here, and doesn't end", "close it by `'''`"),
    '"""': ("documentation begins here, and doesn't end", 'close it by `"""`'),
    "<-": ("a YAML literal begins here, and doesn't end", "close it by `->`, outside of quotes"),
    "<{": ("a JSON literal begins here, and doesn't end", "close it by `}>`, outside of quotes"),
    "<[": ("a JSON literal begins here, and doesn't end", "close it by `]>`, outside of quotes"),
    "<": ("a resource begins here, and doesn't end", "write `<uri>`, without blanks in it"),
    "(-": ("YAML parameters begin here, and don't end", "close them by `-)`, outside of quotes"),
    "({": ("JSON parameters begin here, and don't end", "close them by `})`, outside of quotes"),
    "([": ("JSON parameters begin here, and don't end", "close them by `])`, outside of quotes"),
    "(": ("parameters begin here that are none", "write `(- name: value -)`, `({ json })` or `([ json ])`"),
    "?": ("a guard begins here that is none", "write `?`, then a JSONPath between backticks"),
    "`": ("a guard's path stands here without its `?`, or isn't closed", "write ?`$.path` before the step"),
}


_DECLARED = "write what is declared: `@flow nightly`, or `@task score (- model: small -)`"


def _end(origin: Origin) -> At:
    return origin.at(len(origin.text))


def _ends_early(origin: Origin, accepts: set[str], openers: list[Any]) -> ArrowError:
    last_word = max(0, len(origin.text.rstrip()) - 1)
    if not openers or _CLOSERS[openers[-1].type] not in accepts:
        what = f"the text ends where {_wanted(accepts)} was expected{_still_open(openers)}"
        declares = origin.text.rstrip().endswith(("@flow", "@task"))
        return _error(origin, last_word, what, _DECLARED if declares else _TASK_WANTED)
    last = openers[-1]
    what = f"the `{last}` here isn't closed; the text ends at {_end(origin)}"
    return _error(origin, last.start_pos, what, f"add its `{'}' if last == '{' else ']'}`")


def _still_open(openers: list[Any]) -> str:
    return (
        f", and the `{openers[-1]}` at {openers[-1].line}:{openers[-1].column} isn't closed"
        if openers
        else ""
    )


def _wanted(accepts: set[str]) -> str:
    if "NAME" in accepts and "_SEMICOLON" not in accepts:
        return "a task" if len(accepts) > 1 else "a name"
    known = sorted(_NAMES_OF_WORDS[word] for word in accepts if word in _NAMES_OF_WORDS)
    return " or ".join(known[:6]) if known else "something else"


def _misplaced(origin: Origin, token: Any, accepts: set[str], openers: list[Any]) -> ArrowError:
    """A word of the language, where it can't stand."""
    if _LIKE_ARROWS.match(origin.text, token.start_pos) and token.type != "_ARROW":
        return _unreadable(origin, token.start_pos)
    for case in _CASES:
        said = case(token, accepts, openers)
        if said:
            return _error(origin, token.start_pos, *said, token.end_pos)
    shown = str(token) if len(token) <= 30 else f"{token[:27]}..."
    remedy = (
        _TASK_WANTED
        if _wanted(accepts) == "a task"
        else "take it away, or put `;` before it to begin a statement"
    )
    return _error(
        origin, token.start_pos, f"{_wanted(accepts)} was expected, not `{shown}`", remedy, token.end_pos
    )


Said = tuple[str, str] | None


def _wrong_brace(token: Any, accepts: set[str], openers: list[Any]) -> Said:
    if token.type not in ("RBRACE", "RBRACKET"):
        return None
    if not openers:
        return f"this `{token}` closes nothing", "take it away, or open its block before it"
    last = openers[-1]
    if _CLOSERS[last.type] != token.type:
        right = "}" if last == "{" else "]"
        return f"this `{token}` can't close the `{last}` at {last.line}:{last.column}", f"write `{right}`"
    if token.start_pos == last.end_pos or "_ARROW" not in accepts:
        return "a task was expected before the block's end", _TASK_WANTED
    return None


def _wrong_arrow(token: Any, accepts: set[str], openers: list[Any]) -> Said:
    if token.type == "MERGE":
        return "a `>` stands before a step or a destination, as its merge", "did you mean `→` or `->`?"
    if token.type != "_ARROW":
        return None
    return f"a task was expected, not `{token}`", _TASK_WANTED


def _wrong_label(token: Any, accepts: set[str], openers: list[Any]) -> Said:
    if token.type == "END":
        return (
            "`:end` is a destination alone: it comes after the last arrow",
            "write `→ :end`, or leave it out",
        )
    if token.type == "START":
        return (
            "`:start` is a statement's first source, or its destination",
            "write `:start → A`, or `A → :start`",
        )
    return None


def _wrong_prefix(token: Any, accepts: set[str], openers: list[Any]) -> Said:
    if token.type in ("EACH", "GUARD") and "_ARROW" not in accepts:
        return (
            f"`{token[0]}` can't stand here",
            "a step is: input label, then `*` or `>`, then guard, then tasks or a block, then output label",
        )
    return None


_CASES: tuple[Callable[[Any, set[str], list[Any]], Said], ...] = (
    _wrong_brace,
    _wrong_arrow,
    _wrong_label,
    _wrong_prefix,
)
