"""`liteflow run FILE --dry-run`: what would run, with which values, and for how long; nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from liteflow.cli.output import say, to_json
from liteflow.control import Control
from liteflow.dag import ATOMS, Dag, Hole, Node, Spread
from liteflow.errors import StoreMissingError
from liteflow.files.plan import Forecast, Plan, Planned, forecast, plan_of
from liteflow.outlook import Outlook
from liteflow.policy import Policy
from liteflow.redaction import HIDDEN, is_secret, redacted
from liteflow.secret import Mask
from liteflow.settings import RunSettings
from liteflow.store.history import History
from liteflow.task_types.base import TaskType, options_of, spliced
from liteflow.task_types.conditions import Condition, holds, references_of, text_of
from liteflow.task_types.faults import ConditionError
from liteflow.task_types.templates import CLOSING, OPENING, Reference, Template, templates_in
from liteflow.task_types.work import FileTask, Gate
from liteflow.views.shown import counted, label
from liteflow.views.times import duration
from liteflow.xcom import preview_of

# So many earlier runs are asked how long tasks take.
ASKED = 5
_TOO_LONG = 160
_MOST_LINES = 12


def dry_run(dag: Dag, settings: RunSettings, resume: Outlook | None, as_json: bool) -> None:
    """Print what would be done.

    Args:
        dag: What would be run, compiled.
        settings: How.
        resume: What a resume would keep; None: it is a new run.
        as_json: As JSON.

    Raises:
        NoRoomError: A task takes more than the machine has.
    """
    _check_room(dag, settings)
    plan = plan_of(dag)
    kept = set(resume.kept) if resume is not None else set[str]()
    left = Plan(plan.flow, tuple(tuple(one for one in step if one.key not in kept) for step in plan.steps))
    workers = settings.workers(settings.executor) if isinstance(settings.executor, str) else 1
    known = earlier_durations(settings.db, dag.name)
    # What nothing is known of counts as nothing: of such alone there is nothing to say.
    tells = any(one.key in known for step in left.steps for one in step)
    expected = forecast(left, known, workers) if tells else None
    # What a secret was made a part of, in the flow itself, is hidden too.
    mask = Mask(dag.secrets)
    if as_json:
        say(mask.text(to_json(_record(dag, plan, resume, expected), indent=2)))
        return
    for line in _lines(dag, plan, resume, expected, workers):
        say(mask.shortened(line))


def _check_room(dag: Dag, settings: RunSettings) -> None:
    tasks = {node.task for node in dag.nodes if node.task.policy.resources is not None}
    if not tasks:
        return
    # Start-up: few flows have any.
    from liteflow.engine.machine import Machine  # noqa: PLC0415
    from liteflow.engine.planned import Places  # noqa: PLC0415

    places = Places(settings.executor, partial(Machine.of, settings.resources))
    for task in sorted(tasks, key=lambda task: task.name):
        places.of(task.name, task.policy, task.is_async or task.is_async_generator)


def earlier_durations(db: Path | None, flow: str) -> dict[str, float]:
    """Return how many seconds the flow's task instances have taken: the median of the latest runs, by key."""
    taken: dict[str, list[float]] = {}
    try:
        if db is None:
            return {}
        with History(db) as history:
            # Of a run that failed, what succeeded took as long as it takes.
            latest = [run for run in history.runs() if run.flow == flow and run.ended_at is not None][:ASKED]
            for run in latest:
                for row in history.tasks(run.id):
                    if row.state == "succeeded" and row.started_at is not None and row.ended_at is not None:
                        taken.setdefault(row.key, []).append(max(0.0, row.ended_at - row.started_at))
    except StoreMissingError:
        # Nothing has ever run here.
        return {}
    return {key: median(seconds) for key, seconds in taken.items()}


