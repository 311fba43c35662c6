"""A Workflow -> a Flow: its tasks become tasks, its templates edges, its params parameters.

    run: echo ${{ tasks.fetch.output }}     ->  echo({"tasks.fetch.output": fetch()})
    depends_on: [setup]                     ->  setup() >> echo()

What a file says goes through the same calls as a script's, so it is checked, stored and
resumed by the same code.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from types import CodeType
from typing import Any

from attrs import evolve, field, frozen

from liteflow.files.check import references_of, texts_of, upstream_of
from liteflow.files.load import parse_with_tree, read_file
from liteflow.files.mistakes import Mistake, WorkflowFileError
from liteflow.files.model import PYTHON_TYPES, REQUIRED, TaskSpec, Workflow
from liteflow.files.tree import Tree
from liteflow.flow import Flow
from liteflow.lazy import Call, Lazy
from liteflow.policy import Policy
from liteflow.task import Task
from liteflow.task_types.base import TaskType
from liteflow.task_types.call import TaskCall
from liteflow.task_types.faults import CallError
from liteflow.task_types.python import object_of
from liteflow.task_types.shell import Shell
from liteflow.task_types.templates import Reference, templates_in
from liteflow.task_types.work import FileTask


def flow_from_file(path: str | os.PathLike[str], **options: Any) -> Flow[..., Any]:
    """Return the flow that a workflow file describes.

    Its result is a dict of the outputs of its final tasks, by name.

    Args:
        path: The file, `.yaml`, `.yml` or `.json`.
        options: Defaults for its runs, as of `Flow(...)`; they win over the file's settings.

    Raises:
        WorkflowPathError: There is no such file.
        WorkflowFileError: What is wrong in it, all of it.
    """
    full = Path(path)
    workflow, tree = parse_with_tree(read_file(full), str(path), json=full.suffix.lower() == ".json")
    return flow_of(workflow, str(full.absolute()), tree, **options)


def flow_of(workflow: Workflow, file: str, tree: Tree | None = None, **options: Any) -> Flow[..., Any]:
    """Return the flow that a workflow describes.

    Args:
        workflow: The workflow.
        file: Where it is written, for errors and for the record.
        tree: Where its parts stand in the file.
        options: Defaults for its runs; they win over the workflow's settings.

    Raises:
        WorkflowFileError: It uses what can't be had: a module that is not there, a parameter's
            item that its value does not have.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: w, params: {n: 2}, tasks: {a: {run: 'echo ${{ params.n }}'}}}"
    >>> flow = flow_of(parse_workflow(text, "w.yaml"), "w.yaml")
    >>> flow.compile(n=3).node("a").key
    'a'
    """
    builder = _Builder(workflow, file, tree or Tree({}, 1, 1))
    return Flow(workflow.workflow_name, builder.recipe(), **{**options_of_runs(workflow), **options})


def options_of_runs(workflow: Workflow) -> dict[str, Any]:
    """Return what a file's settings say of its runs, as options of a Flow.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: w, tasks: {a: {run: ls}}, settings: {max_parallel_tasks: 2}}"
    >>> options_of_runs(parse_workflow(text, "w.yaml"))
    {'max_workers': 2}
    """
    settings = workflow.settings
    options = {"max_workers": settings.max_parallel_tasks, "executor": settings.mode, "db": settings.db}
    return {name: value for name, value in options.items() if value is not None}


def policy_of(workflow: Workflow, spec: TaskSpec) -> Policy:
    """Return how a task is to be run: as it says itself, else as the settings say."""
    return Policy(
        retries=workflow.settings.retries if spec.retries is None else spec.retries,
        retry_delay=spec.retry_delay,
        backoff=spec.backoff,
        timeout=timeout_of(workflow, spec),
        executor=spec.work.executor,
        retry_on=spec.work.retry_on,
    )


def timeout_of(workflow: Workflow, spec: TaskSpec) -> float | None:
    """Return the seconds that an attempt of a task may take; None for any time."""
    return workflow.settings.timeout if spec.timeout is None else spec.timeout


def order_of(workflow: Workflow) -> list[str]:
    """Return the tasks, each after those that it waits for; else as in the file."""
    sorter = TopologicalSorter({name: upstream_of(spec) for name, spec in workflow.tasks.items()})
    return list(sorter.static_order())


def not_yet(spec: TaskSpec) -> list[tuple[str, str]]:
    """Return the keys of a task that this version can't run, each with what is to be said of it."""
    return [
        (key, f"is there: this version can read {key}, and not run it yet")
        for key in ("foreach", "when")
        if getattr(spec, key) is not None
    ]


