"""Results of earlier runs are taken over: of the same code, with the same arguments.

    a ready call --key_of (pure)--> key --Cache--> found: its value is the call's own
                                            |
                                            +--> not found: it runs, and what it gives is noted under the key

A key is a keyed digest of the task's code and of all that the call is given: values by the SHA-256 of their
bytes.  Equal keys mean equal calls; equal values may have unequal bytes (sets, say), and then the call runs.
Nothing is unpickled for it.  Loaded by runs that have such tasks.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from liteflow.dag import Spread
from liteflow.engine.plan import Plan
from liteflow.errors import LiteflowError
from liteflow.executor.base import NODE
from liteflow.pickling import Definitions, Packed, learn
from liteflow.signing import ELSEWHERE, Seal
from liteflow.store.history import History
from liteflow.store.journal import Journal, Row
from liteflow.trust import TrustedValues
from liteflow.wiring import WireArgument

if TYPE_CHECKING:
    from liteflow.engine.lanes import Pushed
    from liteflow.store.rows import CachedRow, StoredPayload

# So many calls are looked up in one go, until what was found has so many bytes: nothing waits for a map over
# a million items, and its values are not all in memory.
_AT_ONCE = 500
_BYTES_AT_ONCE = 8 * 1024 * 1024
_KEY_BYTES = 16
# Bytecode of another one may be the same where its library is not.
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Found(NamedTuple):
    """A result that may be taken over: its bytes, and what is known of it."""

    stored: StoredPayload
    row: CachedRow


# --- keys (pure) -----------------------------------------------------------------------------


def key_of(
    plan: Plan, node: int, digest_of: Callable[[int], bytes], exact: Mapping[int, bytes], secret: bytes
) -> bytes | None:
    """Return what stands for a call's code and arguments; None: it can't be told what they are.

    Args:
        plan: The run's nodes; all that this one takes have ended.
        node: Which.
        digest_of: Gives the SHA-256 of another node's value.
        exact: As `exact_digests` gives them.
        secret: Without it nobody can tell by a key what a call was given.
    """
    task = plan.tasks[plan.task_of[node]]
    if not task.identity:
        return None
    digest = blake2b(digest_size=_KEY_BYTES, key=secret)
    digest.update(task.identity)
    digest.update(f"{_PYTHON}|{task.returns}|{task.star}".encode())
    call = plan.call(node, 1)
    # Names in their order: who takes **them may look at it.
    for part in (len(call.args), *call.args, *chain.from_iterable((call.kwargs or {}).items())):
        for piece in _pieces(part, digest_of, exact, plan.constants):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.digest()


def exact_digests(plan: Plan) -> dict[int, bytes]:
    """Return what stands for the arguments of the flow's own calls, by the id of their bytes."""
    found: dict[int, bytes] = {}
    for node in plan.dag.nodes:
        if node.task.policy.cache:
            for argument in (*node.args, *node.kwargs.values()):
                items = argument.items if type(argument) is Spread else (argument,)
                # The Dag keeps the bytes: no others can come to have their id.
                found.update({id(one.data): one.exact for one in items if type(one) is Packed})
    return found


def _atom(value: Any) -> bytes:
    if type(value) is int:
        # Python writes no number of more than 4300 digits in decimal.
        return b"int %x" % value
    return f"{type(value).__name__} {value!r}".encode("utf-8", "backslashreplace")


def _pieces(
    argument: WireArgument,
    digest_of: Callable[[int], bytes],
    exact: Mapping[int, bytes],
    constants: Sequence[bytes],
) -> Iterable[bytes]:
    """An argument as it travels, as bytes that no other one has; without recursion: it may be deep."""
    stack = [argument]
    while stack:
        one = stack.pop()
        if type(one) is list:
            yield b"list %d" % len(one)
            stack.extend(reversed(one))
        elif type(one) is not tuple:
            yield _atom(one)
        elif type(one[0]) is bytes:
            yield b"pickle %d %b" % (len(one[1]), exact.get(id(one[0]), one[0]))
            stack.extend(reversed(one[1]))
        elif type(one[0]) is int and one[0] < 0:
            data = constants[-1 - one[0]]
            yield b"pickle 0 " + exact.get(id(data), data)
        elif type(one[0]) is int:
            yield b"of " + digest_of(one[0]) + repr(one[1:]).encode("utf-8", "backslashreplace")
        else:
            # What a path leads to, in a value that is made of others'.
            yield b"in " + repr(one[1:]).encode("utf-8", "backslashreplace")
            stack.append(one[0])


