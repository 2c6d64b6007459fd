"""The version of this distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return it; a clone that is run without being installed has none."""
    try:
        return version("ichidai")
    except PackageNotFoundError:
        return "unreleased"