def _nowhere() -> None:
    """Its code stands for a place in a workflow file; it is never called."""


@frozen
class _Builder:
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
                annotation=PYTHON_TYPES[param.kind],
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
        for key, problem in not_yet(spec):
            place = self.tree.place(("tasks", name, key), key=True)
            remedy = "write one task for each item, or do this inside a task"
            return [Mistake(*place, ("tasks", name, key), problem, remedy)]
        if isinstance(spec.work, TaskCall):
            return self._prepare_call(name, spec, spec.work)
        work = evolve(spec.work, timeout=timeout_of(self.workflow, spec))
        folder = str(Path(self.file).parent) if getattr(work, "call", None) else None
        self.tasks[name] = Task(FileTask(work, folder), name, policy_of(self.workflow, spec))
        return []

    def _prepare_call(self, name: str, spec: TaskSpec, work: TaskCall) -> list[Mistake]:
        for inside, text in texts_of(spec):
            found = templates_in(text)
            if (
                any(t.reference.root == "tasks" for t in found)
                and text.strip() != text[found[0].start : found[0].end]
            ):
                full = ("tasks", name, *inside)
                problem = "has the result of a task inside a text, which is made before there is a result"
                return [
                    Mistake(
                        *self.tree.place(full), full, problem, "give the template alone, or as one more item"
                    )
                ]
        path = ("tasks", name, "call")
        folder = str(Path(self.file).absolute().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            found = object_of(work.call)
        except CallError as error:
            return [
                Mistake(*self.tree.place(path), path, str(error), "correct the name, or install the module")
            ]
        if not isinstance(found, Task):
            problem = f"is {work.call}, which is {type(found).__name__} and no task"
            return [
                Mistake(*self.tree.place(path), path, problem, "decorate it with @task, or use type: python")
            ]
        told = {f: getattr(spec, f) for f in ("timeout", "retries") if getattr(spec, f) is not None}
        if spec.retry_delay or spec.backoff != 1:
            told |= {"retry_delay": spec.retry_delay, "backoff": spec.backoff}
        self.tasks[name] = evolve(found, name=name, policy=evolve(found.policy, **told))
        return []

    def _expression(self, params: Mapping[str, Any]) -> dict[str, Any]:
        calls: dict[str, Call[Any]] = {}
        for name in order_of(self.workflow):
            spec = self.workflow.tasks[name]
            references = references_of(spec)
            values = {str(r): self._value(name, r, params, calls) for r in references}
            call = self._call(name, spec.work, values)
            # What gives it a value is waited for already.
            fed = {r.name for r in references if isinstance(values[str(r)], Lazy)}
            call._after = [calls[needed] for needed in upstream_of(spec) if needed not in fed]
            calls[name] = call
        waited_for = {needed for spec in self.workflow.tasks.values() for needed in upstream_of(spec)}
        return {name: self._output(name, calls) for name in self.workflow.tasks if name not in waited_for}

    def _call(self, name: str, work: TaskType, values: dict[str, Any]) -> Call[Any]:
        task = self.tasks[name]
        args: tuple[Any, ...] = (values,) if values else ()
        kwargs: dict[str, Any] = {}
        if isinstance(work, TaskCall):
            filled = work.filled(values).args
            args, kwargs = ((), filled) if isinstance(filled, dict) else (tuple(filled), {})
            signature = task.signature
            given = signature.by_name(*signature.bind(args, kwargs))
            for missing in (p for p in signature.required if p not in given):
                path = ("tasks", name, "args")
                raise self._refused(path, f"has no {missing!r}, which {task.name}() needs", "add it")
        call: Call[Any] = Call(task, task.signature.bind(args, kwargs), self._place(name), 0)
        call._key, call._named_at = name, f"{self.file}:{self._place(name).co_firstlineno}"
        return call

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
        work = self.workflow.tasks[name].work
        return isinstance(work, Shell) and work.tells_exit_code

    def _refused(self, path: tuple[str, ...], problem: str, remedy: str) -> WorkflowFileError:
        return WorkflowFileError(self.file, (Mistake(*self.tree.place(path), path, problem, remedy),))
