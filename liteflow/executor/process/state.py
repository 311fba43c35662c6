"""What of its process a call may change, and what the next call finds as it was.

    by Python's own functions (chdir, putenv, umask, signal, ...)   noticed at once, and put back
    otherwise (C code, lists changed in place)                      seen by looking: each few milliseconds

Looking costs 10 to 30 microseconds, more than a whole short call: so the functions are wrapped, which
costs nothing where they are not called, and one look is taken after each call that used one of them,
after each that took a millisecond, and otherwise so often that it takes a hundredth of the time.  Between
two looks, a short call may see what a short call before it has left in `sys.path`, say, which is no
function's doing.

What a module does when it is imported for a function stays.  So do modules and their globals, the
state of `random`, threads, limits (setrlimit) and priority.  Context variables need no putting back:
each call has a copy of its own.  The streams are capture.py's matter.
"""

from __future__ import annotations

import _locale
import _signal  # type: ignore[import-not-found]
import functools
import gc
import logging
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

LONG_NS = 1_000_000
"""After a call that has taken so long, a look is taken in any case."""
# Between two looks passes so many times what the last one has taken, if only shorter calls end meanwhile.
_SHARE = 100

# Those that change what a process has.
_CHANGING = (
    (os, "chdir fchdir umask putenv unsetenv"),
    (signal, "signal alarm setitimer siginterrupt"),
    (sys, "setrecursionlimit settrace setprofile"),
    (gc, "enable disable set_threshold"),
    (socket, "setdefaulttimeout"),
    (_locale, "setlocale"),
    (warnings, "simplefilter filterwarnings resetwarnings"),
    (logging, "disable basicConfig"),
    (logging.Logger, "setLevel"),
)

# What one look at it tells, and how it is put back.
_GETTERS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    (gc.get_threshold, lambda levels: gc.set_threshold(*levels)),
    (socket.getdefaulttimeout, socket.setdefaulttimeout),
    (sys.gettrace, sys.settrace),
    (sys.getprofile, sys.setprofile),
    (lambda: _locale.setlocale(_locale.LC_ALL, None), functools.partial(_locale.setlocale, _locale.LC_ALL)),
    (lambda: logging.root.level, logging.root.setLevel),
    (lambda: logging.root.manager.disable, logging.disable),
)
_LISTS = ((sys, "path"), (sys, "argv"), (warnings, "filters"), (logging.root, "handlers"))
# SIGKILL and SIGSTOP can't be handled.
_SIGNALS = [int(s) for s in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class State:
    """What a worker's process is like between calls.  One a process; main thread only.

    Attributes:
        touched: Whether something may have changed since the last look.
        look_at: When to look in any case; monotonic nanoseconds.
        renew: To be called after each call, if there is such a thing.
    """

    def __init__(self) -> None:
        self.touched = False
        self.look_at = 0
        self.renew: Callable[[], object] | None = None
        self._home = -1
        self._lists: list[tuple[Any, str, list[Any], list[Any]]] = []
        for module, names in _CHANGING:
            for name in names.split():
                self._notice(module, name)
        self.keep()

    def keep(self) -> None:
        """What is now is what `put_back` will put back."""
        self._environ = os.environ
        self._variables: dict[bytes, bytes] = dict(_raw(os.environ))
        if self._home < 0 or not self._at_home():
            # A descriptor finds a directory that was moved or removed, too.
            home = _directory()
            if self._home >= 0:
                os.close(self._home)
            self._home = home
        self._umask = _umask()
        self._values = [get() for get, _ in _GETTERS]
        self._handlers = [_signal.getsignal(number) for number in _SIGNALS]
        self._ticking = [_signal.getitimer(timer) for timer in _TIMERS]
        self._lists = [(owner, name, live := getattr(owner, name), list(live)) for owner, name in _LISTS]
        self.renew = _renewal()
        self.touched = False

    def put_back(self, now_ns: int) -> None:
        """Put back what has changed.

        Raises:
            Exception: Something can't be; this process is fit for no other call.
        """
        if self.touched:
            # Setting is the only way to ask, and for a moment other threads see what was set.
            os.umask(self._umask)
        if os.environ is not self._environ or _raw(self._environ) != self._variables:
            self._put_back_environment()
        if not self._at_home():
            os.fchdir(self._home)
        if [get() for get, _ in _GETTERS] != self._values:
            for (_, put), value in zip(_GETTERS, self._values, strict=True):
                put(value)
        if [_signal.getsignal(number) for number in _SIGNALS] != self._handlers:
            self._put_back_handlers()
        for timer, before in zip(_TIMERS, self._ticking, strict=True):
            if _signal.getitimer(timer) != before and not any(before):
                _signal.setitimer(timer, 0)
        for owner, name, live, items in self._lists:
            if getattr(owner, name) is not live or live != items:
                live[:] = items
                setattr(owner, name, live)
                # Tells the module that its filters are others, on the way out.
                with warnings.catch_warnings():
                    pass
        self.touched = False
        self.look_at = now_ns + _SHARE * (time.monotonic_ns() - now_ns)

    def _notice(self, module: Any, name: str) -> None:
        function = getattr(module, name)

        @functools.wraps(function)
        def noticed(*args: Any, **kwargs: Any) -> Any:
            self.touched = True
            return function(*args, **kwargs)

        setattr(module, name, noticed)
        # A pickle names a built-in function by the module that it is in.
        home = sys.modules.get(function.__module__ or "")
        if home is not None and getattr(home, name, None) is function:
            setattr(home, name, noticed)

    def _at_home(self) -> bool:
        try:
            return os.path.samestat(os.stat("."), os.fstat(self._home))  # noqa: PTH116  no pathlib in workers
        except OSError:
            return False

    def _put_back_environment(self) -> None:
        os.environ = self._environ  # noqa: B003  the object that the variables of C belong to
        now = _raw(self._environ)
        for name in now.keys() - self._variables.keys():
            del os.environ[os.fsdecode(name)]
        for name, value in self._variables.items():
            if now.get(name) != value:
                os.environ[os.fsdecode(name)] = os.fsdecode(value)

    def _put_back_handlers(self) -> None:
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            # None: it was C code's, and is not ours to set.
            if handler is not None and _signal.getsignal(number) != handler:
                signal.signal(number, handler)


def _directory() -> int:
    return os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _raw(environ: Any) -> dict[bytes, bytes]:
    """The environment as bytes, uncopied: a hundred times quicker to compare than by its own methods."""
    found: dict[bytes, bytes] = environ._data
    return found


def _renewal() -> Callable[[], object] | None:
    """What puts `decimal`'s context back, which is an object that copies of a context share.

    None where nothing has made one yet: then each call makes its own.
    """
    if all(variable.name != "decimal_context" for variable in copy_context()):
        return None
    decimal = sys.modules["decimal"]
    before = decimal.getcontext().copy()
    return lambda: decimal.setcontext(before.copy())
