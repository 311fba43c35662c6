"""Every bad file of the catalogue: refused at once, all mistakes together, each with place and remedy.

The numbers are those of the catalogue of bad input, part D.
"""

import os
import re
import time

import pytest

from liteflow.files.load import LARGEST, load_workflow, parse_workflow
from liteflow.files.mistakes import WorkflowFileError, WorkflowPathError

HEAD = "workflow_name: w\ntasks:\n"
TASK = HEAD + "  a:\n    run: echo a\n"
BOMB = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(9))
MERGE = "a: &a {x: 1}\nb: {<<: *a}\n"


def said(text, *, json=False):
    """All mistakes of a file, as they are told; reading a bad file is quick."""
    started = time.process_time()
    with pytest.raises(WorkflowFileError) as caught:
        parse_workflow(text, "x.json" if json else "x.yaml", json=json)
    assert time.process_time() - started < 5
    assert all(m.problem and m.remedy for m in caught.value.mistakes)
    return str(caught.value)


def of_task(lines: str) -> str:
    return TASK + "".join(f"    {line}\n" for line in lines.split("\n"))


FILES = {
    # secrets
    "a secret with a value": (
        TASK + "params: {key: {secret: true, default: s3cr3t}}\n",
        "params.key is a secret, and its default can be read here; take it away, and set LITEFLOW_SECRET_",
    ),
    "a secret that is no text": (
        TASK + "params: {key: {secret: true, type: int}}\n",
        "which is text, and says",
    ),
    # structure
    "D1 empty": ("", r"x.yaml:1:1: a workflow is a mapping, and here is nothing; begin with workflow_name"),
    "D2 comments": ("# only\n# comments\n", "here is nothing"),
    "D3 scalar": ("hello\n", "here is the text 'hello'"),
    "D4 list": ("- a\n", "here is a list"),
    "D5 no tasks": ("workflow_name: w\n", "x.yaml:1:1: has no tasks"),
    "D6 empty tasks": ("workflow_name: w\ntasks: {}\n", "2:8: tasks is empty; add a task"),
    "D6 tasks nothing": ("workflow_name: w\ntasks:\n", r"tasks is nothing \(null\); it must be a mapping"),
    "D7 tasks of texts": (
        HEAD + "  a: echo a\n",
        "3:3: tasks.a is the text 'echo a'; a task is a mapping; write run: echo a",
    ),
    "D7 tasks a list": ("workflow_name: w\ntasks: [a]\n", "tasks is a list; it must be a mapping"),
    "D8 null task": (HEAD + "  a:\n", r"3:3: tasks.a is nothing \(null\); a task is a mapping"),
    # bombs
    "D9 laughs": (BOMB, r"2:10: \*k0 stands for another part; aliases are not taken"),
    "D10 merge bomb": (MERGE, "2:9: .* aliases are not taken"),
    "D10 merge key": ("a: {<<: {x: 1}}\n", r"1:5: a has a merge key \(<<\); write the keys out"),
    "D11 itself": ("a: &a [*a]\n", "aliases are not taken"),
    "D12 brackets": ("[" * 100_000, "nested deeper than 40 levels"),
    "D13 blocks": ("".join(" " * n + "a:\n" for n in range(3000))[:LARGEST], "nested deeper than 40 levels"),
    # tags
    "D15 python": ("a: !!python/object/apply:os.system ['id']\n", "1:4: has the tag .*; tags are not taken"),
    "D16 own tag": ("a: !foo 1\n", "tags are not taken"),
    "D17 binary": ("a: !!binary aGk=\n", "tags are not taken"),
    "D17 set": ("a: !!set {b}\n", "tags are not taken"),
    # syntax
    "D18 tab": ("a:\n\tb: 1\n", "2:1: no YAML: .*; indent with spaces, not with tabs"),
    "D19 indent": ("a: 1\n  b: 2\n", "2:4: no YAML"),
    "D20 quote": ("a: 'b\n", "no YAML: .*; close the quotes"),
    "D21 two documents": (
        "a: 1\n---\nb: 2\n",
        "2:1: another document begins here; keep one document in a file",
    ),
    "D23 UTF-16": (TASK.encode("utf-16"), "in UTF-16; save it as UTF-8"),
    "D24 Latin-1": ("workflow_name: gr\xfc\xdf".encode("latin-1"), "1:18: byte 0xfc is no UTF-8"),
    "D25 NUL": ("a: 1\nb: \0", r"2:4: character U\+0000"),
    "D26 control": ("a: \x1b[2J", r"1:4: character U\+001B"),
    "D26 bidi": ("a: \u202e", r"1:4: character U\+202E"),
    "D27 binary file": (bytes(range(128, 256)) * 9, "1:1: byte 0x80 is no UTF-8"),
    # keys
    "D28 task twice": (
        TASK + "  a:\n    run: b\n",
        "5:3: tasks.a is here a second time, after line 3; keep one",
    ),
    "D29 key twice": (of_task("run: b"), "5:5: tasks.a.run is here a second time, after line 4"),
    "D30 number": (HEAD + "  1: {run: a}\n", '3:3: tasks has the key 1, which is a number .*; quote it: "1"'),
    "D31 on": (HEAD + "  on: {run: a}\n", 'key on, which is true or false .*; quote it: "on"'),
    "D31 no": (HEAD + "  no: {run: a}\n", 'quote it: "no"'),
    "D32 date": (HEAD + "  2026-11-21: {run: a}\n", "a date to YAML"),
    "D33 list": (HEAD + "  ? [a]\n  : {run: a}\n", "a list or a mapping as a key"),
    # words
    "D34 NO": (
        HEAD + "  a: {run: NO}\n",
        '3:12: tasks.a.run is NO, which YAML takes for false; quote it .*"NO"',
    ),
    "D35 1:30": (of_task("timeout: 1:30"), "5:14: .*1:30, which YAML takes for the number 90"),
    "D36 1_000": (of_task("retries: 1_000"), "1_000, which YAML takes for the number 1000"),
    "D37 014": (of_task("retries: 014"), "014, which YAML takes for the number 12"),
    "D37 0o14": (of_task("retries: 0o14"), "0o14, which YAML takes for text"),
    "D38 1e3": (of_task("timeout: 1e3"), "1e3, which YAML takes for text"),
    "D39 nan": (of_task("timeout: .nan"), ".nan, which YAML takes for the number nan"),
    # unknown keys
    "D40 taks": ("workflow_name: w\ntaks: {}\n", "2:1: taks is unknown; did you mean 'tasks'?"),
    "D41 retires": (of_task("retires: 3"), "5:5: tasks.a.retires is unknown; did you mean 'retries'?"),
    "D41 a word of others": (of_task("needs: [b]"), "tasks.a.needs is unknown; did you mean 'depends_on'?"),
    "D41 a setting of others": (TASK + "settings: {executor: thread}\n", "unknown; did you mean 'mode'?"),
    "D42 param": (TASK + "params: {x: {defalt: 1}}\n", "params.x.defalt is unknown; did you mean 'default'?"),
    "D43 place": (TASK + "retries: 3\n", "5:1: retries is unknown; it belongs into settings:"),
    "D43 place of a task's": (
        TASK + "settings: {depends_on: []}\n",
        "settings.depends_on is unknown; it belongs into a task",
    ),
    "D44 version": (TASK + "version: 99\n", "version 99 is of a newer liteflow; upgrade it"),
    # numbers
    "D45 text": (
        of_task("retries: three"),
        "5:14: tasks.a.retries is the text 'three'; it must be a whole number",
    ),
    "D45 quoted": (of_task('retries: "3"'), "is the text '3'; it must be a whole number"),
    "D46 negative": (of_task("retries: -1"), "is -1; it must be a whole number from 0 to 10000"),
    "part of a gpu": (
        of_task("resources: {gpus: 1.5}"),
        "5:16: tasks.a.resources has 'gpus' as 1.5; it must be a whole number, or a fraction below 1",
    ),
    "lots of memory": (
        of_task("resources: {memory: lots}"),
        "resources has 'memory' as 'lots'; it must be a number of bytes, or a text such as",
    ),
    "CPU": (of_task("resources: {CPU: 1}"), "resources has the name 'CPU'; it must be 'cpus'"),
    "resources of a number": (of_task("resources: 3"), "tasks.a.resources is 3; it must be a mapping"),
    "half a machine": (
        TASK + "settings: {resources: {gpus: 0.5}}\n",
        "5:23: settings.resources has 'gpus' as 0.5; it must be a whole number",
    ),
    "D47 bool": (of_task("retries: true"), "is true; it must be a whole number"),
    "D48 float": (of_task("retries: 1.5"), "is 1.5; it must be a whole number"),
    "D49 huge": (of_task("retries: 1" + "0" * 25), "from 0 to 10000"),
    "D50 zero": (of_task("timeout: 0"), "timeout is 0; it must be seconds from 0.001"),
    "D51 negative": (of_task("timeout: -1"), "seconds from 0.001"),
    "D53 soon": (of_task("timeout: soon"), "is the text 'soon'; it must be a number"),
    # commands
    "D54 missing": (HEAD + "  a: {timeout: 3}\n", "tasks.a has no run; add run: A command"),
    "D55 empty": (HEAD + "  a: {run: ''}\n", "tasks.a.run is empty; give a command"),
    "D55 empty list": (HEAD + "  a: {run: []}\n", "tasks.a.run is empty"),
    "D56 number": (HEAD + "  a: {run: 3}\n", "tasks.a.run is 3; it must be text or a list"),
    "D57 list": (
        HEAD + "  a: {run: [echo, 3]}\n",
        r'3:19: tasks.a.run\[1\] is 3; it must be text; quote it: "3"',
    ),
    "D58 NUL": (HEAD + '  a: {run: "echo \\0"}\n', "tasks.a.run has a NUL character"),
    "D59 long": (HEAD + f"  a: {{run: {'x' * 200_000}}}\n", "longer than a command can be"),
    # dependencies
    "D60 unknown": (
        of_task("depends_on: [fetsh]") + "  fetch: {run: a}\n",
        r"5:18: tasks.a.depends_on\[0\] names 'fetsh', which is no task; did you mean 'fetch'?",
    ),
    "D61 itself": (of_task("depends_on: [a]"), "makes 'a' wait for itself"),
    "D62 cycle": (
        HEAD + "".join(f"  {n}: {{run: x, depends_on: [{m}]}}\n" for n, m in ("ac", "ba", "cb")),
        "3:3: tasks.a is in a circle: a >> b >> c >> a; take one",
    ),
    "D62 long cycle": (
        HEAD + "".join(f"  t{n}: {{run: x, depends_on: [t{(n + 1) % 1000}]}}\n" for n in range(1000)),
        r"is in a circle: t0 >> t999 >> .* >> \.\.\. >> ",
    ),
    "D63 text": (of_task("depends_on: b"), r"is the text 'b'; it must be a list, .*; write a list: \[b\]"),
    "D64 repeated": (of_task("depends_on: [b, b]") + "  b: {run: x}\n", "has 'b' more than once; keep one"),
    "D65 elsewhere": (of_task("depends_on: [other.yaml:b]"), "names 'other.yaml:b', which is no task"),
    # names
    "D66 path": (HEAD + "  ../../x: {run: a}\n", "can't be the name of a task"),
    "D67 slash": (HEAD + "  a/b: {run: a}\n", "can't be the name of a task"),
    "D68 empty": (HEAD + "  '': {run: a}\n", "can't be the name of a task"),
    "D69 line": (HEAD + '  "a\\nb": {run: a}\n', "can't be the name of a task"),
    "D70 NUL": (HEAD + '  "a\\0b": {run: a}\n', "can't be the name of a task"),
    "D71 surrogate": (HEAD + '  "a\\uD800": {run: a}\n', "can't be the name of a task"),
    "D72 bidi": (HEAD + '  "a\\u202Eb": {run: a}\n', "can't be the name of a task"),
    "D73 long": (HEAD + f"  ? {'x' * 5000}\n  : {{run: a}}\n", "can't be the name of a task"),
    "D74 CON": (HEAD + "  CON: {run: a}\n", "a device on Windows"),
    "D74 workflow": (
        TASK.replace("_name: w", "_name: ../w"),
        "1:16: workflow_name can't be the name of a workflow",
    ),
    # templates
    "D75 param": (
        TASK.replace("echo a", "echo ${{ params.x }}"),
        "4:15: tasks.a.run names the parameter 'x', .*; add x: to params:",
    ),
    "D76 task": (
        of_task("env: {X: 'b ${{ tasks.b.output }}'}"),
        "5:17: tasks.a.env.X names 'b', which is no task",
    ),
    "D77 unclosed": (TASK.replace("echo a", "echo ${{ params.x"), r"4:15: .* this \${{ has no }}"),
    "D78 nested": (TASK.replace("echo a", "echo ${{ ${{ params.x }} }}"), "4:19: .* inside another one"),
    "D79 attribute": (
        TASK.replace("echo a", "echo ${{ params.__class__ }}"),
        "the parameter '__class__', which is not there",
    ),
    "D80 call": (TASK.replace("echo a", "echo ${{ params.x() }}"), "4:27: .* only looks values up"),
    "D81 format": (TASK.replace("echo a", "echo ${{ params.x:>999999999 }}"), "only looks values up"),
    "item": (TASK.replace("echo a", "echo ${{ item }}"), "names the item, but the task has no foreach"),
    "exit code": (
        TASK.replace("echo a", "echo ${{ tasks.b.exit_code }}") + "  b: {type: python, run: x = 1}\n",
        "asks a task of type python for an exit code; use tasks.b.output",
    ),
    "itself": (TASK.replace("echo a", "echo ${{ tasks.a.output }}"), "makes the task wait for itself"),
    "D86 single quotes": (
        TASK.replace("echo a", "|\n      echo ok\n      echo '${{ params.x }}'"),
        "6:13: tasks.a.run the shell expands nothing inside single quotes; use double quotes",
    ),
    # python
    "D90 syntax": (
        HEAD + "  a: {type: python, run: 'x ='}\n",
        r"tasks.a.run is no Python: invalid syntax \(line 1 of it\)",
    ),
    "D91 both": (HEAD + "  a: {type: python, run: x, call: 'm:f'}\n", "either run: .* or call: .*; give one"),
    "D94 dots": (HEAD + "  a: {type: python, call: '..:f'}\n", "names no function; write module:function"),
    "D94 path": (HEAD + "  a: {type: python, call: '/etc/x:f'}\n", "names no function"),
    "type": (
        HEAD + "  a: {type: pyhton, run: x}\n",
        "3:13: tasks.a.type is 'pyhton'; .*; did you mean 'python'?",
    ),
    # paths
    "D106 home": (TASK + "settings: {log_dir: ~/logs}\n", r"~ and \$ mean nothing in it"),
    "storage": (TASK + "settings: {xcom_storage: /shared}\n", r"is '/shared'; it must be a URL like"),
    "D106 variable": (TASK + "settings: {db: $HOME/x.db}\n", r"~ and \$ mean nothing in it"),
    # parameters
    "param type": (TASK + "params: {n: {default: x, type: int}}\n", "has the default 'x', which is no int"),
    "param name": (TASK + "params: {a-b: 1}\n", "can't be the name of a parameter"),
    "param keyword": (TASK + "params: {class: 1}\n", "can't be the name of a parameter"),
    "mode": (TASK + "settings: {mode: thraed}\n", "thread, async, inline; did you mean 'thread'?"),
}


