"""What differs from one operating system to the next, in one place (Linux and macOS).

    memory to share        memfd           a temporary file without a name
    notice of a death      pidfd           the end of the socket to it
    end with the parent    PR_SET_PDEATHSIG    the worker's lifeline thread

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import os
import signal
import sys

LINUX = sys.platform == "linux"


def anonymous_file(name: str) -> int:
    """Return a descriptor of memory that has no path, so nothing is left when all close it.

    On Linux memfd, which no size of /dev/shm limits; elsewhere (and where Python was built
    against an old C library) an unlinked temporary file.
    """
    if LINUX and hasattr(os, "memfd_create"):
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
    if not LINUX:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies, where it can (Linux).

    It works also while C code holds the interpreter's lock, when no thread could.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if not LINUX:
        return
    import ctypes  # noqa: PLC0415  start-up: only workers need it

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It had died before we asked.
        os.kill(os.getpid(), signal.SIGKILL)


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
