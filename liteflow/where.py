"""Where a task runs: what may be given as `executor=`, and which executor that means.

    a name                "process", "thread", "async", "inline": liteflow's own
                          "ray", "dask", ...: a package that plugs it in
    an executor factory   PoolExecutor(...), or any object with a name and `make(work, settings)`

A plug-in is an entry point of the group `liteflow.executors`: its name, and an executor factory or
something without arguments that makes one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from liteflow.errors import ExecutorMissingError, SettingError

EXECUTORS = ("process", "thread", "async", "inline")
"""Names of liteflow's own executors."""

WAITING = "waiting"
"""The name of one more, for coroutines that only wait: no limit for calls that work counts them."""

EXTRAS = {"dask": "liteflow[dask]", "ray": "liteflow[ray]"}
"""Names of those that are installed apart, and what is to be installed."""

# Those of them that liteflow brings: modules that give an executor factory by `default()`.
_BROUGHT = {"dask": "liteflow.executor.dask", "ray": "liteflow.executor.ray"}

GROUP = "liteflow.executors"


@runtime_checkable
class Factory(Protocol):
    """An executor factory, as far as whoever names one has to know (executor/base.py has the rest)."""

    @property
    def name(self) -> str:
        """What it is called in settings, in messages and in the store."""
        ...

    @property
    def remote(self) -> bool:
        """Whether its calls leave this process."""
        ...

    def make(self, work: Any, settings: Any, /) -> Any:
        """Make the executor of one run."""
        ...


Where = str | Factory

# The factories of this process that are in use, so that a name in another one can mean them.
_living: WeakValueDictionary[str, Factory] = WeakValueDictionary()
# Where all runs of this process have all their tasks, while tests say so.
_everywhere: str | None = None


def checked_executor(value: Any, owner: str) -> Where:
    """Return what was given as `executor=`, if it can be one.

    Args:
        value: A name, or an executor factory.
        owner: Whose setting it is, for the message.

    Raises:
        SettingError: It is neither; the message lists the names there are.

    >>> checked_executor("thread", "a task")
    'thread'
    """
    if isinstance(value, str):
        if (
            value in EXECUTORS
            or value == WAITING
            or value in EXTRAS
            or value in _living
            or value in _plugged_in()
        ):
            return value
    elif isinstance(value, Factory) and not isinstance(value, type):
        if value.name in EXECUTORS:
            raise SettingError(
                owner, "executor", value, f"of another name than liteflow's own {value.name!r}"
            )
        remember(value)
        return value
    raise SettingError(owner, "executor", value, _wants(value))


def remember(factory: Factory) -> None:
    """Let a name mean this factory from now on, for as long as somebody holds it."""
    # One that can't be held weakly is known to those who hold it.
    with suppress(TypeError):
        _living[factory.name] = factory


def have_everything_run(executor: str | None) -> str | None:
    """Have all tasks of runs that begin here from now on run in one place, whatever they name: for tests.

    Args:
        executor: One of liteflow's own; None: each where it belongs.

    Returns:
        What held before.
    """
    global _everywhere
    before, _everywhere = _everywhere, executor
    return before


def everywhere() -> str | None:
    """Where everything runs for now; None: each where it belongs."""
    return _everywhere


class Elsewhere:
    """Stands in this process for an executor factory of another one, where its name means it."""

    remote = True

    def __init__(self, name: str) -> None:
        self.name = name

    def make(self, work: Any, settings: Any, /) -> Any:
        """Raise, for there is nothing here to make one of.

        Raises:
            ExecutorMissingError: Always.
        """
        raise ExecutorMissingError(self.name, None, [*EXECUTORS], "it is another process's")


def named(name: str) -> Factory:
    """Return the factory of this name, or what stands for it; this function's name stands in pickles."""
    return _living.get(name) or Elsewhere(name)


def name_of(executor: Where) -> str:
    """Return what an executor is called."""
    return executor if isinstance(executor, str) else executor.name


def is_remote(executor: Where) -> bool:
    """Return whether calls there leave this process, so that their functions have to be pickled."""
    if isinstance(executor, str):
        factory = factory_of(executor)
        return executor == "process" if factory is None else factory.remote
    return executor.remote


def allots(executor: Where) -> bool:
    """Return whether an executor sees to the resources of its calls itself, as clusters do.

    Others leave that to the driver, and their calls share what this machine has.
    """
    return bool(getattr(factory_of(executor), "allots", False))


def factory_of(executor: Where) -> Factory | None:
    """Return what makes an executor; None for liteflow's own.

    Raises:
        ExecutorMissingError: It is a name that nothing here stands for; the message says what to install.
    """
    if not isinstance(executor, str):
        return executor
    if executor in EXECUTORS or executor == WAITING:
        return None
    known = _living.get(executor)
    if known is not None:
        return known
    if executor in _BROUGHT:
        from importlib import import_module  # noqa: PLC0415  start-up: few name one of these

        brought: Factory = import_module(_BROUGHT[executor]).default()
        return brought
    entry = _plugged_in().get(executor)
    if entry is None:
        raise ExecutorMissingError(executor, EXTRAS.get(executor), [*EXECUTORS, *_plugged_in()])
    try:
        made = entry.load()
    except ImportError as error:
        raise ExecutorMissingError(executor, EXTRAS.get(executor), [*EXECUTORS], str(error)) from error
    is_factory = isinstance(made, Factory) and not isinstance(made, type)
    factory = made() if not is_factory and callable(made) else made
    if not isinstance(factory, Factory):
        wants = f"made by an executor factory (entry point {entry.value} gives none)"
        raise SettingError("a run", "executor", executor, wants)
    return factory


def chosen(own: Where | None, general: Where, is_async: bool) -> Where:
    """Return where a task runs.

    Args:
        own: What the task itself names.
        general: What the run names, or the flow, for tasks that name none.
        is_async: Whether its function is a coroutine function, or an asynchronous generator.

    An `async def` runs on the event loop unless its task names something else; or all is run
    inline, to be debugged.  Plain functions would hold up the loop, so they run in threads beside it.

    >>> chosen(None, "process", True), chosen("process", "thread", True), chosen(None, "async", False)
    ('async', 'process', 'thread')
    """
    if _everywhere is not None and own != WAITING:
        return _everywhere
    if own is None and is_async:
        return "inline" if general == "inline" else "async"
    executor = general if own is None else own
    return "thread" if executor in ("async", WAITING) and not is_async else executor


# --- how -----------------------------------------------------------------------------------


def _plugged_in() -> dict[str, Any]:
    """The entry points of executors, by name."""
    from importlib.metadata import entry_points  # noqa: PLC0415  start-up: few name an executor of others

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _wants(value: Any) -> str:
    names = ", ".join([*EXECUTORS, *sorted({*EXTRAS, *_plugged_in()} - {*EXECUTORS})])
    if not isinstance(value, str) and hasattr(value, "submit"):
        return f"one of {names}, or PoolExecutor(...) around a pool like this one"
    return f"one of {names}, or an executor factory such as PoolExecutor(...)"
