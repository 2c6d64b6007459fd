"""The bound on open files: each connection is one, and 1,024 is a usual bound."""

from __future__ import annotations

from contextlib import suppress

_OTHERS = 1000
"""Files that are no connections: the store's, the log, what is imported."""


def open_files_bound() -> int | None:
    """Return how many files this process may open at most; None where there is no bound."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def allow_open_files(connections: int) -> None:
    """Raise this process' bound on open files so that it can hold so many connections, as far as it may.

    Windows has no such bound, and needs none.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - Windows has none

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = connections + _OTHERS
        bound = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft != resource.RLIM_INFINITY and soft < bound:
            resource.setrlimit(resource.RLIMIT_NOFILE, (bound, hard))
