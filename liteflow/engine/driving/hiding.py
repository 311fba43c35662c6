"""What executors tell, without the secrets in it; loaded by runs that have some.  (Pure.)

Here, where all that is told comes by, and not where it is made: so no executor needs to know of it.
Values themselves pass as they are; their previews, what was printed and what went wrong are made readable
for people, and are stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from liteflow.executor.base import Failed, Finished, Line, News
from liteflow.executor.link import PUT, Ask, Chunk
from liteflow.executor.process.capture import MAX_LINE
from liteflow.secret import Mask


class Hiding:
    """Takes secrets out of news."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        # What may be the first half of a secret, where a long line comes in pieces.
        self._begun: dict[tuple[int, int, str], str] = {}

    def news(self, news: News) -> News:
        """Return the same news without secrets."""
        return news._replace(
            finished=[self._finished(done) for done in news.finished],
            failed=[self._failed(failed) for failed in news.failed],
            lines=[self._line(line) for line in news.lines],
            asks=[self._ask(ask) for ask in news.asks],
            chunks=[self._chunk(chunk) for chunk in news.chunks],
        )

    def _finished(self, done: Sequence[object]) -> Finished:
        made = Finished(*done)  # type: ignore[arg-type]  # workers send it as a bare tuple
        preview, exact = self._preview(made.preview, made.exact)
        return made._replace(preview=preview, exact=exact)

    def _chunk(self, chunk: Sequence[object]) -> Chunk:
        made = Chunk(*chunk)  # type: ignore[arg-type]  # as above
        preview, exact = self._preview(made.preview, made.exact)
        return made._replace(preview=preview, exact=exact)

    def _preview(self, preview: str, exact: int) -> tuple[str, int]:
        shown = self._mask.shortened(preview)
        # What is left is not the whole value any more.
        return shown, exact if shown == preview else 0

    def _failed(self, failed: Sequence[object]) -> Failed:
        made = Failed(*failed)  # type: ignore[arg-type]  # as above
        kept = made.exception is not None and not self._mask.holds(made.exception)
        return made._replace(
            error=self._mask.shortened(made.error),
            traceback=self._mask.shortened(made.traceback),
            # Its text must do.
            exception=made.exception if kept else None,
        )

    def _line(self, line: Sequence[object]) -> Line:
        made = Line(*line)  # type: ignore[arg-type]  # as above
        place = made.node, made.attempt, made.stream
        text, end = made.text.removesuffix("\n"), "\n" if made.text.endswith("\n") else ""
        # A character has up to four bytes, and none is cut.
        goes_on = not end and len(text.encode("utf-8", "backslashreplace")) > MAX_LINE - 4
        shown, begun = self._mask.piece(text, self._begun.pop(place, ""), goes_on=goes_on)
        if begun:
            self._begun[place] = begun
        return made._replace(text=shown + end)

    def _ask(self, ask: Sequence[object]) -> Ask:
        made = Ask(*ask)  # type: ignore[arg-type]  # as above
        if made.request[0] != PUT:
            return made
        kind, key, expected, facts, data = made.request
        type_, codec, size, sha256, preview, exact, python = facts
        facts = (type_, codec, size, sha256, *self._preview(preview, exact), python)
        return made._replace(request=(kind, key, expected, facts, data))
