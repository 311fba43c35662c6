"""A run goes on: it is compared with the graph of today, and its store holds what is to stay.

recorded instances + plan of today --compare, regrow (pure)--> what stays --> store, Standing

Loaded by resumes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from liteflow.dag import Dag
from liteflow.engine.growing import instances
from liteflow.engine.growths import PARTS
from liteflow.engine.opening import Standing
from liteflow.engine.plan import Plan
from liteflow.engine.regrowth import Regrown, Regrowth, is_stuck, plan_regrowth, regrow
from liteflow.engine.rejoining import RecordedControl, recorded_controls, rejoined, what_stays
from liteflow.engine.resumption import Before, Now, Resumption, compare
from liteflow.engine.settled import Settled, settle
from liteflow.outcomes import WITH_VALUE
from liteflow.recorded import definitions_of, holes_of, packed_result, tasks_of
from liteflow.rerouted import resume_routed
from liteflow.signing import Seal
from liteflow.store.history import History, RunRow
from liteflow.store.journal import Journal
from liteflow.store.rows import RecordedCall, XComRow
from liteflow.trust import TrustedValues

_WITHOUT_VALUE = ("failed", "upstream_failed", "cancelled", "skipped")


@frozen
class _Record:
    """What is in the store of a run.

    `told` is what is known of values, by key; `blobs` is what calls went on as, by index.
    """

    calls: Sequence[RecordedCall]
    told: Mapping[str, XComRow]
    blobs: Mapping[int, bytes]


@frozen
class _Compared:
    """What stays of it: of the calls of the flow, of what had grown, and of what controllers wanted."""

    found: Resumption
    controlled: Mapping[int, Sequence[RecordedControl]]
    regrowth: Regrowth
    replays: Mapping[int, Any]
    regrown: Sequence[Regrown]
    moved: Mapping[int, int]
    settled: Settled

    def anew(self) -> list[int]:
        """The places of what gave a value that is made again, or made of such, by code that is as it was."""
        then = {*self.regrowth.undone, *self.settled.stale, *self.settled.changing}
        return [self.moved.get(one, one) for one in sorted(then)]


def resume_run(
    dag: Dag, plan: Plan, journal: Journal, seal: Seal, row: RunRow, *, trust: bool
) -> tuple[Resumption, Standing]:
    """Compare a run with the graph of today, and let its store hold what is to stay.

    Args:
        dag: The graph.
        plan: Of it; it gains what had grown.
        journal: Of the run, claimed.
        seal: Makes the checks of what is written.
        row: The run.
        trust: Whether pickles are read that nothing tells from others'.

    Returns:
        What a resume tells its user, and where the driver is to begin.

    Raises:
        StoreError: The store can't be read, or written; it holds what it held.
    """
    history = History(journal.connection)
    values = TrustedValues(history, row, trust=trust)
    if plan.routes:
        return resume_routed(plan, journal, seal, row, values, history)
    rows = list(plan.instances())
    record = _record(plan, row, values, history)
    compared = _compared(plan, rows, record, failed=row.state == "failed")
    if _differs(compared):
        _rewrite(dag, plan, journal, seal, row, values=values, rows=rows, compared=compared)
    journal.definitions(definitions_of(dag, seal))
    places = {r.index: compared.moved.get(r.index, r.index) for r in record.calls}
    lost = _lost(record, compared, places)
    forgotten = [places[r.index] for r in record.calls if r.state in _WITHOUT_VALUE]
    journal.forget(journal.base + place for place in forgotten if place not in lost)
    journal.commit()
    attempts = history.standing(row.id).attempts
    standing = _standing(plan, values, record, compared, places, attempts)
    return compared.found, standing._replace(lost=lost)


# --- how -----------------------------------------------------------------------------------


def _record(plan: Plan, row: RunRow, values: TrustedValues, history: History) -> _Record:
    calls, blobs = history.recorded(row.id), values.growths()
    wanted = blobs or plan.maps or plan.controls or any(r.parent is not None for r in calls)
    return _Record(calls, {x.key: x for x in history.xcoms(row.id)} if wanted else {}, blobs)


def _compared(plan: Plan, rows: Sequence[Any], record: _Record, *, failed: bool) -> _Compared:
    recorded, told, blobs = record.calls, record.told, record.blobs
    before = [
        Before(r.index, r.key, r.code, r.constants, r.inputs, r.state in WITH_VALUE)
        for r in recorded
        if r.parent is None
    ]
    now = [Now(key, plan.tasks[task].code, fixed, fed) for _, key, task, _, fed, fixed in rows]
    found = compare(before, now)
    controlled = recorded_controls(plan, found.same, recorded, told, blobs)
    keys_then = {r.index: r.key for r in recorded}
    stays, undone = what_stays(plan, found.same, controlled, keys_then.__getitem__)
    same = found.same
    # Controllers see to their calls themselves.
    settled = Settled() if controlled else settle(recorded, failed=failed)
    undone = {**undone, **{same[then]: why for then, why in settled.stale.items() if then in same}}
    if undone:
        found = compare(before, now, undone)
        same = {**{then: same[then] for then in controlled}, **found.same}
    parents = {r.index: r.parent for r in recorded if r.parent is not None}
    made = {r.index for r in recorded if r.key in told and told[r.key].codec == PARTS}
    # Those that are complete run nothing any more.
    stuck = {n for n, blob in blobs.items() if n not in made and n not in controlled and is_stuck(blob)}
    stuck |= settled.stale.keys() & (made | blobs.keys() | set(parents.values()))
    behind = len(rows) + len(found.gone)
    regrowth = plan_regrowth(parents, same, behind, made | blobs.keys(), stuck, controlled=stays)
    plan.skip(len(found.gone))
    replays = {
        same[then]: rejoined(plan, same[then], those, stays[then], regrowth.moved)
        for then, those in controlled.items()
    }
    regrown = regrow(plan, regrowth, blobs.get, lambda node, then: replays[node].calls[keys_then[then]])
    moved = {**found.moved, **regrowth.moved}
    moved = {old: new for old, new in moved.items() if old != new}
    return _Compared(found, controlled, regrowth, replays, regrown, moved, settled)


def _differs(compared: _Compared) -> bool:
    """Whether the store is to be rewritten."""
    regrowth = compared.regrowth
    # What has grown again may have met its tasks in another order, and they have other numbers now.
    again = regrowth.dropped or compared.anew() or compared.regrown
    return bool(compared.found.changed or compared.moved or again)


def _rewrite(
    dag: Dag,
    plan: Plan,
    journal: Journal,
    seal: Seal,
    row: RunRow,
    *,
    values: TrustedValues,
    rows: Sequence[Any],
    compared: _Compared,
) -> None:
    """Let the store have the calls of today, under their numbers of today."""
    regrowth, moved = compared.regrowth, compared.moved
    journal.renumber(moved, values.remac(seal))
    journal.redo([*compared.found.again, *regrowth.dropped, *compared.anew()])
    journal.replace_tasks(tasks_of(plan))
    journal.update_instances([*rows, *(r for g in compared.regrown for r in instances(plan, g.grown))])
    if plan.controls:
        # Tasks that nothing is of have gone with that: these will have calls again.
        journal.tasks(tasks_of(plan))
    for one in compared.regrown:
        if one.blob is not None:
            node = one.grown.parent
            journal.growth([(journal.base + node, seal.growth(node, one.blob), one.blob)])
    holes, result = holes_of(dag), packed_result(dag)
    arguments = values.recipe().arguments
    journal.replace_recipe(holes, seal.recipe(row.flow, holes, result, arguments), result)


def _standing(  # noqa: PLR0917  as above
    plan: Plan,
    values: TrustedValues,
    record: _Record,
    compared: _Compared,
    places: Mapping[int, int],
    attempts: Mapping[int, int],
) -> Standing:
    anew = set(compared.anew())
    # What is known of a value that is made anew is nothing.
    unknown = {r.key for r in record.calls if places[r.index] in anew} if anew else set()
    told = {key: known for key, known in record.told.items() if key not in unknown}
    done = {places[r.index] for r in record.calls if r.parent is not None and r.state in WITH_VALUE}
    told_of_calls = {
        places[call.index]: facts
        for those in compared.controlled.values()
        for call in those
        if call.index in compared.regrowth.moved and (facts := _facts(told.get(call.key))) is not None
    }

    return Standing(
        kept=(compared.found.kept | (done - set(compared.regrowth.dropped))) - anew,
        regrown=[(g, _facts(told.get(plan.key(g.grown.parent)))) for g in compared.regrown],
        controls=compared.replays,
        told=told_of_calls,
        attempts={n: a for n, a in attempts.items() if n < len(plan)},
        load=values.kept,
    )


def _lost(record: _Record, compared: _Compared, places: Mapping[int, int]) -> dict[int, tuple[str, str]]:
    """What had ended without a value and stays so, by its place now."""
    dropped = set(compared.regrowth.dropped)
    return {
        places[r.index]: (r.state, r.error or "")
        for r in record.calls
        if r.index in compared.settled.lost
        and (r.index in compared.found.same if r.parent is None else places[r.index] not in dropped)
    }


def _facts(known: XComRow | None) -> tuple[str, str, int] | None:
    return None if known is None else (known.type, known.preview or "", known.size)
