"""A run that has grown goes on, again and again, with a script that changes in between.

Each session is a process of its own.  In the script `note(name)` says that a task starts, and `stop(name)`
fails there if the test has asked for it, or kills the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.drivers import Folder, done, ended

from liteflow import task
from liteflow.engine.plan import MOST_NESTED
from liteflow.executor import PoolExecutor

SCRIPT = """
from signal import SIGKILL

def stop(name):
    note(name)
    if Path(f"fail-{name}").exists():
        raise OSError(f"{name} is to fail")
    if Path(f"kill-{name}").exists():
        os.kill(int(Path("driver").read_text()), SIGKILL)
        time.sleep(60)

@task
def item(i: int) -> int:
    stop(f"item{i}")
    return 10 * i

@task
def parent(n: int) -> list[int]:
    stop("parent")
    return [item(i) for i in range(n)]

@task
def load(xs: list[int]) -> int:
    stop("load")
    return sum(xs)

@flow
def growing():
    return load(parent(3))

if __name__ == "__main__":
    Path("driver").write_text(str(os.getpid()))
    begin_or_go_on = growing.resume if sys.argv[1] == "resume" else growing.run
    run = begin_or_go_on(run_id="a", executor=EXECUTOR, max_workers=2, durability="full", check=False)
    print(run.state, run.result if run.failure is None else run.failure)
    for key in sys.argv[2:]:
        print(key, run.output(key))
"""


class Script:
    """A script that is run in sessions, each of which goes on with the run."""

    def __init__(self, folder: Folder, executor: str) -> None:
        self.folder = folder
        self._executor = executor
        self._source = SCRIPT

    def change(self, old: str, new: str) -> None:
        """Change the code, for all sessions from now on."""
        assert old in self._source
        self._source = self._source.replace(old, new)

    def begin(self, stop: str = "", *keys: str) -> tuple[str, dict[str, int]]:
        """Run the first session, or one that is given the run as it was; as `go_on`."""
        return self._session("run", stop, *keys)

    def go_on(self, stop: str = "", *keys: str) -> tuple[str, dict[str, int]]:
        """Run a session; give what it printed ("": it was killed), and how often each task started in it.

        Args:
            stop: "fail-NAME" or "kill-NAME": where it comes to its end; "": nowhere.
            keys: The task instances whose outputs it prints.
        """
        return self._session("resume", stop, *keys)

    def _session(self, how: str, stop: str, *keys: str) -> tuple[str, dict[str, int]]:
        folder = self.folder
        folder.write(f"EXECUTOR = {self._executor!r}\n{self._source}")
        before = folder.starts()
        place = folder.path / (stop or "nowhere")
        place.touch()
        # What runs on processes is driven by a new interpreter each time; for the others a fork will do.
        start = folder.python if self._executor == "process" else folder.script
        status, out, err = ended(start("flow.py", how, *keys))
        place.unlink()
        assert status == (-9 if stop.startswith("kill") else 0), err
        after = folder.starts()
        return out.strip(), {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k)}

    def is_shown_whole(self, *keys: str) -> None:
        """Require that the command line shows the run, and names these task instances."""
        assert "sound" in done(self.folder.liteflow("check"))
        for command in (["show", "a"], ["visualize", "a"]):
            # Mermaid takes a slash for a shape.
            text = done(self.folder.liteflow(*command)).replace("#47;", "/")
            assert all(key in text for key in keys), text


@pytest.fixture(params=["thread", "process"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Script]:
    folder = Folder(tmp_path)
    yield Script(folder, request.param)
    folder.close()


FEWER = ("range(n)]", "range(n - 1)]")


@pytest.mark.parametrize(("stop", "again"), [("fail-item2", "kill-parent"), ("kill-item2", "fail-parent")])
def test_calls_of_code_that_has_changed_are_gone_before_it_grows_again(script, stop, again):
    script.begin(stop)
    script.change(*FEWER)

    _, started = script.go_on(again)
    assert started == {"parent": 1}
    assert script.folder.query("SELECT key FROM tasks ORDER BY key") == [("load",), ("parent",)]

    # It has grown when this is broken off.
    _, started = script.go_on("fail-load")
    assert started == {"parent": 1, "item0": 1, "item1": 1, "load": 1}
    assert script.go_on("", "parent") == ("succeeded 10\nparent [0, 10]", {"load": 1})
    script.is_shown_whole("parent", "load", "item-2")


OF_THIS_PROCESS = {
    "a function": """
    import threading
    lock = threading.Lock()
    @task
    def held(i: int) -> int:
        with lock:
            stop(f"item{i}")
            return 10 * i
    return [held(i) for i in range(n)]
