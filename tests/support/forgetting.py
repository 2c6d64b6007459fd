"""A process that begins anew in a test: it knows no more what it laid down."""

from __future__ import annotations

from common.account.laying_down import LayingDown


def forget_laid_down(laying: LayingDown) -> None:
    """Let it know of no account what is laid down, handed over, or settled: that was another time's."""
    for known in (laying._done, laying._done_rows, laying._handed, laying._settled):
        known._known.clear()
