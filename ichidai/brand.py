"""The operator's brand in the console: a name, a logo, a colour, and where the terms of use are."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from common.config import SettingsReader

LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
"""The media types of a logo, by the ending of its file's name."""

MOST_LOGO_BYTES = 50_000
"""The first page stays light."""

LEAST_CONTRAST = 4.5
"""Of white text on the colour: WCAG 2.2, success criterion 1.4.3."""

_LONGEST_NAME = 40
_LINEAR = 0.04045
"""Up to here sRGB is linear (IEC 61966-2-1)."""


class Brand(Struct, frozen=True):
    """What the pages show of the operator. Without a name, logo or colour they show Ichidai's.

    `color` is `#rrggbb` in lower case; `terms_url` is where a new user reads the terms of use.
    """

    name: str = ""
    logo: Path | None = None
    color: str = ""
    terms_url: str = ""

    @property
    def stylesheet(self) -> str:
        """The colours that take the place of the pages' own, in light and dark; empty without a colour."""
        if not self.color:
            return ""
        light = _variables(self.color, f"color-mix(in srgb, {self.color} 78%, black)", "12%", "white", "#ffffff")
        pale = f"color-mix(in srgb, {self.color} 40%, white)"
        dark = _variables(pale, f"color-mix(in srgb, {self.color} 25%, white)", "30%", "#12151c", "#12151c")
        return f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"


def read_brand(reader: SettingsReader) -> Brand:
    """Read the brand; what is wrong is noted as a fault."""
    name, color = reader.text("ICHIDAI_BRAND_NAME", ""), reader.text("ICHIDAI_BRAND_COLOR", "").lower()
    if len(name) > _LONGEST_NAME or not name.isprintable():
        reader.fault(f"ICHIDAI_BRAND_NAME must be at most {_LONGEST_NAME} printable characters, not {name!r}")
    if color and not (re.fullmatch("#[0-9a-f]{6}", color) and contrast_with_white(color) >= LEAST_CONTRAST):
        reader.fault(
            "ICHIDAI_BRAND_COLOR must be #rrggbb, so dark that white text on it can be read "
            f"(contrast {LEAST_CONTRAST} or more), not {color!r}"
        )
        color = ""
    return Brand(name, _logo(reader), color, _terms(reader))


def contrast_with_white(color: str) -> float:
    """Return the contrast ratio of white and `#rrggbb`, 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= _LINEAR else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _logo(reader: SettingsReader) -> Path | None:
    text = reader.text("ICHIDAI_BRAND_LOGO", "")
    if not text:
        return None
    path = Path(text).absolute()
    if path.suffix.lower() in LOGO_TYPES and path.is_file() and path.stat().st_size <= MOST_LOGO_BYTES:
        return path
    kinds = ", ".join(LOGO_TYPES)
    reader.fault(f"ICHIDAI_BRAND_LOGO must be a file ({kinds}) of at most {MOST_LOGO_BYTES:,} bytes, not {text!r}")
    return None


def _terms(reader: SettingsReader) -> str:
    url = reader.text("ICHIDAI_TERMS_URL", "")
    try:
        is_page = not url or (urlsplit(url).scheme == "https" and bool(urlsplit(url).hostname))
    except ValueError:
        is_page = False
    if not is_page:
        reader.fault(f"ICHIDAI_TERMS_URL must be a page such as https://example.com/terms, not {url!r}")
    return url


def _variables(accent: str, strong: str, share: str, ground: str, on_accent: str) -> str:
    mixed = f"color-mix(in srgb, {accent} {share}, {ground})"
    values = {"accent": accent, "accent-strong": strong, "accent-ground": mixed, "on-accent": on_accent}
    return "".join(f"--{name}:{value};" for name, value in values.items())