@pytest.mark.parametrize(("text", "says"), FILES.values(), ids=FILES)
def test_a_bad_file_is_told_of(text, says):
    assert re.search(says.replace("?", r"\?"), said(text), re.DOTALL), said(text)


JSON = {
    "D95 comma": (
        '{"a": 1,\n}',
        r"x.json:2:1: no JSON: a key in double quotes is missing; after the last item",
    ),
    "D95 comma in a list": ("[1,\n]", "2:1: no JSON: ']' is no value; after the last item comes no comma"),
    "D96 brackets": ("[" * 100_000, "nested deeper than 40"),
    "D97 NaN": ('{"a": NaN}', "1:7: no JSON: 'NaN' is no value"),
    "D97 Infinity": ('{"a": -Infinity}', "1:7: no JSON: '-Infinity' is no value"),
    "D98 digits": ('{"a": 1' + "0" * 5000 + "}", "a number of 5001 digits"),
    "D28 twice": ('{"a": 1,\n "a": 2}', "2:2: a is here a second time, after line 1"),
    "single quotes": ("{'a': 1}", "1:2: .*double quotes"),
    "cut short": ('{"a": ', "it ends too early"),
    "open string": ('{"a', "close the quotes"),
    "two": ("{} {}", "1:4: no JSON: something follows"),
    "1e999": ('{"a": 1e999}', "a number too large"),
    "retires": (
        '{"workflow_name": "w",\n "tasks": {"a": {"run": "x",\n "retires": 1}}}',
        "x.json:3:2: tasks.a.retires is unknown; did you mean 'retries'?",
    ),
}


