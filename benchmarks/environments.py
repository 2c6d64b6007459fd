"""Where the peers live: an environment for each, apart from ours, made at the first run and kept in `.cache/`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "benchmarks"


class CannotInstall(Exception):
    """A peer cannot be installed here; the text says why."""


def python_with(name: str, packages: Sequence[str]) -> Path:
    """Return the interpreter of an environment that has the packages. Raises CannotInstall."""
    folder = _made(f"{name}-py{sys.version_info[0]}{sys.version_info[1]}", packages, _make_python)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def node_with(name: str, packages: Sequence[str]) -> Path:
    """Return a folder whose `node_modules` have the packages. Raises CannotInstall."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise CannotInstall(f"{program} is not installed")
    return _made(name, packages, _make_node)


def _made(name: str, packages: Sequence[str], make: Callable[[Path, Sequence[str]], None]) -> Path:
    """Return a folder that `make` has filled to its end, now or before."""
    digest = hashlib.sha256(json.dumps(list(packages)).encode()).hexdigest()[:8]
    folder = CACHE / f"{name}-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder, packages)
        (folder / "complete").touch()
    return folder


def _make_python(folder: Path, packages: Sequence[str]) -> None:
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _run(str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", *packages)


def _make_node(folder: Path, packages: Sequence[str]) -> None:
    (folder / "package.json").write_text('{"private": true}', encoding="ascii")
    _run(str(shutil.which("npm")), "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotInstall((done.stderr or done.stdout).strip()[-300:])
