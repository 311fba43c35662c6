"""What tasks ask: values that they share, and outputs of other tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from liteflow.engine.answers import Answers, row_of
from liteflow.engine.contexts import Entry
from liteflow.engine.driving.core import Core
from liteflow.engine.states import State
from liteflow.executor.base import Executor
from liteflow.executor.link import OVER, Ask, Parts, Reply
from liteflow.executor.payload import Payload
from liteflow.wiring import sources_in


class Answering(Core):
    """Answers the questions of tasks."""

    def _prepared(self, entries: Mapping[str, Entry]) -> Answers:
        def executor_of(node: int) -> Executor:
            return self._executor_at[self._plan.lane_of[node]]

        def record(key: str, entry: Entry) -> None:
            self._journal.context([row_of(key, entry, self._seal)])
            self._recorder.touch()

        return Answers(
            self._plan,
            self._schedule,
            entries,
            output=self._output,
            reply=lambda node, number, reply: executor_of(node).reply(node, number, reply),
            waits=lambda node, waiting: executor_of(node).waits(node, waiting),
            record=record,
            waited=self._waited,
        )

    def _waited(self, node: int, event: str | None) -> Reply:
        """Since when a node waits, and what the event says that it has got; a text: none can come."""
        journal = self._journal
        if event is not None and journal.connection.identity is None:
            return "the run is kept nowhere (db=None), so no event can come to it; give it a file"
        known = journal.waited(journal.base + node, event)
        if known is None:
            # The node is to be in the store.
            self._recorder.commit()
            known = journal.wait(journal.base + node, event)
        return tuple(known)

    def _output(self, node: int) -> Payload | Parts:
        """The value of a node that has one, needed by a call or not."""
        wire = self._plan.settled((node, ()))
        if wire == (node, ()):
            return self._payload(node)
        return Parts.of(wire, {source: self._payload(source) for source in sources_in(wire)})

    def _payload(self, node: int) -> Payload:
        if node in self._values.held:
            return self._values.payload_of(node)
        self._recorder.commit()
        return self._stored(node)

    def _answer(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if self._is_current(ask.node, ask.attempt):
                self._answers.ask(ask)
            else:
                self._executor_at[self._plan.lane_of[ask.node]].reply(ask.node, ask.number, OVER)

    def _look_at_the_waiting(self) -> None:
        """Answer who waits, if there is an answer now, or there never will be one."""
        answers = self._answers
        if self._stop is not None or self._schedule.over:
            answers.close()
            return
        answers.look()
        waiting = answers.waiting
        if not waiting or self._retries:
            return
        if self._caching or any(lane and not executor.full for executor, lane in self._offered):
            return

        def able(node: int) -> bool:
            return self._executor_at[self._plan.lane_of[node]].resumes(node)

        if all(node in waiting or not able(node) for node in self._schedule.nodes(State.RUNNING)):
            answers.give_up(able)