""",
    "an executor": """
    from concurrent.futures import ThreadPoolExecutor
    from liteflow.executor import PoolExecutor
    there = task(executor=PoolExecutor(ThreadPoolExecutor(1)))(item.fn)
    return [there(i) for i in range(n)]
""",
}


@pytest.mark.parametrize("script", ["thread"], indirect=True)
@pytest.mark.parametrize("body", OF_THIS_PROCESS.values(), ids=OF_THIS_PROCESS)
def test_a_call_that_went_on_as_what_died_with_its_process_runs_again(script, body):
    script.change("    return [item(i) for i in range(n)]\n", body)
    script.begin("kill-item2")

    _, started = script.go_on("kill-load")
    assert started == {"parent": 1, "item0": 1, "item1": 1, "item2": 1, "load": 1}
    # What was complete needs none of it any more.
    assert script.go_on() == ("succeeded 30", {"load": 1})


def test_a_call_decides_anew_when_the_code_of_what_it_went_on_as_has_changed(script):
    script.begin("fail-load")
    script.change("return 10 * i", "return 11 * i")

    printed, started = script.go_on("", "parent")
    assert printed == "succeeded 33\nparent [0, 11, 22]"
    assert started == {"parent": 1, "item0": 1, "item1": 1, "item2": 1, "load": 1}
    # It is given back as it was, without any of it.
    assert script.begin("", "parent/item-3") == ("succeeded 33\nparent/item-3 22", {})
    script.is_shown_whole("parent", "load", "parent/item-3")


def test_a_flow_gets_longer_and_shorter_before_what_has_grown(script):
    script.begin("fail-load")
    script.change("return load(parent(3))", "return [load(parent(3)), item(7)]")
    _, started = script.go_on("fail-load")
    assert started == {"load": 1, "item7": 1}

    script.change("[load(parent(3)), item(7)]", "load(parent(3))")
    assert script.go_on("", "parent", "parent/item-2") == (
        "succeeded 30\nparent [0, 10, 20]\nparent/item-2 10",
        {"load": 1},
    )
    script.is_shown_whole("parent", "load", "parent/item-2")


@task
def of_an_executor_in_a_worker() -> int:
    pool = PoolExecutor(ThreadPoolExecutor(1))
    return task(lambda: 1, executor=pool)()


@task
def one() -> int:
    return 1


@pytest.mark.parametrize("executor", ["process"])
def test_a_call_whose_executor_the_driver_has_not_costs_only_who_returned_it(run):
    ended = run([of_an_executor_in_a_worker(), one()])

    assert "UnknownExecutorError: task 'lambda' is to run on 'ThreadPoolExecutor-" in str(ended.failure)
    assert ended.output("one") == 1


@task
def nested(n: int) -> Any:
    return [nested(n - 1)] if n else 0


@task
def nested_maps(n: int) -> Any:
    return nested_maps.map([n - 1]) if n else 0


@task
def depth_of(value: Any) -> int:
    depth = 0
    while value:
        value, depth = value[0], depth + 1
    return depth


@pytest.mark.parametrize("nest", [nested, nested_maps], ids=["calls", "maps"])
def test_values_are_nested_as_deep_as_they_may_and_no_deeper(run, tmp_path, nest):
    db = tmp_path / "run.db"
    deepest = run([depth_of(nest(MOST_NESTED)), nest(MOST_NESTED)], db=db, run_id="a")
    given_back = run([depth_of(nest(MOST_NESTED)), nest(MOST_NESTED)], db=db, run_id="a")
    too_deep = run([depth_of(nest(MOST_NESTED + 1)), one()])

    for made in (deepest, given_back):
        assert made.result[0] == depth_of.fn(made.result[1]) == MOST_NESTED
    assert "GrownTooDeepError" in str(too_deep.failure)
    assert too_deep.output("one") == 1
