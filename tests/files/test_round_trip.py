"""A workflow written to YAML or to JSON and read back is the same."""

from keyword import iskeyword

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow.files.load import REFUSED, parse_workflow
from liteflow.files.mistakes import MistakesFoundError, WorkflowFileError
from liteflow.files.model import Param, Settings, TaskSpec, Workflow
from liteflow.files.structure import read_workflow
from liteflow.files.write import to_data, to_json, to_yaml
from liteflow.files.yamltree import read_yaml
from liteflow.task_types import Http, Python, Shell, Sql
from liteflow.task_types.call import TaskCall
from liteflow.task_types.shell import FileOutput

# Words that one YAML or another takes for something else.
LOOKALIKES = """
NO on 1:30 1_000 014 0o14 1e3 .nan 2026-11-21 null ~ = << true # a: ' " \\ !x &a *a % @ ` | > { [ ?
- +.inf 0x1F
"""
ODD = [
    "",
    "a: b",
    "- a",
    "a #b",
    "\ttab",
    " blank ",
    "a\n b\n",
    "\n",
    "a\n\n",
    "\u202e",
    "\ufeff",
    "\x85",
    "\u2028",
]
WORDS = st.sampled_from([*LOOKALIKES.split(), *ODD, "😀"])
TEXT = WORDS | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="$"), max_size=20)
COMMANDS = TEXT.filter(lambda text: text.strip() and "\0" not in text)
NAMES = st.text("abcäß XYZ-_019é", min_size=1, max_size=8).map(str.strip).filter(bool).map(lambda n: f"t{n}")
WORD = st.from_regex(r"[a-z_]{1,6}", fullmatch=True).filter(lambda word: not iskeyword(word))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(-1e15, 1e15) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ENV = st.dictionaries(WORD, COMMANDS | st.integers(-(10**20), 10**20), max_size=2)
SECONDS = st.none() | st.floats(0.001, 1e6)

WORK = st.one_of(
    st.builds(
        Shell,
        run=COMMANDS | st.lists(COMMANDS, min_size=1, max_size=3),
        cwd=st.none() | TEXT,
        env=ENV,
        outputs=st.sampled_from(["stdout", "lines", "json"]) | st.builds(FileOutput, file=TEXT),
        exit_codes=st.lists(st.integers(0, 255), min_size=1, max_size=3),
    ),
    st.builds(Python, run=TEXT.map(lambda text: f"result = {text!r}"), env=ENV),
    st.builds(Python, call=WORD.map(lambda w: f"{w}:{w}"), args=st.lists(DATA, max_size=2)),
    st.builds(Http, url=WORD.map(lambda w: f"http://{w}/"), json=DATA, headers=ENV),
    st.builds(
        Sql,
        db=TEXT,
        run=COMMANDS | st.lists(COMMANDS, min_size=1, max_size=2),
        args=st.dictionaries(WORD, DATA, max_size=2),
    ),
    st.builds(TaskCall, call=WORD.map(lambda w: f"{w}:{w}"), args=st.dictionaries(WORD, DATA, max_size=2)),
)


RESOURCES = st.sampled_from([None, {"cpus": 2.0, "memory": "2GB"}, {"gpus": 0.5, "a telescope": 1.0}])


