"""Which rows of `requirements_rows.txt` no test names; a marker that names an unknown row is a fault.

Tests name what was asked for by `@pytest.mark.requirement("D44", "B02")` and the mistakes of earlier attempts by
`@pytest.mark.regression("X05")`. The tests are read, not run.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS_FILE = "requirements_rows.txt"

MARKERS = {"pytest.mark.requirement": ("asked", "suggested", "future"), "pytest.mark.regression": ("H", "M", "L")}
"""The marks of the rows that each marker may name."""

LISTED = ("asked", "suggested", "future", "H")
"""Rows of these marks are listed while no test names them; `future` was only thought of: nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A row named by a marker at a place; `row` is None where it does not stand as plain text."""

    marker: str
    row: str | None
    place: str


def read_rows(text: str) -> dict[str, str]:
    """Return the mark of each row of a rows file by its id, in the file's order."""
    lines = (line.split(maxsplit=3) for line in text.splitlines() if line and not line.startswith("#"))
    return {row: mark for row, mark, _kind, _words in lines}


def namings(source: str, name: str) -> Iterator[Naming]:
    """Yield what the markers in a test file name."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and (marker := ast.unparse(call.func)) in MARKERS:
            for argument in call.args:
                text = argument.value if isinstance(argument, ast.Constant) else None
                yield Naming(marker, text if isinstance(text, str) else None, f"{name}:{argument.lineno}")


def fault(naming: Naming, rows: Mapping[str, str]) -> str | None:
    """Return what is wrong with a marker, or None."""
    if naming.row is None:
        return f"{naming.place}: what {naming.marker} names must stand there as plain text"
    if rows.get(naming.row) not in MARKERS[naming.marker]:
        return f"{naming.place}: {naming.marker} names {naming.row}, which is no row of its kind"
    return None


def unnamed(rows: Mapping[str, str], named: set[str | None]) -> Iterator[str]:
    """Yield the rows that no test names, a paragraph for each mark."""
    for mark in LISTED:
        ids = [row for row, its_mark in rows.items() if its_mark == mark]
        missing = [row for row in ids if row not in named]
        if missing:
            yield f"{mark}: no test names {len(missing)} of {len(ids)} rows"
            yield textwrap.fill(" ".join(missing), 112, initial_indent="  ", subsequent_indent="  ")


def main(arguments: Sequence[str]) -> int:
    """Print the unnamed rows. Returns 1 for a faulty marker and, with `--strict`, while an asked row is unnamed."""
    parser = argparse.ArgumentParser(description="List the rows that no test names.")
    parser.add_argument("--strict", action="store_true", help="fail while an asked row is not named")
    strict = parser.parse_args(arguments).strict
    folder = Path(__file__).parent
    rows = read_rows((folder / ROWS_FILE).read_text(encoding="utf-8"))
    found = [
        naming
        for path in sorted(folder.rglob("*.py"))
        for naming in namings(path.read_text(encoding="utf-8"), path.relative_to(folder.parent).as_posix())
    ]
    faults = [wrong for naming in found if (wrong := fault(naming, rows))]
    named = {naming.row for naming in found}
    print("\n".join([*unnamed(rows, named), *faults]) or "Tests name every row.")
    incomplete = any(mark == "asked" and row not in named for row, mark in rows.items())
    return int(bool(faults) or (strict and incomplete))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
