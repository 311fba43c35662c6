"""An ETL in the `>>` style: the Palmer penguins, from a CSV file over a shaky line to a short report.

    fetch >> parse >> complete >> [by_species, by_island, bills] >> write_report

`fetch` fails at its first attempt, as networks do, and succeeds when it is tried again: the run's log and its
attempts show both.

    python examples/penguins.py
    liteflow run examples/penguins.py out=somewhere
"""

from __future__ import annotations

import csv
import io
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean, linear_regression

from attrs import frozen

from liteflow import flow, task

DATA = Path(__file__).resolve().parent / "data" / "penguins.csv"


@frozen
class Penguin:
    """One bird. Lengths in millimetres, mass in grams; `sex` is None where nobody knows."""

    species: str
    island: str
    bill_length: float
    bill_depth: float
    flipper: float
    mass: float
    sex: str | None


@task(retries=3, retry_delay=0.2, backoff=2, retry_on=ConnectionError)
def fetch(path: str, out: str) -> str:
    """Give the text of the file; like a bad line, it breaks at every first attempt.

    A task does not know its attempt, and needn't: the line's state is a file in `out`.
    """
    tried = Path(out) / ".tried"
    if not tried.exists():
        tried.parent.mkdir(parents=True, exist_ok=True)
        tried.touch()
        raise ConnectionError("the line broke after 0 bytes")
    tried.unlink()
    text = Path(path).read_text(encoding="utf-8")
    print(f"{len(text):,} characters from {Path(path).name}")
    return text


@task
def parse(text: str) -> list[dict[str, str]]:
    """Read the rows of the CSV as they are."""
    return list(csv.DictReader(io.StringIO(text)))


@task
def complete(rows: list[dict[str, str]]) -> list[Penguin]:
    """Keep the birds that were measured; the file writes NA for what is missing."""
    measures = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    kept = [row for row in rows if "NA" not in (row[measure] for measure in measures)]
    print(f"{len(rows) - len(kept)} of {len(rows)} rows have no measures")
    return [
        Penguin(
            species=row["species"],
            island=row["island"],
            bill_length=float(row["bill_length_mm"]),
            bill_depth=float(row["bill_depth_mm"]),
            flipper=float(row["flipper_length_mm"]),
            mass=float(row["body_mass_g"]),
            sex=None if row["sex"] == "NA" else row["sex"],
        )
        for row in kept
    ]


@task
def by_species(penguins: list[Penguin]) -> str:
    """Describe each species by its means."""
    head = f"{'species':<10} {'birds':>5} {'mass g':>7} {'flipper mm':>11} {'male - female g':>16}"
    return "\n".join([head, *(describe(name, birds) for name, birds in groups(penguins, species))])


def describe(name: str, birds: list[Penguin]) -> str:
    mass = {sex: fmean(bird.mass for bird in birds if bird.sex == sex) for sex in ("male", "female")}
    return (
        f"{name:<10} {len(birds):>5} {fmean(bird.mass for bird in birds):>7.0f} "
        f"{fmean(bird.flipper for bird in birds):>11.1f} {mass['male'] - mass['female']:>16.0f}"
    )


@task
def by_island(penguins: list[Penguin]) -> str:
    """Count who lives where."""
    names = [name for name, _ in groups(penguins, species)]
    rows = [
        f"{island:<10}" + "".join(f"{sum(bird.species == name for bird in birds):>11}" for name in names)
        for island, birds in groups(penguins, lambda bird: bird.island)
    ]
    return "\n".join([f"{'island':<10}" + "".join(f"{name:>11}" for name in names), *rows])


@task
def bills(penguins: list[Penguin]) -> str:
    """Show Simpson's paradox: longer bills are flatter in all, and deeper in each species."""
    everybody = f"{'all':<10} {slope(penguins):>+6.3f}"
    rows = [f"{name:<10} {slope(birds):>+6.3f}" for name, birds in groups(penguins, species)]
    return "\n".join(["millimetres of bill depth for each millimetre of its length", everybody, *rows])


def slope(birds: list[Penguin]) -> float:
    return linear_regression([b.bill_length for b in birds], [b.bill_depth for b in birds]).slope


def species(bird: Penguin) -> str:
    return bird.species


def groups(birds: Iterable[Penguin], key: Callable[[Penguin], str]) -> list[tuple[str, list[Penguin]]]:
    found: defaultdict[str, list[Penguin]] = defaultdict(list)
    for bird in birds:
        found[key(bird)].append(bird)
    return sorted(found.items())


@task
def write_report(sections: list[str], out: str) -> str:
    """Write the report to `out`/penguins.txt; give its text."""
    text = "\n\n".join(sections) + "\n"
    (Path(out) / "penguins.txt").write_text(text, encoding="utf-8")
    return text


@flow
def penguins(path: str = str(DATA), out: str = ".") -> str:
    """Fetch, clean and summarise the penguins; the report goes into the folder `out`."""
    return fetch(path, out) >> parse >> complete >> [by_species, by_island, bills] >> write_report(out=out)


# The guard is not for the worker processes, which never run this file: it lets `liteflow run` import it.
if __name__ == "__main__":
    run = penguins.run(out=sys.argv[1] if len(sys.argv) > 1 else ".")
    print(run.result)
    attempts = run.tasks["fetch"].attempts
    print(f"fetch took {attempts} attempts; look at the run with: python -m liteflow show penguins")
