"""`ichidai restore …`: bringing a store back from a backup, and accepting one that was brought back."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import click

from common.keys.generation import seen
from common.keys.generation_store import read_generation
from common.keys.key_registry import REGISTRY
from common.keys.keyring import FILE_NAME as RING
from common.keys.keyring import KeyRingError
from common.keys.registry_item import version_of
from common.keys.witness import WitnessFile
from common.storage.port import StoreUnavailable
from ichidai.backups import NotABackup, WrongPassphrase, read_backup, restore_content, restore_keys
from ichidai.cli.administering import enumerating, every_account, operator_of
from ichidai.cli.backup import passphrase_of
from ichidai.cli.generation import begin_generation
from ichidai.cli.operating import fail, opened, out, settings_by_environment
from ichidai.cli.reasons import reason_option
from ichidai.cli.tables import tables_by_environment
from ichidai.diagnosis import database_of

_COMES_BACK = """\
What the backup held is in force again, and nothing can tell you what was changed after it:
- passwords and second factors as they were then, those that were changed since because they were known to others;
- devices that were unbound or revoked since (--unbind-all takes every device off every account);
- accounts that were closed, disabled or renamed since; accounts that were made since are gone.
If the witness was restored too (a snapshot of the machine), no host notices: run this command after every restore."""


@click.group("restore")
def app() -> None:
    """Bring a store back from a backup, or accept one that was brought back."""


def _moment(_context: click.Context, _parameter: click.Parameter, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("write it as 2026-11-23T01:30:00Z") from None
    if moment.tzinfo is None:
        raise click.BadParameter("say its zone, such as Z for UTC")
    return moment


def _prefix(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", value):
        raise click.BadParameter("it holds letters, digits, '_', '.' and '-'")
    return value


@app.command("accept")
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask back.")
@click.option("--unbind-all", is_flag=True, help="Take every device off every account: it must be registered anew.")
@click.option("--reset-passwords", is_flag=True, help="Void every password: each account needs its link by mail.")
def accept(reason: str, *, yes: bool, unbind_all: bool, reset_passwords: bool) -> None:
    """Accept the store as it is now: what was given out before is void, and servers that refused it go on.

    Every session ends, with all tokens, questions, challenges, pairing codes, links by mail and recovery codes.
    """
    if not yes:
        click.confirm(f"{_COMES_BACK}\nAccept the store and end every session?", abort=True, err=True)
    with opened() as (settings, store):
        begin_generation(settings, store, reason)
    if unbind_all or reset_passwords:
        _act_on_all(reason, unbind_all=unbind_all, reset_passwords=reset_passwords)
    if yes:
        out.print(_COMES_BACK)


@app.command("from")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask back.")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file whose first line is the passphrase of the keys; by default it is asked for.",
)
def restore_from(file: Path, *, yes: bool, passphrase_file: Path | None) -> None:
    """Put the backup FILE in the place of what the SQLite store holds; servers may run, and serve nobody after it.

    Key files that are not on this host are made; those that are stay. Then run `ichidai restore accept`.
    """
    settings = settings_by_environment()
    database = database_of(settings)
    if database is None:
        fail("Only a SQLite store is restored from a file.")
    try:
        backup = read_backup(file)
        if not yes:
            click.confirm(f"Replace all that {database} holds by the backup of {backup.made_at}?", abort=True, err=True)
        if backup.sealed_keys is not None and not settings.sealing_key and not (settings.keys_dir / RING).exists():
            made = restore_keys(backup, settings.keys_dir, passphrase_of(passphrase_file))
            out.print(f"Made in {settings.keys_dir}: {', '.join(made)}.")
        restore_content(backup, database)
    except WrongPassphrase:
        fail("That is not the passphrase of this backup, or its keys are damaged. Nothing was changed.")
    except (NotABackup, StoreUnavailable, KeyRingError, OSError) as fault:
        fail(str(fault))
    with opened() as (_, store):
        found = read_generation(store)
        if found is not None:
            WitnessFile(settings.witness_file).advance(seen(found.marked(), version_of(store.get(REGISTRY))))
    out.print(f"The store is as it was at {backup.made_at}. No server serves it before `ichidai restore accept`.")


@app.command("from-time")
@click.argument("time", callback=_moment)
@click.option("--to", "prefix", required=True, callback=_prefix, help="The prefix of the new tables.")
def restore_from_time(time: datetime, prefix: str) -> None:
    """Restore the tables of a DynamoDB store as they were at TIME (2026-11-23T01:30:00Z) into new ones.

    The tables of now stay as they are. It takes minutes to hours and may be run again.
    """
    if database_of(settings_by_environment()) is not None:
        fail("SQLite keeps no past: `ichidai restore from FILE` brings a backup back.")
    tables = tables_by_environment()
    try:
        for line in tables.restore(prefix, time):
            out.print(line)
    except StoreUnavailable as fault:
        fail(str(fault))
    url = f"dynamodb://{prefix}{'?expiry=sweep' if tables.is_swept else ''}"
    out.print(f"Set ICHIDAI_STORE_URL to {url}, then run `ichidai restore accept`.")


def _act_on_all(reason: str, *, unbind_all: bool, reset_passwords: bool) -> None:
    """Go through all accounts. After a fault the command may be run again: what is done is left alone."""
    accounts = devices = 0
    with enumerating() as (administration, store):
        for view in every_account(administration, store):
            accounts += 1
            if reset_passwords:
                administration.reset_password(view, operator_of(administration, reason))
            for device_id in view.book.devices if unbind_all else ():
                administration.unbind(view, device_id, operator_of(administration, reason), even_last=True)
                devices += 1
    if reset_passwords:
        out.print(f"Passwords that are void: {accounts}. Each account gets a new one by its link by mail.")
    if unbind_all:
        out.print(f"Devices that are unbound: {devices}.")