@st.composite
def workflows(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    tasks = {}
    for number, name in enumerate(names):
        work = draw(WORK)
        tasks[name] = TaskSpec(
            type=work.kind,
            work=work,
            description=draw(TEXT),
            depends_on=draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else [],
            timeout=draw(SECONDS),
            retries=draw(st.none() | st.integers(0, 100)),
            retry_delay=draw(st.floats(0, 100)),
            backoff=draw(st.floats(1, 100)),
            when=draw(st.none() | st.booleans() | st.sampled_from(["all", "any", "always", "1 < 2"])),
            foreach=draw(st.none() | st.lists(DATA, max_size=3)),
            resources=draw(RESOURCES),
        )
    params = draw(
        st.dictionaries(
            WORD,
            st.builds(Param, default=DATA, help=TEXT)
            | st.sampled_from([Param(type="int"), Param(secret=True), Param(default="", secret=True)]),
            max_size=3,
        )
    )
    options = Settings(
        max_parallel_tasks=draw(st.none() | st.integers(1, 512)),
        retries=draw(st.integers(0, 100)),
        timeout=draw(SECONDS),
        log_dir=draw(st.none() | NAMES),
        xcom_storage=draw(st.sampled_from([None, "file:///shared", "s3://bucket/values"])),
        xcom_threshold=draw(st.none() | st.integers(0, 1 << 40)),
        mode=draw(st.none() | st.sampled_from(["thread", "process", "inline"])),
        db=draw(st.none() | NAMES),
        resources=draw(st.sampled_from([None, {"gpus": 2.0, "memory": "64GiB"}])),
    )
    return Workflow(
        workflow_name=draw(NAMES), description=draw(TEXT), params=params, tasks=tasks, settings=options
    )


@settings(max_examples=examples(150), deadline=None)
@given(workflows())
def test_a_workflow_written_to_yaml_and_to_json_and_read_back_is_the_same(workflow):
    assert parse_workflow(to_yaml(workflow), "x.yaml") == workflow
    assert parse_workflow(to_json(workflow), "x.json", json=True) == workflow
    assert parse_workflow(to_json(workflow).encode(), "x.json", json=True) == workflow


ANYTHING = st.recursive(
    DATA | st.sampled_from(["tasks", "run", "shell", "${{ params.x }}", "${{ tasks.a.output }}", "${{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "workflow_name",
                    "tasks",
                    "params",
                    "settings",
                    "run",
                    "type",
                    "a",
                    "b",
                    "depends_on",
                    "when",
                    "foreach",
                    "retries",
                    "env",
                    "outputs",
                    "default",
                    "url",
                    "call",
                    "args",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=examples(300), deadline=None)
@given(ANYTHING)
def test_whatever_a_document_holds_is_a_workflow_or_told_of(data):
    import json

    try:
        workflow = parse_workflow(json.dumps(data), "x.json", json=True)
    except WorkflowFileError as error:
        assert error.mistakes
        assert all(m.line == 1 and m.problem and m.remedy for m in error.mistakes)
    else:
        assert to_data(workflow)["tasks"]


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=60) | st.text("ab:-[]{}\"'#&*!|> \n\t${}?,%", max_size=40))
def test_whatever_text_a_file_holds_it_is_read_or_told_of(text):
    for json in (False, True):
        try:
            parse_workflow(text, "x", json=json)
        except WorkflowFileError as error:
            assert error.mistakes


def test_every_part_of_a_document_knows_its_place():
    text = "workflow_name: w\ntasks:\n  a:\n    run: ls\n    env:\n      X: 'y'\n"
    tree, _ = read_yaml(text)
    workflow, mistakes = read_workflow(tree)

    assert workflow is not None
    assert mistakes == []
    assert tree.place(("tasks", "a", "env", "X")) == (6, 10)
    assert tree.place(("tasks", "a", "env", "X"), key=True) == (6, 7)
    assert tree.place(("tasks", "a", "cwd")) == (4, 5)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(to_yaml, workflows())
    | st.text(max_size=60)
    | st.text("ab:-[]{}\"'#&*!|> \n\t${}?,%", max_size=40)
)
def test_both_parsers_of_yaml_read_the_same(text):
    def read(in_c):
        try:
            return read_yaml(text, in_c=in_c)
        except MistakesFoundError:
            return None

    assume(not REFUSED.search(text))
    # What the parser in Python refuses, the one in C may take: newer rules allow more.
    slow = read(in_c=False)
    if slow is not None:
        assert read(in_c=True) == slow
