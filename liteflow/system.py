"""What differs from one operating system to the next, in one place (Linux and macOS).

    memory to share        memfd           a temporary file without a name
    notice of a death      pidfd           the end of the socket to it
    has a child ended?     waitid          the same since Python 3.13; before it, by taking its status
    end with the parent    PR_SET_PDEATHSIG    the worker's lifeline thread
    which process is it    /proc           sysctl, ps
    end those who left     PR_SET_CHILD_SUBREAPER    none
    what can be shown      the encoding of a stream, whichever it is
    is there a screen?     DISPLAY, WAYLAND_DISPLAY    always

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


def show(stream: TextIO, text: str) -> None:
    r"""Write a text to a stream, and what its encoding does not have as escapes.

    >>> import io
    >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    >>> show(stream, "zürich \N{SNOWMAN}")
    >>> stream.seek(0), stream.read()
    (0, 'zürich \\u2603')
    """
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def say(text: str, stream: TextIO | None) -> None:
    """Tell the user something of a run; where nobody can be told, the run goes on all the same.

    >>> say("run k3 goes on", sys.stdout)
    liteflow: run k3 goes on
    """
    if stream is not None:
        with suppress(OSError, ValueError):
            print(f"liteflow: {text}", file=stream, flush=True)


def not_shown(error: Exception) -> str:
    """Say that a stream can't be written any more; what it was to show is kept elsewhere.

    >>> not_shown(BrokenPipeError(32, "Broken pipe"))
    'what tasks print is not shown any more: Broken pipe; the run goes on, and `run.logs()` has it'
    """
    why = getattr(error, "strerror", None) or error
    return f"what tasks print is not shown any more: {why}; the run goes on, and `run.logs()` has it"


def has_desktop() -> bool:
    """Whether a browser that is opened here has a screen, and does not take the terminal for one."""
    return sys.platform != "linux" or any(
        os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    )


def anonymous_file(name: str) -> int:
    """Return a descriptor of memory that has no path, so nothing is left when all close it.

    On Linux memfd, which no size of /dev/shm limits; elsewhere (and where Python was built
    against an old C library) an unlinked temporary file.
    """
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    import tempfile  # noqa: PLC0415  start-up: not needed on Linux

    descriptor, path = tempfile.mkstemp(prefix="liteflow-")
    os.unlink(path)  # noqa: PTH108  one call, no Path needed
    return descriptor


def death_notice(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; None where there is no such thing.

    Linux since 5.3 has it, outside some sandboxes.
    Source: pidfd_open(2).
    """
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        # AttributeError: Python was built against an old C library.
        return None


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies, where it can (Linux).

    It works also while C code holds the interpreter's lock, when no thread could.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if not _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        return
    if os.getppid() != parent:
        # It had died before we asked.
        os.kill(os.getpid(), signal.SIGKILL)


def child_ended(pid: int, *, wait: bool = False) -> bool | None:
    """Whether a child has ended; its exit status stays to be taken, so its number stays its own.

    Args:
        wait: Until it has.

    Returns:
        None where that can't be told without taking the status (macOS, before Python 3.13).

    Source: waitid(2), WNOWAIT.
    """
    if not hasattr(os, "waitid"):
        return None
    how = os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)
    try:
        return os.waitid(os.P_PID, pid, how) is not None
    except ChildProcessError:
        # Somebody else has taken it; or SIGCHLD is ignored, and the kernel has.
        return True


def taken_status(before: Callable[[int], None]) -> tuple[int, int] | None:
    """Take the status of a child that has ended: its id, and how (-n: by signal n); None: none has.

    Args:
        before: Is called with the id while nobody else can have it; right after that on macOS,
            before Python 3.13.

    Source: waitid(2), WNOWAIT.
    """
    try:
        if hasattr(os, "waitid"):
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return None
            before(ended.si_pid)
            pid, status = os.waitpid(ended.si_pid, 0)
        else:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return None
            before(pid)
    except ChildProcessError:
        return None
    return pid, os.waitstatus_to_exitcode(status)


def end_group(group: int) -> None:
    """Kill a group of processes, if there is anybody in it."""
    with suppress(ProcessLookupError, PermissionError):
        # PermissionError: on macOS, where nobody is left but the leader, who has ended.
        os.killpg(group, signal.SIGKILL)


