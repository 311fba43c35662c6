"""Values, functions and classes as bytes that another process can read.

    value --pack/dumps--> bytes --unpack/loads--> value

Added to what cloudpickle does:

- **Classes of the script keep their identity.**  A class of `__main__` is written as its
  name, and its definition travels once, beside the values (`Definitions`).  So an enum
  member of the script is still `is` itself after a resume, and no `__main__` guard is needed.
- **Holes.**  A lazy value that stands anywhere inside a value is written as the number of
  a place, and the value it stands for is put there when the bytes are read.
- **Tasks of modules go by reference**, although the module's name means the Task by now
  and not the function.
- **What stands in scripts often** and cloudpickle would write by a name that no worker has
  (`reducers`): functions with `@lru_cache` or `@singledispatch`, a `cached_property`, ...

Plain data is pickled by the C pickler alone; cloudpickle is imported when something needs
it, because a worker that never does starts in half the time.  Nothing here imports attrs,
for the same reason.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, EnumMeta
from types import CodeType, FunctionType
from typing import Any, NamedTuple

PROTOCOL = 5

# A script that `liteflow run` loads is `__main__` for its values, but must not run what
# stands under its `if __name__ == "__main__"`: so that is the name it is told.
SCRIPT_MODULE = "__liteflow_main__"
# The last is what the script is called in processes that multiprocessing has spawned.
_SCRIPTS = ("__main__", SCRIPT_MODULE, "__mp_main__")


class Packed(NamedTuple):
    """A value as bytes, with places for the values that lazy values stand for.

    `holes[i]` says what goes to place i.  `digest` is the same wherever the same value is
    packed, as the bytes need not be (the order of sets, what happens to be one object).  `exact` is so
    too, for arguments of tasks that have a cache: more than equal, they are the same (`sameness`).
    """

    data: bytes
    holes: tuple[Any, ...]
    digest: bytes = b""
    exact: bytes = b""


class Pickled(NamedTuple):
    """A value as bytes.

    `by_value` says that they hold code, which only this Python minor version reads;
    `buffers` lie beside them, and are needed to read them.
    """

    data: bytes
    by_value: bool
    buffers: tuple[pickle.PickleBuffer, ...] = ()


class Bundle(NamedTuple):
    """Definitions of classes of the script that refer to each other: names, and one pickle of all."""

    names: tuple[str, ...]
    data: bytes


class Definitions:
    """The definitions of the script's classes met while pickling, to go once to each worker."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []
        self._known: set[str] = set()

    def require(self, cls: type) -> None:
        """Make sure that the definition of `cls`, and of all it needs, is in a bundle."""
        name = _outermost(cls)
        if name in self._known:
            return
        # Classes that refer to each other must be in one pickle; which those are is
        # known after pickling, so pickle until no further one turns up.
        names = {name}
        while True:
            pickler = _bundle_pickler(self._known, names)
            # A class before those that derive from it: else `__init_subclass__` of a class
            # that is half there would be called, and keep the wrong halves of others.
            data = pickler.run({n: _find(n) for n in sorted(names, key=_ancestors)})
            if pickler.met <= names:
                break
            names |= pickler.met
        self._known |= names
        self.bundles.append(Bundle(tuple(sorted(names)), data))

    def add(self, bundle: Bundle) -> None:
        """Take in definitions that were made elsewhere; those that are known stay."""
        if not self._known.issuperset(bundle.names):
            self._known.update(bundle.names)
            self.bundles.append(bundle)


# Bundles that have come to this process and are not needed yet.
_awaiting: dict[str, Bundle] = {}


def learn(bundles: Iterable[Bundle]) -> None:
    """Keep definitions until a value needs one of them (in a worker, or when values are read)."""
    for bundle in bundles:
        for name in bundle.names:
            _awaiting[name] = bundle


def main_class(qualname: str) -> Any:
    """Return the script's class of that name; this function's name stands in stored pickles.

    Raises:
        AttributeError: The script has no such class, and no definition of it is at hand.
    """
    try:
        return _find(qualname)
    except AttributeError:
        bundle = _awaiting.get(qualname.partition(".")[0])
        if bundle is None:
            raise AttributeError(
                f"class {qualname!r} is not defined in the main script of this process; "
                "run the script that defines it, or import it from a module"
            ) from None
    for name, cls in pickle.loads(bundle.data).items():
        setattr(sys.modules["__main__"], name, cls)
    for name in bundle.names:
        _awaiting.pop(name, None)
    return _find(qualname)


def task_function(module: str, qualname: str) -> Any:
    """Return the function of the task `qualname` of an importable module."""
    __import__(module)
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found.fn


