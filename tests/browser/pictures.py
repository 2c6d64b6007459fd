"""Take the pictures of docs/console.md anew: `python -m tests.browser.pictures`, or some, by their names.

Each shows a page wide and small, light and dark. Some are taken in Japanese too: `ja/question`.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.browser.looks import LOOKS
from tests.browser.walk import walk
from tests.browser.window import WIDE, Person, Window
from tests.support import chromium
from tests.support.ports import free_port
from tests.support.servers import ROOT, combined

FOLDER = ROOT / "docs" / "console"
COLOURS = 256
IN_JAPANESE = ("question", "home", "devices", "security", "add", "ended", "factor", "code")
GAP = 16
GROUND = "#c4c7cc"
HIGHEST = 800
"""The height of each look; what is below on a long page is not seen."""


def main(names: Sequence[str]) -> int:
    """Write a picture for each page, or for those named."""
    (FOLDER / "ja").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromium.launched() as browser:
        suite = combined(Path(scratch) / "suite", ICHIDAI_EVENTS_PORT=str(free_port()))
        suite.start()
        try:
            base, japan = suite.servers[0].base, {"locale": "ja-JP", "timezone_id": "Asia/Tokyo"}
            phone, laptop = (Window(browser, base, reduced_motion="reduce") for _ in range(2))
            take(walk(phone, laptop, Person("alice", "alice@example.test")), names, "")
            phone, laptop = (Window(browser, base, reduced_motion="reduce", **japan) for _ in range(2))
            hanako = Person("hanako", "hanako@example.test")
            take(walk(phone, laptop, hanako, ("スマホ", "ノートPC")), names or [f"ja/{n}" for n in IN_JAPANESE], "ja/")
        finally:
            suite.stop()
    return 0


def take(pages: Iterable[tuple[str, Page]], names: Collection[str], prefix: str) -> None:
    """Take those of the pages whose name, after the prefix, is among the names; all of them where none are named."""
    for name, page in pages:
        if names and prefix + name not in names:
            continue
        picture = collage([taken(page, size, scheme) for size, scheme in LOOKS])
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        path = FOLDER / f"{prefix}{name}.png"
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path, flush=True)


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
    sys.exit(main(sys.argv[1:]))
