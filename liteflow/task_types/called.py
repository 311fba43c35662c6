"""What code does `call: module:function` lead to?  The driver reads it, for only workers import the module.

    module:function --its file, not imported--> definition --names in it--> definitions, in the user's modules

A resume keeps a result only if this code is as it was.  Comments, blank lines and docstrings are no code.
What Python brings and what is installed counts by its name.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from liteflow.fingerprint import installed_folders, tree_text

# So many definitions are followed, as fingerprint.py follows so many functions.
_MOST = 500


class _Source(NamedTuple):
    """What a module says: its definitions by name, and what its imports bind: (module, name in it or "")."""

    definitions: Mapping[str, ast.stmt]
    imports: Mapping[str, tuple[str, str]]


def code_behind(call: str, folder: str | None) -> str:
    """Return a digest of the code that a call leads to; of its name alone, if its source is not at hand.

    Args:
        call: `module:function`.
        folder: Where modules are looked for first, then as Python does; None: nowhere else.
    """
    module, _, name = call.partition(":")
    return _behind([(module, name.partition(".")[0])], _folders(folder))


def code_behind_script(script: str, folder: str | None) -> str:
    """The same of what a script names, which itself is in no module.

    Args:
        script: Python.
        folder: As of `code_behind`.

    Raises:
        SyntaxError: It is none.
    """
    tree, folders = ast.parse(script), _folders(folder)
    return _behind(list(_mentioned("", tree, _Source({}, dict(_imports(tree, ""))), folders)), folders)


def _folders(folder: str | None) -> tuple[str, ...]:
    return tuple(([folder] if folder is not None else []) + [entry or os.curdir for entry in sys.path])


def _behind(waiting: list[tuple[str, str]], folders: tuple[str, ...]) -> str:
    text = blake2b(digest_size=8)
    seen = set[tuple[str, str]]()
    # The list is the queue: it grows while we go along it.
    for where, what in waiting:
        source = _source(where, folders)
        if source is None or (where, what) in seen or len(seen) >= _MOST:
            continue
        seen.add((where, what))
        definition = source.definitions.get(what)
        if definition is not None:
            text.update(f"{where}:{what} {tree_text(definition)}\n".encode("utf-8", "backslashreplace"))
            waiting += _mentioned(where, definition, source, folders)
        elif what in source.imports:
            waiting.append(source.imports[what])
    return text.hexdigest()


def _mentioned(
    module: str, definition: ast.AST, source: _Source, folders: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """The definitions that the names in one may mean: (module, name)."""
    for chain in _chains(definition):
        if chain[0] in source.definitions:
            yield module, chain[0]
        elif chain[0] in source.imports:
            begin, name = source.imports[chain[0]]
            parts = [*([name] if name else []), *chain[1:]]
            if parts:
                yield begin, parts[0]
            # `import a.b` and `from a import b` may bind modules: a.b.f is f in a.b.
            for length in range(1, len(parts)):
                inner = ".".join([begin, *parts[:length]])
                if _source(inner, folders) is None:
                    break
                yield inner, parts[length]


def _chains(definition: ast.AST) -> Iterator[list[str]]:
    """Names and names with what stands behind their dots: a, a.b.c."""
    for node in ast.walk(definition):
        names: list[str] = []
        begin = node
        while isinstance(begin, ast.Attribute):
            names.append(begin.attr)
            begin = begin.value
        if isinstance(begin, ast.Name):
            yield [begin.id, *reversed(names)]


def _source(module: str, folders: Sequence[str]) -> _Source | None:
    """The source of one of the user's own modules; None: it is none, or not to be read."""
    if not module or module.partition(".")[0] in sys.stdlib_module_names:
        return None
    parts = module.split(".")
    for folder in folders:
        base = os.path.join(folder, *parts)  # noqa: PTH118  thousands of them, and text is what os.stat takes
        for path, package in ((f"{base}.py", module.rpartition(".")[0]), (f"{base}/__init__.py", module)):
            try:
                found = os.stat(path)  # noqa: PTH116  as above
            except (OSError, ValueError):
                continue
            if os.path.abspath(path).startswith(installed_folders()):  # noqa: PTH100  as above
                return None
            return _read(path, package, found.st_mtime_ns, found.st_size)
    return None


@lru_cache(maxsize=256)
def _read(path: str, package: str, _changed_ns: int, _size: int) -> _Source | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  as above
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # The worker that imports it says what is wrong.
        return None
    definitions: dict[str, ast.stmt] = {}
    for statement in _top(tree.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            definitions[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
            definitions.update(dict.fromkeys(names, statement))
    return _Source(definitions, dict(_imports(tree, package)))


def _top(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under an `if` or a `try` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _top([s for s in ast.iter_child_nodes(statement) if isinstance(s, ast.stmt)])
            for handler in getattr(statement, "handlers", ()):
                yield from _top(handler.body)


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                first = name.name.partition(".")[0]
                yield name.asname or first, (name.name if name.asname else first, "")
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                yield name.asname or name.name, (module, name.name)
