"""Python in workflow files: code, calls, and what they leave behind: nothing."""

import os
import sys
from pathlib import Path

import pytest

from liteflow.task_types import Python
from liteflow.task_types.faults import CallError, TemplateError
from liteflow.task_types.python import embed
from liteflow.task_types.templates import templates_in


def test_the_output_is_the_variable_result():
    assert Python(
        run="def f(n):\n    return n and f(n - 1)\nresult = f(3), [f(n) for n in range(2)]"
    ).run() == (0, [0, 0])
    assert Python(run="x = 1").run() is None


@pytest.mark.parametrize("value", ["__import__('os')", "'); raise SystemExit('", 3, None, [1, {"a": b"x"}]])
def test_a_template_is_a_variable_with_the_value_itself(value):
    work = Python(run='result = [${{ params.x }}, f"{${{ params.x }}!r}"]')

    assert work.filled({"params.x": value}).run() == [value, repr(value)]


@pytest.mark.parametrize(
    "text",
    ["print('${{ params.x }}')", 'f"${{ params.x }}"', "x = 1  # ${{ params.x }}", "${{ params.x }} = 1"],
)
def test_where_no_variable_can_be_read_a_template_is_refused(text):
    with pytest.raises(TemplateError, match="a template is a variable to read") as caught:
        embed(text, templates_in(text), ["X"])

    assert caught.value.offset == text.index("${{")


def test_an_error_shows_the_line_of_the_code():
    import traceback

    try:
        Python(run="x = 1\nraise ValueError('here')").run()
    except ValueError:
        text = traceback.format_exc()

    assert "line 2" in text
    assert "raise ValueError('here')" in text


@pytest.mark.parametrize(("args", "result"), [([3, 4], 5.0), ([], None)], ids=["by position", "none"])
def test_a_call_gets_its_arguments(args, result):
    work = Python(call="math:hypot" if args else "builtins:print", args=args)

    assert work.run() == result


def test_a_call_gets_arguments_by_name_with_values_in_them():
    work = Python(call="builtins:dict", args={"a": "${{ params.x }}", "b": ["n=${{ params.x }}"]})

    assert work.filled({"params.x": 2}).run() == {"a": 2, "b": ["n=2"]}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("nosuchmodule:f", "no module 'nosuchmodule'; modules were looked for in: "),
        ("math:nope", "has no 'nope'"),
        ("math:pi", "float, which can't be called"),
        ("exits:f", "import ends the program"),
        ("broken:f", "its import fails: No module named 'notthere'"),
    ],
)
def test_a_call_of_what_is_not_there_says_what_is_missing(call, says, tmp_path, monkeypatch):
    (tmp_path / "exits.py").write_text("raise SystemExit(0)")
    (tmp_path / "broken.py").write_text("import notthere")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises((CallError, ImportError)) as caught:
        Python(call=call).run()

    assert says.replace("its import fails: ", "") in str(caught.value)


@pytest.mark.parametrize("call", ["..:f", "os", "/etc/passwd:f", "os:", ":f", "os.path", "a-b:c", "os:f()"])
def test_what_is_no_module_and_function_is_refused_at_once(call):
    with pytest.raises(ValueError, match="write module:function"):
        Python(call=call)


@pytest.mark.parametrize(
    "fields", [{}, {"run": "x", "call": "a:b"}, {"run": "x", "args": [1]}, {"run": " "}, {"run": "x ="}]
)
def test_code_or_a_call_is_wanted(fields):
    with pytest.raises(ValueError, match=r"give|args are|no Python"):
        Python(**fields)


def test_folder_and_environment_are_as_before_afterwards(tmp_path):
    before, here = dict(os.environ), Path.cwd()
    code = "import os\nresult = os.environ['A'], os.getcwd()\nos.environ['B'] = '1'\nos.chdir('/')"

    assert Python(run=code, env={"A": 1}, cwd=str(tmp_path)).run() == ("1", str(tmp_path.resolve()))
    assert (dict(os.environ), Path.cwd()) == (before, here)
    assert "__workflow__" not in sys.modules
