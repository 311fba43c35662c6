"""`liteflow check`: is a store sound, and are its values this user's?  Nothing in it is unpickled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from liteflow.cli.common import Db, Json, chosen_db, examples
from liteflow.cli.output import say, to_json
from liteflow.errors import StoreDamagedError, StoredElsewhereError
from liteflow.store.history import History, RunRow
from liteflow.views.shown import visible

FOUND = 1
_WORDS = {
    "own": "yours",
    "unsealed": "without a check",
    "foreign": "of another key, or changed",
}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        "check",
        epilog=examples("liteflow check", "liteflow check --storages", "liteflow check --run etl --json"),
    )
    def check_command(
        db: Db = None,
        run: Annotated[
            str | None, typer.Option("--run", metavar="RUN", help="The values of this run only.")
        ] = None,
        storages: Annotated[
            bool, typer.Option("--storages", help="Read the values that lie in storages, too.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Check a store: is it sound, and are its values yours?  Exit status 1: no."""
        # Start-up: no other command needs it.
        from liteflow.store.check import check  # noqa: PLC0415
        from liteflow.store.guard import sqlite_here  # noqa: PLC0415

        path = chosen_db(db)
        version, has_bug = sqlite_here()
        findings = [{"where": one.where, "problem": one.problem} for one in check(path)]
        verdicts: Counter[str] = Counter()
        elsewhere = _Elsewhere(read=storages)
        try:
            with History(path) as history:
                for row in [history.find_run(run)] if run else history.runs():
                    findings += _check_run(history, row, verdicts)
                    findings += elsewhere.check(history, row)
        except StoreDamagedError as error:
            if not any(error.detail == one["problem"] for one in findings):
                findings.append({"where": "values", "problem": error.detail})
        report = {
            "path": str(path),
            "sqlite": version,
            "wal_reset_bug": has_bug,
            "values": dict(verdicts),
            "elsewhere": {"values": elsewhere.count, "read": storages},
            "findings": findings,
        }
        say(to_json(report, indent=2) if as_json else "\n".join(_lines(report)))
        if findings:
            raise typer.Exit(FOUND)


def _check_run(history: History, run: RunRow, counts: Counter[str]) -> Iterator[dict[str, str]]:
    """Count the run's pickles by what their keyed checks say; yield what is wrong with them."""
    from liteflow.trust import TrustedValues  # noqa: PLC0415  as above

    foreign: list[str] = []
    for what, verdict in TrustedValues(history, run).verdicts():
        counts[verdict] += 1
        if verdict == "foreign":
            foreign.append(what)
    if foreign:
        some = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        made = " or ".join(history.key_ids(run.id)[:3])
        by = f" (it says: key {made})" if made else ""
        yield {
            "where": f"run {run.id}",
            "problem": f"made with a key that is not yours{by}, or changed since: {some}",
        }


class _Elsewhere:
    """Values that lie in storages: how many, and what is wrong with them if they are to be read."""

    def __init__(self, *, read: bool) -> None:
        self.count = 0
        self._read = read
        # Equal ones lie in one place.
        self._sound: set[tuple[str, bytes]] = set()

    def check(self, history: History, run: RunRow) -> Iterator[dict[str, str]]:
        from liteflow.storage.place import read  # noqa: PLC0415  as above
        from liteflow.trust import TrustedValues  # noqa: PLC0415  as above

        for index, codec, data in TrustedValues(history, run).elsewhere():
            self.count += 1
            if not self._read or (codec, data) in self._sound:
                continue
            try:
                read(codec, data)
                self._sound.add((codec, data))
            except StoredElsewhereError as error:
                problem = f"its value at {error.address} {error.problem}"
                yield {"where": f"task instance {index} of run {run.id}", "problem": problem}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield visible(report["path"])
    bug = "can damage a file that two programs write to at once (fixed in 3.51.3); liteflow takes a lock"
    yield f"  SQLite {report['sqlite']}" + (f": {bug}" if report["wal_reset_bug"] else "")
    counts = [f"{number} {_WORDS[verdict]}" for verdict, number in sorted(report["values"].items())]
    yield "  values: " + (", ".join(counts) or "none")
    if (there := report["elsewhere"])["values"]:
        unread = "" if there["read"] else ", which --storages reads, too"
        yield f"  in storages: {there['values']} of them{unread}"
    for one in report["findings"]:
        yield f"  {visible(one['where'])}: {visible(one['problem'])}"
    found = len(report["findings"])
    yield "  sound" if not found else f"  {found} finding{'s' if found > 1 else ''}"
