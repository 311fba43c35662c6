"""One driver's time with a run: from opening the store to writing down how it ended.

    Dag + settings --begin, or go on--> driver --> Run

A run has one session, or several one after the other, when an earlier driver has died or was
stopped.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from platform import python_version
from typing import TYPE_CHECKING, Any, cast

from liteflow import errors, xcom
from liteflow.collecting import uncollected
from liteflow.dag import Dag
from liteflow.ended import run_of
from liteflow.engine.driver import Driver
from liteflow.engine.observing import Follower, Observer
from liteflow.engine.opening import Ending, Opened
from liteflow.engine.plan import Plan
from liteflow.engine.planned import plain
from liteflow.engine.stopping import Stop, Stopper
from liteflow.errors import LiteflowError, UnknownNameError
from liteflow.executor.base import Executor, Work
from liteflow.executor.payload import Payload
from liteflow.given import Given
from liteflow.keys import Keyring
from liteflow.recorded import definitions_of, holes_of, packed_result, tasks_of
from liteflow.run import Run
from liteflow.settings import RunSettings
from liteflow.signals import interrupted, passed_to, raised
from liteflow.signing import Key, Seal, seal_for
from liteflow.store.db import open_store
from liteflow.store.journal import Journal, NewRun, Row
from liteflow.store.lease import this_process
from liteflow.system import not_shown, say, show
from liteflow.where import EXECUTORS, WAITING, Where, factory_of

if TYPE_CHECKING:
    from liteflow.engine.caching import Cache
    from liteflow.engine.contexts import Entry
    from liteflow.engine.machine import Machine
    from liteflow.logfiles import LogFiles
    from liteflow.secret import Mask
    from liteflow.storage.place import Storage
    from liteflow.store.history import RunRow
    from liteflow.trust import TrustedValues

# So many calls that run again are named where no observer is told.
_MOST_NAMED = 20


class Echo:
    """Prints what tasks have printed in other processes; log records are for the store.

    Where that can't be written, for its reader is gone or a disk is full, the run goes on without it.
    """

    def __init__(self) -> None:
        self._over = False

    def __call__(self, lines: list[tuple[str, str, str]]) -> None:
        """Print lines: (key, stream, text) each."""
        if self._over:
            return
        try:
            for _key, stream, text in lines:
                target = {"stdout": sys.stdout, "stderr": sys.stderr}.get(stream)
                if target is not None:
                    show(target, text)
            # A program without a standard output, a service for instance, has none of Python's either.
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError) as error:
            self._over = True
            _say(not_shown(error))


def make_executor(executor: Where, settings: RunSettings, work: Work) -> Executor:
    """Give the executor of that name, or what that factory makes."""
    # Start-up: a run loads the executors that it has.
    factory = factory_of(executor)
    if factory is not None:
        made: Executor = factory.make(work, settings)
        return made
    if executor == "process":
        from liteflow.executor.process.pool import ProcessExecutor  # noqa: PLC0415

        return ProcessExecutor(work, settings.workers(executor), settings.grace)
    if executor == "thread":
        from liteflow.executor.thread import ThreadExecutor  # noqa: PLC0415

        return ThreadExecutor(work, settings.workers(executor))
    if executor in ("async", WAITING):
        from liteflow.executor.coroutines import AsyncExecutor  # noqa: PLC0415

        return AsyncExecutor(work, settings.workers(executor), settings.grace)
    from liteflow.executor.inline import InlineExecutor  # noqa: PLC0415

    return InlineExecutor(work)


class Session:
    """What belongs to one driver of one run while it lasts.

    Args:
        dag: What to run.
        settings: How.
        run_id: The run.
        script: The file that defines the flow, for the record.
        given: The flow's arguments, for the record.
        earlier: The run as it is in the store; None: it is to begin.
        context: What a new run's tasks share from its start.
    """

    def __init__(
        self,
        dag: Dag,
        settings: RunSettings,
        *,
        run_id: str,
        script: str | None,
        given: Given,
        earlier: RunRow | None = None,
        context: Mapping[str, Entry] = {},
    ) -> None:
        self._dag = dag
        self._settings = settings
        self._id = run_id
        self._script = script
        self._given = given
        self._earlier = earlier
        self._context = context
        self._started_us, self._epoch_ns = _epoch(earlier, settings)
        with uncollected():
            self._plan = Plan(dag, settings.executor, self._machine)
        _refuse_other_limits(settings, self._plan.lanes)
        # As dag.leaves, from what the plan knows already.
        self._leaves = {dag.nodes[index].key: index for index in self._plan.final}
        self._mask = _mask_of(dag)
        self._journal: Journal | None = None
        self._key: Key | None = None
        self._seal: Seal | None = None
        self._read: TrustedValues | None = None

    def _machine(self) -> Machine:
        from liteflow.engine.machine import Machine  # noqa: PLC0415  start-up: few runs are asked for it

        return Machine.of(self._settings.resources)

    def run(self, observer: Observer | None, stopper: Stopper) -> Run[Any]:
        """Run it, and give what came of it, whether it succeeded or not; errors as `launch`."""
        wanted = frozenset([*self._leaves.values(), *(hole[0] for hole in self._dag.result.holes)])
        large: Any = {"storage": _storage(self._settings), "threshold": self._settings.xcom_threshold}
        echo = Echo()
        files = self._log_files(observer, echo)
        driver = Driver(
            self._plan,
            lambda: self._begin(observer),
            lambda executor, work: make_executor(executor, self._settings, work._replace(**large)),
            fail_fast=self._settings.fail_fast,
            full=self._settings.durability == "full",
            timeout=self._settings.timeout,
            grace=self._settings.grace,
            keep=wanted,
            observer=files or observer,
            follower=cast("Follower | None", observer) if getattr(observer, "follows", False) else None,
            echo=echo,
            log=files.written if files is not None else None,
            epoch_ns=self._epoch_ns,
            mask=self._mask,
            open_cache=self._cache,
            refresh=self._settings.refresh,
        )
        stopper.attach(driver.stop)
        # A task that runs in this very thread must feel Ctrl-C itself.
        inline = "inline" in self._plan.lanes
        try:
            with raised() if inline else passed_to(lambda number: driver.stop(_stop_of(number))):
                ending = driver.run()
                self._write_end(ending)
        except BaseException as error:
            self._break_off(error)
            if observer is not None and self._begun:
                observer.ended("cancelled" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        finally:
            if files is not None:
                files.close()
                if files.problem is not None:
                    _say(files.problem)
        if observer is not None:
            observer.ended(ending.state)
        if ending.stop is not None and ending.stop.signal is not None:
            if observer is None and self._settings.db is not None:
                _say(str(errors.RunCancelled(self._id, self._dag.name, str(self._settings.db))))
            raise interrupted(ending.stop.signal)
        # Without a key nothing tells this run's own values from others', and who runs it wants them.
        trust = self._settings.trust or not self._sealed
        leaves = self._leaves if ending.finals is None else ending.finals
        facts = (self._dag, self._plan, self._settings, leaves)
        return run_of(ending, *facts, run_id=self._id, journal=self._journal, trust=trust)

    def _log_files(self, observer: Observer | None, echo: Echo) -> LogFiles | None:
        folder = self._settings.log_dir
        if folder is None:
            return None
        # Start-up: few runs write files.
        from liteflow.logfiles import LogFiles  # noqa: PLC0415

        return LogFiles(folder, observer, echo)

    @property
    def _sealed(self) -> bool:
        """Whether the run's values carry a check."""
        return self._key is not None

    @property
    def _begun(self) -> bool:
        return self._journal is not None and self._journal.number > 0

    # --- begin, or go on -------------------------------------------------------------------

    def _begin(self, observer: Observer | None) -> Opened:
        path = self._settings.db
        # What is only in memory, nobody else can have put there.
        key = Keyring().own() if path is not None else None
        self._key = key
        journal = self._journal = Journal(open_store(path, self._settings.durability))
        seal = self._seal = seal_for(key, journal.connection.store_id, self._id)
        owner = this_process()
        key_id = key.id if key is not None else None
        keys = [node.key for node in self._dag.nodes]
        if self._earlier is None:
            journal.begin(self._record(seal), self._plan.instances(), owner, key_id=key_id)
            stored = partial(self._stored, journal)
            opened = Opened(journal=journal, seal=seal, stored=stored, context=self._context)
            if observer is not None:
                # Not before: a run that can't be written down has never been.
                observer.started(self._id, self._dag.name, keys)
            return opened
        journal.claim(self._earlier.number, owner, python=python_version(), key_id=key_id)
        from liteflow.resuming import resume_run  # noqa: PLC0415  start-up: most runs are no resumes

        trust = self._settings.trust
        found, standing = resume_run(self._dag, self._plan, journal, seal, self._earlier, trust=trust)
        if standing.replayed is not None:
            keys = self._plan.keys()
        # With what has grown.
        kept = [self._plan.key(node) for node in sorted(standing.kept)]
        again = {self._plan.key(node): why for node, why in found.again.items()}
        if observer is not None:
            observer.started(self._id, self._dag.name, keys)
            observer.resumed(kept, again)
        else:
            _say_resumed(self._id, len(kept), len(self._plan) - len(self._plan.gone), again)
        return Opened(
            journal=journal,
            seal=seal,
            stored=partial(self._stored, journal),
            context=self._values(journal).context(),
            standing=standing,
        )

    def _values(self, journal: Journal) -> TrustedValues:
        """What the store has of this run."""
        # Start-up: most runs need nothing from their store.
        from liteflow.store.history import History  # noqa: PLC0415
        from liteflow.trust import TrustedValues  # noqa: PLC0415

        history = History(journal.connection)
        # What is in memory only, or has no key, tells nobody's from our own.
        trust = self._settings.trust or not self._sealed
        return TrustedValues(history, history.find_run(self._id), trust=trust)

    def _cache(self) -> Cache | None:
        """The results that may be taken over; none where no check tells who has made them."""
        journal = self._journal
        assert journal is not None
        assert self._seal is not None
        if self._key is None:
            return None
        # Loaded already, by the driver.
        from liteflow.engine.caching import Cache  # noqa: PLC0415

        # Of all runs in this store: no run's id is like this.
        secret = seal_for(self._key, journal.connection.store_id, "\0cache").key
        return Cache(journal, self._seal, secret, self._dag.definitions)

    def _stored(self, journal: Journal, node: int) -> Payload:
        """The value of a node, from the store."""
        if self._read is None:
            self._read = self._values(journal)
        return self._read.kept(node)

    def _record(self, seal: Seal) -> NewRun:
        dag = self._dag
        holes = holes_of(dag)
        arguments = self._given.pack(dag.definitions)
        result = packed_result(dag)
        return NewRun(
            id=self._id,
            flow=dag.name,
            created_at=self._started_us,
            started_at=self._started_us,
            arguments=json.dumps(_previews(dag.parameters, self._mask)),
            script=self._script,
            python=python_version(),
            settings=json.dumps(plain(self._settings.facts())),
            holes=holes,
            seal=seal.recipe(dag.name, holes, result, arguments),
            result=result,
            packed_arguments=arguments,
            definitions=definitions_of(dag, seal),
            tasks=tasks_of(self._plan),
            context=self._context_rows(seal) if self._context else [],
        )

    def _context_rows(self, seal: Seal) -> list[Row]:
        from liteflow.engine.answers import row_of  # noqa: PLC0415  start-up: most runs share nothing

        return [row_of(key, entry, seal) for key, entry in self._context.items()]

    # --- end -------------------------------------------------------------------------------

    def _write_end(self, ending: Ending) -> None:
        error = None
        if ending.stop is not None:
            error = ending.stop.why
        elif ending.first_failure is not None:
            first = ending.first_failure
            error = f"{self._plan.key(first)}: {ending.failures[first].error}"
        self._end(ending.state, error)

    def _break_off(self, error: BaseException) -> None:
        """The driver was interrupted, or can't go on: the store has failed, or the library."""
        try:
            if isinstance(error, KeyboardInterrupt):
                self._end("cancelled", _line(error))
            elif self._journal is not None and self._begun:
                # Not "failed": no task has, and whoever asks for this run again wants it gone on with.
                self._journal.abandon(_line(error))
        except LiteflowError as failing:
            # The same trouble again, most likely; a run that can't be ended is shown as interrupted.
            if type(failing) is not type(error):
                error.add_note(f"(and the run's end could not be written: {failing})")
        finally:
            if self._journal is not None and not isinstance(error, KeyboardInterrupt):
                self._journal.close()

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


