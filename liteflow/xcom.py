"""What a task instance produced, as it is stored: typed bytes and a short text preview.

    value --encode--> Encoded(type, codec, size, sha256, preview, ..., payload) --decode--> value

Values are encoded where they were made, in the worker; the driver and the store only pass
on the bytes, and whoever looks at a run reads the preview, never the payload.

Two codecs:

- `pickle`: one pickle.
- `buffers`: a pickle whose large buffers (pickle protocol 5) lie beside it, so that an
  array is written from its own memory and read in place.  Layout, little-endian: u64 number
  of parts, u64 length of each part, then the parts, each at a multiple of 64 bytes; part 0
  is the pickle.

With a URL behind an @, as in `pickle@file:///shared`, they are the codec of bytes that lie elsewhere, and the
payload is a reference to them (`storage`).

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import signal
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, NamedTuple

from liteflow import pickling

Buffer = bytes | memoryview

# Buffers below this stay inside the pickle: a slot of their own would cost more than a copy.
OUT_OF_BAND = 16 * 1024
# Payloads above this go from worker to worker by reference to memory, not inside messages.
LARGE = 64 * 1024

# The repr of a value with a pickle above this (not counting its buffers) may be as large and
# takes longer than the pickle did: then it is not asked for.
_LARGE_PICKLE = 256 * 1024

PREVIEW_CHARS = 200
EXACT_CHARS = 500
_PREVIEW_ITEMS = 10
_PREVIEW_DEPTH = 4
_INT_BITS = 1000
_ALIGN = 64


class Encoded(NamedTuple):
    """A value as it is stored.

    `exact` says that the preview is the value's JSON, whole; `by_value` that the payload
    holds code, which only the same Python minor version can read.  `parts` joined are the
    payload.
    """

    type: str
    codec: str
    size: int
    sha256: bytes
    preview: str
    exact: bool
    by_value: bool
    parts: tuple[Buffer, ...]


def encode(value: object) -> Encoded:
    """Encode a value.

    Raises:
        NotPicklableError: Which part can't be pickled, and why.

    >>> encoded = encode(42)
    >>> encoded.type, encoded.codec, encoded.preview, encoded.exact
    ('int', 'pickle', '42', True)
    >>> decode(encoded.codec, b"".join(encoded.parts))
    42
    """
    cls = type(value)
    if cls in _ATOMS:
        data = pickle.dumps(value, pickling.PROTOCOL)
        preview, exact = _atom_preview(value)
        sha = hashlib.sha256(data).digest()
        return Encoded(cls.__name__, "pickle", len(data), sha, preview, exact, False, (data,))
    pickled = pickling.dumps(value, out_of_band=OUT_OF_BAND)
    codec: str = "pickle"
    parts: tuple[Buffer, ...] = (pickled.data,)
    if pickled.buffers:
        codec, parts = "buffers", _laid_out(pickled.data, pickled.buffers)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    size = sum(len(part) if isinstance(part, bytes) else part.nbytes for part in parts)
    text, exact = preview_of(value, large=len(pickled.data) > _LARGE_PICKLE)
    return Encoded(type_name(cls), codec, size, digest.digest(), text, exact, pickled.by_value, parts)


def decode(codec: str, payload: Buffer) -> Any:
    """Read a value back.  This runs code (it is a pickle): only bytes that we trust come here.

    The buffers of a `buffers` payload are not copied: arrays are views of `payload`.
    """
    if codec == "pickle":
        return pickle.loads(payload)
    if codec != "buffers":
        raise ValueError(f"unknown codec {codec!r}; the value was stored by a newer liteflow")
    view = memoryview(payload)
    (count,) = struct.unpack_from("<Q", view)
    lengths = struct.unpack_from(f"<{count}Q", view, 8)
    at = _aligned(8 + 8 * count)
    parts = []
    for length in lengths:
        parts.append(view[at : at + length])
        at = _aligned(at + length)
    return pickling.loads(parts[0], buffers=parts[1:])


def type_name(cls: type) -> str:
    """Name a type as the store shows it: `int`, `numpy.ndarray`.

    >>> type_name(int), type_name(struct.Struct)
    ('int', '_struct.Struct')
    """
    known = _type_names.get(cls)
    if known is None:
        module = cls.__module__
        known = cls.__qualname__ if module in ("builtins", "__main__") else f"{module}.{cls.__qualname__}"
        known = _type_names[cls] = _text(known, PREVIEW_CHARS)
    return known


def preview_of(value: object, large: bool = False) -> tuple[str, bool]:
    """Return a short text for a value, and whether it is the value's exact JSON.

    Never raises (but KeyboardInterrupt) and never writes more than a few hundred characters,
    however large the value or broken its `repr`.

    Args:
        value: Anything.
        large: Whether what is in it may be too large to ask for its own `repr`.

    >>> preview_of([1, "two", None])
    ('[1, "two", null]', True)
    >>> preview_of({1, 2})
    ('{1, 2}', False)
    """
    if type(value) in _ATOMS:
        return _atom_preview(value)
    try:
        if _plain(value, [EXACT_CHARS // 2]):
            text = _json(value)
            if len(text) <= EXACT_CHARS:
                return text, True
        with _limited():
            return _text(_short(value, 0, large), PREVIEW_CHARS), False
    except (Exception, _TooSlowError):  # noqa: BLE001  a value that changes meanwhile, or is nested too deeply for where we are
        return f"<{type_name(type(value))}>", False


# --- how -----------------------------------------------------------------------------------

_ATOMS = frozenset({int, float, str, bool, type(None)})
_type_names: dict[type, str] = {}


class _TooSlowError(BaseException):
    """A repr takes too long; no Exception, for it may catch those."""


# A repr that takes longer shows nothing that is worth it.
_REPR_S = 1.0


@contextmanager
def _limited() -> Iterator[None]:
    """Inside, what takes too long is ended, where a signal can do so: in a main thread without an alarm."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _REPR_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _laid_out(stream: bytes, buffers: Sequence[pickle.PickleBuffer]) -> tuple[Buffer, ...]:
    raws: list[Buffer] = [stream, *(buffer.raw() for buffer in buffers)]
    lengths = [raw.nbytes if isinstance(raw, memoryview) else len(raw) for raw in raws]
    head = struct.pack(f"<Q{len(raws)}Q", len(raws), *lengths)
    parts: list[Buffer] = [head + bytes(_aligned(len(head)) - len(head))]
    for raw, length in zip(raws, lengths, strict=True):
        parts.append(raw)
        if padding := _aligned(length) - length:
            parts.append(bytes(padding))
    return tuple(parts)


