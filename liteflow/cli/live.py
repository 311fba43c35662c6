"""What does a terminal show while a run goes on?  A table of tasks and states, and a bar.

    etl · run 3f2a · 12 s                                       nightly · run 77ab · 9 s
      ✓ generate   20/20                                          ✓ fetch   succeeded   2.1 s
      ▶ process    37/100   2 running, 61 pending                 ▶ train   running     7.0 s   epoch 3
      · combine     0/50    50 pending                            · report  pending
    ━━━━━━━━━━╸━━━━━━━━━━━━━━━━━  57/171                        ━━━━━━━━━╸━━━━━━━━━━━━━━━━  1/3

In a small run each task instance has a line, with the last that it printed, in a large one each task,
and no more lines than the terminal has.  What tasks print, and what fails, goes by above.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

import rich.live
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from liteflow.cli.output import is_terminal, knows_unicode
from liteflow.cli.progress import (
    LOUD,
    Changes,
    Silence,
    Tally,
    Written,
    finished,
    printed,
    resumption,
    shown_line,
    told,
)
from liteflow.outcomes import WITH_VALUE
from liteflow.views.shown import label
from liteflow.views.states import FINISHED, joint_state, look, tally
from liteflow.views.times import duration

# A run of no more task instances than this is shown one by one.
FEW = 12
PER_SECOND = 4
MOST_OF_A_NAME = 24


class Live(Silence):
    """An observer that keeps a table on the terminal (standard error) up to date."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        # The stream itself: what `sys.stderr` is while the table is up, writes through us.
        self._console = console or Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        self._picture = Picture(not knows_unicode(self._console.encoding))
        self._lock = threading.Lock()
        self._live = rich.live.Live(
            console=self._console,
            get_renderable=self._render,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._stop = threading.Event()
        # rich's own thread would end with a traceback when the terminal goes away.
        self._ticker = threading.Thread(target=self._tick, name="liteflow-progress", daemon=True)

    def __enter__(self) -> Self:
        """Take what this process writes to the terminal: tasks in threads do, and would tear the table."""
        self._streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (Above(s, self._write) if is_terminal(s) else s for s in self._streams)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back, however the run ended."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Above):
                stream.end()
        sys.stdout, sys.stderr = self._streams
        self._stop.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._safely(self._live.stop)

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """Put the table up."""
        super().started(run_id, flow, keys)
        self._picture.begin(label(flow), label(run_id), keys)
        self._safely(lambda: self._live.start(refresh=True))
        self._ticker.start()

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """Say what stays, and what runs again."""
        with self._lock:
            self._picture.tally.apply(dict.fromkeys(kept, ("succeeded", 0)))
        self._above(Text(line, "dim") for line in resumption(kept, again))

    def grew(self, keys: Sequence[str]) -> None:
        """There is more to be done."""
        with self._lock:
            self._picture.tally.add(keys)

    def changed(self, changes: Changes) -> None:
        """Count the changes; say above the table what failed."""
        with self._lock:
            self._picture.change(changes)
        self._above(
            Text(told(key, state, attempt), look(state).style)
            for key, (state, attempt) in changes.items()
            if state in LOUD
        )

    def lines(self, lines: Written) -> None:
        """Show above the table what tasks have printed."""
        with self._lock:
            self._picture.write(lines)
        self._above(
            Text(printed(key, text), "" if stream == "stdout" else "dim") for key, stream, text in lines
        )

    def noted(self, lines: Written) -> None:
        """Tasks have printed something, which goes by above the table without us."""
        with self._lock:
            self._picture.write(lines)

    def _write(self, lines: Sequence[str]) -> None:
        self._above(Text(shown_line(line)) for line in lines)

    def _above(self, lines: Iterable[Text]) -> None:
        # All at once: each time, the table is taken away and put back.
        text = Text("\n").join(lines)
        if text:
            self._safely(lambda: self._console.print(text, soft_wrap=True))

    def _render(self) -> RenderableType:
        with self._lock:
            return self._picture.render(self._console.size.height)

    def _tick(self) -> None:
        while not self._stop.wait(1 / PER_SECOND):
            self._safely(self._live.refresh)

    def _safely(self, show: Callable[[], object]) -> None:
        try:
            show()
        except (OSError, ValueError):
            # The terminal is gone; the run goes on.
            self._stop.set()


class Above:
    """Stands for a stream that leads to the terminal: whole lines go above the table."""

    def __init__(self, stream: TextIO, show: Callable[[Sequence[str]], None]) -> None:
        self._stream = stream
        self._show = show
        self._lock = threading.Lock()
        # What has no line end yet, of each thread that writes.
        self._rest: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Show the lines that are whole now."""
        thread = threading.get_ident()
        with self._lock:
            *lines, rest = (self._rest.pop(thread, "") + text).split("\n")
            if rest:
                self._rest[thread] = rest
        if lines:
            self._show(lines)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write them all."""
        self.write("".join(texts))

    def end(self) -> None:
        """Show what never got its line end."""
        with self._lock:
            lines = [*self._rest.values()]
            self._rest.clear()
        if lines:
            self._show(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Picture:
    """What the display shows: pure, but for the time that has passed."""

    def __init__(self, ascii_only: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._ascii = ascii_only
        self._now = now
        self._since = now()
        self._title = ""
        self.tally = Tally([])
        # Of each task instance of a small run: when it began, how long it took, attempt, last line.
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._last: dict[str, str] = {}

    def begin(self, flow: str, run_id: str, keys: Sequence[str]) -> None:
        """The run begins now."""
        self._title = (" - " if self._ascii else " · ").join([flow, f"run {run_id}"])
        self._since = self._now()
        self.tally = Tally(keys)

    def change(self, changes: Changes) -> None:
        """Task instances are in new states."""
        self.tally.apply(changes)
        if len(self.tally) > FEW:
            return
        now = self._now()
        for key, (state, attempt) in changes.items():
            self._attempts[key] = attempt
            if state == "running":
                self._began[key] = now
                self._took.pop(key, None)
            elif state in FINISHED or state == "retrying":
                # One that was over between two looks has no beginning: it took no time worth a word.
                self._took[key] = now - self._began.get(key, now)

    def write(self, lines: Written) -> None:
        """Tasks have printed something."""
        if len(self.tally) <= FEW:
            self._last.update((key, text) for key, _stream, text in lines if text.strip())

    def render(self, height: int) -> RenderableType:
        """Return the table and the bar, in no more lines than the terminal has."""
        room = max(1, height - 5)
        rows = list(self._instances() if len(self.tally) <= FEW else self._tasks(room))
        table = Table.grid(padding=(0, 2))
        if rows:
            # Names keep their room where the terminal is narrow: what was printed can be read above.
            table.add_column(min_width=min(max(cells[0].cell_len for cells in rows[:room]), MOST_OF_A_NAME))
        for cells in rows[:room]:
            table.add_row(*cells)
        if len(rows) > room:
            table.add_row(Text(f"  and {len(rows) - room} more", "dim"))
        passed = duration(self._now() - self._since)
        return Group(Text(f"{self._title}  {passed}", "bold", no_wrap=True), table, self._bar())

    def _bar(self) -> RenderableType:
        bar = Table.grid(padding=(0, 2))
        done, total = self.tally.finished, len(self.tally)
        style = look("failed" if self.tally.total["failed"] else "running").style
        drawn = ProgressBar(total or 1, done, width=30, complete_style=style, finished_style=style)
        bar.add_row(drawn, Text(f"{done}/{total}", no_wrap=True))
        return bar

    def _instances(self) -> Iterable[Sequence[Text]]:
        for key, state in self.tally.states.items():
            began = self._began.get(key)
            took = self._took.get(key, None if began is None else self._now() - began)
            attempt = self._attempts.get(key, 1)
            yield [
                self._named(state, key),
                Text(state, look(state).style, no_wrap=True),
                Text(duration(took) if took else "", justify="right", no_wrap=True),
                Text(f"attempt {attempt}" if attempt > 1 else "", "dim", no_wrap=True),
                Text(label(self._last.get(key, "").strip(), 200), "dim", no_wrap=True, overflow="ellipsis"),
            ]

    def _tasks(self, room: int) -> Iterable[Sequence[Text]]:
        tasks = list(self.tally.tasks.items())
        if len(tasks) > room:
            # Lines keep their places as long as there is one for each.
            tasks.sort(key=lambda item: _urgency(item[1]))
        for task, counts in tasks:
            total = sum(counts.values())
            others = {state: n for state, n in counts.items() if state not in WITH_VALUE}
            yield [
                self._named(_group_state(counts), task),
                Text(f"{finished(counts)}/{total}", justify="right", no_wrap=True),
                Text(tally(others), "dim", no_wrap=True, overflow="ellipsis"),
            ]

    def _named(self, state: str, name: str) -> Text:
        of = look(state)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"  {of.ascii if self._ascii else of.symbol} ", of.style)
        return text.append(label(name))


def _urgency(counts: Counter[str]) -> int:
    """What happens now first, then what has begun, then what waits, then what is done."""
    if counts["running"] or counts["failed"] or counts["retrying"]:
        return 0
    done = finished(counts)
    return 3 if done == sum(counts.values()) else 1 if done else 2


def _group_state(counts: Counter[str]) -> str:
    """A task of which some are done and none runs just now is shown as running all the same."""
    state = joint_state(counts) or "pending"
    begun = any(counts[done] for done in FINISHED)
    return "running" if begun and state in ("ready", "pending") else state
