"""A Workflow -> an expression of calls: templates become edges, params the flow's parameters.

run: echo ${{ tasks.fetch.output }}     ->  echo({"tasks.fetch.output": fetch()})
depends_on: [setup]                     ->  setup() >> echo()
foreach: ${{ tasks.list.output }}       ->  work.map(list_())
when: ${{ params.day }} == "Monday"     ->  the task skips itself; before a foreach, or a task of a
                                            module, a gate (task_types/work.py) does so
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from types import CodeType
from typing import Any

from attrs import evolve, field, frozen

from liteflow.files.check import condition_of, dependence_of
from liteflow.files.mistakes import Mistake, WorkflowFileError
from liteflow.files.mistakes import Path as FilePath
from liteflow.files.model import PYTHON_TYPES, REQUIRED, Param, TaskSpec, Workflow
from liteflow.files.tree import Tree
from liteflow.lazy import Call, Lazy
from liteflow.mapped import MapPolicy, Unmapped, mapped_call, refusal
from liteflow.parameters import Bound
from liteflow.policy import Policy
from liteflow.task import Task
from liteflow.task_types.base import TaskType, filled_data, texts_in, work_texts
from liteflow.task_types.call import TaskCall
from liteflow.task_types.faults import CallError, ValueRefusedError
from liteflow.task_types.python import Python, object_of
from liteflow.task_types.shell import Shell
from liteflow.task_types.templates import Reference, only_template, references_in, templates_in
from liteflow.task_types.work import Gate, file_task, item_at


def policy_of(workflow: Workflow, spec: TaskSpec) -> Policy:
    """Return how a task is to be run: as it says itself, else as the settings say."""
    policy = _policy(
        retries=workflow.settings.retries if spec.retries is None else spec.retries,
        retry_delay=spec.retry_delay,
        backoff=spec.backoff,
        timeout=timeout_of(workflow, spec),
        executor=spec.work.executor,
        retry_on=spec.work.retry_on,
        when=dependence_of(spec) or "all",
        cache=spec.cache or False,
    )
    return policy if spec.resources is None else evolve(policy, resources=spec.resources)


# Most tasks of a file have the same, and so have one.
_policy = lru_cache(maxsize=64)(Policy)


def timeout_of(workflow: Workflow, spec: TaskSpec) -> float | None:
    """Return the seconds that an attempt of a task may take; None for any time."""
    return workflow.settings.timeout if spec.timeout is None else spec.timeout


def order_of(workflow: Workflow) -> list[str]:
    """Return the tasks, each after those that it waits for; else as in the file."""
    upstream = {name: spec.uses.upstream for name, spec in workflow.tasks.items()}
    return list(TopologicalSorter(upstream).static_order())


def told_of(spec: TaskSpec) -> dict[str, Any]:
    """Return the settings that a task of a module gets from the file; the others are its own."""
    told: dict[str, Any] = {
        f: getattr(spec, f)
        for f in ("timeout", "retries", "resources", "cache")
        if getattr(spec, f) is not None
    }
    if spec.retry_delay or spec.backoff != 1:
        told |= {"retry_delay": spec.retry_delay, "backoff": spec.backoff}
    dependence = dependence_of(spec)
    return {**told, "when": dependence} if dependence is not None else told


def _annotation(param: Param) -> Any:
    if not param.secret:
        return PYTHON_TYPES[param.kind]
    # Start-up: few files have any.
    from liteflow.secret import Secret  # noqa: PLC0415

    return Secret


def _nowhere() -> None:
    """Its code stands for a place in a workflow file; it is never called."""


@frozen
class Builder:
    """Makes the flow's function of a workflow.

    Attributes:
        workflow: The workflow.
        file: Where it is written.
        tree: Where its parts stand in the file.
        tasks: The tasks made of it, by name.
    """

    workflow: Workflow
    file: str
    tree: Tree
    tasks: dict[str, Task[..., Any]] = field(factory=dict)

    def recipe(self) -> Callable[..., Any]:
        """Return the flow's function, with the workflow's params as its parameters."""
        mistakes = [m for name, spec in self.workflow.tasks.items() for m in self._prepare(name, spec)]
        if mistakes:
            raise WorkflowFileError(self.file, tuple(mistakes))

        def build(**params: Any) -> dict[str, Any]:
            return self._expression(params)

        parameters = {
            name: inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if param.default is REQUIRED else param.default,
                annotation=_annotation(param),
            )
            for name, param in self.workflow.params.items()
        }
        described: Any = build
        described.__signature__ = inspect.Signature(list(parameters.values()))
        described.__annotations__ = {name: p.annotation for name, p in parameters.items()}
        described.__doc__ = self.workflow.description or None
        described.__name__ = described.__qualname__ = self.workflow.workflow_name
        # What the record of a run names as the file that its flow is written in.
        described.__code__ = described.__code__.replace(co_filename=self.file)
        return build

    def _prepare(self, name: str, spec: TaskSpec) -> list[Mistake]:
        """Make the task; return what can't be done."""
        if isinstance(spec.work, TaskCall):
            return self._prepare_call(name, spec, spec.work)
        timeout = timeout_of(self.workflow, spec)
        work = spec.work if spec.work.timeout == timeout else evolve(spec.work, timeout=timeout)
        imports = isinstance(work, Python) or getattr(work, "call", None)
        folder = str(Path(self.file).parent) if imports else None
        when = condition_of(spec) if spec.foreach is None else None
        function = file_task(work, spec.uses.work, folder, when)
        self.tasks[name] = Task(function, name, policy_of(self.workflow, spec))
        return []

    def _prepare_call(self, name: str, spec: TaskSpec, work: TaskCall) -> list[Mistake]:
        for inside, text in work_texts(spec.work):
            wrong = _unfit_argument(inside, text)
            if wrong is not None:
                return [self._mistake(("tasks", name, *inside), *wrong)]
        folder = str(Path(self.file).absolute().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        path = ("tasks", name, "call")
        try:
            found = object_of(work.call)
        except CallError as error:
            problem = str(error).removeprefix("call: ")
            return [self._mistake(path, problem, "correct the name, or install the module")]
        if not isinstance(found, Task):
            problem = f"is {work.call}, which is {type(found).__name__} and no task"
            return [self._mistake(path, problem, "decorate it with @task, or use type: python")]
        self.tasks[name] = evolve(found, name=name, policy=evolve(found.policy, **told_of(spec)))
        return []

    def _expression(self, params: Mapping[str, Any]) -> dict[str, Any]:
        calls: dict[str, Call[Any]] = {}
        for name in order_of(self.workflow):
            calls[name] = self._call(name, params, calls)
        waited_for = {needed for spec in self.workflow.tasks.values() for needed in spec.uses.upstream}
        return {name: self._output(name, calls) for name in self.workflow.tasks if name not in waited_for}

    def _call(self, name: str, params: Mapping[str, Any], calls: Mapping[str, Call[Any]]) -> Call[Any]:
        """Make the call of a task, with the gate before it if it needs one."""
        spec = self.workflow.tasks[name]
        uses = spec.uses

        def valued(references: Sequence[Reference]) -> dict[str, Any]:
            return {str(r): self._value(name, r, params, calls) for r in references if r.root != "item"}

        values = valued(uses.work)
        condition, first = condition_of(spec), None
        items = None if spec.foreach is None else self._items(name, spec, valued(uses.foreach))
        if condition is not None and (items is not None or isinstance(spec.work, TaskCall)):
            given = valued(uses.when)
            about = tuple(r for r in uses.when if r.root == "item")
            gate = Task(Gate(condition, about), self._gate_name(name))
            first = self._placed(name, gate, ((given, items if items is not None else ()), None))
            items = first if items is not None else None
        elif condition is not None:
            values |= valued(uses.when)
        if items is None:
            call = self._placed(name, self.tasks[name], self._arguments(name, spec.work, values))
        else:
            call = self._mapped(name, spec.work, values, items)
        # What gives it a value is waited for already.
        of_value = {r.name: values.get(str(r)) for r in uses.work}
        fed = {needed for needed, value in of_value.items() if isinstance(value, Lazy)}
        if items is not None or condition is not None:
            earlier = [*uses.foreach, *uses.when]
            fed |= {r.name for r in earlier if r.part != "exit_code"}
        call._after = [calls[needed] for needed in uses.upstream if needed not in fed]
        if first is not None and first is not items:
            call._after.append(first)
        return call

    def _arguments(self, name: str, work: TaskType, values: dict[str, Any]) -> Bound:
        if not isinstance(work, TaskCall):
            return ((values,) if values else ()), None
        filled = work.filled(values).args
        args, kwargs = ((), filled) if isinstance(filled, dict) else (tuple(filled), {})
        signature = self.tasks[name].signature
        bound = signature.bind(args, kwargs)
        given = signature.by_name(*bound)
        for missing in (p for p in signature.required if p not in given):
            path = ("tasks", name, "args")
            raise self._refused(path, f"has no {missing!r}, which {name}() needs", "add it")
        return bound

    def _placed(self, name: str, task: Task[..., Any], arguments: Bound) -> Call[Any]:
        """A call of a task that stands where `name` stands in the file."""
        call: Call[Any] = Call(task, arguments, self._place(name), 0)
        return self._named(call, name, task.name)

    def _named(self, call: Call[Any], name: str, key: str) -> Call[Any]:
        call._key, call._named_at = key, f"{self.file}:{self._place(name).co_firstlineno}"
        return call

    def _mapped(self, name: str, work: TaskType, values: dict[str, Any], items: Any) -> Call[Any]:
        """The call of a task for each item."""
        task, at, policy = self.tasks[name], (self._place(name), 0), MapPolicy()
        if not isinstance(work, TaskCall):
            named = {"item": items, **({"_values": Unmapped(values)} if values else {})}
            return self._named(mapped_call(task, (), named, policy, at), name, name)
        references = references_in(text for _, text in texts_in(work.args, ()))
        of_item = {str(r): _OfItem(r) for r in references if r.root == "item"}
        filled = work.filled({**values, **of_item}).args

        def argument(value: Any) -> Any:
            if not isinstance(value, _OfItem):
                return Unmapped(value)
            return self._spread(name, items, value.reference)

        if isinstance(filled, dict):
            args, named = (), {key: argument(value) for key, value in filled.items()}
        else:
            args, named = tuple(argument(value) for value in filled), {}
        if not of_item:
            path = ("tasks", name, "foreach")
            raise self._refused(path, "is there, but no argument has the item", "give one ${{ item }}")
        return self._named(mapped_call(task, args, named, policy, at), name, name)

    def _spread(self, name: str, items: Any, reference: Reference) -> Any:
        """The list of what a reference leads to in each item."""
        if not reference.path:
            return items
        if isinstance(items, Lazy):
            problem = f"uses {reference}, but what the items are is known only when it runs"
            raise self._refused(("tasks", name, "args"), problem, "pass the whole ${{ item }}")
        try:
            return [item_at(item, reference) for item in items]
        except ValueRefusedError as error:
            raise self._refused(("tasks", name, "args"), str(error), "correct it") from None

    def _items(self, name: str, spec: TaskSpec, values: Mapping[str, Any]) -> Any:
        """What a task is run for: a list, or the lazy value of one."""
        path = ("tasks", name, "foreach")
        try:
            items = filled_data(spec.foreach, values)
        except ValueRefusedError as error:
            raise self._refused(path, str(error), "give the template alone, as an item of the list") from None
        problem = None if isinstance(items, Lazy) else refusal(items)
        if problem is not None:
            raise self._refused(path, problem.partition(": unmapped")[0], "give a list") from None
        return items

    def _gate_name(self, name: str) -> str:
        key = f"{name} (when)"
        while key in self.workflow.tasks:
            key += "'"
        return key

    def _place(self, name: str) -> CodeType:
        """Code that stands where the task stands in the file: errors of its call then point there."""
        line, _ = self.tree.place(("tasks", name), key=True)
        return _nowhere.__code__.replace(co_filename=self.file, co_firstlineno=line)

    def _value(
        self, name: str, reference: Reference, params: Mapping[str, Any], calls: Mapping[str, Call[Any]]
    ) -> Any:
        if reference.root == "params":
            value = params[reference.name]
            for key in reference.path:
                try:
                    value = value[key]
                except (KeyError, IndexError, TypeError):
                    problem = f"uses {reference}, which its value does not have"
                    raise self._refused(
                        ("tasks", name), problem, "give another value, or correct it"
                    ) from None
            return value
        if reference.part == "state":
            return calls[reference.name]
        lazy = self._output(reference.name, calls)
        if reference.part == "exit_code":
            if not self._tells_exit_code(reference.name):
                # Success has this one code; the task is waited for all the same.
                return 0
            lazy = calls[reference.name]["exit_code"]
        for key in reference.path:
            lazy = lazy[key]
        return lazy

    def _output(self, name: str, calls: Mapping[str, Call[Any]]) -> Lazy[Any]:
        return calls[name]["output"] if self._tells_exit_code(name) else calls[name]

    def _tells_exit_code(self, name: str) -> bool:
        spec = self.workflow.tasks[name]
        return spec.foreach is None and isinstance(spec.work, Shell) and spec.work.tells_exit_code

    def _refused(self, path: FilePath, problem: str, remedy: str) -> WorkflowFileError:
        return WorkflowFileError(self.file, (self._mistake(path, problem, remedy),))

    def _mistake(self, path: FilePath, problem: str, remedy: str) -> Mistake:
        return Mistake(*self.tree.place(path), path, problem, remedy)


@frozen
class _OfItem:
    """Stands in an argument for the item, until the list is known."""

    reference: Reference


def _unfit_argument(inside: FilePath, text: str) -> tuple[str, str] | None:
    """Why a template can't stand there in the arguments of a task of a module, and what to do."""
    roots = {t.reference.root for t in templates_in(text)}
    only = only_template(text)
    if "tasks" in roots and only is None:
        problem = "has the result of a task inside a text, which is made before there is a result"
        return problem, "give the template alone, or as one more item"
    if "item" in roots and (only is None or len(inside) != 2):
        return "has the item inside something else", "give ${{ item }} alone, as one argument"
    if only is not None and only.part == "state":
        return f"asks for {only}, which goes to tasks of the file only", "use type: python"
    return None
