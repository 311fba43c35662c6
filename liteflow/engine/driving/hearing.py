"""What executors have to tell: outcomes, chunks, lines, questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from liteflow import pickling
from liteflow.engine.driving.changing import Changing
from liteflow.engine.observing import Heard
from liteflow.errors import UnknownNameError
from liteflow.executor.base import NODE, Failed, Finished, News
from liteflow.executor.link import Chunk
from liteflow.executor.payload import Payload
from liteflow.growth import GROWTH
from liteflow.store.journal import Row

if TYPE_CHECKING:
    from liteflow.engine.admission import Admission
    from liteflow.engine.routes import Routes


class Hearing(Changing):
    """Takes in news."""

    def _learn(self, news: News) -> None:
        """Take in what a worker said."""
        if self._admission is not None:
            self._make_room(self._admission, news)
        if self._hiding is not None:
            news = self._hiding.news(news)
        if news.chunks:
            self._learn_chunks(news.chunks)
        for node in news.returned:
            if self._schedule.is_running(node) and self._schedule.give_back(node):
                self._ready(node)
        if news.finished and self._routes is not None:
            self._learn_routed(news.finished, self._routes)
        elif news.finished:
            self._learn_finished(news.finished)
        for failed in news.failed:
            if self._is_current(failed.node, failed.attempt):
                if self._answers.waiting:
                    self._answers.ended(failed.node, failed.attempt)
                self._learn_failed(failed, news.worker)
        if news.asks:
            # Who asks waits for the answer, so what ended before it asked has been taken in by now.
            self._answer(news.asks)
        if news.lines:
            self._learn_lines(news)

    def _make_room(self, admission: Admission, news: News) -> None:
        """What calls held that have ended is free."""
        ended = [(done[0] & NODE, done[1]) for done in news.finished]
        ended += [(failed.node, failed.attempt) for failed in news.failed]
        for node, attempt in ended:
            if self._is_current(node, attempt):
                admission.ended(node)
        for node in news.returned:
            if self._schedule.is_running(node):
                admission.returned(node)

    def _learn_finished(self, finished: Sequence[Finished]) -> None:  # noqa: PLR0912  the hot path
        # The hot path: everything here is done once for each task instance.
        plan, values = self._plan, self._values
        succeed, is_running = self._schedule.succeed, self._schedule.is_running
        lanes, lane_of, attempts = self._lanes, plan.lane_of, self._attempts
        plain = not plan.maps and not plan.parts and not plan.controls
        uses, keep, held, awaited = values.uses, values.keep, values.held, self._growths.awaited
        rows: list[Row] = []
        ended: list[int] = []
        growing: list[tuple[Finished, bytes]] = []
        told: list[Finished] = []
        for done in finished:
            node = done[0] & NODE
            # As `_is_current`.
            if not is_running(node) or (attempts.get(node, 1) if attempts else 1) != done[1]:
                continue
            row: Row = done
            payload = done[13]
            if done[6] == GROWTH:
                growing.append((done, payload if isinstance(payload, bytes) else payload.read(0, done[7])))  # type: ignore[union-attr]
                continue
            if not isinstance(payload, bytes):
                payload = values.settled(payload)
                row = self._recorder.row_of_large(done, payload)
            rows.append(row)
            ended.append(node)
            if uses[node] or node in keep:
                # A small pickle needs no more to be read.
                small = isinstance(payload, bytes) and done[6] == "pickle"
                held[node] = payload if small else Payload(done[6], payload)  # type: ignore[assignment]
            if plain:
                for ready in succeed(node):
                    lanes[lane_of[ready]].push(ready)
            else:
                if node in awaited:
                    self._growths.note(node, done)
                for ready in succeed(node):
                    self._push(ready)
                if plan.bounded:
                    self._free_room(node)
                if plan.controls:
                    told.append(done)
            if self._observer is not None:
                self._tell_success(node, done[1], Payload(done[6], payload))
        values.ended(ended)
        self._journal.successes(rows)
        if self._caching is not None:
            self._caching.made(rows)
        self._recorder.touch()
        for done, data in growing:
            self._learn_growth(done, data)
        for done in told:
            self._ask(done[0] & NODE, done)
        if not plain:
            self._complete()

    def _learn_routed(self, finished: Sequence[Finished], routes: Routes) -> None:
        """The same of a run whose tasks say what runs next."""
        for given in finished:
            node = given[0] & NODE
            if not self._is_current(node, given[1]):
                continue
            done, requests, bundles = routes.opened(given)
            try:
                end, nodes = routes.ended(node, requests, bundles)
            except UnknownNameError as error:
                line = f"{type(error).__name__}: {error}"
                failed = Failed(node, *done[1:4], "failed", line, "", pickling.dumps(error).data, False)
                self._learn_failed(failed, done[4])
                continue
            row: Row = done
            payload = done[13]
            if not isinstance(payload, bytes):
                payload = self._values.settled(payload)
                row = self._recorder.row_of_large(done, payload)
            # No node takes another's value: who asks for one reads it from the store.
            self._schedule.succeed(node)
            self._answers.latest(routes.routing.task_of(node), node)
            self._journal.successes([row])
            if self._observer is not None:
                self._tell_success(node, done[1], Payload(done[6], payload))
            self._gain_next(node, end, nodes)

    def _learn_chunks(self, chunks: Sequence[Chunk]) -> None:
        base, plan, seal = self._journal.base, self._plan, self._seal
        rows: list[Row] = []
        heard: list[Heard] = []
        for chunk in chunks:
            node, attempt, number, at, name, type_, codec, size, sha, preview, exact, python, data = chunk
            if not self._is_current(node, attempt):
                continue
            key = plan.key(node)
            mac = seal.chunk(key, attempt, number, name, codec, python, type_, size, sha)
            what = (type_, codec, size, sha, mac, preview, exact, python, data)
            rows.append((base + node, attempt, number, at, name, *what))
            heard.append(Heard(key, attempt, number, key if name is None else name, Payload(codec, data)))
        self._journal.chunks(rows)
        self._recorder.touch()
        if self._follower is not None and heard:
            self._follower.chunks(heard)

    def _learn_lines(self, news: News) -> None:
        base = self._journal.base
        self._journal.logs([(base + n, a, at, s, t.removesuffix("\n")) for n, a, at, s, t in news.lines])
        self._recorder.touch()
        key = self._plan.key
        if self._log is not None:
            self._log((key(n), attempt, at, stream, text) for n, attempt, at, stream, text in news.lines)
        tell = self._note_lines if news.shown else self._tell_lines
        if tell is not None:
            tell([(key(n), stream, text) for n, _attempt, _at, stream, text in news.lines])