def dumps(value: object, definitions: Definitions | None = None, out_of_band: int | None = None) -> Pickled:
    """Pickle a value.

    Args:
        value: Anything; what plain pickle can't, cloudpickle may.
        definitions: Collects the script's classes that the value needs; None where the
            reader has them anyway.
        out_of_band: Buffers of at least so many bytes (an array's memory) are given beside
            the pickle, uncopied; None: all are inside.

    Raises:
        NotPicklableError: Which part can't be pickled, and why.

    >>> loads(dumps([1, "two"]).data)
    [1, 'two']
    """
    buffers: list[pickle.PickleBuffer] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        if out_of_band is None or buffer.raw().nbytes < out_of_band:
            return True
        buffers.append(buffer)
        return False

    callback = None if out_of_band is None else inside
    try:
        return Pickled(_LightPickler(callback, definitions).run(value), False, tuple(buffers))
    except Exception:  # noqa: BLE001  whatever it was, the full pickler meets it again and tells
        # It also meets the same buffers again.
        buffers.clear()
        pickler = _full_pickler(callback, definitions, None)
        return Pickled(_explained(pickler, value), pickler.by_value, tuple(buffers))


def pack(value: object, is_hole: Callable[[object], bool], definitions: Definitions) -> Packed:
    """Pickle a value in which some objects stand for values that are not there yet.

    Args:
        value: Any picklable value; the objects may stand anywhere inside.
        is_hole: Says whether an object is such a stand-in.
        definitions: Collects the script's classes that the value needs.

    Raises:
        NotPicklableError: Which part can't be pickled, and why.

    >>> class Later: pass
    >>> later = Later()
    >>> packed = pack({"a": [later, 2]}, lambda o: isinstance(o, Later), Definitions())
    >>> packed.holes == (later,), unpack(packed.data, [1])
    (True, {'a': [1, 2]})
    """
    places = _Places(is_hole)
    try:
        return Packed(_LightPackler(definitions, places).run(value), tuple(places.holes))
    except Exception:  # noqa: BLE001  as in dumps
        places = _Places(is_hole)
        return Packed(_explained(_full_pickler(None, definitions, places), value), tuple(places.holes))


def loads(data: bytes | memoryview, buffers: Iterable[Any] = ()) -> Any:
    """Read what `dumps` wrote; this runs code, so only bytes that we trust come here."""
    return pickle.loads(data, buffers=buffers)


def unpack(data: bytes | memoryview, values: Sequence[object]) -> Any:
    """Read what `pack` wrote, with `values[i]` at place i."""
    return _Unpacker(io.BytesIO(data), values).load()


def importable(obj: Any) -> bool:
    """Whether another process finds this function or class under its module and name."""
    name = getattr(obj, "__qualname__", None)
    module = getattr(obj, "__module__", None)
    if name is None or module is None or module in _SCRIPTS:
        return False
    return _lookup(sys.modules.get(module), name) is obj


# --- how -----------------------------------------------------------------------------------


def _lookup(found: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _find(qualname: str) -> Any:
    """The object of that name in whatever is the main script here."""
    found: Any = sys.modules["__main__"]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _outermost(cls: Any) -> str:
    # A nested class is defined when its outer one is.
    return str(cls.__qualname__.partition(".")[0])


def _ancestors(name: str) -> tuple[int, str]:
    return len(getattr(_find(name), "__mro__", ())), name


def _of_script(obj: Any) -> bool:
    """Whether a class (a NewType, ...) is the script's own and can be found there by its name."""
    if getattr(obj, "__module__", None) not in _SCRIPTS:
        return False
    # A ParamSpec has no qualified name.
    name = obj.__qualname__ if hasattr(obj, "__qualname__") else obj.__name__
    return _lookup(sys.modules["__main__"], name) is obj


def _member_by_name(obj: Any) -> Any:
    """Write an enum member by its name: its value may be one of a kind, like `object()`."""
    cls: Any = type(obj)
    if cls.__reduce_ex__ is Enum.__reduce_ex__ and cls.__members__.get(obj.name) is obj:
        return getattr, (cls, obj.name)
    return NotImplemented


class _NeedsCloudpickleError(Exception):
    """Plain pickle would write this by a name that means nothing elsewhere."""


class _Places:
    """Numbers the stand-ins as the pickler meets them; each object has one place."""

    def __init__(self, is_hole: Callable[[object], bool]) -> None:
        self.is_hole = is_hole
        self.holes: list[object] = []
        self._numbers: dict[int, int] = {}

    def number(self, obj: object) -> int | None:
        if not self.is_hole(obj):
            return None
        known = self._numbers.get(id(obj))
        if known is None:
            known = self._numbers[id(obj)] = len(self.holes)
            self.holes.append(obj)
        return known


class _LightPickler(pickle.Pickler):
    def __init__(
        self,
        buffer_callback: Callable[[pickle.PickleBuffer], Any] | None,
        definitions: Definitions | None,
    ) -> None:
        self._file = io.BytesIO()
        self._definitions = definitions
        super().__init__(self._file, PROTOCOL, buffer_callback=buffer_callback)

    def run(self, value: object) -> bytes:
        self.dump(value)
        return self._file.getvalue()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type):
            if _of_script(obj):
                return _by_name(obj, self._definitions)
        elif isinstance(obj, FunctionType):
            by_reference = _task_reference(obj)
            if by_reference is not None:
                return by_reference
            if not importable(obj):
                raise _NeedsCloudpickleError
        elif isinstance(type(obj), EnumMeta):
            return _member_by_name(obj)
        elif type(obj).__module__ not in _SCRIPTS and getattr(obj, "__module__", None) in _SCRIPTS:
            # Not an instance of a class of the script (those are fine), but a thing that
            # is pickled by its own name: a TypeVar, a NewType, a function with a cache.
            raise _NeedsCloudpickleError
        return NotImplemented


