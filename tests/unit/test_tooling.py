"""The project's own tools: the report of unnamed rows, and the promise that nothing was skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rows import Naming, fault, namings, read_rows, unnamed

ROWS = {"D44": "asked", "R71": "future", "X05": "H", "X07": "M"}
TESTS = Path(__file__).parents[1]


def run_in(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this Python in a folder, without what the environment asks of our own run."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ICHIDAI_", "PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=own | environment, capture_output=True, text=True, check=False
    )


class TestRows:
    """`rows.py` tells which rows no test names."""

    def test_a_rows_file_gives_the_mark_of_each_row(self) -> None:
        """Comments and empty lines are passed over."""
        assert read_rows("# told\n\nD44  asked  status  refused with 409\n") == {"D44": "asked"}

    def test_markers_are_found_wherever_they_stand(self) -> None:
        """On a function, in `pytestmark`, and on a parameter."""
        source = (
            'pytestmark = pytest.mark.row("A01")\n@pytest.mark.pitfall("B02", "B03")\ndef test(): '
            'pytest.param(1, marks=pytest.mark.row("C04"))\n'
        )
        assert {naming.row for naming in namings(source, "test.py")} == {"A01", "B02", "B03", "C04"}

    @pytest.mark.parametrize(
        ("marker", "row"),
        [("row", "D4"), ("row", "X05"), ("pitfall", "D44"), ("row", None)],
        ids=["unknown", "a mistake", "a request", "not plain text"],
    )
    def test_a_marker_that_names_no_row_of_its_kind_is_a_fault(self, marker: str, row: str | None) -> None:
        """A typo does not pass for a row that is shown."""
        assert fault(Naming(f"pytest.mark.{marker}", row, "test.py:1"), ROWS)

    def test_rows_are_listed_until_they_are_named(self) -> None:
        """Requests and grave mistakes are; lesser mistakes are not."""
        assert list(unnamed(ROWS, {"D44"})) == [
            "future: no test names 1 of 1 rows",
            "  R71",
            "H: no test names 1 of 1 rows",
            "  X05",
        ]

    def test_only_a_fault_fails_unless_strict(self, tmp_path: Path) -> None:
        """The report of an incomplete suite succeeds; `--strict` fails, a page's row included; a typo fails."""
        for name in ("rows.py", "requirements_rows.txt"):
            (tmp_path / name).write_bytes((TESTS / name).read_bytes())
        assert run_in(tmp_path, "rows.py").returncode == 0
        assert run_in(tmp_path, "rows.py", "--strict").returncode == 1
        (tmp_path / "requirements_rows.txt").write_text("B18  asked  screen  a page shows it\n", encoding="utf-8")
        pages = run_in(tmp_path, "rows.py", "--strict")
        assert (pages.returncode, "B18" in pages.stdout) == (1, True)
        (tmp_path / "test_typo.py").write_text('@pytest.mark.row("D444")\ndef test(): ...\n', encoding="utf-8")
        typo = run_in(tmp_path, "rows.py")
        assert typo.returncode == 1
        assert "test_typo.py:1: pytest.mark.row names D444" in typo.stdout


class TestRequire:
    """`ICHIDAI_TEST_REQUIRE=all` lets nothing be skipped for want of a part."""

    @pytest.fixture
    def skipping(self, tmp_path: Path) -> Path:
        """Return a folder whose tests pass, lack a part, and belong to another system."""
        (tmp_path / "conftest.py").write_bytes((TESTS / "conftest.py").read_bytes())
        (tmp_path / "test_parts.py").write_text(
            "import pytest\n"
            "def test_here(): ...\n"
            "def test_java(): pytest.skip('Java is not installed')\n"
            "@pytest.mark.skipif(True, reason='only on Amiga')\n"
            "def test_amiga(): ...\n",
            encoding="utf-8",
        )
        return tmp_path

    def test_a_missing_part_is_no_fault_by_default(self, skipping: Path) -> None:
        """Who has no Java may run the other tests."""
        assert run_in(skipping, "-m", "pytest").returncode == 0

    @pytest.mark.parametrize("workers", ["0", "2"])
    def test_a_missing_part_fails_a_run_that_needs_all(self, skipping: Path, workers: str) -> None:
        """It is named on a line of its own; a test for another system is excused."""
        done = run_in(skipping, "-m", "pytest", "-n", workers, ICHIDAI_TEST_REQUIRE="all")
        assert done.returncode == 1
        assert "ICHIDAI_TEST_REQUIRE=all, but 1 skipped: Java is not installed" in done.stdout
        assert "Amiga" not in done.stdout