@pytest.mark.parametrize(("text", "says"), JSON.values(), ids=JSON)
def test_a_bad_json_file_is_told_of(text, says):
    assert re.search(says.replace("?", r"\?"), said(text, json=True), re.DOTALL), said(text, json=True)


def test_a_byte_order_mark_is_fine():
    assert parse_workflow(b"\xef\xbb\xbf" + TASK.encode(), "x.yaml").workflow_name == "w"


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_the_file():
    text = (
        HEAD
        + "  a:\n    run: echo '${{ params.x }}'\n    retires: 1\n"
        + "  b:\n    run: NO\n    depends_on: c\n"
        + "  c:\n    run: echo ${{ tasks.e.output }}\n    timeout: -1\n"
        + "  d:\n    run: x\n    depends_on: [e]\n"
        + "taks: 1\n"
    )

    lines = said(text).splitlines()

    assert lines[0] == "x.yaml has 9 mistakes:"
    places = [tuple(map(int, line.split(":")[1:3])) for line in lines[1:]]
    assert places == sorted(places)
    assert [line.split(" ")[1] for line in lines[1:]] == [
        "tasks.a.run",
        "tasks.a.run",
        "tasks.a.retires",
        "tasks.b.run",
        "tasks.b.depends_on",
        "tasks.c.run",
        "tasks.c.timeout",
        "tasks.d.depends_on[0]",
        "taks",
    ]


