"""A run is replayed: a new run of its flow, given what it was given; and what has come out otherwise?

an earlier run --its arguments--> the flow of today --run--> a new run --differences--> which results
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from liteflow.engine.growths import PARTS
from liteflow.errors import NotReplayableError, UnknownNameError
from liteflow.given import Given, is_same
from liteflow.launch import Order, given_again
from liteflow.stored import updated_history

if TYPE_CHECKING:
    from liteflow.run import Run
    from liteflow.store.rows import RunRow, XComRow


def given_before(order: Order, ref: str | None) -> Given:
    """Return what a run is given that replays another one.

    Args:
        order: The flow, and where its runs are; what it gives takes the place of what the other was given.
        ref: The other run's id, or the beginning of one; None: the latest of the flow.

    Raises:
        NotReplayableError: There is none, its arguments could not be kept, or the flow takes them no more.
        NoSuchRunError: None is meant, or several.
        SecretMissingError: It was given a secret, which is neither here nor in the environment.
        StoreError: The store can't be read.
    """
    db = order.settings.db
    if db is None:
        raise NotReplayableError(ref, order.flow, "with db=None nothing is kept that could be replayed")
    with updated_history(db) as history:
        row = history.find_run(ref) if ref is not None else history.latest(order.flow)
    if row is None:
        raise NotReplayableError(None, order.flow, f"it has no run in {db}; begin one with run()")
    if row.flow != order.flow:
        raise NotReplayableError(row.id, order.flow, f"it is a run of flow {row.flow}, not of {order.flow}")
    before = given_again(db, row, order.given, trust=order.settings.trust)
    if before is None:
        why = "its arguments could not be kept; call run() with the same arguments"
        raise NotReplayableError(row.id, order.flow, why)
    return merged(before, order.given, order.complete, row)


def merged(before: Given, now: Given, complete: Callable[[Mapping[str, Any]], object], row: RunRow) -> Given:
    """Return what a run was given, with what is to be otherwise, for the flow of today.

    Args:
        before: What the run was given. Defaults of that day count too, but those of parameters that the
            flow has no more.
        now: What is to be otherwise.
        complete: Refuses what is no parameter of the flow.
        row: The run.

    Raises:
        NotReplayableError: It was given what the flow no longer takes.
        LiteflowError: An argument does not fit.
    """
    values = {**before.again().values, **now.values}
    try:
        complete(values)
    except UnknownNameError as error:
        gone = [name for name in values if name not in error.known and name not in now.values]
        if given := [name for name in gone if name in before.values]:
            takes = ", ".join(error.known) or "nothing"
            why = (
                f"it was given {', '.join(given)}, and the flow takes {takes} now; begin a new run with that"
            )
            raise NotReplayableError(row.id, row.flow, why) from None
        values = {name: value for name, value in values.items() if name not in gone}
    return Given(values, {**before.overrides, **now.overrides})


@frozen
class Differences:
    """How the results of two runs compare, call by call.

    Attributes:
        same: How many are the same.
        changed: Those that are not, or of which that can't be told, as previews: key -> (then, now).
        then_only: Keys of calls that have a result in the earlier run alone.
        now_only: The same of the later one.
    """

    same: int
    changed: Mapping[str, tuple[str, str]]
    then_only: tuple[str, ...]
    now_only: tuple[str, ...]


def differences(then: Run[Any], now: Run[Any], without: Collection[str] = ()) -> Differences:
    """Compare two runs. Values of which the store can't tell that they are the same are read, if they can be.

    Args:
        then: The earlier one.
        now: The later one.
        without: Keys of calls that are not compared.

    Raises:
        StoreError: The store can't be read.
    """
    before, after = _known(then, without), _known(now, without)
    both = [key for key in after if key in before]
    changed = {
        key: (before[key].preview, after[key].preview)
        for key in both
        if not _is_same(before[key], after[key], then, now)
    }
    return Differences(
        len(both) - len(changed),
        changed,
        tuple(key for key in before if key not in after),
        tuple(key for key in after if key not in before),
    )


# --- how -----------------------------------------------------------------------------------


def _known(run: Run[Any], without: Collection[str]) -> dict[str, XComRow]:
    """What is known of values; what is made of others' is as they are."""
    with run._open_history() as history:
        return {
            row.key: row for row in history.xcoms(run.id) if row.codec != PARTS and row.key not in without
        }


def _is_same(before: XComRow, after: XComRow, then: Run[Any], now: Run[Any]) -> bool:
    if before.type == after.type and before.sha256 == after.sha256:
        return True
    if before.type != after.type:
        return False
    # The bytes of a pickle may differ though the values do not.
    try:
        return is_same(then.output(before.key), now.output(after.key))
    except Exception:  # noqa: BLE001  no answer (an array has none), no class any more, gone, damaged: it can't be told
        return False
