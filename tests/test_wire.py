"""Frames, descriptors and the shared page between a driver and a worker, over real sockets and memory."""

import marshal
import os
import resource
import signal
import socket
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow.executor.payload import Large
from liteflow.executor.process import wire
from liteflow.executor.process.page import SIZE, Page, Position
from liteflow.system import anonymous_file

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.binary(max_size=20)
)
BODIES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.integers(wire.SETUP, wire.EXITED)


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def received(reader):
    """All frames that have come, up to now."""
    found = []
    while True:
        try:
            open_ = reader.receive()
        except BlockingIOError:
            return found
        found += reader.frames()
        if not open_:
            return found


def descriptor_of(data):
    return Large.written([data], len(data))


def read(descriptor):
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


# --- frames --------------------------------------------------------------------------------


@given(st.lists(st.tuples(KINDS, BODIES), max_size=6), st.lists(st.integers(1, 60)))
@settings(deadline=None, max_examples=examples(150))
def test_frames_come_whole_and_in_order_however_the_bytes_are_split(frames, sizes):
    data = b"".join(wire.frame(kind, body) for kind, body in frames)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = wire.Reader(theirs)
        found = []
        while data:
            size = sizes.pop() if sizes else len(data)
            ours.sendall(data[:size])
            data = data[size:]
            assert reader.receive()
            found += reader.frames()

        assert found == [(kind, body, []) for kind, body in frames]
        assert reader.frames() == []


def test_what_arrived_before_the_end_counts_and_the_half_frame_does_not(sockets):
    ours, theirs = sockets
    ours.sendall(wire.frame(wire.NEWS, [1]) + wire.frame(wire.NEWS, [2])[:-1])
    ours.close()
    reader = wire.Reader(theirs)

    assert received(reader) == [(wire.NEWS, [1], [])]
    assert not reader.receive()


def test_a_connection_that_was_torn_off_is_an_end(sockets):
    ours, theirs = sockets
    # With something unread on its side, a socket that closes resets the connection.
    theirs.sendall(b"unread")
    ours.close()

    assert not wire.Reader(theirs).receive()


def test_nothing_there_is_told_from_the_end(sockets):
    _, theirs = sockets
    theirs.setblocking(False)

    with pytest.raises(BlockingIOError):
        wire.Reader(theirs).receive()


GARBAGE = [
    b"hello, this is something that a task has printed",
    b"\x00" * 10,
    wire._HEAD.pack(3, wire.EXITED + 1, 0) + b"abc",
    wire._HEAD.pack(3, wire.NEWS, 0) + b"abc",
    wire._HEAD.pack(1, wire.NEWS, 0) + b"?",
    wire._HEAD.pack(1, wire.NEWS, 0) + b"0",
    wire._HEAD.pack(0, wire.NEWS, 0),
    wire._HEAD.pack(1 << 62, wire.NEWS, 0),
    wire._HEAD.pack(2, wire.NEWS, 1) + b"NN",
    wire._HEAD.pack(5, wire.NEWS, 0) + b"[\x03\x00\x00\x00",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_frame_is_told_at_once(sockets, garbage):
    ours, theirs = sockets
    ours.sendall(garbage)
    reader = wire.Reader(theirs)
    reader.receive()

    with pytest.raises(wire.WireError):
        reader.frames()


@given(st.binary(min_size=10, max_size=60))
@example(wire.frame(wire.NEWS, (1, 2))[:-1] + b"\xff")
@settings(deadline=None, max_examples=examples(150))
def test_no_bytes_at_all_raise_anything_else(garbage):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(garbage)
        reader = wire.Reader(theirs)
        reader.receive()
        try:
            frames = reader.frames()
        except wire.WireError:
            return
        # Then it was one, or the beginning of one.
        for kind, body, descriptors in frames:
            assert (marshal.loads(marshal.dumps(body)), descriptors) == (body, [])
            assert wire.SETUP <= kind <= wire.EXITED


def test_a_frame_is_made_of_plain_values_only():
    class Text(str):
        __slots__ = ()

    with pytest.raises(ValueError):
        wire.frame(wire.NEWS, [Text("x"), print])


# --- sending -------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(25))
def test_what_the_socket_does_not_take_yet_is_kept_and_sent_later(sizes, random):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        writer, reader = wire.Writer(ours), wire.Reader(theirs)
        found = []

        for number, size in enumerate(sizes):
            writer.send(wire.frame(wire.VALUE, (number, bytes(size))))
            if random.random() < 0.3:
                found += received(reader)
        while writer.waiting:
            found += received(reader)
            writer.flush()
        found += received(reader)

        assert found == [(wire.VALUE, (n, bytes(size)), []) for n, size in enumerate(sizes)]


def test_sending_to_a_dead_worker_is_no_error_and_keeps_nothing(sockets):
    ours, theirs = sockets
    ours.setblocking(False)
    writer = wire.Writer(ours)
    while not writer.waiting:
        writer.send(bytes(100_000))
    theirs.close()

    writer.flush()
    writer.send(wire.frame(wire.RECALL, 1))

    assert not writer.waiting


# --- descriptors ---------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=9), max_size=3), min_size=1, max_size=6),
    st.integers(0, 200_000),
)
@settings(deadline=None, max_examples=examples(40))
def test_descriptors_come_with_their_frames(payloads, padding):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        writer, reader = wire.Writer(ours), wire.Reader(theirs)
        found = []

        for number, parts in enumerate(payloads):
            holders = tuple(descriptor_of(part) for part in parts)
            writer.send(wire.frame(wire.VALUE, (number, bytes(padding)), len(parts)), holders)
            del holders
            if number % 2:
                found += received(reader)
        while writer.waiting:
            found += received(reader)
            writer.flush()
        found += received(reader)

        assert [(body[0], [read(d) for d in descriptors]) for _, body, descriptors in found] == list(
            enumerate(payloads)
        )


