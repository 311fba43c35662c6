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

from liteflow.files.build import order_of, timeout_of, told_of
from liteflow.files.check import condition_of, dependence_of
from liteflow.files.compile import options_of_runs
from liteflow.files.model import PYTHON_TYPES, REQUIRED, TaskSpec, Workflow
from liteflow.files.structure import key_of, resolved
from liteflow.files.write import is_default, whole
from liteflow.task_types.base import TaskType
from liteflow.task_types.call import TaskCall
from liteflow.task_types.conditions import Compared, Condition, Constant, Looked, parts_of, text_of
from liteflow.task_types.shell import FileOutput, Shell
from liteflow.task_types.templates import Reference, only_template, templates_in

_WIDTH = 100
_KINDS = {"str": "text", "int": "number", "float": "number"}


def to_python(workflow: Workflow, file: str) -> str:
    """Return a script whose flow does what the workflow does.

    Args:
        workflow: The workflow.
        file: What it was read from, for the script's first line.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: hello, tasks: {say: {run: echo hello}}}"
    >>> script = to_python(parse_workflow(text, "hello.yaml"), "hello.yaml")
    >>> 'Shell(run="echo hello")' in script
    True
    """
    return _Script(workflow, file).text()


class _Script:
    def __init__(self, workflow: Workflow, file: str) -> None:
        self._workflow = workflow
        self._file = file
        ours = {
            "Secret",
            "flow",
            "task",
            "skip",
            "unmapped",
            "plain_value",
            "compared",
            "work",
            "context",
            "values",
            "item",
            "items",
        }
        taken = {*ours, *PYTHON_TYPES, *workflow.params}
        gated = [f"{name} (when)" for name, spec in workflow.tasks.items() if _has_gate(spec)]
        self._functions = _names([*workflow.tasks, *gated], taken)
        self._flow = _names([workflow.workflow_name], {*taken, *self._functions.values()})[
            workflow.workflow_name
        ]
        self._calls = _names(
            [f"{name}_" for name in self._functions], {*taken, *self._functions.values(), self._flow}
        )

    def text(self) -> str:
        order = order_of(self._workflow)
        texts = [text for name in order for text in self._tasks_of(name, self._workflow.tasks[name])]
        tasks = "\n\n\n".join(texts)
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
        specs = self._workflow.tasks.values()
        modules: dict[str, set[str]] = {"liteflow": {"flow", "task"}}
        modules["liteflow"] |= {"Secret"} if any(p.secret for p in self._workflow.params.values()) else set()
        modules["liteflow"] |= {"skip"} if any(_skips(spec) for spec in specs) else set()
        modules["liteflow"] |= {"unmapped"} if any(self._unmaps(spec) for spec in specs) else set()
        modules["liteflow"] |= {"Context"} if any(spec.work.waits for spec in specs) else set()
        if any(_made_plain(spec, r) for spec in specs for r in (*spec.uses.work, *spec.uses.when)):
            modules["liteflow.task_types.work"] = {"plain_value"}
        parts = [part for spec in specs for part in parts_of(condition_of(spec) or Constant(True))]
        if any(isinstance(part, Compared) and self._called(part) for part in parts):
            modules["liteflow.task_types.conditions"] = {"compared"}
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
            "resources": spec.resources,
            "cache": spec.cache or None,
            "when": dependence_of(spec),
        }
        texts = [f"{key}={_literal(whole(value))}" for key, value in given.items() if value is not None]
        if spec.work.retry_on != (Exception,):
            texts.append(f"retry_on=({', '.join(kind.__name__ for kind in spec.work.retry_on)})")
        return f"({', '.join(texts)})" if texts else ""

    def _tasks_of(self, name: str, spec: TaskSpec) -> list[str]:
        """The functions of a task: itself, after the gate before it if it has one."""
        return [*([self._gate(name, spec)] if _has_gate(spec) else []), self._task(name, spec)]

    def _gate(self, name: str, spec: TaskSpec) -> str:
        key, references = f"{name} (when)", spec.uses.when
        parameters = self._parameters(references)
        condition = condition_of(spec)
        assert condition is not None
        items = {r: _item(r) for r in references if r.root == "item"}
        holds = self._condition(condition, {**parameters, **items})
        arguments = ", ".join([*(["items"] if spec.foreach is not None else []), *parameters.values()])
        if any(r.root == "item" for r in references):
            body = f"    return [item for item in items if {holds}]"
        else:
            body = f'    if not ({holds}):\n        skip("its condition does not hold")'
            body += "\n    return items" if spec.foreach is not None else ""
        return f"@task(name={_literal(key)})\ndef {self._functions[key]}({arguments}):\n{body}"

    def _task(self, name: str, spec: TaskSpec) -> str:
        if isinstance(spec.work, TaskCall):
            told = {"name": name, **told_of(spec)}
            options = ", ".join(f"{key}={_literal(whole(value))}" for key, value in told.items())
            return f"{self._functions[name]} = {self._functions[name]}.options({options})"
        given = _inline_references(spec)
        parameters = self._parameters(given)
        about = f"    {_text(' '.join(spec.description.split()))}\n" if spec.description else ""
        condition = condition_of(spec) if spec.foreach is None else None
        if condition is not None:
            texts = {r: _plain_text(spec, r, p) for r, p in parameters.items()}
            about += f"    if not ({self._condition(condition, texts)}):\n        "
            about += 'skip("its condition does not hold")\n'
        values = "".join(
            f"        {_literal(str(r))}: "
            f"{_item(r) if r.root == 'item' else _plain_text(spec, r, parameters[r])},\n"
            for r in spec.uses.work
        )
        work = _constructed(spec.work, timeout_of(self._workflow, spec))
        filled = _run("work.filled(values)", spec)
        body = (
            f"    work = {work}\n    values = {{\n{values}    }}\n    return {filled}"
            if values
            else f"    return {_run(work, spec)}"
        )
        given_item = ["item"] if spec.foreach is not None else []
        waits = spec.work.waits
        arguments = ", ".join(
            [*given_item, *parameters.values(), *(["*", "context: Context"] if waits else [])]
        )
        kind = "async def" if waits else "def"
        head = f"@task{self._settings(name, spec)}\n{kind} {self._functions[name]}({arguments}):"
        return f"{head}\n{about}{body}"

    def _parameters(self, references: Iterable[Reference]) -> dict[Reference, str]:
        """The parameter of a function for each value that it needs but the item."""
        given = [reference for reference in references if reference.root != "item"]
        names = _names(
            [str(r) for r in given], {"work", "context", "task", "flow", "skip", "item", "items", "values"}
        )
        return {reference: names[str(reference)] for reference in given}

    def _condition(self, condition: Condition, names: Mapping[Reference, str]) -> str:
        """A condition in Python; `names` say where the values of its templates are."""
        return text_of(condition, names.__getitem__, _literal, self._called)

    def _called(self, comparison: Compared) -> bool:
        """Whether text may be compared with a number: false for ever in Python, and a mistake in a file.

        What isn't asked for being equal raises an error in Python too.
        """
        kinds = {self._kind(comparison.left), self._kind(comparison.right)}
        return comparison.sign in ("==", "!=") and ("any" in kinds or kinds == {"text", "number"})

    def _kind(self, side: Condition) -> str:
        """What a side of a comparison is, as far as it is known: "text", "number", "other" or "any"."""
        match side:
            case Constant(value):
                return _KINDS.get(type(value).__name__, "other")
            case Looked(Reference(root="params", name=name, path=())):
                return _KINDS.get(self._workflow.params[name].kind, "any")
            case Looked(Reference(part="state")):
                return "text"
            case Looked(Reference(part="exit_code")):
                return "number"
            case Looked():
                return "any"
            case _:
                return "other"

    def _unmaps(self, spec: TaskSpec) -> bool:
        if spec.foreach is None:
            return False
        if isinstance(spec.work, TaskCall):
            args = spec.work.args
            return not all(map(_is_item, args.values() if isinstance(args, dict) else args))
        return bool(self._parameters(spec.uses.work))

    def _flow_text(self, order: Iterable[str]) -> str:
        options = options_of_runs(self._workflow)
        if self._flow != self._workflow.workflow_name:
            options = {"name": self._workflow.workflow_name, **options}
        settings = (
            f"({', '.join(f'{key}={_literal(whole(value))}' for key, value in options.items())})"
            if options
            else ""
        )
        lines = [f"@flow{settings}", f"def {self._flow}({self._signature()}):"]
        for name in order:
            lines += [f"    {line}" for line in self._call(name)]
        waited_for = {n for spec in self._workflow.tasks.values() for n in spec.uses.upstream}
        finals = [name for name in self._workflow.tasks if name not in waited_for]
        lines.append(
            f"    return {{{', '.join(f'{_literal(name)}: {self._output(name)}' for name in finals)}}}"
        )
        return "\n".join(lines)

    def _signature(self) -> str:
        texts = []
        for name, param in self._workflow.params.items():
            kind = "" if param.kind == "any" else ": Secret" if param.secret else f": {param.kind}"
            default = "" if param.default is REQUIRED else f" = {_literal(param.default)}"
            texts.append(f"{name}{kind}{default}")
        return f"*, {', '.join(texts)}" if texts else ""

    def _call(self, name: str) -> list[str]:
        spec, call = self._workflow.tasks[name], self._calls[f"{name}_"]
        lines = []
        items = "" if spec.foreach is None else self._argument(spec.foreach)
        first: list[str] = []
        if _has_gate(spec):
            key = f"{name} (when)"
            gate = self._calls[f"{key}_"]
            given = [f"{p}={self._value(r)}" for r, p in self._parameters(spec.uses.when).items()]
            lines.append(
                f"{gate} = {self._functions[key]}({', '.join([*([items] if items else []), *given])})"
            )
            first, items = ([], gate) if items else ([gate], "")
        made = f"{self._functions[name]}{'.map' if items else ''}({', '.join(self._given(spec, items))})"
        lines.append(f"{call} = {made}")
        references = [*spec.uses.work, *spec.uses.when, *spec.uses.foreach]
        fed = {r.name for r in references if r.root == "tasks" and self._value(r) != "0"}
        order = [self._calls[f"{n}_"] for n in spec.uses.upstream if n not in fed]
        return [*lines, *(f"{source} >> {call}" for source in [*order, *first])]

    def _given(self, spec: TaskSpec, items: str) -> list[str]:
        """What a task is called with, or mapped over `items`."""
        if not isinstance(spec.work, TaskCall):
            named = [(p, self._value(r)) for r, p in self._parameters(_inline_references(spec)).items()]
            first = [items] if items else []
            return [*first, *(f"{p}={f'unmapped({v})' if items else v}" for p, v in named)]
        args = spec.work.args
        if not items:
            return (
                [f"{k}={self._argument(v)}" for k, v in args.items()]
                if isinstance(args, dict)
                else [self._argument(v) for v in args]
            )
        if isinstance(args, dict):
            return [f"{k}={self._spread(v, items)}" for k, v in args.items()]
        return [self._spread(v, items) for v in args]

    def _spread(self, value: object, items: str) -> str:
        only = only_template(value)
        if only is None or only.root != "item":
            return f"unmapped({self._argument(value)})"
        return f"[{_item(only)} for item in {items}]" if only.path else items

    def _argument(self, value: object) -> str:
        """An argument of a task that a module defines, with the values of its templates in it."""
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{k!r}: {self._argument(v)}' for k, v in value.items())}}}"
        if isinstance(value, list):
            return f"[{', '.join(map(self._argument, value))}]"
        found = templates_in(value) if isinstance(value, str) else ()
        if not found or not isinstance(value, str):
            return repr(value)
        if only_template(value) is not None:
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
        if reference.part == "state":
            return self._calls[f"{reference.name}_"]
        if reference.part == "exit_code":
            return f'{self._calls[f"{reference.name}_"]}["exit_code"]' if self._tells(reference.name) else "0"
        return self._output(reference.name) + items

    def _output(self, name: str) -> str:
        return self._calls[f"{name}_"] + ('["output"]' if self._tells(name) else "")

    def _tells(self, name: str) -> bool:
        spec = self._workflow.tasks[name]
        return spec.foreach is None and isinstance(spec.work, Shell) and spec.work.tells_exit_code


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


