"""One run from its first to its last moment: store, driver, and what the user gets.

    Dag + settings --launch--> Run
"""

from __future__ import annotations

import json
import os
import sys
import time
from platform import python_version
from typing import TYPE_CHECKING, Any

from attrs import asdict

from liteflow import xcom
from liteflow.dag import Dag
from liteflow.engine.driver import Driver, Ending, Observer
from liteflow.engine.plan import Plan
from liteflow.errors import RunFailed
from liteflow.executor.base import Executor, Work
from liteflow.executor.inline import InlineExecutor
from liteflow.executor.payload import Payload
from liteflow.executor.process.pool import ProcessExecutor
from liteflow.executor.thread import ThreadExecutor
from liteflow.hints import show
from liteflow.names import checked_name
from liteflow.run import Run, cause_of
from liteflow.settings import RunSettings
from liteflow.store.db import open_store
from liteflow.store.journal import Journal, NewRun

if TYPE_CHECKING:
    from liteflow.store.history import History

_ALPHABET = "abcdefghjkmnpqrstuvwxyz023456789"


def echo(lines: list[tuple[str, str, str]]) -> None:
    """Print what tasks have printed in other processes; log records are for the store."""
    for _key, stream, text in lines:
        target = {"stdout": sys.stdout, "stderr": sys.stderr}.get(stream)
        if target is not None:
            target.write(text)
    sys.stdout.flush()


def launch(
    dag: Dag,
    settings: RunSettings,
    *,
    run_id: str | None = None,
    observer: Observer | None = None,
    script: str | None = None,
) -> Run[Any]:
    """Run a DAG and give what came of it, whether it succeeded or not.

    Args:
        dag: What to run.
        settings: How.
        run_id: The id of the new run; None: a random one.
        observer: Is told what happens; None: what tasks print is printed here.
        script: The file that defines the flow, for the record.

    Raises:
        DefinitionError: Something can't travel to a worker, or the id can't be one; nothing has run.
        StoreError: The store can't be used; what had been committed is in it.
        KeyboardInterrupt: Ctrl-C; all attempts have been ended, and what had finished is kept.
    """
    run_id = new_run_id() if run_id is None else checked_name(run_id, "a run", "run_id")
    session = _Session(dag, settings, run_id, script)
    return session.run(observer)


def make_executor(name: str, settings: RunSettings, work: Work) -> Executor:
    """Give the executor of that name."""
    if name == "process":
        return ProcessExecutor(work, settings.workers(name), settings.grace)
    if name == "thread":
        return ThreadExecutor(work, settings.workers(name))
    return InlineExecutor(work)


def new_run_id() -> str:
    """Eight random letters and digits: short enough to type, and a prefix of some will do."""
    return "".join(_ALPHABET[byte % 32] for byte in os.urandom(8))


class _Session:
    """What belongs to one run while it lasts."""

    def __init__(self, dag: Dag, settings: RunSettings, run_id: str, script: str | None) -> None:
        self._dag = dag
        self._settings = settings
        self._id = run_id
        self._script = script
        self._started_us = time.time_ns() // 1000
        self._epoch_ns = time.monotonic_ns()
        self._plan = Plan(dag, settings.executor)
        # As dag.leaves, from what the plan knows already.
        self._leaves = {node.key: node.index for node in dag.nodes if not self._plan.uses[node.index]}
        self._journal: Journal | None = None

    def run(self, observer: Observer | None) -> Run[Any]:
        wanted = frozenset([*self._leaves.values(), *(hole[0] for hole in self._dag.result.holes)])
        driver = Driver(
            self._plan,
            lambda: self._begin(observer),
            lambda name, work: make_executor(name, self._settings, work),
            fail_fast=self._settings.fail_fast,
            full=self._settings.durability == "full",
            keep=wanted,
            observer=observer,
            echo=echo,
            epoch_ns=self._epoch_ns,
        )
        try:
            ending = driver.run()
        except BaseException as error:
            state = "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"
            self._end(state, _line(error))
            if observer is not None and self._begun:
                observer.ended(state)
            raise
        failure = self._failure(ending)
        self._end(ending.state, next(iter(failure.failures.values())) if failure else None)
        if observer is not None:
            observer.ended(ending.state)
        return self._made(ending, failure)

    @property
    def _begun(self) -> bool:
        return self._journal is not None and self._journal.number > 0

    def _begin(self, observer: Observer | None) -> Journal:
        path = self._settings.db
        journal = self._journal = Journal(open_store(path, self._settings.durability))
        plan, dag = self._plan, self._dag
        policies = [json.dumps(_plain(asdict(task.policy))) for task in plan.tasks]
        new = NewRun(
            id=self._id,
            flow=dag.name,
            created_at=self._started_us,
            started_at=self._started_us,
            arguments=json.dumps({name: xcom.preview_of(value)[0] for name, value in dag.parameters.items()}),
            script=self._script,
            python=python_version(),
            settings=json.dumps(_plain(asdict(self._settings))),
            result=dag.result.data,
            holes=json.dumps([[hole[0], *map(str, hole[1])] for hole in dag.result.holes]),
            definitions=[(json.dumps(b.names), None, b.data) for b in dag.definitions.bundles],
            tasks=[
                (number, task.name, show(task.signature.returns), policies[number], None)
                for number, task in enumerate(plan.tasks)
            ],
        )
        journal.begin(new, plan.instances(0))
        if observer is not None:
            # Not before: a run that can't be written down has never been.
            observer.started(self._id, dag.name, [node.key for node in dag.nodes])
        return journal

    def _end(self, state: str, error: str | None) -> None:
        """Write down the end; in the file's place while the run is on, in memory for as long as the Run."""
        journal = self._journal
        if journal is None or not self._begun:
            return
        # By the monotonic clock, as all durations: the end is never before the start.
        ended = self._started_us + (time.monotonic_ns() - self._epoch_ns) // 1000
        journal.end(state, ended, error)
        if self._settings.db is not None:
            journal.close()

    def _failure(self, ending: Ending) -> RunFailed | None:
        if ending.first_failure is None:
            return None
        keys = self._dag.nodes
        failures = {keys[node].key: failed.error for node, failed in ending.failures.items()}
        db = str(self._settings.db) if self._settings.db else None
        failure = RunFailed(self._id, self._dag.name, failures, db)
        first = ending.failures[ending.first_failure]
        failure.__cause__ = cause_of(first.outcome, first.error, first.traceback, first.exception)
        return failure

    def _made(self, ending: Ending, failure: RunFailed | None) -> Run[Any]:
        path, run_id = self._settings.db, self._id
        journal = self._journal

        def open_history() -> History:
            # Start-up: most runs are not looked into by the program that runs them.
            from liteflow.store.history import History  # noqa: PLC0415

            if path is not None:
                return History(path)
            assert journal is not None
            return History(journal.connection)

        def payload_of(index: int) -> Payload | None:
            kept = ending.payloads.get(index)
            if kept is not None:
                return kept
            with open_history() as history:
                stored = history.payload(run_id, index)
            return Payload(stored.codec, stored.data) if stored else None

        nodes = {node.key: node.index for node in self._dag.nodes}
        return Run(
            id=run_id,
            flow=self._dag.name,
            state=ending.state,
            db=str(path) if path else None,
            failure=failure,
            leaves=self._leaves,
            result=self._dag.result,
            payload_of=payload_of,
            open_history=open_history,
            index_of=nodes.get,
        )


def _line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0][:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as JSON holds them; what it doesn't know as text."""
    return {k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in facts.items()}
