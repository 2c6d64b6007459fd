"""`ichidai backup FILE`: a SQLite store in one file, copied while servers run."""

from __future__ import annotations

from pathlib import Path

import click

from ichidai.backups import make_backup
from ichidai.cli.asking import ask_unseen
from ichidai.cli.operating import fail, opened, out, time_of
from ichidai.diagnosis import database_of

_SHORTEST = 12


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--without-keys", is_flag=True, help="Leave the key files out: keep them in a place of their own.")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file whose first line is the passphrase; by default it is asked for.",
)
def app(file: Path, *, without_keys: bool, passphrase_file: Path | None) -> None:
    """Back the store up into a new FILE while servers run, with the key files sealed under a passphrase.

    The witness is never part of it: a store that is brought back is noticed by it.
    """
    with opened() as (settings, store):
        database = database_of(settings)
        if database is None:
            fail("DynamoDB keeps the past itself: see point-in-time recovery in docs/restoring.md.")
        keys_dir = None if without_keys or settings.sealing_key else settings.keys_dir
        passphrase = "" if keys_dir is None else _new_passphrase(passphrase_file)
        make_backup(database, file, keys_dir, passphrase, time_of(store))
    said = "without keys" if keys_dir is None else "with its keys, sealed under the passphrase"
    out.print(f"{file} holds the store, {said}.")


def passphrase_of(file: Path | None) -> str:
    """Return the passphrase of a file, or ask for it."""
    if file is None:
        return ask_unseen("Passphrase")
    return (file.read_text("utf-8").splitlines() or [""])[0]


def _new_passphrase(file: Path | None) -> str:
    passphrase = ask_unseen("Passphrase", twice=True) if file is None else passphrase_of(file)
    if len(passphrase) < _SHORTEST:
        fail(f"A passphrase has at least {_SHORTEST} characters: who has the backup can try any number of them.")
    return passphrase