class _LightPackler(_LightPickler):
    def __init__(self, definitions: Definitions | None, places: _Places) -> None:
        self._places = places
        super().__init__(None, definitions)

    def persistent_id(self, obj: object) -> int | None:
        return self._places.number(obj)


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, values: Sequence[object]) -> None:
        self._values = values
        super().__init__(file)

    def persistent_load(self, pid: int) -> object:
        return self._values[pid]


def _by_name(cls: type, definitions: Definitions | None) -> Any:
    if definitions is not None:
        definitions.require(cls)
    return main_class, (cls.__qualname__,)


def _task_reference(function: Any) -> Any:
    """How to refer to the function of a task of an importable module, or None."""
    module = function.__module__
    if module in _SCRIPTS or module not in sys.modules:
        return None
    name = function.__qualname__
    found = _lookup(sys.modules[module], name)
    if found is not function and getattr(found, "fn", None) is function:
        return task_function, (module, name)
    return None


_full_classes: tuple[Any, Any] | None = None


def _cloudpickle() -> Any:
    import cloudpickle  # noqa: PLC0415  start-up: 20 ms that plain data does not need

    for name in _SCRIPTS[1:]:
        script = sys.modules.get(name)
        if script is not None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(script)
    return cloudpickle


def _make_full_classes() -> tuple[Any, Any]:
    """The picklers that derive from cloudpickle's, made when cloudpickle is first needed."""
    global _full_classes  # noqa: PLW0603  a cache of classes
    base: Any = _cloudpickle().Pickler
    if _full_classes is not None:
        return _full_classes
    from liteflow.pickling.reducers import reduced, whole_class  # noqa: PLC0415  start-up, as above

    class Full(base):  # type: ignore[misc]
        def __init__(
            self,
            buffer_callback: Callable[[pickle.PickleBuffer], Any] | None,
            definitions: Definitions | None,
            places: _Places | None,
        ) -> None:
            self._file = io.BytesIO()
            self._definitions = definitions
            self._places = places
            self.by_value = False
            super().__init__(self._file, PROTOCOL, buffer_callback=buffer_callback)

        def run(self, value: object) -> bytes:
            self.dump(value)
            return self._file.getvalue()

        def persistent_id(self, obj: object) -> int | None:
            return None if self._places is None else self._places.number(obj)

        def class_by_name(self, cls: type) -> Any:
            return _by_name(cls, self._definitions)

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type) and _of_script(obj):
                by_name = self.class_by_name(obj)
                if by_name is not None:
                    return by_name
            elif isinstance(obj, FunctionType):
                by_reference = _task_reference(obj)
                if by_reference is not None:
                    return by_reference
            elif isinstance(type(obj), EnumMeta):
                return _member_by_name(obj)
            elif isinstance(obj, CodeType):
                self.by_value = True
            ours = reduced(obj, _of_script, importable)
            if ours is not None:
                return ours
            theirs = super().reducer_override(obj)
            # Only functions and classes by value have a state; `type(None)` is a call.
            if theirs is NotImplemented or len(theirs) <= 2:
                return theirs
            self.by_value = True
            return whole_class(obj, theirs) if isinstance(obj, type) else theirs

    class Bundler(Full):
        """Writes the script's classes by value, but for those that stand in an earlier bundle."""

        def __init__(self, known: set[str], wanted: set[str]) -> None:
            self._known = known
            self.met = set(wanted)
            super().__init__(None, None, None)

        def class_by_name(self, cls: type) -> Any:
            name = _outermost(cls)
            if name in self._known:
                return main_class, (cls.__qualname__,)
            self.met.add(name)
            return None

    _full_classes = Full, Bundler
    return _full_classes


def _full_pickler(
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None,
    definitions: Definitions | None,
    places: _Places | None,
) -> Any:
    return _make_full_classes()[0](buffer_callback, definitions, places)


def _bundle_pickler(known: set[str], wanted: set[str]) -> Any:
    return _make_full_classes()[1](known, wanted)


def _explained(pickler: Any, value: object) -> bytes:
    try:
        return pickler.run(value)  # type: ignore[no-any-return]
    except Exception as error:
        from liteflow.errors import NotPicklableError  # noqa: PLC0415  attrs: not for every worker

        if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
            raise NotPicklableError("", type(value).__name__, "it is nested too deeply") from error
        from liteflow.pickling.culprit import find_culprit  # noqa: PLC0415  only for errors

        path, part = find_culprit(value, lambda part: _pickles(part, pickler))
        raise NotPicklableError(path, type(part).__name__, _why(error)) from error


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _pickles(value: object, pickler: Any) -> bool:
    try:
        # Definitions of its own: a class of the script may be what can't be pickled.
        type(pickler)(None, Definitions(), pickler._places).run(value)
    except Exception:  # noqa: BLE001  only whether it can be, whatever says no
        return False
    return True