def test_as_many_descriptors_as_a_message_may_have_come_at_once(sockets):
    ours, theirs = sockets
    holders = tuple(descriptor_of(b"%d" % n) for n in range(wire.MAX_DESCRIPTORS))
    wire.Writer(ours).send(wire.frame(wire.NEWS, None, len(holders)), holders)
    reader = wire.Reader(theirs)
    reader.receive()

    ((_, _, descriptors),) = reader.frames()

    assert [int(read(d)) for d in descriptors] == list(range(wire.MAX_DESCRIPTORS))


def test_descriptors_that_came_are_not_inherited_by_what_a_task_starts(sockets):
    ours, theirs = sockets
    wire.Writer(ours).send(wire.frame(wire.VALUE, None, 1), (descriptor_of(b"x"),))
    reader = wire.Reader(theirs)
    reader.receive()

    ((_, _, (descriptor,)),) = reader.frames()

    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def open_descriptors():
    return len(list(Path("/dev/fd").iterdir()))


def test_nothing_stays_open_of_descriptors_that_nobody_took(sockets):
    ours, theirs = sockets
    before = open_descriptors()
    writer, reader = wire.Writer(ours), wire.Reader(theirs)
    writer.send(wire.frame(wire.VALUE, "whole", 1), (descriptor_of(b"x"),))
    # The driver has died in the middle of this one.
    half = wire.frame(wire.VALUE, "half", 1)[:-1]
    writer.send(half, (descriptor_of(b"x"),))

    reader.receive()
    reader.receive()
    ((_, body, (descriptor,)),) = reader.frames()
    os.close(descriptor)
    reader.close()

    assert body == "whole"
    assert open_descriptors() == before


def test_a_process_that_may_open_no_more_files_is_told_so(sockets):
    ours, theirs = sockets
    wire.Writer(ours).send(wire.frame(wire.VALUE, None, 1), (descriptor_of(b"x"),))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_free = os.dup(0)
    os.close(next_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, hard))
    try:
        with pytest.raises(wire.WireError, match="ulimit -n"):
            wire.Reader(theirs).receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_sends_a_descriptor_holds_it_open_until_it_has_left(sockets):
    ours, theirs = sockets
    ours.setblocking(False)
    writer = wire.Writer(ours)
    while not writer.waiting:
        writer.send(wire.frame(wire.NEWS, bytes(100_000)))
    before = open_descriptors()
    writer.send(wire.frame(wire.VALUE, None, 1), (descriptor_of(b"kept"),))
    assert open_descriptors() == before + 1

    reader, found = wire.Reader(theirs), []
    while writer.waiting:
        reader.receive()
        found += reader.frames()
        writer.flush()
    # The socket has it now.
    assert open_descriptors() == before
    theirs.setblocking(False)
    found += received(reader)

    assert read(found[-1][2][0]) == b"kept"


