"""What is measured, and what each figure is to reach.

A case is a function of the sizes that gives figures.  Times are wall-clock seconds; memory and
files are in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from attrs import evolve

from benchmarks.calls import NAP_S
from benchmarks.compare import Both, a_call, figure, figures, of
from benchmarks.far import dask, fleet, ray
from benchmarks.measure import Compared, Figure, Target, in_turn, run_python, sample, whole_process
from benchmarks.sizes import Sizes

LOADED_LATER = ("typer", "rich", "yaml", "lark", "asyncio")

SCRIPT = """\
from liteflow import flow, task

@task
def extract() -> list[int]:
    return [1, 2, 3]

@task
def double(numbers: list[int]) -> list[int]:
    return [2 * number for number in numbers]

@task
def total(numbers: list[int]) -> int:
    return sum(numbers)

@flow
def three() -> int:
    return extract() >> double >> total

print(three.run(max_workers=2).result)
"""

PLAIN_SCRIPT = """\
from concurrent.futures import ProcessPoolExecutor

def extract():
    return [1, 2, 3]

def double(numbers):
    return [2 * number for number in numbers]

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        numbers = pool.submit(double, pool.submit(extract).result()).result()
        print(pool.submit(sum, numbers).result())
"""


def fan_out(sizes: Sizes) -> Iterator[Figure]:
    calls = sizes.fan_out + 2
    both = Both.of("fan_out", sizes.fan_out, sizes.repeat)
    yield from figures(f"fan-out of {sizes.fan_out:,}", calls, Target("at least", 4), both)
    stored = [one / calls for one in of(both.kept, "stored")]
    yield Figure(
        f"store of that, {calls:,} tasks",
        f"{median(stored) * calls / 1e6:.2f} MB",
        "stores nothing",
        Compared.of(stored, [0.0] * len(stored), lambda our, _: our),
        "bytes a task",
        Target("at most", 300),
    )


def chain(sizes: Sizes) -> Iterator[Figure]:
    both = Both.of("chain", sizes.chain, sizes.repeat)
    return figures(f"chain of {sizes.chain:,}", sizes.chain, Target("at most", 0.8), both)


def layered(sizes: Sizes) -> Iterator[Figure]:
    both = Both.of("layered", sizes.width, sizes.repeat)
    return figures(f"layered, 10 x {sizes.width}", 10 * sizes.width + 1, Target("at least", 3), both)


def large(sizes: Sizes) -> Iterator[Figure]:
    both = Both.of("large", sizes.megabytes, sizes.repeat)
    return figures(f"{sizes.megabytes} MB to three consumers", 4, Target("at most", 1), both)


def naps(sizes: Sizes) -> Iterator[Figure]:
    """Coroutines that wait at once, against the same in a bare event loop."""
    both = Both.of("naps", sizes.naps, sizes.repeat)
    ours, theirs = of(both.kept, "seconds"), of(both.plain, "seconds")
    yield Figure(
        f"{sizes.naps:,} sleeps of {NAP_S:g} s at once",
        f"{median(ours):.2f} s",
        f"{median(theirs):.2f} s, asyncio.gather",
        Compared.of(ours, theirs, lambda our, _: our),
        "seconds",
        Target("at most", 0.5),
    )


def mapped(sizes: Sizes) -> Iterator[Figure]:
    """A map, whose calls come into being while the run goes on."""
    both = Both.of("mapped", sizes.fan_out, sizes.repeat)
    return figures(f"map over {sizes.fan_out:,}", sizes.fan_out + 1, Target("at least", 4), both)


def rounds(sizes: Sizes) -> Iterator[Figure]:
    """A loop in the next-task style, on threads."""
    both = Both.of("rounds", sizes.chain, sizes.repeat)
    ours, theirs = of(both.kept, "seconds"), of(both.plain, "seconds")
    yield Figure(
        f"loop of {sizes.chain:,} next tasks, on threads",
        a_call(ours, sizes.chain),
        f"{a_call(theirs, sizes.chain)}, submit",
        Compared.of(ours, theirs, lambda our, _: our / sizes.chain * 1e3),
        "ms a round",
        Target("at most", 0.3),
    )


def growth(sizes: Sizes) -> Iterator[Figure]:
    """A map over a million: what an item takes, against one over a hundredth; and the driver's memory."""
    many, few = sizes.items, sizes.items // 100
    taken = in_turn(
        {str(size): partial(sample, "kept", "mapped", size) for size in (many, few)}, min(sizes.repeat, 2)
    )
    ours, theirs = of(taken[str(many)], "seconds"), of(taken[str(few)], "seconds")
    yield Figure(
        f"map over {many:,}",
        a_call(ours, many),
        f"{a_call(theirs, few)} of {few:,}",
        Compared.of(ours, theirs, lambda our, their: (our / many) / (their / few)),
        "x the time an item",
        Target("at most", 1.3),
    )
    peaks = of(taken[str(many)], "peak")
    nothing = [0.0] * len(peaks)
    yield Figure(
        "- the driver's memory",
        f"{median(peaks) / 1e6:.0f} MB",
        "",
        Compared.of(peaks, nothing, lambda our, _: our / 1e6),
        "MB",
        Target("at most", 1_500),
    )