def _lines(
    dag: Dag, plan: Plan, resume: Outlook | None, expected: Forecast | None, workers: int
) -> Iterator[str]:
    count, steps = len(dag.nodes), len(plan.steps)
    yield f"plan of {label(dag.name)}: {counted(count, 'task')} in {counted(steps, 'step')}; nothing is run"
    for name, value in shown_parameters(dag).items():
        yield f"  {label(name)} = {label(value, 200)}"
    for number, step in enumerate(plan.steps, 1):
        yield f"step {number}" + (f": {len(step)} side by side" if len(step) > 1 else "")
        for planned in step:
            yield from _planned(dag, planned, resume)
    if resume is not None:
        left = count - len(resume.kept)
        kept = counted(len(resume.kept), "result")
        yield f"run {label(resume.run.id)} would go on: {kept} kept, {left} to do"
        if resume.grown:
            grown = counted(resume.grown, "result")
            yield f"  beside these, of what came while it ran: {grown}, unless changed"
    if expected is not None:
        path = " > ".join(label(key, 30) for key in _ends(expected.path))
        yield f"expected: {duration(expected.seconds)} with {counted(workers, 'worker')}, by earlier runs"
        yield f"  the longest path takes {duration(expected.path_seconds)}: {path}"
        if expected.unknown:
            yield f"  of {counted(len(expected.unknown), 'task')} nothing is known yet"


def _planned(dag: Dag, planned: Planned, resume: Outlook | None) -> Iterator[str]:
    after = f"   after {', '.join(map(label, _ends(planned.waits_for)))}" if planned.waits_for else ""
    yield f"  {label(planned.key)}{after}{_fate(planned.key, resume)}"
    node = dag.node(planned.key)
    told = {"when: ": _when(dag, node), "for each ": _for_each(dag, node), "": _how(node.task.policy)}
    for begin, text in told.items():
        if text is not None:
            yield f"      {begin}{label(text, _TOO_LONG)}"
    if node.task.policy.resources is not None:
        yield f"      takes {label(str(node.task.policy.resources), _TOO_LONG)}"
    for name, value in shown_work(dag, node).items():
        first, *more = value.rstrip("\n").split("\n")
        yield f"      {label(name)}: {label(first, _TOO_LONG)}" if not more else f"      {label(name)}:"
        for line in [first, *more][:_MOST_LINES] if more else ():
            yield f"        {label(line, _TOO_LONG)}"
        if len(more) >= _MOST_LINES:
            yield f"        and {len(more) + 1 - _MOST_LINES} more lines"


def _when(dag: Dag, node: Node) -> str | None:
    """What has to be so that it runs; what that comes to, if that is known."""
    policy, condition = node.task.policy, _condition(node)
    if condition is None:
        return None if policy.when == "all" else policy.when
    text = text_of(condition, lambda reference: _looked(reference, dag.parameters))
    used = list(references_of(condition))
    # Of a secret it is not even told what it is compared with successfully.
    if any(r.root != "params" or _looked(r, dag.parameters).count(HIDDEN) for r in used):
        return text
    try:
        does = holds(condition, {str(r): _at(r, dag.parameters) for r in used})
    except ConditionError as error:
        return f"{text} (this will fail: {error.problem})"
    return f"{text} ({'it holds' if does else 'it does not hold, so this is skipped'})"


def _condition(node: Node) -> Condition | None:
    function = node.task.fn
    return function.when if isinstance(function, FileTask | Gate) else None


def _for_each(dag: Dag, node: Node) -> str | None:
    """What a mapped call is mapped over."""
    if node.map is None:
        return None
    said = []
    for name, argument in node.arguments():
        if isinstance(argument, Spread):
            items = argument.items
            what = (
                f"item of {dag.nodes[items.source].key}"
                if isinstance(items, Hole)
                else f"of {counted(len(items), 'item')}"
            )
            said.append(what if name == "item" else f"{what} as {name}")
    bound = f", {node.map.max_active} at a time" if node.map.max_active is not None else ""
    return f"{' and '.join(said)}{bound}"


def _how(policy: Policy) -> str | None:
    """How it is run, as far as that is not as usual."""
    said = []
    if policy.timeout is not None:
        said.append(f"timeout: {duration(policy.timeout)}")
    if policy.retries:
        delay = f" after {duration(policy.retry_delay)}" if policy.retry_delay else ""
        longer = f", each time {policy.backoff:g} times as long" if delay and policy.backoff != 1 else ""
        said.append(f"retries: {policy.retries}{delay}{longer}")
    if policy.executor is not None:
        said.append(f"executor: {policy.executor}")
    return "; ".join(said) or None


def _fate(key: str, resume: Outlook | None) -> str:
    if resume is None:
        return ""
    if key in resume.kept:
        return "   [is skipped: its result is kept]"
    if key in resume.again:
        return f"   [runs again: {label(resume.again[key], 200)}]"
    return "   [has not succeeded yet]"


