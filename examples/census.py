"""A census of the Python standard library: what is in it, how well it is explained, what leans on what.

    find_sources -> split -+-> survey -+-> join -+-> totals -------+-> write_report
                           +-> survey -+         +-> longest ------+
                           :     ...   :         +-> leaned_upon --+
                           +-> survey -+         +-> heaviest -----+
                                                 +-> undocumented -+

Real input that is on every machine, and work for every core: parsing takes nearly all of the time.  The
report depends on the standard library alone, so two runs on one Python write the same file.

    python examples/census.py
    liteflow run examples/census.py report=my-report.txt chunks=32
"""

from __future__ import annotations

import ast
import logging
import os
import platform
import sys
import sysconfig
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import evolve, frozen

from liteflow import flow, task

logger = logging.getLogger("census")  # what tasks log is kept with the run: `liteflow logs latest`

# Tests and vendored packages are not the library; what a distributor adds differs from machine to machine.
NOT_THE_LIBRARY = frozenset(
    {
        "test",
        "tests",
        "idle_test",
        "site-packages",
        "dist-packages",
        "__pycache__",
        "ensurepip",
        "lib-dynload",
    }
)


@frozen
class Source:
    """A file to read.  `size` is in bytes."""

    module: str
    path: str
    size: int


@frozen
class Function:
    """A function or method as written; `lines` counts from `def` to the last line of its body."""

    module: str
    name: str
    line: int
    lines: int


@frozen
class Module:
    """What one file defines.  `imports` holds the modules that importing it imports, as written there."""

    name: str
    lines: int
    classes: int
    functions: int
    coroutines: int
    public: int
    documented: int
    imports: frozenset[str]
    longest: tuple[Function, ...]


@frozen
class Section:
    """A part of the report: a title, a sentence, and a table (its first row is the head)."""

    title: str
    note: str
    rows: tuple[tuple[str, ...], ...]


@task
def find_sources() -> list[Source]:
    """List the files of the standard library that this interpreter came with."""
    sources = []
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, files in os.walk(root):
        folders[:] = set(folders) - NOT_THE_LIBRARY  # what is taken out here is not walked into
        for path in (Path(folder, file) for file in files if file.endswith(".py")):
            name = module_name(path.relative_to(root))
            # Scripts for Windows and the like lie there too, whose names are no module names.
            if all(map(str.isidentifier, name.split("."))) and not name.startswith("_sysconfigdata"):
                sources.append(Source(name, str(path), path.stat().st_size))
    return sorted(sources, key=lambda source: source.module)


def module_name(path: Path) -> str:
    """Say what a file is imported as.

    >>> module_name(Path("json/__init__.py")), module_name(Path("json/decoder.py"))
    ('json', 'json.decoder')
    """
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@task
def split(sources: list[Source], chunks: int) -> list[list[Source]]:
    """Deal the files into chunks of about the same size: the largest first, each to the smallest chunk."""
    dealt: list[list[Source]] = [[] for _ in range(chunks)]
    sizes = [0] * chunks
    for source in sorted(sources, key=lambda s: (-s.size, s.module)):
        smallest = sizes.index(min(sizes))
        dealt[smallest].append(source)
        sizes[smallest] += source.size
    return dealt


@task(retries=1)
def survey(sources: list[Source]) -> list[Module]:
    """Parse a chunk of files and count what they define."""
    modules = [survey_file(source) for source in sources]
    logger.info("%d modules, %d lines", len(modules), sum(module.lines for module in modules))
    return modules


def survey_file(source: Source) -> Module:
    code = Path(source.path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some old modules have escapes like "\d"
        tree = ast.parse(code, source.path)
    functions, classes, coroutines = [], 0, 0
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name, lineno=line) | ast.AsyncFunctionDef(name=name, lineno=line):
                functions.append(Function(source.module, name, line, (node.end_lineno or line) - line + 1))
                coroutines += isinstance(node, ast.AsyncFunctionDef)
            case ast.ClassDef():
                classes += 1
    public = list(public_definitions(tree))
    return Module(
        name=source.module,
        lines=code.count(b"\n"),
        classes=classes,
        functions=len(functions),
        coroutines=coroutines,
        public=len(public),
        documented=sum(ast.get_docstring(node, clean=False) is not None for node in public),
        imports=frozenset(imports(tree, source)),
        longest=tuple(sorted(functions, key=by_length)[:20]),
    )


