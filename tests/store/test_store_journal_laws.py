"""In whatever order a run is written down and cut off: what was committed is there, what was not is not."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_rows import START, begin, failed, in_pieces, succeeded, success, tried
from support.laws import examples

from liteflow.errors import LeaseLostError
from liteflow.store.db import open_store
from liteflow.store.history import History
from liteflow.store.journal import Journal
from liteflow.store.lease import this_process

NODES = 6
nodes = st.integers(0, NODES - 1)


class Written(RuleBasedStateMachine):
    """`committed` and `waiting` are what a store would be if it were two dictionaries."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="liteflow-test-"))
        self.db = self.folder / "a.db"
        self.committed = {}
        self.index = {node: node for node in range(NODES)}
        self.lines = []
        self.tries = []
        self.put_since = {"outcomes": {}, "forgotten": set(), "lines": [], "tries": []}

    def teardown(self):
        self.journal.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self):
        self.journal = Journal(open_store(self.db))
        begin(self.journal, [f"step-{n}" for n in range(NODES)])

    def row_id(self, node):
        return self.journal.base + self.index[node]

    def put(self, node, state, value=None):
        self.put_since["outcomes"][node] = (state, value)

    def is_open(self, node):
        """Whether an outcome may be put: there is none, or it has been forgotten since."""
        known = node in self.committed and node not in self.put_since["forgotten"]
        return not known and node not in self.put_since["outcomes"]

    @rule(node=nodes, value=st.binary(max_size=40))
    def succeed(self, node, value):
        if self.is_open(node):
            self.journal.outcomes([succeeded(self.row_id(node), value)])
            self.put(node, "succeeded", value)

    @rule(node=nodes, value=st.binary(max_size=40))
    def succeed_quickly(self, node, value):
        if self.is_open(node):
            self.journal.successes([success(self.row_id(node), value)])
            self.put(node, "succeeded", value)

    @rule(node=nodes, pieces=st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=4))
    def succeed_with_a_large_value(self, node, pieces):
        if self.is_open(node):
            for seq, piece in enumerate(pieces):
                self.journal.piece(self.row_id(node), seq, piece)
            self.journal.outcomes([in_pieces(self.row_id(node), b"".join(pieces))])
            self.put(node, "succeeded", b"".join(pieces))

    @rule(node=nodes, pieces=st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=4))
    def be_cut_off_in_a_large_value(self, node, pieces):
        if self.is_open(node):
            for seq, piece in enumerate(pieces):
                self.journal.piece(self.row_id(node), seq, piece)

    @rule(node=nodes, state=st.sampled_from(["failed", "upstream_failed"]))
    def fail(self, node, state):
        if self.is_open(node):
            self.journal.outcomes([failed(self.row_id(node), state)])
            self.put(node, state)

    @rule(node=nodes)
    def try_in_vain(self, node):
        attempt = 1 + sum(1 for n, _ in self.tries + self.put_since["tries"] if n == node)
        self.journal.attempts([tried(self.row_id(node), attempt)])
        self.put_since["tries"].append((node, attempt))

    @rule(node=nodes)
    def run_for_long(self, node):
        if self.is_open(node):
            self.journal.running([(self.row_id(node), 1, 5, "process-1")])

    @rule(node=nodes, text=st.text(st.characters(codec="utf-8"), max_size=20))
    def say(self, node, text):
        self.journal.logs([(self.row_id(node), 1, START, "stdout", text)])
        self.put_since["lines"].append((f"step-{node}", text))

    @precondition(lambda self: self.committed)
    @rule(data=st.data())
    def forget(self, data):
        node = data.draw(st.sampled_from(sorted(self.committed)))
        if node not in self.put_since["outcomes"]:
            self.journal.forget([self.row_id(node)])
            if self.committed[node][0] != "succeeded":
                self.put_since["forgotten"].add(node)

    @rule()
    def commit(self):
        self.journal.commit()
        self.all_is_committed()

    @rule()
    def be_killed_and_resumed(self):
        self.journal.connection.close()
        self.journal = Journal(open_store(self.db))
        self.journal.claim(1, this_process())
        self.nothing_waits()

    @rule()
    def lose_the_run_to_another(self):
        """This driver can't be looked at and is silent; another takes over, and this one wakes up."""
        late = self.journal
        late.connection.execute("UPDATE session SET namespace = 1, pid = 1, beat = 0, beat_at = 0")
        self.journal = Journal(open_store(self.db))
        self.journal.claim(1, this_process())
        with pytest.raises(LeaseLostError):
            late.commit() if late.waiting else late.beat()
        late.close()
        self.nothing_waits()

    @rule(data=st.data())
    def change_places(self, data):
        """The flow has its calls in another order; what each gave goes along."""
        self.commit()
        order = data.draw(st.permutations(range(NODES)))
        self.journal.renumber(dict(enumerate(order)), lambda old, to: old.mac)
        self.journal.commit()
        self.index = {node: order[index] for node, index in self.index.items()}

    @rule(node=nodes)
    def make_again(self, node):
        self.commit()
        self.journal.redo([self.index[node]])
        self.journal.commit()
        self.committed.pop(node, None)

    @rule()
    def end_and_be_resumed(self):
        self.journal.end("failed", START, None)
        self.all_is_committed()
        self.journal.claim(1, this_process())

    def all_is_committed(self):
        for node in self.put_since["forgotten"]:
            self.committed.pop(node, None)
        self.committed |= self.put_since["outcomes"]
        self.lines += self.put_since["lines"]
        self.tries += self.put_since["tries"]
        self.nothing_waits()

    def nothing_waits(self):
        self.put_since = {"outcomes": {}, "forgotten": set(), "lines": [], "tries": []}
        assert self.journal.waiting == 0

    @invariant()
    def the_store_holds_what_was_committed_and_nothing_else(self):
        with History(self.db) as history:
            tasks = {row.key: row.state for row in history.tasks("run-1")}
            assert {
                node: tasks[f"step-{node}"] for node in range(NODES) if tasks[f"step-{node}"] in ENDED
            } == {node: state for node, (state, _) in self.committed.items()}
            for node in range(NODES):
                payload = history.payload("run-1", self.index[node])
                _, value = self.committed.get(node, (None, None))
                assert (payload and payload.data) == value
            values = {n: v for n, (_, v) in self.committed.items() if v is not None}
            standing = history.standing("run-1")
            assert standing.succeeded == {self.index[node]: len(value) for node, value in values.items()}
            assert standing.attempts == {
                self.index[n]: max(a for m, a in self.tries if m == n) for n, _ in self.tries
            }
            assert {row.key: row.sha256 for row in history.xcoms("run-1")} == {
                f"step-{node}": hashlib.sha256(value).hexdigest() for node, value in values.items()
            }
            assert [(row.key, row.line) for row in history.logs("run-1")] == self.lines


ENDED = {"succeeded", "failed", "upstream_failed"}

TestWritten = Written.TestCase
TestWritten.settings = settings(max_examples=examples(30, 15), stateful_step_count=20, deadline=None)
