"""The project's own tools: the report of unnamed rows, and the promise that nothing was skipped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirement_coverage import Naming, fault, namings, read_rows, unnamed
from tests.support.ports import Ports

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
            'pytestmark = pytest.mark.requirement("A01")\n@pytest.mark.regression("B02", "B03")\ndef test(): '
            'pytest.param(1, marks=pytest.mark.requirement("C04"))\n'
        )
        assert {naming.row for naming in namings(source, "test.py")} == {"A01", "B02", "B03", "C04"}

    @pytest.mark.parametrize(
        ("marker", "row"),
        [("requirement", "D4"), ("requirement", "X05"), ("regression", "D44"), ("requirement", None)],
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
        for name in ("requirement_coverage.py", "requirements_rows.txt"):
            (tmp_path / name).write_bytes((TESTS / name).read_bytes())
        assert run_in(tmp_path, "requirement_coverage.py").returncode == 0
        assert run_in(tmp_path, "requirement_coverage.py", "--strict").returncode == 1
        (tmp_path / "requirements_rows.txt").write_text("B18  asked  screen  a page shows it\n", encoding="utf-8")
        pages = run_in(tmp_path, "requirement_coverage.py", "--strict")
        assert (pages.returncode, "B18" in pages.stdout) == (1, True)
        (tmp_path / "test_typo.py").write_text('@pytest.mark.requirement("D444")\ndef test(): ...\n', encoding="utf-8")
        typo = run_in(tmp_path, "requirement_coverage.py")
        assert typo.returncode == 1
        assert "test_typo.py:1: pytest.mark.requirement names D444" in typo.stdout


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


class TestPorts:
    """Tests that run side by side, each with servers of its own."""

    def test_two_processes_of_tests_are_never_given_the_same_port(self) -> None:
        """Though both begin at the same chance; and none comes again until all others of the block have."""
        here, there = Ports(), Ports()
        given = [ports.free() for _ in range(50) for ports in (here, there)]
        here.close()
        there.close()
        assert len(set(given)) == 100

    def test_a_port_where_somebody_listens_is_passed_over(self) -> None:
        """Whoever that is."""
        ports = Ports()
        with socket.create_server(("127.0.0.1", ports.free())) as listening:
            others = {ports.free() for _ in range(300)}
            assert listening.getsockname()[1] not in others
        ports.close()
