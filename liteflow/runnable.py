"""The ways to run a flow: here and now, in the background, as a stream, from a coroutine, on or once more.

    options, parameters --Order--> launch ---> Run
                                      +-----> Handle, Following: while it goes on

What a flow is made of is no matter here (flow.py); nor is how a run is driven (launch.py), which is
loaded by the first that begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve

from liteflow.errors import ArgumentError, SettingError, UnknownNameError, nearest
from liteflow.options import DEFAULT, FLOW_OPTIONS, OBSERVED, RUN_OPTIONS, check_names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Unpack

    from liteflow.context import Context, StreamChunk
    from liteflow.dag import Dag
    from liteflow.engine.observing import Observer
    from liteflow.following import Following
    from liteflow.given import Given
    from liteflow.handle import Handle
    from liteflow.launch import Order
    from liteflow.options import FlowOptions, StorePath
    from liteflow.parameters import Parameter
    from liteflow.recipe import ExpressionRecipe, FunctionRecipe
    from liteflow.router import RouterRecipe
    from liteflow.run import Run
    from liteflow.where import Where

    Recipe = FunctionRecipe | ExpressionRecipe | RouterRecipe

R = TypeVar("R")


class Runnable(Generic[R]):
    """What a flow can do besides being compiled: it has runs, whose results are of the type R."""

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...
        @property
        def options(self) -> Mapping[str, Any]: ...
        @property
        def parameters(self) -> Mapping[str, Parameter]: ...
        @property
        def _recipe(self) -> Recipe: ...
        def _sorted(
            self, inputs: Mapping[str, object], parameters: Mapping[str, object]
        ) -> tuple[dict[str, object], dict[str, object]]: ...

    def run(
        self,
        /,
        *start: str,
        inputs: Mapping[str, object] | None = None,
        db: StorePath | None = DEFAULT,
        executor: Where = DEFAULT,
        max_workers: int | Mapping[str, int] | None = DEFAULT,
        check: bool = DEFAULT,
        run_id: str | None = None,
        fail_fast: bool = DEFAULT,
        durability: str = DEFAULT,
        timeout: float | None = DEFAULT,
        grace: float = DEFAULT,
        trust: bool = DEFAULT,
        context: Context | Mapping[str, Any] = DEFAULT,
        log_dir: StorePath | None = DEFAULT,
        resources: Mapping[str, float | str] | None = DEFAULT,
        refresh: bool = DEFAULT,
        xcom_storage: str | None = DEFAULT,
        xcom_threshold: int = DEFAULT,
        observer: Observer | None = None,
        **parameters: Any,
    ) -> Run[R]:
        """Run the flow, and return when it has ended.

        What is not given here is as the flow's options say, else as said below.

        Args:
            inputs: Values by the name of a parameter, or by `key.parameter` for any argument
                of a call that no edge feeds.
            db: The store file; `LITEFLOW_DB`, else `liteflow.db` here.  None keeps nothing.
            executor: Where tasks run that name no executor: "process", "thread", "async", "inline",
                or an executor factory such as a PoolExecutor.
            max_workers: How many run at a time, on each executor, or by the name of an executor,
                {"thread": 8, "process": 2}; for processes one for each processor.
            check: Whether a run that failed raises RunFailed; True.
            run_id: An id of one's own for the run, which makes this idempotent: a run of this
                id that is unfinished is gone on with, a finished one is given back as it was.
                None: a new run with a random id.
            fail_fast: Whether the first failure ends the run; else whatever does not depend on
                it goes on.
            durability: "normal", or "full": results survive a power cut too, and nothing
                starts before what it needs is on disk.
            timeout: Seconds that the whole run may take; then it is ended and has failed.
            grace: Seconds between SIGTERM and SIGKILL for an attempt that is ended; 2.
            trust: Whether values of the store are read whoever wrote them; they are pickles,
                which can run code.
            context: Values that the run's tasks share from its start, by key (see `Context`).
            log_dir: A folder in which the log of each attempt is a file too, `KEY_ATTEMPT_TIME.log`,
                written while it runs.
            resources: What this machine has for calls of tasks that take some of it, {"gpus": 2, "telescope":
                1}; what is not named is as it is found.
            refresh: Whether tasks with a `cache` run all the same; later runs take over what they give now.
            xcom_storage: The URL of a storage where large values lie, which tasks write and read there
                themselves: "file:///shared", "s3://bucket/values"; None: the store has them all.
            xcom_threshold: How large a value may be, as a pickle, in bytes, that does not go there; 1 MiB.
            observer: Is told what happens while it happens; without one, what tasks print is
                printed here.
            start: The task that runs first, of a flow whose tasks say what runs next; of any
                other nothing, for parameters go by name.
            parameters: Values of the flow's parameters.

        Raises:
            DefinitionError: What is wrong with the flow or its arguments; nothing has run.
            RunFailed: A task failed; its own exception is the cause.
            RunOwnedError: Another driver runs the run of this id.
            StoreError: The store can't be used; what had been committed is in it.
            Interrupted: Ctrl-C, SIGTERM or SIGHUP (a KeyboardInterrupt); what had finished is
                kept, and `resume` goes on with it.

        >>> from liteflow import Flow, task
        >>> @task
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> Flow("twice", double() >> double()).run(x=4, db=None).result
        16
        """
        options = {
            "db": db,
            "executor": executor,
            "max_workers": max_workers,
            "check": check,
            "fail_fast": fail_fast,
            "durability": durability,
            "timeout": timeout,
            "grace": grace,
            "trust": trust,
            "context": context,
            "log_dir": log_dir,
            "resources": resources,
            "refresh": refresh,
            "xcom_storage": xcom_storage,
            "xcom_threshold": xcom_threshold,
        }
        # Lazy: a program that defines flows, and does not run them now, starts in half the time.
        from liteflow.signals import raised  # noqa: PLC0415

        # From the first moment: what follows takes a while before there is a driver to be told.
        with raised():
            order = self._order(
                options, self._given(inputs, self._named(start, parameters)), run_id, observer
            )
            from liteflow.launch import launch  # noqa: PLC0415  as above

            return self._checked(launch(order, idempotent=run_id is not None), order)

    def start(
        self,
        /,
        *start: str,
        inputs: Mapping[str, object] | None = None,
        run_id: str | None = None,
        observer: Observer | None = None,
        **arguments: Any,
    ) -> Handle[R]:
        """Run the flow in the background.

        Args:
            start, inputs, run_id, observer: As for `run`.
            arguments: Values of the flow's parameters, and the options of `run` but `check`.

        Returns:
            A handle: `wait()` gives the Run, `result()` what the flow returns, `cancel()` ends it.

        Raises:
            DefinitionError: What is wrong with the flow or its arguments; nothing has begun.

        >>> from liteflow import Flow, task
        >>> @task
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> handle = Flow("twice", double() >> double()).start(x=4, db=None, executor="thread")
        >>> handle.result()
        16
        """
        options = {name: arguments.pop(name) for name in FLOW_OPTIONS if name in arguments}
        given = self._given(inputs, self._named(start, arguments))
        order = self._order(options, given, run_id, observer)
        # What is wrong with it is to be told here, not in the background.
        dag = self._compile(given.values, given.overrides)

        def compiled(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> Dag:
            return dag if values is given.values else self._compile(values, overrides)

        order = evolve(order, compile=compiled)
        from liteflow.handle import Handle  # noqa: PLC0415  lazy, as in `run`
        from liteflow.launch import launch  # noqa: PLC0415

        def drive() -> Run[R]:
            return self._ended(launch(order, idempotent=run_id is not None))

        return Handle(order.run_id, order.stopper, drive)

    def stream(
        self,
        /,
        *start: str,
        inputs: Mapping[str, object] | None = None,
        run_id: str | None = None,
        **arguments: Any,
    ) -> Following:
        """Run the flow in the background, and yield what its tasks give while it goes on.

        These are the chunks that tasks yield or put on `context.get_stream()`, and each task
        instance's output as its last one.  When all have been given, a run that has failed
        raises its error.  To stop before the end cancels the run; to read slowly does not slow it.

        Args:
            start, inputs, run_id: As for `run`.
            arguments: Values of the flow's parameters, and the options of `run` but `check`.

        Raises:
            DefinitionError: What is wrong with the flow or its arguments; nothing has begun.

        >>> from liteflow import Flow, task
        >>> @task
        ... def count(n: int):
        ...     for i in range(n):
        ...         yield i
        ...     return "done"
        >>> [chunk.value for chunk in Flow("f", count(2)).stream(db=None, executor="thread")]
        [0, 1, 'done']
        """
        from liteflow.following import Feed, Following  # noqa: PLC0415  lazy, as in `run`

        options = {k: v for k, v in {**self.options, **arguments}.items() if k in ("db", "trust")}
        from liteflow.settings import RunSettings  # noqa: PLC0415  as above

        settings = RunSettings(**options)
        feed = Feed(settings.db is not None)
        handle = self.start(*start, inputs=inputs, run_id=run_id, observer=feed, **arguments)
        return Following(feed, handle, settings.db, settings.trust)

    def get_context(self) -> Context:
        """Return the context of the last run of this flow that has ended, else the one it starts from.

        >>> from liteflow import Flow
        >>> Flow("f", lambda: None, context={"a": 1}).get_context().get("a")
        1
        """
        last: Run[R] | None = vars(self).get("_last")
        if last is not None:
            return last.context
        from liteflow.context import Context  # noqa: PLC0415  lazy, as in `run`

        given = self.options.get("context", {})
        return given if isinstance(given, Context) else Context().from_dict(given)

    @property
    def context(self) -> Context:
        """The same."""
        return self.get_context()

    async def arun(
        self,
        /,
        *start: str,
        inputs: Mapping[str, object] | None = None,
        run_id: str | None = None,
        observer: Observer | None = None,
        **arguments: Any,
    ) -> Run[R]:
        """Run the flow from a coroutine, whose event loop is free meanwhile.

        Cancelled, as by `asyncio.timeout`, it cancels the run and waits for its end.

        Args:
            start, inputs, run_id, observer: As for `run`.
            arguments: Values of the flow's parameters, and the options of `run`.

        Raises:
            LiteflowError: As `run`.
            CancelledError: It was cancelled; what had finished is kept.

        >>> import asyncio
        >>> from liteflow import Flow, task
        >>> @task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> asyncio.run(Flow("twice", double() >> double()).arun(x=4, db=None)).result
        16
        """
        from liteflow.awaiting import driven  # noqa: PLC0415  lazy: asyncio

        check = {**self.options, **arguments}.get("check", True)
        handle = self.start(*start, inputs=inputs, run_id=run_id, observer=observer, **arguments)
        run = await driven(handle)
        if check and run.failure is not None:
            raise run.failure
        return run

    def astream(
        self,
        /,
        *start: str,
        inputs: Mapping[str, object] | None = None,
        run_id: str | None = None,
        **arguments: Any,
    ) -> AsyncGenerator[StreamChunk, None]:
        """Run the flow in the background, and give its chunks to an `async for`; otherwise as `stream`.

        To stop before the end, or to be cancelled, cancels the run.

        >>> import asyncio
        >>> from liteflow import Flow, task
        >>> @task
        ... async def count(n: int):
        ...     for i in range(n):
        ...         yield i
        >>> async def program():
        ...     return [chunk.value async for chunk in Flow("f", count(2)).astream(db=None)]
        >>> asyncio.run(program())[:2]
        [0, 1]
        """
        from liteflow.awaiting import streamed  # noqa: PLC0415  lazy: asyncio

        return streamed(self.stream(*start, inputs=inputs, run_id=run_id, **arguments))

    def resume(
        self,
        run_id: str | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        observer: Observer | None = None,
        **options: Unpack[FlowOptions],
    ) -> Run[R]:
        """Go on with a run that failed, was cancelled, or whose driver died.

        Its arguments are what they were; secrets among them were not stored, and are taken from here
        or from the environment.  What had committed stays and is not run again, unless
        its code has changed since, or what it depends on runs again.

        Args:
            run_id: The run's id, or the beginning of one; None: the latest run of this flow
                that has not succeeded.
            secrets: Secrets by the name of their parameter; others are taken from the environment.
            observer: As for `run`.
            options: As for `run`.

        Raises:
            NotResumableError: There is no such run, or it needs no resume; it says why.
            SecretMissingError: It was given a secret, which is neither here nor in the environment.
            RunOwnedError: Another driver runs it.
            LiteflowError: As for `run`.
        """
        check_names(self.name, options)
        from liteflow.signals import raised  # noqa: PLC0415  lazy, as in `run`

        with raised():
            if secrets:
                from liteflow.secret import refuse_others  # noqa: PLC0415  lazy: few flows have any

                refuse_others(self.name, self.parameters, secrets)
            order = self._order(dict(options), self._given(secrets, {}), None, observer)
            from liteflow.launch import resume  # noqa: PLC0415  as above

            return self._checked(resume(order, run_id), order)

    def replay(
        self,
        run_id: str | None = None,
        *,
        inputs: Mapping[str, object] | None = None,
        observer: Observer | None = None,
        **options: Unpack[FlowOptions],
    ) -> Run[R]:
        """Run the flow as it is now with the arguments of an earlier run, whatever came of that: a new run.

        Tasks with a `cache` run all the same, unless told `refresh=False`.

        Args:
            run_id: The earlier run's id, or the beginning of one; None: the latest of this flow.
            inputs: What is to be otherwise, as for `run`; secrets, which were not stored, are taken
                from here or from the environment.
            observer, options: As for `run`.

        Raises:
            NotReplayableError: There is no such run, its arguments could not be kept, or the flow takes
                some of them no more.
            LiteflowError: As for `run`.

        >>> import tempfile
        >>> from liteflow import Flow, task
        >>> @task
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> twice = Flow("twice", double() >> double(), db=tempfile.mkdtemp() + "/runs.db", executor="inline")
        >>> twice.run(x=4, run_id="first").result, twice.replay("first").result
        (16, 16)
        """
        check_names(self.name, options)
        options = {"refresh": True, **options}
        from liteflow.signals import raised  # noqa: PLC0415  lazy, as in `run`

        with raised():
            from liteflow.launch import launch  # noqa: PLC0415  as above
            from liteflow.replaying import given_before  # noqa: PLC0415  as above

            given = given_before(self._order(dict(options), self._given(inputs, {}), None, observer), run_id)
            order = self._order(dict(options), given, None, observer)
            return self._checked(launch(order, idempotent=False), order)

    def _order(
        self, options: Mapping[str, Any], given: Given, run_id: str | None, observer: Observer | None
    ) -> Order:
        if _refusals:
            _refusals[-1](self)
        if observer is not None and not all(callable(getattr(observer, name, None)) for name in OBSERVED):
            wants = f"an object with the methods {', '.join(OBSERVED)}"
            raise SettingError("a run", "observer", observer, wants)
        # Lazy, as in `run`.
        from liteflow.launch import Order, checked_run_id, entries_of, script_of  # noqa: PLC0415
        from liteflow.settings import RunSettings  # noqa: PLC0415

        options = {**self.options, **{k: v for k, v in options.items() if v is not DEFAULT}}
        context = options.pop("context", {})
        return Order(
            flow=self.name,
            compile=self._compile,
            complete=self._recipe.complete,
            given=given,
            settings=RunSettings(**options),
            run_id=checked_run_id(run_id),
            observer=observer,
            script=script_of(self),
            context=entries_of(self.name, context, self._recipe, given) if context or given.values else {},
        )

    def _compile(self, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> Dag:
        try:
            return self._recipe.compile(values, overrides)
        except UnknownNameError as error:
            # It may be an option of the run that was misspelt.
            if error.what != "parameter" or not nearest(error.name, RUN_OPTIONS):
                raise
            known = [*error.known, *RUN_OPTIONS]
            raise UnknownNameError(error.owner, "parameter or option", error.name, known) from None

    def _given(self, inputs: Mapping[str, object] | None, parameters: Mapping[str, object]) -> Given:
        from liteflow.given import Given  # noqa: PLC0415  lazy, as in `run`

        values, overrides = self._sorted({} if inputs is None else inputs, parameters)
        return Given(values, overrides)

    def _named(self, start: tuple[str, ...], parameters: Mapping[str, object]) -> Mapping[str, object]:
        """The parameters, with what was given by position."""
        if not start:
            return parameters
        if not self._recipe.is_router:
            raise ArgumentError(f"flow {self.name}", None, "takes its parameters by name: run(x=...)")
        if len(start) > 1 or "start" in parameters:
            raise ArgumentError(f"flow {self.name}", "start", "is one task: the one that runs first")
        return {**parameters, "start": start[0]}

    def _ended(self, run: Run[R]) -> Run[R]:
        vars(self)["_last"] = run
        return run

    def _checked(self, run: Run[R], order: Order) -> Run[R]:
        self._ended(run)
        if order.settings.check and run.failure is not None:
            raise run.failure
        return run


_refusals: list[Callable[[Runnable[Any]], None]] = []


@contextmanager
def runs_refused(refuse: Callable[[Runnable[Any]], None]) -> Iterator[None]:
    """Inside, `refuse` is called with a flow that is to be run, and raises."""
    _refusals.append(refuse)
    try:
        yield
    finally:
        _refusals.pop()
