"""The runner of the proof: its page keeps what it does not measure anew, and no test of the proof is left out."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from tests.proof.figures import Figure, rounds
from tests.proof.prove import CI, LONGEST, PARTS, Part, gathered, write
from tests.support.benchmarks_page import ROOT, commit, replace_section, rows_of, section, table

FOLDERS = ("tests/proof", "tests/interleavings", "tests/races")
NO_PART = {"tests/proof/test_prove.py"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return where a page is to be."""
    return tmp_path / "benchmarks.md"


def lines(page: Path, size: object) -> list[tuple[str, ...]]:
    """Return what a section's rows say, without the run."""
    return [row[:-1] for row in rows_of(section(size.section, page))]


def test_a_run_of_one_size_leaves_the_other_alone(page: Path) -> None:
    """Both stand on the page; a part that runs again replaces its own rows, all of them, and no others."""
    write([Figure("F9", "kills", "1,000", 0)], LONGEST, "long", 60, page)
    write(
        [Figure("F9", "kills", "8", 0), Figure("F9", "cuts", "40", 0), Figure("F1", "storm", "9", 0)], CI, "a", 1, page
    )
    write([Figure("F9", "kills now", "16", 1, "two | three")], CI, "b", 1, page)
    assert lines(page, LONGEST) == [("F9", "kills", "1,000", "0", "")]
    assert lines(page, CI) == [("F1", "storm", "9", "0", ""), ("F9", "kills now", "16", "1", "two | three")]


def test_sections_of_others_stay(page: Path) -> None:
    """Whoever measures something else has a section too."""
    replace_section("costs", "## Costs\n\n" + table(("a", "b"), [("1", r"\1 is no group")]), page)
    write([Figure("F1", "storm", "9", 0)], CI, "a", 1, page)
    replace_section("benchmark", "## Benchmark", page)
    replace_section("costs", "## Costs\n\n" + table(("a", "b"), [("2", r"\1 is no group")]), page)
    assert rows_of(section("costs", page)) == [("2", r"\1 is no group")]
    assert section("benchmark", page) == "## Benchmark"
    assert lines(page, CI) == [("F1", "storm", "9", "0", "")]
    names = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("<!-- section")]
    assert names == [f"<!-- section: {name} -->" for name in ("costs", CI.section, "benchmark")]


@pytest.mark.parametrize("outcome", ["failure", "error"])
def test_a_test_that_failed_is_never_left_out(outcome: str) -> None:
    """Also where the others of its part told figures without a violation; and so is a part without any test."""
    case = ET.Element("testcase")
    ET.SubElement(case, outcome)
    told = [Figure("F1", "storm", "9", 0)]
    assert [each.violations for each in gathered(Part("F1", ()), told, [case])] == [0, 1]
    assert [each.violations for each in gathered(Part("F1", ()), [], [])] == [1]
    assert gathered(Part("F1", ()), told, [ET.Element("testcase")]) == told


def test_every_test_of_the_proof_is_in_one_part() -> None:
    """What nobody runs shows nothing."""
    named = Counter(name for part in PARTS for name in part.tests)
    assert set(named.values()) == {1}
    for file in (path for folder in FOLDERS for path in (ROOT / folder).glob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        tests = [each.name for each in ast.parse(file.read_text(encoding="utf-8")).body if is_test(each)]
        wholly = named[path] + named[path.rpartition("/")[0]]
        singly = {name.partition("::")[2] for name in named if name.startswith(f"{path}::")}
        assert path in NO_PART or (wholly and not singly) or (not wholly and singly == set(tests)), path


def is_test(node: ast.stmt) -> bool:
    """Say whether something in a module is a test."""
    return isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower().startswith("test")


def test_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; or as long as the test says; or so many times as was asked for."""
    for asked, expected in (("", 1), ("1", 20), ("7", 7)):
        monkeypatch.setenv("ICHIDAI_TEST_LONG", asked)
        assert rounds(20) == expected


def test_the_commit_is_named() -> None:
    """A figure that cannot be traced back is none."""
    assert commit().startswith("`")
