"""What is wrong in a text is shown where it is, with what to do."""

from __future__ import annotations

import pytest

from liteflow import Flow, Secret, task
from liteflow.arrows import check_names, compile_text, parse
from liteflow.arrows.errors import (
    ArrowError,
    ArrowLimitError,
    ArrowSyntaxError,
    DeclarationError,
    LabelError,
    LoopError,
    UnknownTaskError,
)

# Text, place, and a part of the message.
UNREADABLE = [
    ("", "1:1", "a task was expected"),
    ("  \n ", "2:1", "a task was expected"),
    ("# only a comment", "1:16", "a task was expected"),
    ("→", "1:1", "a task was expected, not `→`"),
    ("→ A", "1:1", "a task was expected, not `→`"),
    ("A →", "1:3", "the text ends where a task was expected"),
    ("A → → B", "1:5", "a task was expected, not `→`"),
    ("A → {\n  B", "1:5", "isn't closed; the text ends at 2:4"),
    ("A }", "1:3", "closes nothing"),
    ("{ A ]", "1:5", "can't close the `{` at 1:1"),
    ("{ }", "1:3", "a task was expected before the block's end"),
    ("A ⇒ B", "1:3", "did you mean `→`"),
    ("A --> B", "1:3", "did you mean `→`"),
    ("A => B", "1:3", "did you mean `→`"),
    ("A ➔ B", "1:3", "did you mean `→`"),
    ("A ＞ B", "1:3", "did you mean `→`"),
    ("a.b", "1:2", "full stop"),
    ("9lives", "1:1", "names begin with a letter"),
    ("e\u0301t", "1:2", "U+0301, combining acute accent"),
    ("A : x", "1:3", "with no space between"),
    ("A :end", "1:3", "`→ :end`"),
    ("A → > > B", "1:7", "did you mean"),
    ("? `$.a` * A", "1:9", "a step is"),
    ("* 0", "1:3", "names begin with a letter"),
    ("* -1", "1:3", "can't stand here"),
    ("A ?", "1:3", "JSONPath between backticks"),
    ("A(x)", "1:2", "write `(- name: value -)`"),
    ("A({)", "1:2", "close them by `})`"),
    ("<- a → A", "1:1", "close it by `->`"),
    ("'''doc", "1:1", "close it by `'''`"),
    ("<{ x }> → A", "1:4", "this is no JSON"),
    ("<- a: [ -> → A", "1:9", "this is no YAML"),
    ('A({"a": 1, "a": 2})', "1:3", "write it as JSON has it"),
    ("A\n<- a: *b -> → A", "2:7", "aliases"),
    ("A(- !!python/object:os.x {} -)", "1:5", "tags"),
    ("A(- 5 -)", "1:2", "parameters are an object or a list"),
    ('<{"a": 1, "a": 2}> → A', "1:2", "there twice"),
    ("A\u200bB", "1:2", "U+200B, zero width space"),
    ("A\u00a0B", "1:2", "U+00A0, no-break space"),
    ("# \u202e\nA", "1:3", "U+202E, right-to-left override"),
    ("\ufeffA", "1:1", "U+FEFF"),
    ("A\x0cB", "1:2", "U+000C"),
    ("A\x00", "1:2", "U+0000"),
    ("@flow", "1:5", "a name was expected"),
    ("A\n@task ", "2:5", "write what is declared: `@flow nightly`"),
    ('A(- a: "b", c: 1 -)', "1:11", "a `,` stands behind a value, outside of"),
    ("A(- a: b, c: 1 -)", "1:12", "a second `:` stands in one line"),
    ("{0.__class__}", "1:2", "names begin with a letter"),
]


@pytest.mark.parametrize(("text", "place", "said"), UNREADABLE, ids=[repr(text) for text, _, _ in UNREADABLE])
def test_a_text_that_cannot_be_read_says_where_and_what_to_do(text, place, said):
    with pytest.raises(ArrowSyntaxError) as caught:
        parse(text, "x.flow")

    error = caught.value
    assert f"{error.line}:{error.column}" == place
    assert said in str(error)
    assert error.remedy
    assert str(error).startswith(f"x.flow:{place}: ")


def test_the_line_is_shown_with_a_mark_under_the_place():
    with pytest.raises(ArrowSyntaxError) as caught:
        parse("A → B\nC →\t→ D\n")

    assert caught.value.excerpt == "    C → → D\n        ^"


def test_of_a_line_of_megabytes_only_a_part_is_shown():
    with pytest.raises(ArrowSyntaxError) as caught:
        parse("A → " * 10_000 + "→ B" + " → C" * 10_000)

    shown, mark = caught.value.excerpt.split("\n")
    assert len(shown) < 110
    assert shown[mark.index("^")] == "→"


