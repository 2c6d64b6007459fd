"""Backups of a SQLite store: its content, and the key files sealed under a passphrase, or left out."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from common.clock import to_rfc3339
from common.crypto.sealed_file import WrongPassphrase, seal, unseal
from common.keys.authority_file import FILE_NAME as AUTHORITIES
from common.keys.key_file import make_key_file
from common.keys.keyring import FILE_NAME as RING
from common.storage.sqlite.backup import NotABackup, back_up, bring_back, read_notes

_KEY_FILES = (RING, AUTHORITIES)
_AT, _KEYS = "made_at", "keys"


class Backup(Struct, frozen=True):
    """A backup that was read: when it was made, and its sealed keys (None: they were left out)."""

    path: Path
    made_at: str
    sealed_keys: str | None


def make_backup(database: Path, target: Path, keys_dir: Path | None, passphrase: str, now: datetime) -> None:
    """Back a store up into a new file, with the key files of a folder; `keys_dir` None: without.

    Raises StoreUnavailable, OSError.
    """
    notes = {_AT: to_rfc3339(now)}
    if keys_dir is not None:
        files = {name: (keys_dir / name).read_text("ascii") for name in _KEY_FILES if (keys_dir / name).exists()}
        notes[_KEYS] = json.dumps(seal(json.dumps(files).encode(), passphrase))
    back_up(database, target, notes)


def read_backup(path: Path) -> Backup:
    """Return what a backup says of itself. Raises NotABackup."""
    notes = read_notes(path)
    return Backup(path, notes.get(_AT, "-"), notes.get(_KEYS))


def restore_keys(backup: Backup, keys_dir: Path, passphrase: str) -> list[str]:
    """Make the key files that are not in the folder, and return their names; what is there stays.

    Raises WrongPassphrase, NotABackup, OSError.
    """
    try:
        files = json.loads(unseal(json.loads(backup.sealed_keys or "{}"), passphrase))
        missing = [name for name in _KEY_FILES if name in files and not (keys_dir / name).exists()]
        for name in missing:
            make_key_file(keys_dir / name, json.loads(files[name]))
    except ValueError as error:
        raise NotABackup(f"The keys in {backup.path} cannot be read: the file is damaged.") from error
    return missing


def restore_content(backup: Backup, database: Path) -> None:
    """Put the backup in the place of what the store holds. Raises StoreUnavailable, OSError."""
    bring_back(backup.path, database)


__all__ = ["Backup", "NotABackup", "WrongPassphrase", "make_backup", "read_backup", "restore_content", "restore_keys"]
