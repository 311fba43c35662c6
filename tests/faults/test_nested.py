"""A task may start processes and threads of its own, by any of Python's means; what it starts is sound."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from liteflow import Flow, Task


def twice(n: int) -> int:
    return 2 * n


def pool(method: str) -> int:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as executor:
        return sum(executor.map(abs, [-2, -3]))


def pool_by_fork() -> int:
    return pool("fork")


def pool_by_spawn() -> int:
    return pool("spawn")


def pool_by_server() -> int:
    return pool("forkserver")


def multiprocessing_pool() -> int:
    with multiprocessing.Pool(2) as workers:
        return sum(workers.map(abs, [-2, -3]))


def a_process_and_a_queue() -> int:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=queue.put, args=(5,))
    process.start()
    found = queue.get(timeout=20)
    process.join(20)
    assert process.exitcode == 0
    return found


def threads() -> int:
    with ThreadPoolExecutor(4) as executor:
        return sum(executor.map(twice, [1, 1])) + 1


def a_thread_left() -> int:
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return 5


def a_child_left() -> int:
    subprocess.Popen(["sleep", "1000"])
    return 5


def a_zombie_left() -> int:
    if os.fork() == 0:
        os._exit(0)
    return 5


def orphans_left() -> int:
    if os.fork() == 0:
        for _ in range(20):
            if os.fork() == 0:
                os._exit(0)
        os._exit(0)
    return 5


def both_of_a_fork_return() -> int:
    os.fork()
    return 5


def both_of_a_fork_return_much() -> bytes:
    return b"5" * 1_000_000 if os.fork() else b"6" * 1_000_000


def the_child_of_a_fork_raises() -> int:
    if os.fork() == 0:
        raise ValueError("in the child")
    os.wait()
    return 5


def the_child_of_a_fork_exits() -> int:
    pid = os.fork()
    if pid == 0:
        sys.exit(3)
    os.waitpid(pid, 0)
    return 5


def an_event_loop_with_a_program() -> int:
    async def program() -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        return await process.wait()

    return asyncio.run(program())


def a_program() -> int:
    return subprocess.run(["sh", "-c", "exit 5"], check=False).returncode


def a_flow() -> int:
    return (
        Flow("inner", [Task(twice, "twice")(n) for n in range(2)]).run(db=None, max_workers=2).result[1] + 3
    )


def a_flow_in_threads() -> int:
    run = Flow("inner", [Task(twice, "twice")(n) for n in range(2)]).run(db=None, executor="thread")
    return run.result[1] + 3


LEGAL: list[Callable[[], Any]] = [
    pool_by_fork,
    pool_by_spawn,
    pool_by_server,
    multiprocessing_pool,
    a_process_and_a_queue,
    threads,
    a_thread_left,
    a_child_left,
    a_zombie_left,
    orphans_left,
    both_of_a_fork_return,
    both_of_a_fork_return_much,
    the_child_of_a_fork_raises,
    the_child_of_a_fork_exits,
    an_event_loop_with_a_program,
    a_program,
    a_flow,
    a_flow_in_threads,
]


@pytest.mark.parametrize("function", LEGAL, ids=[f.__name__ for f in LEGAL])
def test_a_task_may_have_children_and_the_next_in_its_worker_is_none_the_worse(
    function: Callable[[], Any],
) -> None:
    legal = Task(function, "legal")()
    after = Task(lambda value: (value, a_program()), "after")(legal)

    run = Flow("nested", [legal, after, [Task(twice, "twice")(n) for n in range(5)]]).run(
        db=None, max_workers=1
    )

    value, (seen, status), rest = run.result
    assert value == seen == (b"5" * 1_000_000 if function is both_of_a_fork_return_much else 5)
    assert status == 5
    assert rest == [0, 2, 4, 6, 8]
    assert {row.attempts for row in run.tasks.values()} == {1}


DISPOSITIONS = (
    "import signal; print(*(signal.getsignal(n).name for n in (15, 17, 13)), signal.getsignal(2).__name__)"
)


def test_programs_that_tasks_start_heed_signals_as_any_program_does() -> None:
    def dispositions() -> str:
        program = [sys.executable, "-c", DISPOSITIONS]
        return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()

    def blocked() -> set[int]:
        return signal.pthread_sigmask(signal.SIG_BLOCK, ())

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        run = Flow("signals", [Task(dispositions, "dispositions")(), Task(blocked, "blocked")()]).run(db=None)
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # Python itself ignores SIGPIPE.
    assert run.result == ["SIG_DFL SIG_DFL SIG_IGN default_int_handler", set()]


def test_a_forked_child_can_be_interrupted() -> None:
    def interrupts() -> int:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, b"!")
                while True:
                    # A signal that comes just before a sleep begins is heeded when that is over.
                    time.sleep(0.01)
            except KeyboardInterrupt:
                os._exit(42)
        os.read(reader, 1)
        os.kill(pid, signal.SIGINT)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert Flow("interrupt", Task(interrupts, "interrupts")()).run(db=None).result == 42


def test_a_worker_whose_tasks_leave_thousands_of_orphans_does_not_collect_them() -> None:
    def leaves(n: int) -> int:
        orphans_left()
        os.wait()
        return n

    def count(_before: list[int]) -> int:
        # It looks once a second.
        until = time.monotonic() + 1.1
        while time.monotonic() < until:
            time.sleep(0.01)
        return 0

    def zombies(_before: int) -> int:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            return len(file.read().split())

    left = [Task(leaves, "leaves")(n) for n in range(20)]
    waited = Task(count, "count")(left)

    assert Flow("orphans", Task(zombies, "zombies")(waited)).run(db=None, max_workers=1).result < 100