def _aligned(offset: int) -> int:
    return (offset + _ALIGN - 1) // _ALIGN * _ALIGN


def _atom_preview(value: Any) -> tuple[str, bool]:
    cls = type(value)
    if cls is int:
        # Python refuses to write ints of over 4300 digits, and nobody reads them.
        bits = value.bit_length()
        return (str(value), True) if bits <= _INT_BITS else (f"int of {bits} bits", False)
    if cls is str:
        return _str_preview(value)
    if cls is float:
        return repr(value), isfinite(value)
    return {None: "null", True: "true", False: "false"}[value], True


def _str_preview(value: str) -> tuple[str, bool]:
    if len(value) <= EXACT_CHARS - 2 and value.isalnum() and value.isascii():
        return f'"{value}"', True
    text = _json(value[: EXACT_CHARS + 1])
    if len(text) > EXACT_CHARS:
        return text[:PREVIEW_CHARS] + "...", False
    return text, _is_text(value)


def _json(value: object) -> str:
    """JSON as people read it: only where something can't be seen, or turns the text round, in ASCII alone."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _is_text(value: str) -> bool:
    """Whether it has no surrogates: JSON reads two of them as one character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any, budget: list[int]) -> bool:
    """Whether JSON holds all of it: exact types, text keys, finite; and it is short."""
    budget[0] -= 1
    if budget[0] < 0:
        return False
    cls = type(value)
    if cls is list:
        return len(value) <= budget[0] and all(_plain(v, budget) for v in value)
    if cls is dict:
        return len(value) <= budget[0] and all(
            type(k) is str and _plain(k, budget) and _plain(v, budget) for k, v in value.items()
        )
    if cls is str:
        return len(value) <= EXACT_CHARS and _is_text(value)
    if cls is int:
        return bool(value.bit_length() <= _INT_BITS)
    return isfinite(value) if cls is float else value is None or cls is bool


_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
    dict: ("{", "}"),
}


def _short(value: Any, depth: int, large: bool) -> str:
    cls = type(value)
    if cls in (str, bytes, bytearray):
        return repr(value[:PREVIEW_CHARS])
    if cls in _ATOMS:
        return _atom_preview(value)[0] if cls is int else repr(value)
    if cls in _BRACKETS:
        return _listed(value, depth, large) if depth < _PREVIEW_DEPTH else "..."
    return f"<{type_name(cls)}>" if large else _repr(value)


def _listed(value: Any, depth: int, large: bool) -> str:
    """The first items of a container, as many as have room."""
    shown: list[str] = []
    room = PREVIEW_CHARS
    for item in value.items() if type(value) is dict else value:
        if room < 0 or len(shown) == _PREVIEW_ITEMS:
            shown.append(f"... {len(value)} in all")
            break
        parts = item if type(value) is dict else (item,)
        shown.append(": ".join([_short(part, depth + 1, large) for part in parts]))
        room -= len(shown[-1])
    opening, closing = _BRACKETS[type(value)]
    return opening + ", ".join(shown) + closing


def _repr(value: object) -> str:
    try:
        # Its repr may be of a class derived from str, with methods of its own.
        return str.__str__(repr(value))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  a preview is worth no failed task
        return f"<{type_name(type(value))}>"


def _text(text: str, limit: int) -> str:
    """Cut, and free of what SQLite can't hold as text (lone surrogates, NUL)."""
    storable = text[: limit + 1].encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    return storable if len(storable) <= limit else storable[: limit - 3] + "..."