def by_length(function: Function) -> tuple[int, str, int]:
    return -function.lines, function.module, function.line


Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_definitions(scope: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """The module or class itself, and the public classes, functions and methods in it."""
    yield scope
    for node in scope.body:
        match node:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield from public_definitions(node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                yield node


def imports(tree: ast.Module, source: Source) -> Iterator[str]:
    """What importing this module imports: the statements at its top level, not those inside functions."""
    package = source.module if Path(source.path).name == "__init__.py" else source.module.rpartition(".")[0]
    for node in tree.body:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in names)  # may be modules; `join` knows


@task
def join(parts: list[list[Module]]) -> list[Module]:
    """Put the chunks together, and keep of each module's imports those that are modules of the library."""
    modules = sorted((module for part in parts for module in part), key=lambda module: module.name)
    known = {module.name for module in modules}
    return [evolve(module, imports=(module.imports & known) - {module.name}) for module in modules]


@task
def totals(modules: list[Module]) -> Section:
    """Count everything."""
    public = sum(module.public for module in modules)
    documented = sum(module.documented for module in modules)
    return Section(
        "In all",
        f"{documented / public:.1%} of {public:,} public modules, classes and functions have a docstring.",
        (
            ("modules", "lines", "classes", "functions", "coroutines"),
            (
                f"{len(modules):,}",
                f"{sum(module.lines for module in modules):,}",
                f"{sum(module.classes for module in modules):,}",
                f"{sum(module.functions for module in modules):,}",
                f"{sum(module.coroutines for module in modules):,}",
            ),
        ),
    )


@task
def longest(modules: list[Module], top: int) -> Section:
    """Rank the longest functions."""
    functions = sorted((function for module in modules for function in module.longest), key=by_length)
    return Section(
        "The longest functions",
        "From `def` to the last line.",
        (
            ("lines", "function", "where"),
            *((str(f.lines), f.name, f"{f.module}:{f.line}") for f in functions[:top]),
        ),
    )


@task
def leaned_upon(modules: list[Module], top: int) -> Section:
    """Rank modules by how many others import them, joined with their own size and docstrings."""
    by_name = {module.name: module for module in modules}
    importers = Counter(name for module in modules for name in module.imports)
    ranked = sorted(importers.items(), key=lambda item: (-item[1], item[0]))[:top]
    return Section(
        "The modules most others lean on",
        "Counted by the modules that import them at their top level.",
        (
            ("importers", "module", "lines", "documented"),
            *((str(n), name, f"{by_name[name].lines:,}", covered([by_name[name]])) for name, n in ranked),
        ),
    )


@task
def heaviest(modules: list[Module], top: int) -> Section:
    """Rank packages by what importing their heaviest module reads: itself, all that it imports, and so on."""
    by_name = {module.name: module for module in modules}
    reached = {name: reach(name, by_name) for name in by_name}
    lines = {name: sum(by_name[other].lines for other in others) for name, others in reached.items()}
    ranked = sorted(lines, key=lambda name: (-lines[name], name))
    heaviest_of = {name.partition(".")[0]: name for name in reversed(ranked)}  # the last one written stays
    shown = [name for name in ranked if heaviest_of[name.partition(".")[0]] == name][:top]
    return Section(
        "The heaviest imports",
        "The module of each package whose import reads most, with all it imports; C modules not counted.",
        (
            ("lines", "import", "modules"),
            *((f"{lines[name]:,}", name, str(len(reached[name]))) for name in shown),
        ),
    )


def reach(start: str, by_name: dict[str, Module]) -> set[str]:
    """Everything that importing `start` imports, itself and the packages it lies in included."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        waiting += by_name[name].imports
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return seen


@task
def undocumented(modules: list[Module], top: int, at_least: int = 50) -> Section:
    """Rank the packages with the smallest share of docstrings, of those with enough to count."""
    packages: defaultdict[str, list[Module]] = defaultdict(list)
    for module in modules:
        packages[module.name.partition(".")[0]].append(module)
    counted = {name: sum(m.public for m in members) for name, members in packages.items()}
    ranked = sorted(
        (name for name, public in counted.items() if public >= at_least),
        key=lambda name: (sum(m.documented for m in packages[name]) / counted[name], name),
    )
    return Section(
        "The least explained",
        f"Packages and modules with at least {at_least} public definitions.",
        (
            ("documented", "package", "public definitions"),
            *((covered(packages[name]), name, str(counted[name])) for name in ranked[:top]),
        ),
    )


def covered(modules: Iterable[Module]) -> str:
    modules = list(modules)
    return f"{sum(m.documented for m in modules) / sum(m.public for m in modules):.0%}"


@task
def write_report(sections: list[Section], report: str) -> str:
    """Write the report as text; give the text."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    text = f"A census of the standard library of {version}\n" + "".join(map(show, sections))
    Path(report).write_text(text, encoding="utf-8")
    return text


def show(section: Section) -> str:
    """Lay a section out as text, its columns aligned.

    >>> print(show(Section("Birds", "Two.", (("n", "name"), ("12", "owl"), ("3", "gull")))), end="")
    <BLANKLINE>
    Birds
    Two.
       n  name
      12  owl
       3  gull
    """
    widths = [max(map(len, column)) for column in zip(*section.rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number(cell, column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in section.rows
    ]
    return f"\n{section.title}\n{section.note}\n" + "".join(f"  {line}\n" for line in lines)


def number(cell: str, column: int) -> bool:
    return column == 0 or cell.strip("%").replace(",", "").isdigit()


@flow
def census(report: str = "census.txt", chunks: int = 16, top: int = 8) -> str:
    """Survey the standard library in `chunks` parallel parts; write the `top` of each ranking to `report`."""
    dealt = split(find_sources(), chunks)
    modules = join([survey(dealt[chunk]) for chunk in range(chunks)])
    return write_report(
        [
            totals(modules),
            longest(modules, top),
            leaned_upon(modules, top),
            heaviest(modules, top),
            undocumented(modules, top),
        ],
        report,
    )


# The guard is not for the worker processes, which never run this file: it lets `liteflow run` import it.
if __name__ == "__main__":
    run = census.run(report=sys.argv[1] if len(sys.argv) > 1 else "census.txt")
    print(run.result)
    print("every step is in liteflow.db; look at it with: python -m liteflow show latest")
