"""A flow is run: its run begins, goes on, or is given back as it was.

Order --no such run--> compile, begin ----+--> session --> Run
      --unfinished---> compile, go on ----+
      --finished-----> the Run, from the store
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from liteflow import errors
from liteflow.engine.stopping import Stopper
from liteflow.given import Given
from liteflow.names import checked_name
from liteflow.pickling import learn
from liteflow.settings import RunSettings

if TYPE_CHECKING:
    from pathlib import Path

    # Start-up: while these are loaded for a run, its first worker comes up.
    from liteflow.context import Context
    from liteflow.dag import Dag
    from liteflow.engine.contexts import Entry
    from liteflow.engine.observing import Observer
    from liteflow.recipe import ExpressionRecipe, FunctionRecipe
    from liteflow.router import RouterRecipe
    from liteflow.run import Run
    from liteflow.store.history import History, RunRow
    from liteflow.trust import TrustedValues

    Recipe = FunctionRecipe | ExpressionRecipe | RouterRecipe

_ALPHABET = "abcdefghjkmnpqrstuvwxyz023456789"
FINISHED = ("succeeded", "failed")


@frozen(kw_only=True)
class Order:
    """A flow that is to be run, and how.

    Attributes:
        flow: Its name.
        compile: Makes its Dag of parameters by name and arguments by `key.parameter`.
        complete: Adds to parameters the defaults of those that were not given.
        given: What it is given.
        settings: How.
        run_id: The id of the run, checked.
        observer: Is told what happens; None: what tasks print is printed here.
        script: The file that defines the flow, for the record.
        context: What a new run's tasks share from its start.
        stopper: How the run is stopped from outside.
    """

    flow: str
    compile: Callable[[Mapping[str, Any], Mapping[str, Any]], Dag]
    complete: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    given: Given
    settings: RunSettings
    run_id: str
    observer: Observer | None = None
    script: str | None = None
    context: Mapping[str, Entry] = field(factory=dict)
    stopper: Stopper = field(factory=Stopper)


def new_run_id() -> str:
    """Eight random letters and digits: short enough to type, and a prefix of some will do."""
    return "".join(_ALPHABET[byte % 32] for byte in os.urandom(8))


def checked_run_id(run_id: str | None) -> str:
    """Return the id of a new run, which may be the user's own.

    Raises:
        SettingError: It can't be one.
    """
    return new_run_id() if run_id is None else checked_name(run_id, "a run", "run_id")


def launch(order: Order, *, idempotent: bool) -> Run[Any]:
    """Run a flow and give what came of it, whether it succeeded or not.

    Args:
        order: What, and how.
        idempotent: Whether the id is the user's own: if there is such a run already, it is
            gone on with, or given back as it was.

    Raises:
        DefinitionError: Something is wrong with the flow or its arguments; nothing has run.
        RunOwnedError: Another driver runs it.
        StoreError: The store can't be used; what had been committed is in it.
        Interrupted: A signal has ended it; what had finished is kept.
    """
    if idempotent:
        earlier = _found(order)
        if earlier is not None:
            return _once_more(order, earlier)
    dag = _compiled(order)
    # With the defaults of today: a resume takes them, whatever they have become by then.
    order = evolve(order, given=evolve(_completed(order), withheld=_withheld(dag, order.given)))
    try:
        return _driven(dag, order, None)
    except errors.RunExistsError:
        # Somebody else has begun it since we looked.
        earlier = _found(order) if idempotent else None
        if earlier is None:
            raise
        return _once_more(order, earlier)


def resume(order: Order, ref: str | None) -> Run[Any]:
    """Go on with an unfinished run; arguments as in `launch`.

    Args:
        order: The flow, and how; its id and its arguments are those of the run.
        ref: A run's id or the beginning of one; None: the latest unfinished run of the flow.

    Raises:
        NotResumableError: There is none, or it needs none.
        RunOwnedError: Another driver runs it.
        LiteflowError: As for `launch`.
    """
    # Start-up: most runs are no resumes.
    from liteflow.stored import updated_history  # noqa: PLC0415

    if order.settings.db is None:
        raise errors.NotResumableError(
            ref, order.flow, "with db=None nothing is kept that could be gone on with"
        )
    with updated_history(order.settings.db) as history:
        row = history.find_run(ref) if ref is not None else _latest_unfinished(order, history)
        if row.flow != order.flow:
            raise errors.NotResumableError(row.id, order.flow, _of_other_flow(row, order))
        if row.state == "succeeded":
            raise errors.NotResumableError(row.id, order.flow, "it has succeeded, so nothing is left to do")
    return _go_on(evolve(order, run_id=row.id), row)


def entries_of(
    flow: str, context: Context | Mapping[str, Any], recipe: Recipe, given: Given
) -> dict[str, Entry]:
    """What a run's tasks share from its start, as it is kept.

    Raises:
        SettingError: It is no context.
    """
    from liteflow.context import Context  # noqa: PLC0415  start-up: few runs have any
    from liteflow.engine.answers import entry_of  # noqa: PLC0415  as above

    values = context.to_dict() if isinstance(context, Context) else context
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise errors.SettingError(
            f"flow {flow}", "context", context, "a Context, or a dict of values by text"
        )
    if recipe.is_router:
        values = {**values, **recipe.shared(given.values)}
    return {key: entry_of(value) for key, value in values.items()}


def script_of(flow: object) -> str | None:
    """The file that the flow is written in, for the record; None if there is none."""
    function = getattr(flow, "__wrapped__", None)
    code = getattr(function, "__code__", None)
    if code is not None and os.path.isabs(code.co_filename):  # noqa: PTH117  as below
        return str(code.co_filename)
    module = sys.modules.get(getattr(function, "__module__", None) or "__main__")
    name = getattr(module, "__file__", None)
    # A script that Python reads from standard input is in "<stdin>".
    return os.path.abspath(name) if name and name[0] != "<" else None  # noqa: PTH100  no pathlib at start-up


# --- how -----------------------------------------------------------------------------------


def _compiled(order: Order) -> Dag:
    if order.settings.executor != "process":
        return order.compile(order.given.values, order.given.overrides)
    # Processes take 50 ms to come up: as long as all that follows.
    from liteflow.executor.process import nursery  # noqa: PLC0415  start-up: not for threads

    nursery.warm()
    try:
        return order.compile(order.given.values, order.given.overrides)
    except BaseException:
        nursery.cool()
        raise


def _completed(order: Order) -> Given:
    return evolve(order.given, complete=order.complete(order.given.values))


def _found(order: Order) -> RunRow | None:
    """The run of this id, if there is one."""
    path = order.settings.db
    if path is None or not path.exists() or not path.stat().st_size:
        return None
    from liteflow.stored import updated_history  # noqa: PLC0415  as above

    try:
        with updated_history(path) as history:
            return next((row for row in history.finds(order.run_id) if row.id == order.run_id), None)
    except errors.NotAStoreError:
        # Another driver is just making it; or it is none, and whoever opens it to write says so.
        return None


def _latest_unfinished(order: Order, history: History) -> RunRow:
    for row in history.unfinished(order.flow):
        return row
    if history.latest(order.flow) is None:
        why = f"it has no run in {history.path}; begin one with run()"
    else:
        why = f"all its runs in {history.path} have succeeded"
    raise errors.NotResumableError(None, order.flow, why)


def _once_more(order: Order, row: RunRow) -> Run[Any]:
    """The same id again: an unfinished run goes on, a finished one is given back."""
    if row.flow != order.flow:
        raise errors.NotResumableError(row.id, order.flow, _of_other_flow(row, order))
    if row.state not in FINISHED:
        return _go_on(order, row, _completed(order))
    # Start-up: most runs are new ones.
    from liteflow.stored import open_values, stored_run  # noqa: PLC0415

    assert order.settings.db is not None
    with open_values(order.settings.db, row, order.settings.trust) as values:
        before = _before(values)
    if before is not None:
        _refuse_difference(row, before, _completed(order))
    return stored_run(order.settings.db, row, order.settings.trust)


def _go_on(order: Order, row: RunRow, given: Given | None = None) -> Run[Any]:
    """Go on with a run, with its own arguments; `given` are those that it is asked for with now."""
    from liteflow.stored import open_values  # noqa: PLC0415  as above

    assert order.settings.db is not None
    with open_values(order.settings.db, row, order.settings.trust) as values:
        before = _before(values)
    if before is None:
        before = given
    if before is None:
        raise errors.NotResumableError(
            row.id, order.flow, f"its arguments could not be kept; {_instead(row)}"
        )
    if given is not None:
        _refuse_difference(row, before, given)
    order = evolve(order, given=with_secrets(before, order.given, row).again())
    return _driven(_compiled(order), order, row)


def given_again(db: Path, row: RunRow, given: Given, *, trust: bool) -> Given | None:
    """Return what a run was given, for another one to be given the same; None: that was not kept.

    Args:
        db: Its store.
        row: The run.
        given: What is given now; of it only secrets count, which were not stored.
        trust: Whether its arguments are read whoever wrote them.

    Raises:
        SecretMissingError: A secret is not given now, nor in the environment.
        ForeignValueError: The run may be of someone else.
    """
    from liteflow.stored import open_values  # noqa: PLC0415  as above

    with open_values(db, row, trust) as values:
        before = _before(values)
    return None if before is None else with_secrets(before, given, row)


def with_secrets(before: Given, given: Given, row: RunRow) -> Given:
    """Return the arguments of a run that goes on, with its secrets, which were not stored.

    Args:
        before: As they were stored.
        given: What is given now; what is not is looked for in the environment.
        row: The run.

    Raises:
        SecretMissingError: One is nowhere.
    """
    whole, lacking = before.with_secrets(given)
    if not lacking:
        return whole
    # Start-up: few runs have any.
    from liteflow.errors import SecretMissingError  # noqa: PLC0415
    from liteflow.secret import variable_of  # noqa: PLC0415

    variables = {name: variable_of(name) for name in lacking}
    found = {name: os.environ[v] for name, v in variables.items() if v in os.environ}
    # One with a dot is an argument of a call.
    values = {name: text for name, text in found.items() if "." not in name}
    whole, lacking = whole.with_secrets(Given(values, found))
    if lacking:
        raise SecretMissingError(row.id, row.flow, {name: variables[name] for name in lacking})
    return whole


def _withheld(dag: Dag, given: Given) -> frozenset[str]:
    """The names of arguments that are secrets."""
    if not dag.secrets:
        return frozenset()
    from liteflow.hints import is_secret  # noqa: PLC0415  start-up: few runs have any

    types: dict[str, Any] = {name: type(value) for name, value in dag.parameters.items()}
    for name in given.overrides:
        key, _, parameter = name.rpartition(".")
        types[name] = dag.node(key).task.signature.type_of(parameter)
    return frozenset(name for name, kind in types.items() if is_secret(kind))


def _driven(dag: Dag, order: Order, earlier: RunRow | None) -> Run[Any]:
    from liteflow.session import Session  # noqa: PLC0415  start-up: while the first worker comes up

    session = Session(
        dag,
        order.settings,
        run_id=order.run_id,
        script=order.script,
        given=order.given,
        earlier=earlier,
        context=order.context,
    )
    return session.run(order.observer, order.stopper)


def _instead(row: RunRow) -> str:
    # By its id, a run that has finished is given back as it was.
    if row.state in FINISHED:
        return "begin a new run with the same arguments"
    return "call run(run_id=...) with the same arguments"


def _of_other_flow(row: RunRow, order: Order) -> str:
    return f"it is a run of flow {row.flow}, not of {order.flow}"


def _before(values: TrustedValues) -> Given | None:
    """What the run was given; None if that could not be kept."""
    recipe = values.recipe()
    learn(values.definitions())
    return None if recipe.arguments is None else Given.unpack(recipe.arguments)


def _refuse_difference(row: RunRow, before: Given, given: Given) -> None:
    name = before.difference(given)
    if name is not None:
        raise errors.OtherArgumentsError(row.id, name)
