"""`docs/benchmarks.md`, in sections. Each writer replaces its own and leaves the others' as they are.

A section lies between two comments that name it. A new one is put at the end of the page.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"

HEAD = """\
# Figures

What was measured, and on what. Each section is written by the command that it names; the rest of the page stays then.
"""

Row = tuple[str, ...]


def section(name: str, page: Path = PAGE) -> str:
    """Return what stands in a section; nothing when there is none."""
    found = _pattern(name).search(_text(page))
    return found.group("body").strip() if found else ""


def replace_section(name: str, body: str, page: Path = PAGE) -> None:
    """Write a section anew. The page is changed at once or not at all."""
    text, block = _text(page), f"<!-- section: {name} -->\n{body.strip()}\n<!-- end of {name} -->\n"
    pattern = _pattern(name)
    new = pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text.rstrip()}\n\n{block}"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=page.parent, delete=False) as file:
        file.write(new)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(page)


def table(head: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown; a bar inside a cell is escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def rows_of(body: str) -> list[Row]:
    """Return the rows of the table in a section, without its head."""
    lines = [line for line in body.splitlines() if line.startswith("|")][2:]
    cells = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines]
    return [tuple(cell.strip().replace("\\|", "|") for cell in row) for row in cells]


def machine() -> str:
    """Return in words what we run on."""
    return f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}"


def commit() -> str:
    """Return which commit runs, and whether something was changed since (the page itself does not count)."""

    def said(*command: str) -> str:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = said("git", "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE.relative_to(ROOT)}")
    return f"`{said('git', 'rev-parse', '--short', 'HEAD')}`{' and changes' if changed else ''}"


def today() -> str:
    """Return the date, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.exists() else HEAD


def _pattern(name: str) -> re.Pattern[str]:
    name = re.escape(name)
    return re.compile(rf"<!-- section: {name} -->\n(?P<body>.*?)<!-- end of {name} -->\n", re.DOTALL)
