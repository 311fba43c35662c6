"""A Workflow -> the text of a Python script that does the same.

fetch: {run: echo 3}                   @task
                                       def fetch():
                                           return Shell(run="echo 3").run()
"""

from __future__ import annotations

import keyword
import pprint
import re
from collections.abc import Iterable, Mapping

from liteflow.files.check import references_of, upstream_of
from liteflow.files.compile import not_yet, options_of_runs, order_of, timeout_of
from liteflow.files.mistakes import Mistake, WorkflowFileError
from liteflow.files.model import REQUIRED, TaskSpec, Workflow
from liteflow.files.structure import key_of, resolved
from liteflow.files.write import is_default
from liteflow.task_types.base import TaskType
from liteflow.task_types.call import TaskCall
from liteflow.task_types.shell import FileOutput, Shell
from liteflow.task_types.templates import Reference, templates_in

_WIDTH = 100


def to_python(workflow: Workflow, file: str) -> str:
    """Return a script whose flow does what the workflow does.

    Args:
        workflow: The workflow.
        file: What it was read from, for the script's first line and for errors.

    Raises:
        WorkflowFileError: It uses what no version can run yet.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: hello, tasks: {say: {run: echo hello}}}"
    >>> script = to_python(parse_workflow(text, "hello.yaml"), "hello.yaml")
    >>> 'Shell(run="echo hello")' in script
    True
    """
    mistakes = [
        Mistake(1, 1, ("tasks", name, key), problem, "take it out first")
        for name, spec in workflow.tasks.items()
        for key, problem in not_yet(spec)
    ]
    if mistakes:
        raise WorkflowFileError(file, tuple(mistakes))
    return _Script(workflow, file).text()


