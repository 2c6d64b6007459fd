"""The operators' pages and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.config import SettingsReader
from common.errors import Code
from common.web.messages import TEXTS
from common.web.problems import STATUSES
from ichidai import settings as suite_settings

DOCS = Path(__file__).parents[2] / "docs"


def table_of(page: str) -> list[list[str]]:
    """Return the cells of a page's table, its head left out."""
    lines = [line for line in (DOCS / page).read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture
def asked_settings(monkeypatch: pytest.MonkeyPatch) -> frozenset[str]:
    """Return the names that reading the settings asks for."""
    readers: list[SettingsReader] = []

    class Remembered(SettingsReader):
        def finish(self) -> None:
            readers.append(self)
            super().finish()

    monkeypatch.setattr(suite_settings, "SettingsReader", Remembered)
    suite_settings.read_settings({})
    return readers[0].asked


def test_every_setting_is_on_its_page_and_nothing_else(asked_settings: frozenset[str]) -> None:
    """A setting that is read is documented, and a documented one is read."""
    assert {row[0].strip("`") for row in table_of("settings.md")} == asked_settings


def test_every_error_code_is_on_its_page_with_its_status() -> None:
    """Codes and statuses of the page are those of the code."""
    documented = {row[0].strip("`"): int(row[1]) for row in table_of("errors.md")}
    assert documented == {str(code): STATUSES[code] for code in Code}


def test_the_page_quotes_the_texts_that_are_sent() -> None:
    """The text in each row is the one without an Accept-Language header."""
    for code, row in zip(
        Code, sorted(table_of("errors.md"), key=lambda row: list(Code).index(Code(row[0].strip("`")))), strict=True
    ):
        facts = {name: "{" + name + "}" for name in re.findall(r"{(\w+)}", TEXTS[code].detail.en)}
        assert row[2] == TEXTS[code].detail.in_language(None, facts), code


DECISIONS = sorted(page for page in (DOCS / "decisions").glob("*.md") if page.name != "README.md")
STATUS = re.compile(r"^Status: (accepted|proposed|superseded by \d{4})\W+(Date: )?\d{4}-\d{2}-\d{2}\.?$", re.MULTILINE)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem[:4])
def test_every_decision_has_a_status_a_date_and_consequences(page: Path) -> None:
    """And the index lists it; a decision without consequences was none."""
    text = page.read_text(encoding="utf-8")
    assert STATUS.search(text), "Status: accepted · 2026-11-22"
    assert "**Consequences.**" in text
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    assert f"| [{page.stem[:4]}]({page.name}) | " in index, "docs/decisions/README.md lists every decision"


def test_no_number_of_a_decision_is_used_twice() -> None:
    """They are referred to by it."""
    numbers = [page.stem[:4] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers)


PAGES = [*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md"), DOCS.parent / "tests" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS.parent).as_posix())
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    """Within the repository; a page that is renamed takes its links along."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = {link for link in re.findall(r"\]\(([^)#\s]+)", prose) if "://" not in link}
    assert {link for link in links if not (page.parent / link).exists()} == set()
