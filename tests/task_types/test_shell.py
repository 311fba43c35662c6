"""Commands: what they give, how they fail, and that no value ever becomes a part of one."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow.task_types import Shell
from liteflow.task_types.base import work_texts
from liteflow.task_types.faults import CommandError, OutputError, TemplateError, ValueRefusedError
from liteflow.task_types.shell import FileOutput
from liteflow.task_types.shelltext import embed
from liteflow.task_types.templates import templates_in

HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    '"; touch pwned; "',
    "'; touch pwned; '",
    "a  b\tc",
    "line one\nline two",
    "-n",
    "--help",
    "%s%n{}",
    "*",
    "~",
    "\\",
    "!!",
    "x" * 100_000,
    "",
]
PLACES = {
    "bare": "printf %s ${{ params.x }}",
    "in double quotes": 'printf %s "${{ params.x }}"',
    "in a substitution": "printf %s \"$(printf %s ${{ params.x }}; printf .)\" | sed '$s/[.]$//'",
    "in a here-document": "cat <<END\n${{ params.x }}\nEND",
    "in an assignment": 'v=${{ params.x }}; printf %s "$v"',
    "after a comment": "# isn't ${{ params.x }}\nprintf %s ${{ params.x }}",
    "after a case": 'case a in a) printf %s "${{ params.x }}";; esac',
}


@pytest.mark.parametrize("shell", ["/bin/sh", "bash"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_arrives_as_it_is_and_is_never_run(shell, place, value, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    text = PLACES[place]
    command = embed(text, templates_in(text), ["X"] * len(templates_in(text)))

    done = subprocess.run(
        [shell, "-c", command], cwd=tmp_path, env={**os.environ, "X": value}, capture_output=True, check=True
    )

    assert done.stdout.decode() == value + ("\n" if place == "in a here-document" else "")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=examples(40), deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30))
def test_whatever_text_goes_in_comes_out(value):
    work = Shell(run='printf "%s." "${{ params.x }}"').filled({"params.x": value})

    assert work.run() == value + "."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo '${{ params.x }}'", "single quotes"),
        ("echo 'it' '${{ params.x }}'", "single quotes"),
        ("echo $'${{ params.x }}'", "inside \\$'"),
        ("cat <<'END'\n${{ params.x }}\nEND", "here-document"),
        ("cat <<\\END\n${{ params.x }}\nEND", "here-document"),
        ("echo $(( ${{ params.x }} + 1 ))", "arithmetic"),
        ('echo "$(( ${{ params.x }} + 1 ))"', "arithmetic"),
        ("(( n = ${{ params.x }} ))", "arithmetic"),
        ('sh -c "echo ${{ params.x }}"', "beside the script"),
        (
            'cd / && /bin/bash -e -lc "echo \\"${{ params.x }}\\" $(echo ${{ params.x }})"',
            "beside the script",
        ),
        ("(dash -c ${{ params.x }})", "beside the script"),
        ("echo `echo ${{ params.x }}`", "backticks"),
        ("echo ${y:-${{ params.x }}}", r"\$\{\.\.\.\}"),
        ("echo \\${{ params.x }}", "backslash"),
    ],
)
def test_where_the_shell_would_not_expand_it_safely_a_template_is_refused(text, says):
    with pytest.raises(TemplateError, match=says) as caught:
        embed(text, templates_in(text), ["X"])

    assert caught.value.offset == text.index("${{")


@pytest.mark.parametrize("outputs", ["stdout", "lines", "json"])
def test_the_output_is_what_it_prints(outputs):
    work = Shell(run="echo '[1,'; echo '2]'", outputs=outputs)

    assert work.run() == {"stdout": "[1,\n2]", "lines": ["[1,", "2]"], "json": [1, 2]}[outputs]


def test_the_output_can_be_what_a_file_holds(tmp_path):

    work = Shell(run="printf 'a\\n' > out.txt", cwd=str(tmp_path), outputs=FileOutput(file="out.txt"))

    assert work.run() == "a\n"


def test_the_file_of_its_output_may_be_named_by_a_template(tmp_path):
    outputs = FileOutput(file="${{ params.name }}-${{ item.n }}.txt")
    work = Shell(run="echo hi > 'a b-3.txt'", cwd="${{ params.folder }}", outputs=outputs)

    assert [text for path, text in work_texts(work) if path == ("outputs", "file")] == [outputs.file]
    values = {"params.name": "a b", "item.n": 3, "params.folder": str(tmp_path)}
    assert work.filled(values).run() == "hi\n"


@pytest.mark.parametrize(
    "words",
    [
        ["sh", "-c", "echo ${{ params.x }}"],
        ["/bin/bash", "-e", "-lc", "${{ params.x }}"],
        ["python3.11", "-c", "print('${{ params.x }}')"],
        ["perl", "-ne", "print ${{ params.x }}"],
    ],
)
def test_no_template_stands_in_a_script_that_a_program_is_given(words):
    with pytest.raises(ValueError, match=r"has a template in a script.*; pass it beside the script"):
        Shell(run=words)


@pytest.mark.parametrize(
    "words",
    [
        ["sh", "-c", 'printf %s "$1"', "sh", "${{ params.x }}"],
        ["echo", "-n", "sh", "-c", "${{ params.x }}"],
    ],
)
def test_beside_a_script_a_value_is_an_argument(words):
    got = Shell(run=words).filled({"params.x": "$(echo pwned) ${{ x }}"}).run()

    assert got.endswith("$(echo pwned) ${{ x }}")


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ('echo "$(case ${{ x }} in (b) echo 1;; a*) echo ${{ x }};; esac)|${{ x }}"', "a  *|a  *"),
        ('echo "$(case a in a) case b in b) echo ${{ x }};; esac;; esac; echo ${{ x }})"', "a  *\na  *"),
        ('echo "$(echo case)|${{ x }}"', "case|a  *"),
    ],
)
def test_in_a_case_of_a_substitution_a_bracket_ends_a_pattern(text, gives, tmp_path):
    text = text.replace("${{ x }}", "${{ params.x }}")
    found = templates_in(text)

    command = embed(text, found, ["X"] * len(found))
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "X": "a  *"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{gives}\n"


@pytest.mark.parametrize(
    "text",
    ["bash -c 'echo \"$1\"' sh ${{ params.x }}", 'sh -c "ls" "${{ params.x }}"', "sh -e ${{ params.x }}"],
)
def test_beside_a_script_in_a_text_a_template_is_fine(text):
    assert "LITEFLOW" in embed(text, templates_in(text), ["LITEFLOW"])


def test_a_number_may_be_the_name_of_a_folder_and_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").mkdir()
    work = Shell(run="echo hi > 5", cwd="${{ params.a }}", outputs=FileOutput(file="${{ params.b }}"))

    assert work.filled({"params.a": 7, "params.b": 5}).run() == "hi\n"


def test_no_json_and_no_file_are_errors_that_say_so(tmp_path):

    with pytest.raises(OutputError, match="did not print JSON"):
        Shell(run="echo no", outputs="json").run()
    with pytest.raises(OutputError, match="No such file"):
        Shell(run="true", cwd=str(tmp_path), outputs=FileOutput(file="out.txt")).run()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="not a regular file"):
        Shell(run="true", cwd=str(tmp_path), outputs=FileOutput(file="pipe")).run()


def test_an_exit_code_is_an_error_with_the_last_words():
    with pytest.raises(CommandError, match="exit code 3; its last words: oh no") as caught:
        Shell(run="echo first >&2; echo oh no >&2; exit 3").run()

    assert caught.value.exit_code == 3


def test_a_signal_is_told_by_its_name():
    with pytest.raises(CommandError, match="ended by SIGTERM"):
        Shell(run="kill -TERM $$").run()


def test_with_several_exit_codes_of_success_the_output_tells_which_it_was():
    work = Shell(run="echo no match; exit 1", exit_codes=[0, 1])

    assert work.run() == {"output": "no match", "exit_code": 1}


def test_a_list_goes_to_no_shell():
    work = Shell(run=["printf", "%s|", "a  b", "${{ params.x }}", "n=${{ params.x }}"])

    assert work.filled({"params.x": "$HOME 'q'"}).run() == "a  b|$HOME 'q'|n=$HOME 'q'|"


def test_it_works_in_its_folder_and_environment_and_reads_nothing(tmp_path):
    work = Shell(run='cat; echo "$A $(pwd -P)"', cwd=str(tmp_path), env={"A": 1})

    assert work.run() == f"1 {tmp_path.resolve()}"


@pytest.mark.parametrize("value", ["x" * 200_000, "a\0b"], ids=["too long", "NUL"])
def test_what_no_environment_can_hold_is_refused_before_anything_runs(value, tmp_path):
    work = Shell(run=f"touch {tmp_path}/ran; echo ${{{{ params.x }}}}").filled({"params.x": value})

    with pytest.raises(ValueRefusedError):
        work.run()
    assert list(tmp_path.iterdir()) == []


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(question, seconds=10.0):
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.01)


def test_a_timeout_kills_the_whole_group(tmp_path):
    work = Shell(run=f"sleep 60 & echo $! > {tmp_path}/pid; wait", timeout=1.5)

    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"over 1\.5 s"):
        work.run()

    assert time.monotonic() - started < 40
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: gone(pid))


def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path):
    started = time.monotonic()

    assert Shell(run=f"sleep 60 & echo $! > {tmp_path}/pid; echo done").run() == "done"

    assert time.monotonic() - started < 40
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: gone(pid))


def test_what_is_left_behind_and_writes_without_end_is_not_waited_for_either():
    assert Shell(run="echo first; while :; do echo more; done & sleep 0.02").run().startswith("first\n")


def test_a_program_that_ends_takes_its_commands_along(tmp_path):
    script = (
        "import threading, time, pathlib\n"
        "from liteflow.task_types import Shell\n"
        f"run = Shell(run='echo $$ > {tmp_path}/pid; sleep 60').run\n"
        "threading.Thread(target=run, daemon=True).start()\n"
        f"path = pathlib.Path('{tmp_path}/pid')\n"
        "while not (path.exists() and path.read_text()): time.sleep(0.01)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)

    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: gone(pid))


def test_large_output_on_both_streams_does_not_block():
    code = "import sys; sys.stderr.write('e' * 1_000_000); sys.stdout.write('o' * 1_000_000)"

    assert Shell(run=[sys.executable, "-c", code]).run() == "o" * 1_000_000


def test_a_command_that_closes_its_streams_is_waited_for(tmp_path):
    command = f"exec >&- 2>&-; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; exit 4"
    (tmp_path / "go").touch()

    with pytest.raises(CommandError) as caught:
        Shell(run=command).run()

    assert caught.value.exit_code == 4