def test_each_template_that_is_wrong_is_told_of_at_its_own_column_whatever_is_wrong_with_others():
    text = HEAD + """  a: {run: "echo '${{ params.x }}' '${{ item }}' `${{ params.y }}` ${{ params.z }}"}\n"""
    text += "  b: {type: sql, db: d, run: \"SELECT '${{ params.x }}', ${{ params.y }}, '${{ item }}'\"}\n"

    told = [line.split(" ", 2) for line in said(text).splitlines()[1:]]

    columns = [text.splitlines()[2].index(t) + 1 for t in ("${{ params.x", "${{ item", "${{ params.y")]
    misplaced = [
        place for place, _, problem in told if "expands nothing" in problem or "backticks" in problem
    ]
    assert misplaced == [f"x.yaml:3:{column}:" for column in columns]
    assert sum("is bound" in problem for _, _, problem in told) == 2
    assert sum("names the" in problem for _, _, problem in told) == 7


def test_each_circle_of_tasks_is_told_of():
    circles = "".join(
        f"  {a}: {{run: x, depends_on: [{b}]}}\n  {b}: {{run: x, depends_on: [{a}]}}\n"
        for a, b in ("ab", "cd")
    )

    assert re.findall(r"circle: (.*?);", said(HEAD + circles)) == ["a >> b >> a", "c >> d >> c"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("run: x, retries: '3'", "is the text '3'; it must be a whole number; write 3, without quotes"),
        ("run: x, timeout: soon", "is the text 'soon'; it must be a number"),
        ("run: x, outputs: josn", "a mapping with file; did you mean 'json'?"),
        ("run: x, foreach: 5", "is 5; it must be a list or text; write a list: [5]"),
        ("run: x, cwd: 5", 'is 5; it must be text; quote it: "5"'),
        ("run: x, exit_codes: []", "is empty, so nothing would be a success; give a code, as 0"),
        ("run: x, exit_codes: [0, 256]", "has 256; exit codes are 0 to 255, and -N for the signal N"),
        ("run: x, resources: {cpus: -1}", "has 'cpus' as -1; it must be a number from 0"),
        ("run: x, outputs: {file: '${{ params.x }}'}", "names the parameter 'x', which is not there"),
    ],
)
def test_a_mistake_says_once_what_must_be_there_and_how_to_get_there(fields, says):
    told = said(HEAD + f"  a: {{{fields}}}\n")

    assert says in told
    assert "nothing" not in told.replace("so nothing", "")