# --- what is in the store --------------------------------------------------------------------


class Cache:
    """Results in a store that may be taken over.

    Args:
        journal: Of the run that takes them.
        seal: Makes the checks of what it writes.
        secret: Makes its keys.
        definitions: The classes of the script that this run's values need.
    """

    def __init__(self, journal: Journal, seal: Seal, secret: bytes, definitions: Definitions) -> None:
        self.secret = secret
        self._definitions = definitions
        self._journal = journal
        self._seal = seal
        self._history = History(journal.connection)
        self._runs: dict[int, TrustedValues] = {}

    @property
    def commits(self) -> int:
        """How often what was made has been written down."""
        return self._journal.commits

    def find(self, key: bytes, since: int) -> Found | None:
        """Return the newest result of a key that was made since then (in microseconds); None: there is none.

        One that can't be read here (it was changed, needs another Python, or is gone from its
        storage) is none: it can be made again.
        """
        row = self._history.cached(key, since)
        if row is None:
            return None
        try:
            stored = self._values(row).stored(row.index)
        except LiteflowError:
            return None
        return Found(stored, row) if stored is not None and _is_there(stored) else None

    def sha256(self, node: int) -> bytes:
        """The digest of a value of this run that is in the store."""
        return self._history.node_digest(self._journal.number, node)

    def note(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        """Results that later runs may take over: (id, when made, key); put after their outcomes."""
        self._journal.cache(rows)

    def facts_of(self, found: Found, node: int, attempt: int, started: int) -> tuple[Any, ...]:
        """What was found as if an attempt at a node had given it now: a Finished without its payload.

        Args:
            found: The result.
            node: The node.
            attempt: The last one there was; 0 if none.
            started: When, in microseconds since the run began.
        """
        told = found.stored
        how = (told.codec, told.code_python, told.type, told.size, told.sha256)
        mac = self._seal.value(node, attempt, *how)
        known = (told.type, told.codec, told.size, told.sha256, mac, found.row.preview, found.row.exact)
        return (self._journal.base + node, attempt, started, 0, "", *known, told.code_python)

    def _values(self, row: CachedRow) -> TrustedValues:
        """The values of a run; the classes that its pickles need are this run's too from now on."""
        values = self._runs.get(row.run_number)
        if values is None:
            run = self._history.find_run(row.run_id)
            values = self._runs[row.run_number] = TrustedValues(self._history, run)
            bundles = values.definitions()
            learn(bundles)
            for bundle in bundles:
                self._definitions.add(bundle)
            seal = self._seal
            self._journal.definitions(
                [(json.dumps(b.names), seal.definition(b.names, b.data), b.data) for b in bundles]
            )
        return values


def _is_there(stored: StoredPayload) -> bool:
    """Whether the bytes of a value can be had: those that lie in a storage may have been removed."""
    if ELSEWHERE not in stored.codec:
        return True
    # Start-up: few runs have any.
    from liteflow.storage.place import lies_there  # noqa: PLC0415

    return lies_there(stored.codec, stored.data)


# --- in a run --------------------------------------------------------------------------------


class Caching:
    """The calls of a run whose results may be taken over.

    Args:
        plan: The run's nodes.
        open_cache: Gives the store's, once the run has begun; None: nothing can be taken over there.
        refresh: Whether all run, and what they give takes the place of what is there.

    Attributes:
        awaits_commit: Whether what was made has to be in the store before the next look.
    """

    def __init__(self, plan: Plan, open_cache: Callable[[], Cache | None], *, refresh: bool) -> None:
        self._plan = plan
        self._open = open_cache
        self._refresh = refresh
        self._pending: deque[tuple[int, Pushed]] = deque()
        # Of the calls that run now.
        self._keys: dict[int, bytes] = {}
        # What has been made since the last commit, which the store does not know of.
        self._digests: dict[int, bytes] = {}
        self._made: set[bytes] = set()
        self._commits = 0
        # Which of equal calls runs, and those that wait for what it gives.
        self._leaders: dict[bytes, int] = {}
        self._followers: dict[int, list[tuple[int, Pushed]]] = {}
        self.awaits_commit = False

    def __bool__(self) -> bool:
        """Whether calls are to be looked up."""
        return bool(self._pending)

    @cached_property
    def cache(self) -> Cache | None:
        """The store's; it is opened when it is first needed."""
        return self._open()

    @cached_property
    def _exact(self) -> dict[int, bytes]:
        return exact_digests(self._plan)

    def lane(self, behind: Pushed) -> Pushed:
        """Where calls go that are ready, which are looked up before they go on to the lane behind."""
        return _Looked(self._plan, self._pending, behind)

    def look(self) -> Iterable[tuple[int, Found]]:
        """Look some calls up; those that are not found go on, and run, or wait for an equal one that runs."""
        cache = self.cache
        if cache is None:
            while self._pending:
                node, lane = self._pending.popleft()
                lane.push(node)
            return
        self._forget_committed(cache)
        size = 0
        for _ in range(min(_AT_ONCE, len(self._pending))):
            node, lane = self._pending.popleft()
            found = self._look_up(node, cache)
            if found is not None:
                size += len(found.stored.data)
                yield node, found
            elif self._keys.get(node) in self._made and not self._refresh:
                self._pending.appendleft((node, lane))
                self.awaits_commit = True
            elif (leader := self._leader_of(node)) != node:
                self._followers.setdefault(leader, []).append((node, lane))
            else:
                lane.push(node)
            if self.awaits_commit or size > _BYTES_AT_ONCE:
                return

    def made(self, rows: Iterable[Row]) -> None:
        """These calls have succeeded."""
        if self.cache is None:
            return
        self._forget_committed(self.cache)
        now, noted = time.time_ns() // 1000, []
        for row in rows:
            row_id, digest = row[0], row[8]
            assert isinstance(row_id, int)
            assert isinstance(digest, bytes)
            node = row_id & NODE
            self._digests[node] = digest
            key = self._keys.pop(node, None)
            if key is not None:
                noted.append((row_id, now, key))
                self._made.add(key)
                self._dismiss(node, key)
        self.cache.note(noted)

    def given_up(self, node: int) -> None:
        """A call has ended without a result, or goes on as others: an equal one that waited for it runs."""
        key = self._keys.pop(node, None)
        if key is not None:
            self._dismiss(node, key)

    def taken(self, rows: Iterable[tuple[Row, Found]]) -> None:
        """These results were taken over; they are as old as they are."""
        assert self.cache is not None
        self._forget_committed(self.cache)
        noted = []
        for row, found in rows:
            row_id = row[0]
            assert isinstance(row_id, int)
            node = row_id & NODE
            self._digests[node] = found.stored.sha256
            noted.append((row_id, found.row.made_at, self._keys.pop(node)))
        self.cache.note(noted)

    def _look_up(self, node: int, cache: Cache) -> Found | None:
        plan = self._plan
        key = key_of(plan, node, lambda source: self._digest_of(source, cache), self._exact, cache.secret)
        if key is None:
            return None
        self._keys[node] = key
        if self._refresh:
            return None
        policy = plan.policy(node).cache
        since = 0 if policy is True else time.time_ns() // 1000 - round(policy * 1e6)
        return cache.find(key, since)

    def _forget_committed(self, cache: Cache) -> None:
        """What was committed is known to the store: of a million calls, nothing is kept here."""
        if cache.commits != self._commits:
            self._commits = cache.commits
            self._digests.clear()
            self._made.clear()

    def _leader_of(self, node: int) -> int:
        """The call that runs for this one: an equal one that runs already, or itself."""
        key = self._keys.get(node)
        return node if key is None or self._refresh else self._leaders.setdefault(key, node)

    def _dismiss(self, node: int, key: bytes) -> None:
        """A call runs no more: who waited for it is looked up again."""
        if self._leaders.get(key) == node:
            del self._leaders[key]
        if (followers := self._followers.pop(node, None)) is not None:
            self._pending.extend(followers)
            self.awaits_commit = True

    def _digest_of(self, node: int, cache: Cache) -> bytes:
        return self._digests.get(node) or cache.sha256(node)


class _Looked:
    """Where the calls of a lane go that are looked up before they run."""

    def __init__(self, plan: Plan, pending: deque[tuple[int, Pushed]], behind: Pushed) -> None:
        self._plan = plan
        self._pending = pending
        self._behind = behind

    def push(self, node: int) -> None:
        """A node has become ready."""
        if node in self._plan.maps:
            # What takes its list apart.
            self._behind.push(node)
        else:
            self._pending.append((node, self._behind))
