"""Backups of the SQLite engine: one file, copied while processes serve, checked, and brought back into the live file.

SQLite's own backup copies all pages within one transaction of either side. What belongs to a backup and not to the
store lies in a table of its own, which is taken out where the backup is brought back. See https://sqlite.org/backup.html.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from common.storage.port import StoreUnavailable

_NOTES = 'CREATE TABLE "backup_notes" (name TEXT PRIMARY KEY, content TEXT NOT NULL)'
_FORMAT = "1"


class NotABackup(Exception):
    """The file is no backup of ours, or a damaged one; the text says which."""


def back_up(source: Path, target: Path, notes: Mapping[str, str]) -> None:
    """Copy a store as it is at one moment into a new file, mode 0600, with notes. Raises StoreUnavailable, OSError.

    The file appears whole, on the disk, or not at all. FileExistsError when it is there already.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    draft = target.with_name(f"{target.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    try:
        with closing(_connect(source, "ro")) as live, closing(_connect(draft, "rw")) as copy:
            live.backup(copy)
            copy.executescript(f"PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; {_NOTES};")
            copy.executemany("INSERT INTO backup_notes VALUES (?, ?)", [*notes.items(), ("format", _FORMAT)])
            copy.commit()
            _check(copy)
        os.link(draft, target)  # not over a file that was made meanwhile
    except sqlite3.Error as error:
        raise StoreUnavailable(f"SQLite: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def read_notes(backup: Path) -> Mapping[str, str]:
    """Return the notes of a backup, every page of which is whole. Raises NotABackup."""
    try:
        with closing(_connect(backup, "ro")) as copy:
            notes = dict(copy.execute("SELECT name, content FROM backup_notes").fetchall())
            _check(copy)
    except sqlite3.Error as error:
        raise NotABackup(f"{backup} is no backup that `ichidai backup` has made: {error}") from error
    if notes.pop("format", None) != _FORMAT:
        raise NotABackup(f"{backup} was made by a later release: update this one.")
    return notes


def bring_back(backup: Path, target: Path) -> None:
    """Put a backup in the place of what a store holds, at once for all processes that have it open.

    Raises StoreUnavailable, OSError: nothing was changed.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f"{target.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    target.touch(mode=0o600)
    try:
        with closing(_connect(backup, "ro")) as kept, closing(_connect(draft, "rw")) as copy:
            kept.backup(copy)
            copy.execute("DROP TABLE backup_notes")
            copy.commit()
            with closing(_connect(target, "rw")) as live:
                copy.backup(live)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"SQLite: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=5)


def _check(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where a page or an index is damaged."""
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(said)