class _Script:
    def __init__(self, workflow: Workflow, file: str) -> None:
        self._workflow = workflow
        self._file = file
        taken = {"flow", "task", "work", "values", *workflow.params}
        self._functions = _names(workflow.tasks, taken)
        self._flow = _names([workflow.workflow_name], {*taken, *self._functions.values()})[
            workflow.workflow_name
        ]
        self._calls = _names(
            [f"{name}_" for name in workflow.tasks], {*taken, *self._functions.values(), self._flow}
        )

    def text(self) -> str:
        order = order_of(self._workflow)
        tasks = "\n\n\n".join(self._task(name, self._workflow.tasks[name]) for name in order)
        about = " ".join(self._workflow.description.split())
        head = f"{about or self._workflow.workflow_name} (made from {self._file})"
        parts = [
            f"{_text(head)}\n\n{self._imports()}",
            tasks,
            self._flow_text(order),
            f'if __name__ == "__main__":\n    print({self._flow}.run().result)',
        ]
        return "\n\n\n".join(parts) + "\n"

    def _imports(self) -> str:
        modules: dict[str, set[str]] = {"liteflow": {"flow", "task"}}
        calls = []
        for name, spec in self._workflow.tasks.items():
            if isinstance(spec.work, TaskCall):
                module, _, attribute = spec.work.call.partition(":")
                calls.append(f"from {module} import {attribute} as {self._functions[name]}")
                continue
            kind = type(spec.work)
            home = kind.__module__ if not kind.__module__.startswith("liteflow.") else "liteflow.task_types"
            modules.setdefault(home, set()).add(kind.__name__)
            if isinstance(spec.work, Shell) and isinstance(spec.work.outputs, FileOutput):
                modules.setdefault("liteflow.task_types.shell", set()).add("FileOutput")
        lines = [
            f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items())
        ]
        if any(spec.work.retry_on != (Exception,) for spec in self._workflow.tasks.values()):
            lines.append("from liteflow.task_types.faults import HttpTryAgainError")
        return "\n".join([*lines, *calls])

    def _settings(self, name: str, spec: TaskSpec) -> str:
        retries = self._workflow.settings.retries if spec.retries is None else spec.retries
        given = {
            "name": name if self._functions[name] != name else None,
            "retries": retries or None,
            "retry_delay": spec.retry_delay or None,
            "backoff": spec.backoff if spec.backoff != 1 else None,
            "timeout": timeout_of(self._workflow, spec),
            "executor": spec.work.executor,
        }
        texts = [f"{key}={_literal(value)}" for key, value in given.items() if value is not None]
        if spec.work.retry_on != (Exception,):
            texts.append(f"retry_on=({', '.join(kind.__name__ for kind in spec.work.retry_on)})")
        return f"({', '.join(texts)})" if texts else ""

    def _task(self, name: str, spec: TaskSpec) -> str:
        if isinstance(spec.work, TaskCall):
            told = {k: getattr(spec, k) for k in ("retries", "timeout") if getattr(spec, k) is not None}
            if spec.retry_delay or spec.backoff != 1:
                told |= {"retry_delay": spec.retry_delay, "backoff": spec.backoff}
            options = ", ".join(f"{key}={_literal(value)}" for key, value in {"name": name, **told}.items())
            return f"{self._functions[name]} = {self._functions[name]}.options({options})"
        parameters = self._parameters(spec)
        about = f"    {_text(' '.join(spec.description.split()))}\n" if spec.description else ""
        work = _constructed(spec.work, timeout_of(self._workflow, spec))
        values = "".join(
            f"        {_literal(str(reference))}: {parameter},\n"
            for reference, parameter in parameters.items()
        )
        body = (
            f"    work = {work}\n    values = {{\n{values}    }}\n    return work.filled(values).run()"
            if values
            else f"    return {work}.run()"
        )
        arguments = ", ".join(parameters.values())
        head = f"@task{self._settings(name, spec)}\ndef {self._functions[name]}({arguments}):"
        return f"{head}\n{about}{body}"

    def _parameters(self, spec: TaskSpec) -> dict[Reference, str]:
        references = references_of(spec)
        names = _names([str(reference) for reference in references], {"work", "task", "flow"})
        return {reference: names[str(reference)] for reference in references}

    def _flow_text(self, order: Iterable[str]) -> str:
        options = options_of_runs(self._workflow)
        if self._flow != self._workflow.workflow_name:
            options = {"name": self._workflow.workflow_name, **options}
        settings = (
            f"({', '.join(f'{key}={_literal(value)}' for key, value in options.items())})" if options else ""
        )
        lines = [f"@flow{settings}", f"def {self._flow}({self._signature()}):"]
        for name in order:
            lines += [f"    {line}" for line in self._call(name)]
        waited_for = {n for spec in self._workflow.tasks.values() for n in upstream_of(spec)}
        finals = [name for name in self._workflow.tasks if name not in waited_for]
        lines.append(
            f"    return {{{', '.join(f'{_literal(name)}: {self._output(name)}' for name in finals)}}}"
        )
        return "\n".join(lines)

    def _signature(self) -> str:
        texts = []
        for name, param in self._workflow.params.items():
            kind = "" if param.kind == "any" else f": {param.kind}"
            default = "" if param.default is REQUIRED else f" = {_literal(param.default)}"
            texts.append(f"{name}{kind}{default}")
        return f"*, {', '.join(texts)}" if texts else ""

    def _call(self, name: str) -> list[str]:
        spec, call = self._workflow.tasks[name], self._calls[f"{name}_"]
        references = references_of(spec)
        if isinstance(spec.work, TaskCall):
            given = spec.work.args
            items = [f"{k}={self._argument(v)}" for k, v in given.items()] if isinstance(given, dict) else []
            items = items or [self._argument(v) for v in given]
        else:
            items = [f"{p}={self._value(r)}" for r, p in self._parameters(spec).items()]
        fed = {r.name for r in references if r.root == "tasks" and self._value(r) != "0"}
        order = [self._calls[f"{n}_"] for n in upstream_of(spec) if n not in fed]
        made = f"{self._functions[name]}({', '.join(items)})"
        lines = [f"{call} = {made}"]
        return [*lines, *(f"{source} >> {call}" for source in order)]

    def _argument(self, value: object) -> str:
        """An argument of a task that a module defines, with the values of its templates in it."""
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{k!r}: {self._argument(v)}' for k, v in value.items())}}}"
        if isinstance(value, list):
            return f"[{', '.join(map(self._argument, value))}]"
        found = templates_in(value) if isinstance(value, str) else ()
        if not found or not isinstance(value, str):
            return repr(value)
        if _only_template(value) is not None:
            return self._value(found[0].reference)
        pieces, at = [], 0
        for template in found:
            pieces += [repr(value[at : template.start]), f"str({self._value(template.reference)})"]
            at = template.end
        return " + ".join(piece for piece in [*pieces, repr(value[at:])] if piece != "''")

    def _value(self, reference: Reference) -> str:
        items = "".join(f"[{_literal(key)}]" for key in reference.path)
        if reference.root == "params":
            return reference.name + items
        if reference.part == "exit_code":
            return f'{self._calls[f"{reference.name}_"]}["exit_code"]' if self._tells(reference.name) else "0"
        return self._output(reference.name) + items

    def _output(self, name: str) -> str:
        return self._calls[f"{name}_"] + ('["output"]' if self._tells(name) else "")

    def _tells(self, name: str) -> bool:
        work = self._workflow.tasks[name].work
        return isinstance(work, Shell) and work.tells_exit_code


