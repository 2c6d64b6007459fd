"""A bar chart as SVG text: one bar for each case, its number at its end. It reads on light and dark pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _BAR, _GAP, _LABELS, _NUMBERS, _TOP = 760, 20, 8, 270, 70, 56
_SVG = "http://www.w3.org/2000/svg"
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 15px }
  .about { fill: #656d76 } .other { fill: #8c959f } .ours { fill: #1a7f37 }
  .unit { stroke: #656d76; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .about { fill: #9198a1 } .ours { fill: #3fb950 } }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `ours` stands out."""

    label: str
    value: float
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, written to `docs/` under its file name. `unit` is the value at which a dashed line stands."""

    file_name: str
    title: str
    about: str
    bars: Sequence[Bar]
    unit: float | None = None

    def svg(self) -> str:
        """Return the picture. The longest bar takes the whole width; values of 10 and more show no second digit."""
        height = _TOP + len(self.bars) * (_BAR + _GAP) + _GAP
        scale = (_WIDTH - _LABELS - _NUMBERS) / max(bar.value for bar in self.bars)
        parts = [
            f'<svg xmlns="{_SVG}" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(self.title)}">',
            f"<style>{_STYLE}</style>",
            f'<text x="8" y="22" class="title">{escape(self.title)}</text>',
            f'<text x="8" y="42" class="about">{escape(self.about)}</text>',
            *(_drawn(bar, _TOP + place * (_BAR + _GAP), scale) for place, bar in enumerate(self.bars)),
        ]
        if self.unit is not None:
            x = _LABELS + self.unit * scale
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{height - _GAP}" class="unit"/>')
        return "\n".join([*parts, "</svg>", ""])


def _drawn(bar: Bar, y: int, scale: float) -> str:
    kind, length, middle = "ours" if bar.ours else "other", max(bar.value * scale, 1), y + _BAR - 5
    number = f"{bar.value:.2f}" if bar.value < 10 else f"{bar.value:,.1f}" if bar.value < 100 else f"{bar.value:,.0f}"
    return (
        f'<text x="{_LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3" class="{kind}"/>'
        f'<text x="{_LABELS + length + 6:.1f}" y="{middle}">{number}</text>'
    )
