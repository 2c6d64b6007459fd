"""axe-core for tests: the rules by which a page is fit for everybody, as far as a program can tell."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.external_tools import MissingTool, npm_package

PACKAGE = "axe-core@4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_RUN = """async (tags) => {
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}"""


@functools.cache
def source() -> str:
    """Return the program. Raises MissingPart."""
    return (npm_package(PACKAGE, SHA256, "the rules of accessibility") / "axe.min.js").read_text(encoding="utf-8")


def require() -> None:
    """Skip a test where the rules cannot be had."""
    try:
        source()
    except MissingTool as part:
        pytest.skip(f"missing part: {part}")


def violations(page: Page) -> list[str]:
    """Return what is wrong with a page as it is now, a line for each rule. Raises MissingPart."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(source())
    found: Any = page.evaluate(_RUN, TAGS)
    return list(found)
