"""The work without liteflow: plain functions, and the calls as one makes them on a `ProcessPoolExecutor`.

It keeps nothing: no result is stored, no attempt recorded, no output kept.  Each shape takes the fastest
sensible way that the standard library offers, and gives what `kept.py` gives for the same size.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from queue import SimpleQueue

from benchmarks.calls import WORKERS, add, array, code, consume, join_three, nap, parents, source, total


def fan_out(size: int) -> int:
    with ProcessPoolExecutor(WORKERS) as pool:
        value = pool.submit(source).result()
        futures = [pool.submit(add, value, number) for number in range(size)]
        return pool.submit(total, [future.result() for future in futures]).result()


def chain(size: int) -> int:
    with ProcessPoolExecutor(WORKERS) as pool:
        value = pool.submit(source).result()
        for number in range(size - 1):
            value = pool.submit(add, value, number).result()
        return value


def layered(width: int, layers: int = 10) -> int:
    """Submit each call when its three parents are done, without waiting for the rest of their layer."""
    count = layers * width
    children: list[list[int]] = [[] for _ in range(count)]
    waits_for = [0] * count
    for call in range(width, count):
        above = set(parents(call // width, call % width, width))
        waits_for[call] = len(above)
        for parent in above:
            children[parent].append(call)

    values: list[int] = [0] * count
    done: SimpleQueue[tuple[int, Future[int]]] = SimpleQueue()
    with ProcessPoolExecutor(WORKERS) as pool:

        def submit(call: int) -> None:
            layer, place = divmod(call, width)
            future = (
                pool.submit(add, 1, place)
                if layer == 0
                else pool.submit(join_three, *(values[parent] for parent in parents(layer, place, width)))
            )
            future.add_done_callback(lambda future: done.put((call, future)))

        for call in range(width):
            submit(call)
        for _ in range(count):
            call, future = done.get()
            values[call] = future.result()
            for child in children[call]:
                waits_for[child] -= 1
                if not waits_for[child]:
                    submit(child)
        return pool.submit(total, values[-width:]).result()


def large(megabytes: int) -> float:
    with ProcessPoolExecutor(WORKERS) as pool:
        values = pool.submit(array, megabytes).result()
        return sum(future.result() for future in [pool.submit(consume, values, i) for i in (1, 2, 3)])


def naps(size: int) -> int:
    import asyncio  # noqa: PLC0415  only this shape needs it

    async def at_once() -> list[int]:
        return await asyncio.gather(*[nap(number) for number in range(size)])

    return sum(asyncio.run(at_once()))


def mapped(size: int) -> int:
    with ProcessPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(add, number, 1) for number in range(size)]
        return pool.submit(total, [future.result() for future in futures]).result()


def rounds(size: int) -> int:
    left = size
    with ThreadPoolExecutor(4) as pool:
        while left:
            left = pool.submit(add, left, -1).result()
    return left


def many_codes(size: int) -> int:
    with ProcessPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(code, f"result = {number} + 1") for number in range(size)]
        return sum(future.result() for future in futures)


def many_commands(size: int) -> int:
    def command(_number: int) -> int:
        return subprocess.run("true", shell=True, check=False).returncode

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(code == 0 for code in pool.map(command, range(size)))


SHAPES = {
    "fan_out": fan_out,
    "chain": chain,
    "layered": layered,
    "large": large,
    "naps": naps,
    "mapped": mapped,
    "rounds": rounds,
    "many_codes": many_codes,
    "many_commands": many_commands,
}
