"""What a process does not use any more returns to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_MEGABYTE = 1024 * 1024
_TAKEN = """
from ichidai.server.memory import memory_of_process, return_unused
before = memory_of_process()
held = [bytearray(4_000) for _ in range(20_000)]
last = held.pop()  # what lies above the rest keeps the heap from shrinking by itself
del held
freed = memory_of_process()
return_unused()
print(freed - before, memory_of_process() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library's alone")
def test_what_was_freed_is_returned() -> None:
    """80 MB that were freed below something that is used stay with the process until they are returned."""
    done = subprocess.run([sys.executable, "-c", _TAKEN], capture_output=True, text=True, check=True, timeout=60)
    freed, returned = (int(number) / _MEGABYTE for number in done.stdout.split())
    assert freed > 60
    assert returned < 20
