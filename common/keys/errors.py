"""What goes wrong with keys."""

from __future__ import annotations


class KeyRingError(Exception):
    """The keys cannot be used; the text says what an operator can do."""
