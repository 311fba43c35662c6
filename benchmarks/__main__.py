"""Measure liteflow beside a plain `ProcessPoolExecutor`, in one run: `python -m benchmarks`.

python -m benchmarks                     everything, some minutes
python -m benchmarks fan_out chain       these cases alone
python -m benchmarks --quick             small sizes, one turn: does it work?  (its figures say nothing)
python -m benchmarks --json              for a program to read
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Sequence

from attrs import evolve

from benchmarks.cases import CASES
from benchmarks.measure import Figure
from benchmarks.sizes import QUICK, Sizes

HEAD = ("work", "liteflow, durable", "without it", "comparison", "single turns", "target", "reached")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    sizes = QUICK if options.quick else Sizes()
    if options.repeat:
        sizes = evolve(sizes, repeat=options.repeat, starts=options.repeat)
    figures: list[Figure] = []
    for name in options.case or CASES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += CASES[name](sizes)
    if options.json:
        print(
            json.dumps({"machine": machine(), "quick": options.quick, "figures": list(map(facts, figures))})
        )
    else:
        print(machine(), table([HEAD, *(row(figure, options.quick) for figure in figures)]), sep="\n\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure liteflow, durable on its process pool, beside a plain ProcessPoolExecutor.",
    )
    parser.add_argument(
        "case", nargs="*", metavar="CASE", help=f"any of {', '.join(CASES)}; all, unless given"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and one turn, to see that it works")
    parser.add_argument(
        "--repeat", type=int, metavar="N", help="turns, instead of 5 (15 for whole processes)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.case if name not in CASES]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}")
    if options.repeat is not None and options.repeat < 1:
        parser.error(f"--repeat is {options.repeat}, but it must be at least 1")
    return options


def machine() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; medians, taken in turn"
    )


def facts(figure: Figure) -> dict[str, object]:
    return {
        "work": figure.work,
        "liteflow": figure.ours,
        "without": figure.theirs,
        "value": figure.compared.value,
        "lowest": figure.compared.lowest,
        "highest": figure.compared.highest,
        "unit": figure.unit,
        "target": str(figure.target) if figure.target else None,
        "reached": figure.is_reached,
    }


def row(figure: Figure, quick: bool) -> tuple[str, ...]:
    reached = {True: "yes", False: "NO", None: ""}[figure.is_reached]
    return (
        figure.work,
        figure.ours,
        figure.theirs,
        f"{short(figure.compared.value)} {figure.unit}",
        f"{short(figure.compared.lowest)} to {short(figure.compared.highest)}",
        str(figure.target or ""),
        "(quick)" if quick and reached else reached,
    )


def short(value: float) -> str:
    """Three digits of a number.

    >>> short(0.456), short(12.34), short(1234.5)
    ('0.46', '12.3', '1,234')
    """
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in Markdown, which reads as plain text too.

    >>> print(table([("a", "b"), ("1", "22")]))
    | a | b  |
    |---|----|
    | 1 | 22 |
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
        for cells in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