def test_a_secret_that_can_be_read_is_told_of_with_the_variable_that_it_belongs_into():
    told = said(TASK + "params: {api_key: {secret: true, default: abc}}\n")

    assert "set LITEFLOW_SECRET_API_KEY in the environment" in told


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.toml", "ends in one of"),
        ("folder.yaml", "a directory"),
        ("pipe.yaml", "no regular file"),
        ("loop.yaml", "can't be read"),
        ("missing.yaml", "no such file"),
        ("large.yaml", "too many for a workflow"),
        ("zero.yaml", "no regular file"),
        ("a\0b.yaml", "can't be read"),
    ],
)
def test_what_is_no_file_to_read_is_refused_without_reading_for_ever(name, says, tmp_path):
    (tmp_path / "x.toml").write_text(TASK)
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(30 * 1024 * 1024)

    with pytest.raises(WorkflowPathError, match=says):
        load_workflow(f"{tmp_path}/{name}")


def test_a_file_that_may_not_be_read_says_so(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(TASK)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")

    with pytest.raises(WorkflowPathError, match="Permission denied"):
        load_workflow(path)


def test_reading_a_file_runs_nothing_and_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(HEAD + "  a: {run: touch here}\n  b: {type: python, call: 'mine:f'}\n")
    (tmp_path / "mine.py").write_text("open('there', 'w')")

    load_workflow("x.yaml")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py", "x.yaml"]


def test_what_is_wrong_with_a_field_hides_no_mistake_of_the_others_and_no_circle():
    told = said(
        HEAD
        + "  a: {run: 'echo ${{ tasks.c.output }}', retires: 2, env: [1]}\n"
        + "  b: {run: 'echo ${{ tasks.a.output }}', depends_on: [bb], timeout: soon}\n"
        + "  c: {run: echo, depends_on: [b, c], foreach: 5}\n"
        + "  d: {run: 'echo ${{ tasks.d.output'}\n"
    )

    for mistake in (
        "tasks.a.retires is unknown",
        "tasks.a.env is a list",
        "tasks.b.depends_on[0] names 'bb'",
        "tasks.b.timeout is the text 'soon'",
        "tasks.c.foreach is 5",
        "makes 'c' wait for itself",
        "is in a circle: a >> b >> c >> a",
        "this ${{ has no }}",
    ):
        assert mistake in told