def _names(texts: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Return a name in Python for each text, different from each other and from those taken."""
    made: dict[str, str] = {}
    used = set(taken)
    for text in texts:
        base = re.sub(r"\W+", "_", text) or "task"
        base = f"_{base}" if base[0].isdigit() or not base.isidentifier() else base
        base = f"{base}_" if keyword.iskeyword(base) or keyword.issoftkeyword(base) else base
        name, number = base, 2
        while name in used:
            name, number = f"{base}_{number}", number + 1
        used.add(name)
        made[text] = name
    return made


def _only_template(value: object) -> Reference | None:
    if isinstance(value, str):
        found = templates_in(value)
        if len(found) == 1 and value.strip() == value[found[0].start : found[0].end]:
            return found[0].reference
    return None


def _text(text: str) -> str:
    """A docstring of one line."""
    return '"""' + text.replace("\\", "\\\\").replace('"', "'") + '"""'


def _constructed(work: TaskType, timeout: float | None) -> str:
    """The call that makes an equal task type; what is as it would be anyway is left out."""
    given = {
        key_of(f): getattr(work, f.name)
        for f in resolved(type(work))
        if not is_default(f, getattr(work, f.name))
    }
    if timeout is not None:
        given["timeout"] = timeout
    texts = [f"{key}={_literal(value)}" for key, value in given.items()]
    one_line = f"{type(work).__name__}({', '.join(texts)})"
    if len(one_line) + 16 <= _WIDTH and "\n" not in one_line:
        return one_line
    lines = "".join(f"        {text},\n" for text in texts)
    return f"{type(work).__name__}(\n{lines}    )"


def _literal(value: object) -> str:
    if isinstance(value, FileOutput):
        return f"FileOutput(file={_literal(value.file)})"
    if isinstance(value, dict | list):
        return pprint.pformat(value, width=_WIDTH, sort_dicts=False)
    if not isinstance(value, str):
        return repr(value)
    # Lines as lines; what a triple-quoted text could not hold as it is stays escaped.
    plain = '"""' not in value and "\\" not in value and not value.endswith('"')
    if "\n" in value and plain and value.replace("\n", "").isprintable():
        return f'"""{value}"""'
    return repr(value) if '"' in value or "'" in value else f'"{repr(value)[1:-1]}"'
