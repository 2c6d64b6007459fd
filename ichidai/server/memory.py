"""The memory of a worker: how much it has, and that what was let go returns to the system.

A C library keeps what was freed in the middle of its heap, and what hostile clients took would stay taken. See
mallopt(3), M_ARENA_MAX, and malloc_trim(3): both are the GNU library's; where there is another nothing is done.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import suppress
from pathlib import Path

_M_ARENA_MAX, _ARENAS = -8, 2
_MEGABYTE = 1024 * 1024
_APART_SECONDS = 10.0
_GROWN = 16 * _MEGABYTE


def memory_of_process() -> int:
    """Return the bytes of memory that this process has; 0 where only Linux would tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def keep_few_arenas() -> None:
    """Let the C library keep two arenas for all threads: with one for each, what hostile bodies took stays taken."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


async def return_memory() -> None:
    """Return what this process does not use, every ten seconds if it has grown by 16 MB. It never ends."""
    smallest = memory_of_process()
    while True:
        await asyncio.sleep(_APART_SECONDS)
        if memory_of_process() > smallest + _GROWN:
            await asyncio.to_thread(return_unused)
        smallest = min(smallest, memory_of_process())


def return_unused() -> None:
    """Return memory that was freed to the system: some milliseconds, in which no other thread can allocate much."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