def arrows(sizes: Sizes) -> Iterator[Figure]:
    """The arrow language: a chain as a text beside the same in Python, and how long texts take to be read."""
    size, many = sizes.chain, sizes.statements
    taken = in_turn(
        {
            "text": partial(sample, "arrows", "chain", size),
            "python": partial(sample, "kept", "chain", size),
            "read": partial(sample, "arrows", "read_chain", size),
            "once": partial(sample, "arrows", "read_statements", many),
            "twice": partial(sample, "arrows", "read_statements", 2 * many),
        },
        sizes.repeat,
    )
    seconds = {name: of(samples, "seconds") for name, samples in taken.items()}
    text, python = seconds["text"], seconds["python"]
    work = f"chain of {size:,}, as a text"
    target = Target("at most", 1.3)
    yield evolve(
        figure(work, size, text, python, target=target, as_rate=False),
        theirs=f"{a_call(python, size)}, liteflow in Python",
    )
    yield read(f"- its text read and compiled, {size:,} steps", seconds["read"], 0.2)
    yield read(f"{many:,} statements read and compiled", seconds["once"], 2.0)
    once, twice = seconds["once"], seconds["twice"]
    yield Figure(
        f"- {2 * many:,} of them",
        f"{median(twice):.2f} s",
        f"{median(once):.2f} s for {many:,}",
        Compared.of(twice, once, lambda our, their: our / their),
        "x the time",
        Target("at most", 2.3),
    )


def read(work: str, seconds: list[float], limit_s: float) -> Figure:
    nothing = [0.0] * len(seconds)
    compared = Compared.of(seconds, nothing, lambda our, _: our)
    return Figure(work, f"{median(seconds):.2f} s", "", compared, "seconds", Target("at most", limit_s))


def in_a_file(sizes: Sizes) -> Iterator[Figure]:
    """Workflow files, from reading them on: code in workers, and commands in threads."""
    count = sizes.in_a_file
    codes = Both.of("many_codes", count, sizes.repeat)
    ours = of(codes.kept, "seconds")
    yield Figure(
        f"{count:,} python tasks in a file",
        a_call(ours, count),
        a_call(of(codes.plain, "seconds"), count),
        Compared.of(ours, ours, lambda our, _: our / count * 1e3),
        "ms a task",
        Target("at most", 0.5),
    )
    commands = Both.of("many_commands", count, sizes.repeat)
    ours, theirs = of(commands.kept, "seconds"), of(commands.plain, "seconds")
    work, target = f"{count:,} shell tasks in a file", Target("at most", 1.3)
    yield figure(work, count, ours, theirs, target=target, as_rate=False)