# --- how -----------------------------------------------------------------------------------


def _refuse_other_limits(settings: RunSettings, lanes: Sequence[str]) -> None:
    """Refuse a limit for what is no executor: it would be taken for one that holds."""
    known = [*EXECUTORS, *lanes]
    for name in settings.max_workers if isinstance(settings.max_workers, Mapping) else ():
        if name not in known:
            raise UnknownNameError("max_workers", "executor", name, list(dict.fromkeys(known)))


def _storage(settings: RunSettings) -> Storage | None:
    """Where large values go, which is seen to be there."""
    if settings.xcom_storage is None:
        return None
    # Start-up: few runs have one.
    from liteflow.storage.place import Storage  # noqa: PLC0415

    storage = Storage(settings.xcom_storage, settings.xcom_threshold)
    storage.probe()
    return storage


def _epoch(earlier: RunRow | None, settings: RunSettings) -> tuple[int, int]:
    """When the run began (unix, microseconds), and when that was by the monotonic clock (nanoseconds)."""
    now_us, now_ns = time.time_ns() // 1000, time.monotonic_ns()
    if earlier is None:
        return now_us, now_ns
    started = round((earlier.started_at or 0.0) * 1e6)
    # The wall clock may have been set back since: what goes on is later than what has been.
    from liteflow.store.history import History  # noqa: PLC0415  start-up: most runs are no resumes

    assert settings.db is not None
    with History(settings.db) as history:
        moments = (earlier.ended_at, history.last_end(earlier.id))
    known = [round(moment * 1e6) for moment in moments if moment is not None]
    return started, now_ns - (max([now_us, started, *known]) - started) * 1000


