"""A server under measurement: started on a free port of this machine, its processor time counted, ended by its pid."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

WORKERS, THREADS = 2, 4
"""Processes and threads of every server: what the suite serves with on two cores."""

_START_SECONDS = 120.0
_QUIET_SHARE, _QUIET_SECONDS = 0.1, 0.2


class ServerFailed(Exception):
    """A server did not start; the text is the end of what it said."""


class Server:
    """One running server with its workers."""

    def __init__(
        self, command: Callable[[int], Sequence[str]], folder: Path, environment: Mapping[str, str], cwd: Path
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._log = folder / "log"
        with self._log.open("ab") as output:
            self._process = psutil.Popen(
                command(self.port),
                cwd=cwd,
                env={**_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Wait until it listens. Raises ServerFailed."""
        end = time.monotonic() + _START_SECONDS
        while not is_listened_to(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise ServerFailed(self._log.read_text(errors="replace")[-2000:])
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, its workers too."""
        family = self._family()
        with suppress(psutil.NoSuchProcess):
            self._process.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=10)

    def processor_seconds(self) -> float:
        """Return the processor time that all its processes have used so far, in user and kernel mode."""
        times = [process.cpu_times() for process in self._family()]
        return float(sum(each.user + each.system for each in times))

    def memory(self) -> int:
        """Return the bytes that the server holds, memory that its processes share counted once (Linux: PSS)."""
        return int(sum(_bytes_of(process) for process in self._family()))

    def settle(self) -> None:
        """Wait until requests that the last load left behind are done, at most some seconds."""
        for _ in range(50):
            before = self.processor_seconds()
            time.sleep(_QUIET_SECONDS)
            if self.processor_seconds() - before <= _QUIET_SHARE * _QUIET_SECONDS:
                return

    def _family(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _environment() -> dict[str, str]:
    """Return this process' environment, in which modules keep their byte code, as installed ones do."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listened_to(port: int) -> bool:
    """Say whether a server accepts connections on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _bytes_of(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.uss))
