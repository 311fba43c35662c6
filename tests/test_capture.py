"""What calls print and log, in a process of its own whose descriptors 1 and 2 are pipes."""

import textwrap

from support.script import run_script

BEGIN = """
import logging, os, subprocess, sys, threading
from liteflow.executor.process.capture import MAX_BYTES, MAX_LINE, Capture

out, out_end = os.pipe()
err, err_end = os.pipe()
os.dup2(out_end, 1), os.dup2(err_end, 2)
capture = Capture((out, err))
reading = threading.Event()

def drain():
    # What the control thread of a worker does while a call runs.
    while not reading.wait(0.001):
        capture.drain()

def said(call, node=1, attempt=1):
    reading.clear()
    reader = threading.Thread(target=drain)
    reader.start()
    capture.begin(node, attempt)
    try:
        call()
    finally:
        reading.set()
        reader.join()
        capture.end()
    lines = capture.taken()
    assert all(line[:2] == (node, attempt) for line in lines)
    for line in lines:
        line[4].encode()
    return [line[3:] for line in lines]
"""


def capturing(source):
    run_script(BEGIN + textwrap.dedent(source))


def test_lines_belong_to_the_call_that_wrote_them_however_they_were_written():
    capturing(
        r"""
        assert said(lambda: print("one\ntwo"), 1, 1) == [("stdout", "one\n"), ("stdout", "two\n")]
        assert said(lambda: print("error", file=sys.stderr), 2, 3) == [("stderr", "error\n")]
        assert said(lambda: print("no end", end=""), 3) == [("stdout", "no end")]
        assert said(lambda: os.write(1, b"by descriptor\n"), 4) == [("stdout", "by descriptor\n")]
        assert said(lambda: subprocess.run(["echo", "a child"]), 5) == [("stdout", "a child\n")]
        assert said(lambda: sys.stdout.write("\n\n"), 6) == [("stdout", "\n"), ("stdout", "\n")]
        assert said(lambda: None, 7) == []
        """
    )


def test_log_records_are_lines_of_their_own():
    capturing(
        r"""
        log = logging.getLogger("etl")
        assert said(lambda: log.info("read %d rows", 3)) == [("log", "INFO etl: read 3 rows\n")]
        assert said(lambda: log.warning("a\nb")) == [("log", "WARNING etl: a\n"), ("log", "b\n")]
        assert said(lambda: log.debug("no")) == []
        """
    )


def test_text_that_no_database_can_hold_is_kept_escaped():
    capturing(
        r"""
        assert said(lambda: print("a\ud800b\0c")) == [("stdout", "a\\ud800b\\x00c\n")]
        assert said(lambda: os.write(2, b"\xff\n")) == [("stderr", "\\xff\n")]
        assert said(lambda: logging.warning("a\ud800b\0c")) == [("log", "WARNING root: a\\ud800b\\x00c\n")]
        """
    )


def test_a_line_of_any_length_is_kept_in_pieces_that_make_it_up():
    capturing(
        r"""
        for text in ("x" + "é" * 100_000, "xy" + "語" * 60_000, "z" * 100_000, "\U0001f600" * 30_000):
            for call in (
                lambda: print(text),
                lambda: print(text, end=""),
                lambda: logging.warning(text),
                lambda: [os.write(1, text.encode()[i:i + 1000]) for i in range(0, len(text.encode()), 1000)],
            ):
                lines = said(call)
                whole = "".join(line for _, line in lines).removeprefix("WARNING root: ").rstrip("\n")
                assert whole == text, (len(whole), len(text), whole[:9])
                assert all(len(line) <= MAX_LINE + 1 for _, line in lines)
                assert not any(line.endswith("\n") for _, line in lines[:-1])
        """
    )


def test_a_flood_is_cut_with_a_mark_and_the_next_call_is_heard_again():
    capturing(
        r"""
        lines = said(lambda: [print("x" * 999) for _ in range(2 * MAX_BYTES // 1000)])
        kept = sum(len(line) for _, line in lines)
        assert 0.98 * MAX_BYTES < kept < 1.01 * MAX_BYTES, kept
        assert [line for line in lines if "not kept" in line[1]] == [
            ("stderr", "[liteflow: output over 10 MiB is not kept]\n")
        ]
        assert said(lambda: print("back")) == [("stdout", "back\n")]
        """
    )


def test_a_call_that_spoils_its_streams_does_not_spoil_the_next_ones():
    capturing(
        r"""
        import io

        def replaces():
            sys.stdout = io.StringIO()
            print("lost")
        def unsets():
            sys.stdout = sys.stderr = None
        def closes():
            print("before")
            sys.stdout.close()
        def closes_descriptors():
            os.close(1), os.close(2)
        def leaves_text():
            sys.stdout = os.fdopen(1, "w", closefd=False)
            print("buffered")

        def replaces_descriptors():
            other = os.open(os.devnull, os.O_WRONLY)
            os.dup2(other, 1), os.dup2(other, 2)
            threading.Event().wait(0.01)
            print("gone")

        assert said(replaces) == []
        assert said(lambda: print("a")) == [("stdout", "a\n")]
        assert said(unsets) == []
        assert said(lambda: print("b")) == [("stdout", "b\n")]
        assert said(closes) == [("stdout", "before\n")]
        assert said(lambda: print("c")) == [("stdout", "c\n")]
        assert said(closes_descriptors) == []
        assert said(lambda: print("d", file=sys.stderr)) == [("stderr", "d\n")]
        assert said(lambda: print("d")) == [("stdout", "d\n")]
        assert said(replaces_descriptors) == []
        assert said(lambda: print("f")) == [("stdout", "f\n")]
        assert said(leaves_text) == [("stdout", "buffered\n")]
        assert said(lambda: print("e")) == [("stdout", "e\n")]
        """
    )


def test_a_log_record_that_can_not_be_written_fails_no_task():
    capturing(
        r"""
        logging.raiseExceptions = False
        class Bad:
            def __str__(self): raise RuntimeError("no text")
        assert said(lambda: logging.warning("%s", Bad())) == []
        assert said(lambda: logging.warning("well")) == [("log", "WARNING root: well\n")]
        """
    )