def adopt_orphans() -> bool:
    """Have what this process's children leave behind become its own children, not init's; whether it is so.

    So a process that has left its session, and whose parent has ended, is still found by `children`.
    Source: prctl(2), PR_SET_CHILD_SUBREAPER; Linux.
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """The process ids of this process's children, ended ones that nobody has waited for included.

    Empty where /proc does not tell.
    Source: proc(5), /proc/pid/task/tid/children (not in every kernel), and /proc/pid/stat, field 4.
    """
    try:
        found: list[int] = []
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208  no pathlib in workers
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    except OSError:
        return _children_by_search()
    return found


def _children_by_search() -> list[int]:
    me = str(os.getpid())
    found = []
    try:
        names = os.listdir("/proc")  # noqa: PTH208  as above
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    # The program's name is in parentheses, and may hold any character.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                # It has gone meanwhile.
                continue
            if len(fields) > 1 and fields[1].decode() == me:
                found.append(int(name))
    return found


def memory_kills() -> int | None:
    """How many processes the kernel has killed for want of memory so far; None where it does not tell.

    A container sees its own: the control group's memory.events say it, where the group has one; else
    /proc/vmstat does, for the whole machine.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files (oom_kill, by
    any kind of OOM killer); /proc/vmstat, oom_kill, since Linux 4.13.
    """
    own = _count(_own_cgroup() + "/memory.events")
    return _count("/proc/vmstat") if own is None else own


def _count(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), None)
    except OSError:
        return None


def _own_cgroup() -> str:
    """The folder of this process's control group (version 2)."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:  # noqa: PTH123
            own = next((line[3:].strip() for line in file if line.startswith("0::")), "/")
    except OSError:
        own = "/"
    return "/sys/fs/cgroup" + own.rstrip("/")


_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415  start-up: only supervisors and workers need it

    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """How many bytes of memory this process may use: the machine's, or less where its control group has less.

    Source: sysconf(3), _SC_PHYS_PAGES; https://docs.kernel.org/admin-guide/cgroup-v2.html, memory.max.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _text_of(_own_cgroup() + "/memory.max") if sys.platform == "linux" else ""
    return min(machine, int(limit)) if limit.isdigit() else machine


def gpus() -> list[str]:
    """What CUDA calls the GPUs that this process may use; none where that can't be told.

    These are what CUDA_VISIBLE_DEVICES names, up to the first that CUDA takes for none; without it those
    that Nvidia's driver has, by their numbers.

    Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables
    """
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is None:
        try:
            count = len(os.listdir("/proc/driver/nvidia/gpus"))  # noqa: PTH208  no pathlib in workers
        except OSError:
            return []
        return [str(number) for number in range(count)]
    found = []
    for name in (one.strip() for one in told.split(",")):
        if not name or name.startswith("-"):
            break
        found.append(name)
    return found


# --- which process is that? ----------------------------------------------------------------


@cache
def host_name() -> str:
    """The name of this machine, as it calls itself."""
    return os.uname().nodename


@cache
def boot_id() -> str:
    """A text that is another one each time the machine starts; "" where that can't be told.

    Source: random(4), /proc/sys/kernel/random/boot_id; on macOS sysctl(3), kern.bootsessionuuid.
    """
    if sys.platform == "linux":
        return _text_of("/proc/sys/kernel/random/boot_id")
    return _said_by("sysctl", "-n", "kern.bootsessionuuid")


@cache
def pid_namespace() -> int:
    """Which process ids these are: a container has its own; 0 where there is no such thing.

    Source: pid_namespaces(7).
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116  no pathlib in workers
    except OSError:
        return 0


def process_started(pid: int) -> int | None:
    """When a process was started, in a unit of the system's own: with its id it means one process only.

    Returns:
        0 if the process is there and that can't be told, None if there is no such process, or
        nothing is left of it but its exit status.

    Source: proc(5), /proc/pid/stat, fields 3 (state) and 22 (starttime, in clock ticks).
    """
    if sys.platform == "linux":
        # The name, field 2, may hold anything, parentheses and blanks too.
        fields = _text_of(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if len(fields) > 19:
            return None if fields[0] in "ZX" else int(fields[19])
    else:
        state, _, began = _said_by("ps", "-o", "stat=,lstart=", "-p", str(pid)).partition(" ")
        if began:
            from zlib import crc32  # noqa: PLC0415  start-up: where /proc tells, none is needed

            return None if state.startswith("Z") else crc32(began.strip().encode())
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        # It is another user's.
        return 0
    return 0


def boot_clock() -> float:
    """Seconds by a clock that goes on while the machine sleeps, and that nobody sets.

    Source: clock_gettime(2), CLOCK_BOOTTIME.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    # What Linux calls CLOCK_BOOTTIME, macOS calls CLOCK_MONOTONIC.
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _text_of(path: str) -> str:
    """What a small file says; "" if it says nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _said_by(*command: str) -> str:
    """What a program prints; "" if there is none such."""
    import subprocess  # noqa: PLC0415  start-up: not needed on Linux

    try:
        plain = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, env=plain)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