def _has_gate(spec: TaskSpec) -> bool:
    """Whether a task instance of its own decides: for a list of items, and for a task of a module."""
    return condition_of(spec) is not None and (spec.foreach is not None or isinstance(spec.work, TaskCall))


def _skips(spec: TaskSpec) -> bool:
    about_items = spec.foreach is not None and any(r.root == "item" for r in spec.uses.when)
    return condition_of(spec) is not None and not about_items


def _is_item(value: object) -> bool:
    only = only_template(value)
    return only is not None and only.root == "item"


def _inline_references(spec: TaskSpec) -> list[Reference]:
    """What the function of a task takes: the values of its work, and of a condition that it has itself."""
    own = spec.uses.when if spec.foreach is None else []
    return list(dict.fromkeys([*spec.uses.work, *own]))


def _made_plain(spec: TaskSpec, reference: Reference) -> bool:
    """Whether a value may be a Failure, or is to be a state."""
    may_fail = dependence_of(spec) in ("any", "always")
    return reference.root == "tasks" and (may_fail or reference.part == "state")


def _plain_text(spec: TaskSpec, reference: Reference, parameter: str) -> str:
    if not _made_plain(spec, reference):
        return parameter
    return f"plain_value({_literal(str(reference))}, {parameter})"


def _item(reference: Reference) -> str:
    return "item" + "".join(f"[{_literal(key)}]" for key in reference.path)


def _text(text: str) -> str:
    """A docstring of one line."""
    return '"""' + text.replace("\\", "\\\\").replace('"', "'") + '"""'


def _run(work: str, spec: TaskSpec) -> str:
    """The expression that does the work."""
    return f"await {work}.run_async(context)" if spec.work.waits else f"{work}.run()"


def _constructed(work: TaskType, timeout: float | None) -> str:
    """The call that makes an equal task type; what is as it would be anyway is left out."""
    given = {
        key_of(f): getattr(work, f.name)
        for f in resolved(type(work))
        if not is_default(f, getattr(work, f.name))
    }
    if timeout is not None:
        given["timeout"] = whole(timeout)
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
