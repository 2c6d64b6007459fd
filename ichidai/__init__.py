"""The composition root: the only package that imports all others, and joins them into apps, a command and pages."""

from __future__ import annotations

from pathlib import Path

import common

if Path(common.__file__ or "").parents[1] != Path(__file__).parents[1]:
    raise ImportError(
        f"Another package named 'common' ({common.__file__}) stands in front of Ichidai's own. "
        "Run from another folder, or remove it from this environment."
    )