def memory(sizes: Sizes) -> Iterator[Figure]:
    """What a task costs the driver at its peak: a fan-out against one of a tenth of its size."""
    few = sizes.memory // 10
    taken = in_turn(
        {
            f"{way} {size}": partial(sample, way, "fan_out", size)
            for way in ("kept", "plain")
            for size in (sizes.memory, few)
        },
        min(sizes.repeat, 3),
    )
    peaks = {name: of(samples, "peak") for name, samples in taken.items()}

    def a_task(way: str) -> Compared:
        return Compared.of(
            peaks[f"{way} {sizes.memory}"],
            peaks[f"{way} {few}"],
            lambda many, base: (many - base) / (sizes.memory - few),
        )

    yield Figure(
        f"driver's memory, {sizes.memory:,} tasks",
        f"{median(peaks[f'kept {sizes.memory}']) / 1e6:.0f} MB",
        f"{median(peaks[f'plain {sizes.memory}']) / 1e6:.0f} MB, {a_task('plain').value:.0f} bytes a task",
        a_task("kept"),
        "bytes a task",
        Target("at most", 1_500),
    )


def start_up(sizes: Sizes) -> Iterator[Figure]:
    ways: dict[str, tuple[list[str], dict[str, str]]] = {
        "pass": (["-c", "pass"], {}),
        "import liteflow": (["-c", "import liteflow"], {}),
        "from liteflow import flow, task": (["-c", "from liteflow import flow, task"], {}),
        "three tasks": (["script.py"], {"script.py": SCRIPT}),
        "three calls, plain": (["script.py"], {"script.py": PLAIN_SCRIPT}),
    }
    for arguments, files in ways.values():
        whole_process(arguments, files)  # compiles what is imported, and fills the disk's cache
    taken = in_turn({name: partial(whole_process, *way) for name, way in ways.items()}, sizes.starts)
    yield more("three-task script, whole process", taken["three tasks"], taken["pass"], 150)
    plain = taken["three calls, plain"]
    yield Figure(
        "the same beside a plain script",
        f"{median(taken['three tasks']) * 1e3:.0f} ms",
        f"{median(plain) * 1e3:.0f} ms",
        Compared.of(taken["three tasks"], plain, lambda our, their: our / their),
        "x the time",
        None,
    )
    for name in ("import liteflow", "from liteflow import flow, task"):
        yield more(name, taken[name], taken["pass"], 60)
    yield loaded()


def more(work: str, ours: list[float], nothing: list[float], limit_ms: float) -> Figure:
    return Figure(
        work,
        f"{median(ours) * 1e3:.0f} ms",
        f"python -c pass: {median(nothing) * 1e3:.0f} ms",
        Compared.of(ours, nothing, lambda our, their: (our - their) * 1e3),
        "ms more",
        Target("at most", limit_ms),
    )


def loaded() -> Figure:
    """Which of the heavy modules the import of liteflow's names loads."""
    code = (
        f"from liteflow import flow, task; import sys; print(*sorted({set(LOADED_LATER)} & set(sys.modules)))"
    )
    names = run_python(["-c", code]).split()
    count = float(len(names))
    return Figure(
        f"loaded of {', '.join(LOADED_LATER)}",
        ", ".join(names) or "none",
        "",
        Compared(count, count, count),
        "modules",
        Target("at most", 0),
    )


CASES: dict[str, Callable[[Sizes], Iterator[Figure]]] = {
    "fan_out": fan_out,
    "chain": chain,
    "layered": layered,
    "large": large,
    "naps": naps,
    "mapped": mapped,
    "rounds": rounds,
    "growth": growth,
    "arrows": arrows,
    "in_a_file": in_a_file,
    "memory": memory,
    "start_up": start_up,
    "fleet": fleet,
    "ray": ray,
    "dask": dask,
}
