"""Tests that notice: each change of `mutations.toml` breaks the product on purpose, and the test it names must fail.

To add one, add a paragraph to `mutations.toml`. One alone: `python3 dev.py test tests/mutations -k "R15"`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

_LEFT_OUT = (".venv", ".git", ".ichidai", "node_modules", "__pycache__", ".*_cache", ".hypothesis", "charts")
_TIMEOUT_SECONDS = 900
"""Of a machine with other things to do: all tests that are named, one after the other, must fit in."""
_OPTIONS = (
    "-q",
    "-x",
    "-rfs",
    "--no-header",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
)


@dataclass(frozen=True)
class Mutation:
    """A change that breaks what `breaks` says: in `file`, `old` becomes `new`; `test` is the id of the test."""

    breaks: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(**fields)
    for fields in tomllib.loads(Path(__file__).with_name("mutations.toml").read_text(encoding="utf-8"))["mutation"]
]


class Copy:
    """A copy of the tree, in which things may be broken, and what runs its tests."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self._said = folder / "said"
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ICHIDAI_"))}
        self._environment = own | {"PYTHONPATH": str(self.tree)}
        self._warm: subprocess.Popen[str] | None = None
        self._answers = ThreadPoolExecutor(1)

    def ran(self, *tests: str) -> tuple[int, str]:
        """Run tests of the copy; return pytest's exit code and what it said."""
        arguments = [*_OPTIONS, *tests]
        if sys.platform != "linux":  # elsewhere a process that has imported much is not safely forked
            command = [sys.executable, "-m", "pytest", *arguments]
            with self._said.open("wb") as said:
                where: dict[str, Any] = {"cwd": self.tree, "env": self._environment, "stdout": said, "stderr": said}
                done = subprocess.run(command, **where, timeout=_TIMEOUT_SECONDS, check=False)
            return done.returncode, self._said.read_text(errors="replace")
        warm = self._warm = self._warm or subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py")), str(self.tree)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert warm.stdin is not None
        assert warm.stdout is not None
        warm.stdin.write(json.dumps([arguments, str(self._said)]) + "\n")
        warm.stdin.flush()
        answer = self._answers.submit(warm.stdout.readline).result(_TIMEOUT_SECONDS)
        return int(answer), self._said.read_text(errors="replace")

    def close(self) -> None:
        """End what runs tests."""
        if self._warm is not None:
            self._warm.kill()
            self._warm.communicate()
        self._answers.shutdown(wait=False)


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """Return a copy of the tree."""
    with closing(Copy(tmp_path_factory.mktemp("mutations"))) as made:
        yield made


@contextmanager
def broken(copy: Copy, mutation: Mutation) -> Iterator[None]:
    """Break the copy meanwhile. Byte code goes too: it knows its source by second and size alone."""
    path = copy.tree / mutation.file
    whole = path.read_bytes()
    path.write_bytes(whole.replace(mutation.old.encode(), mutation.new.encode()))
    try:
        _forget_code(path)
        yield
    finally:
        path.write_bytes(whole)
        _forget_code(path)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.breaks)
def test_the_mutation_can_be_made(mutation: Mutation) -> None:
    """Its old text stands in its file once, and its test is there: whoever renames either must tell it here."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.file} must hold once: {mutation.old!r}"
    assert mutation.old != mutation.new
    path, *names = mutation.test.partition("[")[0].split("::")
    for name in names:
        assert re.search(rf"^\s*(def|class) {name}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), name


def test_unbroken_all_of_them_pass(copy: Copy) -> None:
    """Else a test that always fails would seem to notice everything."""
    code, said = copy.ran(*sorted({mutation.test for mutation in MUTATIONS}))
    assert code == pytest.ExitCode.OK, said


@pytest.mark.requirement("R15", "D46", "R68", "D37", "D39", "D38", "R66", "R36", "B12")
@pytest.mark.requirement("D01", "D04", "D05", "D06", "R01", "R04", "R38", "R76", "B16")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.breaks)
def test_the_mutation_is_noticed(copy: Copy, mutation: Mutation) -> None:
    """By the test it names, which fails; one that cannot even be run notices nothing."""
    with broken(copy, mutation):
        code, said = copy.ran(mutation.test)
    if skipped := re.search(r"^SKIPPED .*?(missing part: .*)$", said, re.MULTILINE):
        pytest.skip(skipped[1])
    assert code == pytest.ExitCode.TESTS_FAILED, f"{mutation.test} does not notice: {mutation.new!r}\n{said}"
    assert re.search(r"^FAILED ", said, re.MULTILINE), said


def _forget_code(path: Path) -> None:
    if path.suffix == ".py":
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
