"""Take the pictures of docs/console.md anew: `python -m tests.browser.pictures`.

Each shows a page wide and small, light and dark.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from tests import chromium
from tests.browser.walk import LOOKS, walk
from tests.browser.window import Person, Window
from tests.servers import ROOT, combined, free_port

FOLDER = ROOT / "docs" / "console"
COLOURS = 256
GAP = 16
GROUND = "#c4c7cc"
HIGHEST = 800
"""The height of each look; what is below on a long page is not seen."""


def main() -> int:
    """Write a picture for each page."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromium.launched() as browser:
        suite = combined(Path(scratch) / "suite", ICHIDAI_EVENTS_PORT=str(free_port()))
        suite.start()
        try:
            take_all(browser, suite.servers[0].base)
        finally:
            suite.stop()
    return 0


def take_all(browser: Browser, base: str) -> None:
    """Walk through the pages with a person called Alice."""
    alice = Person("alice", "alice@example.test")
    phone, laptop = (Window(browser, base, reduced_motion="reduce") for _ in range(2))
    for name, page in walk(phone, laptop, alice):
        picture = collage([taken(page, size, scheme) for size, scheme in LOOKS])
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
        print(FOLDER / f"{name}.png", flush=True)
    for window in (phone, laptop):
        window.context.close()


def taken(page: Page, size: dict[str, int], scheme: str) -> Image.Image:
    """Return what is seen in a look."""
    page.set_viewport_size({**size, "height": HIGHEST})  # type: ignore[typeddict-item]
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def collage(pictures: list[Image.Image]) -> Image.Image:
    """Put the four looks together: the wide ones below each other, the small ones beside them."""
    wide, small = pictures[:2], pictures[2:]
    whole = Image.new("RGB", (wide[0].width + GAP + small[0].width, 2 * HIGHEST + GAP), GROUND)
    for row in (0, 1):
        whole.paste(wide[row], (0, row * (HIGHEST + GAP)))
        whole.paste(small[row], (wide[row].width + GAP, row * (HIGHEST + GAP)))
    return whole


if __name__ == "__main__":
    sys.exit(main())
