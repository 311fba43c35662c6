"""The plan shows in which order tasks would run, and which side by side."""

from pathlib import Path

from liteflow import Flow, task
from liteflow.files.plan import plan_of

SAMPLES = Path(__file__).parent / "samples"


def test_tasks_of_one_step_wait_for_none_of_their_own_step():
    dag = Flow.from_file(SAMPLES / "parallel_workflow.yaml").compile()
    plan = plan_of(dag)

    assert [len(step) for step in plan.steps] == [1, 3, 3, 1, 1]
    assert plan.widest == 3
    done: set[str] = set()
    for step in plan.steps:
        assert all(set(planned.waits_for) <= done for planned in step)
        done |= {planned.key for planned in step}
    assert sorted(plan.order) == sorted(node.key for node in dag.nodes)


def test_a_flow_of_a_script_has_a_plan_too():
    @task
    def one():
        return 1

    @task
    def two(a, b):
        return a + b

    plan = plan_of(Flow("f", two(one(), one())).compile())

    assert [[planned.key for planned in step] for step in plan.steps] == [["one", "one-2"], ["two"]]
    assert plan.steps[1][0].waits_for == ("one", "one-2")


def test_planning_runs_nothing(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(f"workflow_name: w\ntasks: {{a: {{run: 'touch {tmp_path}/ran'}}}}\n")

    plan_of(Flow.from_file(path).compile())

    assert [p.name for p in tmp_path.iterdir()] == ["x.yaml"]