# --- large payloads ------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=2000) | st.binary().map(memoryview), min_size=1).filter(any))
@settings(deadline=None, max_examples=examples(60))
def test_the_parts_of_a_large_payload_lie_one_after_the_other(parts):
    whole = b"".join(parts)

    large = Large.written(parts, len(whole))

    assert large.read(0, len(whole)) == whole == large.private()


def test_a_payload_is_gone_when_the_last_one_has_let_go():
    before = open_descriptors()
    large = Large.written([b"x" * 100], 100)
    private = large.private()
    assert open_descriptors() > before

    private[0:1] = b"y"
    assert (private[:2], large.read(0, 2)) == (b"yx", b"xx")
    del large
    assert private[99] == ord("x")
    del private

    assert open_descriptors() == before


def test_a_payload_that_could_not_be_written_leaves_nothing_open():
    before = open_descriptors()

    with pytest.raises(TypeError):
        Large.written([b"x", None], 100)

    assert open_descriptors() == before


# --- the page ------------------------------------------------------------------------------


@pytest.fixture
def memory():
    descriptor = anonymous_file("liteflow-test")
    os.ftruncate(descriptor, SIZE)
    yield descriptor
    os.close(descriptor)


POSITIONS = st.none() | st.builds(
    Position, st.integers(0, 2**31), st.integers(1, 2**31), st.integers(0, 2**62)
)


@given(st.lists(POSITIONS))
@settings(deadline=None, max_examples=examples(60))
def test_a_page_tells_what_was_last_written_on_it(positions):
    descriptor = anonymous_file("liteflow-test")
    os.ftruncate(descriptor, SIZE)
    ours, theirs = Page(descriptor), Page(descriptor)

    assert ours.position() is None
    for position in positions:
        if position is None:
            theirs.idle()
        else:
            theirs.running(*position)
        assert ours.position() == position

    ours.close()
    theirs.close()
    os.close(descriptor)


def test_a_page_that_is_read_while_it_is_written_tells_no_mixture(memory):
    pid = os.fork()
    if pid == 0:
        page, number = Page(memory), 0
        while True:
            number += 1
            page.running(number, 2 * number, 3 * number)
            if number % 7 == 0:
                page.idle()
    try:
        page, last, seen = Page(memory), 0, set()
        while len(seen) < 100:
            # Stopped anywhere, also in the middle of writing, as a busy machine does.
            os.kill(pid, signal.SIGSTOP)
            for _ in range(20):
                position = page.position()
                if position is not None:
                    number = position.node
                    assert position == (number, 2 * number, 3 * number)
                    assert number >= last
                    last = number
                    seen.add(number)
            os.kill(pid, signal.SIGCONT)
            for _ in range(50):
                position = page.position()
                assert position is None or position == (position.node, 2 * position.node, 3 * position.node)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    page.close()


@pytest.mark.parametrize("words", range(4))
def test_a_worker_killed_in_the_middle_of_writing_leaves_the_position_before(memory, words):
    page = Page(memory)
    page.running(5, 1, 1000)
    before = bytes(page._bytes[:64])
    page.running(6, 2, 2000)
    after = bytes(page._bytes[:64])
    page._bytes[:64] = before
    # It writes word by word, the serial number last.
    changed = [i for i in range(8) if before[8 * i : 8 * i + 8] != after[8 * i : 8 * i + 8]]
    for i in [i for i in changed if i][:words]:
        page._bytes[8 * i : 8 * i + 8] = after[8 * i : 8 * i + 8]

    assert page.position() == Position(5, 1, 1000)


def test_a_worker_that_has_not_begun_is_nowhere(memory):
    assert Page(memory).position() is None