def shown_parameters(dag: Dag) -> dict[str, str]:
    """Return the flow's parameters as they may be shown: what is a secret by its name is hidden."""
    return {name: _shown(name, value) for name, value in dag.parameters.items()}


def _shown(name: str, value: object) -> str:
    shown = redacted(name, value)
    return HIDDEN if shown is HIDDEN else preview_of(shown)[0]


def shown_work(dag: Dag, node: Node) -> dict[str, str]:
    """Return what a call is made of as it may be shown, as far as it is known before it runs."""
    function = node.task.fn
    if isinstance(function, FileTask):
        return dict(_fields(function.work, dag.parameters))
    if isinstance(function, Control):
        return function.shown()
    return {name: _shown(name, value) for name, value in node.arguments() if type(value) in ATOMS}


def _fields(work: TaskType, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for attribute in options_of(type(work)):
        value = getattr(work, attribute.name)
        name = attribute.alias or attribute.name
        default: Any = attribute.default
        usual = default.factory() if hasattr(default, "factory") else default
        if value is not None and value != usual:
            filled = _filled(name, value, partial(_text, work, attribute.name, parameters=parameters))
            yield name, filled if isinstance(filled, str) else to_json(filled)


def _filled(name: str, value: Any, text: Callable[[Template], str]) -> Any:
    """Plain data with the values of parameters in it; those of tasks stay as they are written."""
    if is_secret(name) and not isinstance(value, dict | list):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _filled(str(key), item, text) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled("", item, text) for item in value]
    if not isinstance(value, str):
        return {"file": _filled("file", value.file, text)} if hasattr(value, "file") else value
    found = [t for t in templates_in(value) if t.reference.root == "params"]
    return redacted("", spliced(value, found, list(map(text, found))))


def _text(work: TaskType, name: str, template: Template, parameters: Mapping[str, Any]) -> str:
    """The value of a parameter, or of a part of it, as it stands in a text of that field."""
    if _is_hidden(template.reference):
        return str(HIDDEN)
    return work.text(name, template, redacted("", _at(template.reference, parameters)))


def _looked(reference: Reference, parameters: Mapping[str, Any]) -> str:
    """The same as it stands in a condition; of what is known later the template."""
    if reference.root != "params":
        return f"{OPENING} {reference} {CLOSING}"
    return str(HIDDEN) if _is_hidden(reference) else to_json(redacted("", _at(reference, parameters)))


def _is_hidden(reference: Reference) -> bool:
    return any(is_secret(str(part)) for part in (reference.name, *reference.path))


def _at(reference: Reference, parameters: Mapping[str, Any]) -> Any:
    inside = parameters.get(reference.name)
    for key in reference.path:
        inside = inside[key]  # type: ignore[index]  # compiling has looked
    return inside


def _record(dag: Dag, plan: Plan, resume: Outlook | None, expected: Forecast | None) -> dict[str, object]:
    return {
        "flow": dag.name,
        "parameters": shown_parameters(dag),
        "steps": [[_record_of(dag, dag.node(one.key), one, resume) for one in step] for step in plan.steps],
        "resumes": resume.run.id if resume is not None else None,
        "expected_s": expected.seconds if expected is not None else None,
        "critical_path": list(expected.path) if expected is not None else None,
        "critical_path_s": expected.path_seconds if expected is not None else None,
    }


def _record_of(dag: Dag, node: Node, planned: Planned, resume: Outlook | None) -> dict[str, object]:
    policy = node.task.policy
    return {
        "key": planned.key,
        "task": planned.task,
        "waits_for": list(planned.waits_for),
        "work": shown_work(dag, node),
        "when": _when(dag, node),
        "for_each": _for_each(dag, node),
        "timeout_s": policy.timeout,
        "retries": policy.retries,
        "resources": dict(policy.resources.amounts) if policy.resources is not None else None,
        "kept": resume is not None and planned.key in resume.kept,
        "why_again": resume.again.get(planned.key) if resume is not None else None,
    }


def _ends(keys: tuple[str, ...]) -> list[str]:
    """A few of many."""
    return list(keys) if len(keys) <= 8 else [*keys[:4], "...", *keys[-2:]]