def _stop_of(number: int) -> Stop:
    import signal  # noqa: PLC0415  loaded already, by `signals`

    return Stop("cancelled", f"ended by {signal.Signals(number).name}", number)


def _mask_of(dag: Dag) -> Mask | None:
    if not dag.secrets:
        return None
    # Start-up: few flows have any.
    from liteflow.secret import Mask  # noqa: PLC0415

    return Mask(dag.secrets)


def _previews(parameters: Mapping[str, object], mask: Mask | None) -> dict[str, str]:
    if not parameters:
        return {}
    # Start-up: many flows have none.
    from liteflow.redaction import redacted  # noqa: PLC0415

    shown = {name: xcom.preview_of(redacted(name, value))[0] for name, value in parameters.items()}
    return shown if mask is None else {name: mask.shortened(text) for name, text in shown.items()}


def _say(text: str) -> None:
    say(text, sys.stderr)


def _say_resumed(run_id: str, kept: int, count: int, again: Mapping[str, str]) -> None:
    _say(f"run {run_id} goes on: {kept} of {count} results are kept")
    for key, why in list(again.items())[:_MOST_NAMED]:
        _say(f"  {key} runs again: {why}")
    if len(again) > _MOST_NAMED:
        _say(f"  and {len(again) - _MOST_NAMED} more run again")


def _line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0][:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