WRONG = [
    ("A :x → B;\n:x → C;\nD :x → E", LabelError, "3:3", "the first is at 1:3"),
    ("A :out → B\n:out → C", LabelError, "2:1", "put a `;` before it"),
    ("A → :x B → :x C", LabelError, "1:12", "input label of two steps"),
    ("A :there → B;\n:their → C", LabelError, "2:1", "did you mean `:there`?"),
    ("A → :x", LabelError, "1:5", "no step has it"),
    ("A → { B :in };\n:in → C", LabelError, "2:1", "local to their block"),
    ("A → B → :start", LoopError, "1:9", "B has no guard"),
    (":again A → B → :again", LoopError, "1:16", "the loop from B back to A"),
    ("A :x → B; :y → C :y", LoopError, "1:16", "C can never start"),
    ("@flow a @flow b A", DeclarationError, "1:15", "at most one @flow"),
    ("@task A @task A A", DeclarationError, "1:15", "the first is at 1:7"),
    ("@task A = B @task B = A A", DeclarationError, "1:7", "another name for itself, by way of B"),
    ("@task A { C → B } @task B { A } A", DeclarationError, "1:7", "A contains itself, by way of B"),
    ("@task A { B } A(- x: 1 -)", DeclarationError, "1:16", "takes no parameters"),
    ("A → ? `$[?(@.a ~ 1)]` B", ArrowSyntaxError, "1:16", "can't stand in a JSONPath"),
    ("A → ? `$..a[?(@.*=1)]` B", ArrowSyntaxError, "1:15", "leads to one place"),
]


@pytest.mark.parametrize(("text", "kind", "place", "said"), WRONG, ids=[repr(text) for text, *_ in WRONG])
def test_a_flow_that_cannot_run_is_refused_when_it_is_compiled(text, kind, place, said):
    with pytest.raises(kind) as caught:
        compile_text(text)

    assert f"{caught.value.line}:{caught.value.column}" == place
    assert said in str(caught.value)


def test_an_alias_with_a_block_is_refused():
    with pytest.raises(ArrowError, match="put a `;` before it"):
        parse("@task A = B { C }")
    assert parse("@task A = B; { C }").tasks[0].block is None


@pytest.mark.parametrize(
    ("text", "known", "said"),
    [
        ("fetch → scrore", ["fetch", "score"], "did you mean score?"),
        ("fetch → Score", ["fetch", "score"], "did you mean score?"),
        ("@task X = scrore fetch → X", ["fetch", "score"], "no task scrore (which X stands for)"),
        ("fetch → __import__", ["fetch"], "there are: fetch"),
        ("fetch", [], "there are none: tasks are what is given beside the text"),
    ],
)
def test_an_unknown_task_is_named_with_its_place_and_the_nearest_names(text, known, said):
    with pytest.raises(UnknownTaskError) as caught:
        check_names(compile_text(text), known)

    assert caught.value.line == 1
    assert caught.value.column == len(text) - len(text.split()[-1]) + 1
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load(- scale: 2 -)", "load has no parameter scale\n* it has none behind what comes in"),
        ("load(- value: 2 -)", "value of load is what comes in, and can't be a parameter here"),
        ("load([1, 2])", "load is given 2 parameters by position, and takes none"),
        ("turn(- scael: 2 -)", "turn has no parameter scael\n* did you mean scale?"),
        ("turn([1, 2])", "turn is given 2 parameters by position, and takes 1\n* its parameters are: scale"),
        ("load(- liteflow: {retry: 2} -)", "did you mean 'retries'?*`liteflow` is an object of settings"),
        ("load → sotr", "there is no task sotr*there are: load, turn"),
    ],
)
def test_a_step_that_its_task_does_not_fit_is_told_with_what_it_takes(text, said):
    def load(value): ...

    def turn(value, scale=1): ...

    given = {"load": load, "turn": turn, "Secret": Secret, "task": task}
    with pytest.raises(ArrowError) as caught:
        Flow.parse(text, given)

    for part in said.split("*"):
        assert part.strip() in str(caught.value)


LIMITS = {
    "10,000 braces": "{" * 10_000,
    "blocks by names": "".join(f"@task A{n} {{ A{n + 1} }} " for n in range(300)) + "A0",
    "blocks that double": "".join(f"@task A{n} {{ A{n + 1} A{n + 1} }} " for n in range(40)) + "A0",
    "labels that multiply": "A → :x;" * 2000 + ":x → A;" * 2000,
    "11 MB": "A" * 11 * 1024 * 1024,
}


@pytest.mark.parametrize("text", LIMITS.values(), ids=LIMITS)
def test_what_is_too_large_is_refused_by_a_clear_limit(text):
    with pytest.raises(ArrowLimitError, match=r"more than|too long"):
        compile_text(text)


HUGE = {
    "comment": "#" * 10_000_000 + "\nA",
    "literal": "<- '" + "x" * 1_000_000 + "' -> → A",
    "brackets in JSON": "<[" + "[" * 100_000 + "]" * 100_000 + "]> → A",
    "brackets in YAML": "<- " + "[" * 100_000 + " -> → A",
    "blocks in YAML": "<-\n" + "".join(" " * n + "a:\n" for n in range(3000)) + "-> → A",
    "parentheses": "(" * 1_000_000,
    "a guard of parentheses": "? `$[?" + "(" * 100_000 + "` A",
    "opened literals": "<- '" * 100_000,
    "99 levels": "{" * 99 + "A" + "}" * 99,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_huge_or_deep_text_gives_an_answer_and_never_a_crash(text):
    try:
        compile_text(text)
    except ArrowError as error:
        assert len(str(error)) < 1000
