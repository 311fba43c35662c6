"""A run whose tasks say what runs next goes on: what is recorded is replayed, the store holds what stays.

recorded instances, how they ended --replay (pure)--> nodes --> store, Standing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from liteflow.engine.opening import Standing
from liteflow.engine.plan import Plan
from liteflow.engine.resumption import Resumption
from liteflow.engine.routes import End, Known, Replayed, instances_of, replay
from liteflow.fingerprint import is_same_code
from liteflow.signing import Seal
from liteflow.store.journal import Journal

if TYPE_CHECKING:
    # Start-up: most runs are no resumes.
    from liteflow.store.history import History, RunRow
    from liteflow.store.rows import RecordedCall
    from liteflow.trust import TrustedValues

_ENDED = ("succeeded", "cached", "skipped")
_WITHOUT_VALUE = ("failed", "upstream_failed", "cancelled")


def resume_routed(  # noqa: PLR0917  what a session has
    plan: Plan,
    journal: Journal,
    seal: Seal,
    row: RunRow,
    values: TrustedValues,
    history: History,
) -> tuple[Resumption, Standing]:
    """Replay a run, and let its store hold what is to stay.

    Args:
        plan: Of the flow's one call; it gains the others.
        journal: Of the run, claimed.
        seal: Makes the checks of what is written.
        row: The run.
        values: What it has as pickles.
        history: Reads the store.

    Returns:
        What a resume tells its user, and where the driver is to begin.
    """
    recorded = history.recorded(row.id)
    ends = {index: End.from_bytes(data) for index, data in values.growths().items()}
    calls = list(plan.instances())
    replayed = replay(plan, _known(plan, recorded, ends, calls[0][5]))
    behind = len(plan)
    places = replayed.moved | {index: behind + n for n, index in enumerate(replayed.dropped)}
    moved = {old: new for old, new in places.items() if old != new}
    tasks = [plan.task_row(number) for number in range(len(plan.tasks))]
    before = [(task.name, task.code) for task in history.declared(row.id)]
    if moved or replayed.again or before != [(task[1], task[4]) for task in tasks]:
        dropped = [places[index] for index in replayed.dropped]
        journal.renumber(moved, values.remac(seal))
        journal.redo([*replayed.again, *dropped])
        journal.replace_tasks(tasks)
        journal.update_instances([*calls, *instances_of(plan, range(1, len(plan)))])
        # Those that nothing runs of yet have gone with those that nothing is of any more.
        used = set(plan.task_of)
        journal.tasks([task for task in tasks if task[0] not in used])
        staying = {*replayed.kept, *replayed.skipped}
        ended = [(places[index], end.to_bytes()) for index, end in ends.items() if places[index] in staying]
        journal.growth([(journal.base + node, seal.growth(node, data), data) for node, data in ended])
    lost = [places[r.index] for r in recorded if r.state in _WITHOUT_VALUE]
    journal.forget(journal.base + node for node in lost)
    journal.commit()
    again = dict.fromkeys(sorted(replayed.again), "its code changed")
    found = Resumption(frozenset(replayed.kept), {}, again, moved, tuple(replayed.dropped), bool(moved))
    attempts = history.standing(row.id).attempts
    return found, _standing(plan, values, replayed, attempts)


def _standing(plan: Plan, values: TrustedValues, replayed: Replayed, attempts: Mapping[int, int]) -> Standing:
    return Standing(
        kept=frozenset(replayed.kept),
        attempts={node: count for node, count in attempts.items() if node < len(plan)},
        load=values.kept,
        replayed=replayed,
    )


def _known(
    plan: Plan, recorded: Sequence[RecordedCall], ends: Mapping[int, End], constants: str | None
) -> list[Known]:
    """What is recorded, compared with the tasks of today; `constants` are those of the first call."""
    known = []
    for call in recorded:
        task = call.task or ""
        route = plan.routes.get(task)
        same = route is not None and is_same_code(call.code, plan.tasks[route[0]].code)
        if call.parent is None:
            same = same and call.constants == constants
        _, _, hexadecimal = (call.constants or "").partition("inputs=")
        digest = bytes.fromhex(hexadecimal) if call.parent is not None and hexadecimal else None
        end = ends.get(call.index) if call.state in _ENDED else None
        known.append(Known(call.index, call.parent, task, digest, same, end))
    return known
