"""A run that has grown goes on, again and again, with a script that changes in between.

Each session is a process of its own.  In the script `note(name)` says that a task starts, and `stop(name)`
fails there if the test has asked for it, or kills the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.drivers import Folder, done, ended

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

    def begin(self, stop: str = "") -> tuple[str, dict[str, int]]:
        """Run the first session, or one that is given the run as it was; as `go_on`."""
        return self._session("run", stop)

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
        status, out, err = ended(folder.python("flow.py", how, *keys))
        place.unlink()
        assert status == (-9 if stop.startswith("kill") else 0), err
        after = folder.starts()
        return out.strip(), {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k)}

    def is_shown_whole(self, *keys: str) -> None:
        """Require that the command line shows the run, and names these task instances."""
        assert "sound" in done(self.folder.liteflow("check"))
        for command in (["show", "a"], ["visualize", "a"]):
            text = done(self.folder.liteflow(*command))
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


OF_THIS_PROCESS = """
    import threading
    lock = threading.Lock()
    @task
    def held(i: int) -> int:
        with lock:
            stop(f"item{i}")
            return 10 * i
    return [held(i) for i in range(n)]
"""


@pytest.mark.parametrize("script", ["thread"], indirect=True)
def test_a_call_that_went_on_as_functions_which_died_with_their_process_runs_again(script):
    script.change("    return [item(i) for i in range(n)]\n", OF_THIS_PROCESS)
    script.begin("kill-item2")

    _, started = script.go_on("kill-load")
    assert started == {"parent": 1, "item0": 1, "item1": 1, "item2": 1, "load": 1}
    # What was complete needs no function any more.
    assert script.go_on() == ("succeeded 30", {"load": 1})
