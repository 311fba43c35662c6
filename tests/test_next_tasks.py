"""What is to run next, and what a task gives with it: looked at where they are made."""

from __future__ import annotations

import pickle

import pytest

from liteflow import NextTask, TaskOutput, task
from liteflow.errors import ArgumentError


@task
def called() -> None:
    """Stands where a name was meant."""


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (
            lambda: NextTask(3),
            "NextTask: 'id' has to be the name of a task, as NextTask('report'), not int 3",
        ),
        (lambda: NextTask(""), "'id' has to be the name of a task, as NextTask('report'), not str \"\""),
        (lambda: NextTask(called), "'id' has to be the name of a task, as NextTask('called'), not Task"),
        (lambda: NextTask("t", {}, "yes"), "'spawn_another' has to be True or False, not str \"yes\""),
        (
            lambda: TaskOutput(0, "next"),
            "TaskOutput: 'next_tasks' has to be a list, as [NextTask('report')], not str",
        ),
        (
            lambda: TaskOutput(0, NextTask("t")),
            "'next_tasks' has to be a list, as [NextTask('report')], not NextTask",
        ),
        (lambda: TaskOutput(0, 3), "'next_tasks' has to be a list, as [NextTask('report')], not int 3"),
        (
            lambda: TaskOutput(0, ["t"]),
            "'next_tasks' has to be a list that holds NextTasks, as NextTask('report'), not",
        ),
    ],
)
def test_what_can_not_run_next_is_refused_where_it_is_made(made, says):
    with pytest.raises(ArgumentError) as refused:
        made()

    assert says in str(refused.value)


def test_next_tasks_and_outputs_are_pickled_copied_and_compared_as_tuples_are():
    asked = TaskOutput("done", [NextTask("t", {"n": 1}, spawn_another=True)])

    assert pickle.loads(pickle.dumps(asked)) == asked
    assert asked._replace(output="other").next_tasks == [("t", {"n": 1}, True)]
    assert repr(asked.next_tasks) == "[NextTask(id='t', inputs={'n': 1}, spawn_another=True)]"
