"""How pages are looked at: wide and at 320 px, light and dark, by the rules that a program knows."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.browser.window import SMALL, WIDE
from tests.support import axe

LOOKS: tuple[tuple[Any, Any], ...] = ((WIDE, "light"), (WIDE, "dark"), (SMALL, "light"), (SMALL, "dark"))
"""How each page is looked at: the size of the window, and what the person likes."""


def faults(page: Page, name: str) -> list[str]:
    """Return what is wrong with a page in every look: what axe-core finds, and what sticks out."""
    wrong = []
    for size, scheme in LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        wrong += [f"{name}, {size['width']} px, {scheme}: {line}" for line in axe.violations(page)]
        width = page.evaluate("document.documentElement.scrollWidth")
        wrong += [f"{name} is {width} px wide"] if width > size["width"] else []
    return wrong
