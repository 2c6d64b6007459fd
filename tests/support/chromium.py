"""Chromium for tests: the system's own (`CHROMIUM` names another one), driven by Playwright, which fetches none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from playwright.sync_api import Browser, BrowserType, sync_playwright

from tests.support.external_tools import MissingTool

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SWITCHES = ("--disable-dev-shm-usage", "--force-color-profile=srgb", "--font-render-hinting=none")


def program() -> str:
    """Return the path of the browser. Raises MissingPart."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise MissingTool("chromium, for the pages")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser without a window. Raises MissingPart."""
    path = program()
    with sync_playwright() as playwright, _running(playwright.chromium, path) as browser:
        yield browser


def another(browser: Browser, switches: Sequence[str], until: ExitStack) -> Browser:
    """Run one more browser beside one that runs, with switches of its own, until `until` is closed."""
    return until.enter_context(_running(browser.browser_type, program(), switches))


@contextmanager
def _running(kind: BrowserType, path: str, switches: Sequence[str] = ()) -> Iterator[Browser]:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0  # its sandbox does not run as root
    browser = kind.launch(executable_path=path, args=[*_SWITCHES, *(["--no-sandbox"] if is_root else []), *switches])
    try:
        yield browser
    finally:
        browser.close()
