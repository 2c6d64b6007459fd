"""`ichidai keys seal` and its kin: the keys lie sealed in the store, and hosts need the key-encrypting key alone."""

from __future__ import annotations

import json

import click

from common.account.audit import AuditKind
from common.keys import authority_file, keyring
from common.keys.key_encryption import new_key_text, read_key_encrypting_key
from common.keys.key_registry import open_keyring, register_ring
from common.keys.keyring import load_ring
from common.keys.sealed_files import SealedFolder
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Store
from ichidai.cli.administering import operator_by
from ichidai.cli.operating import fail, opened, out, time_of
from ichidai.cli.reasons import words_option
from ichidai.key_place import key_folder
from ichidai.settings import Settings


@click.command("seal")
@words_option
def seal(reason: str) -> None:
    """Take the files of this host's keys over into the store, sealed under ICHIDAI_SEALING_KEY."""
    with opened() as (settings, store):
        folder, now = _sealed(settings, store), time_of(store)
        if (folder / keyring.FILE_NAME).exists():
            fail("The keys of this store are sealed already.")
        open_keyring(settings.keys_dir, store, now)  # they are this store's, and all that is needed is here
        for name in (authority_file.FILE_NAME, keyring.FILE_NAME):  # what says that it is done comes last
            path = settings.keys_dir / name
            if path.exists():
                folder.make(name, json.dumps(json.loads(path.read_text(encoding="ascii"))))
        sealed = folder / keyring.FILE_NAME
        line = operator_by(settings, reason).line(AuditKind.KEYS_SEALED, now)
        register_ring(load_ring(sealed), sealed, store, now, line)
    out.print("The keys are sealed in the store. Set ICHIDAI_SEALING_KEY on every host and restart it; then remove")
    out.print(f"{keyring.FILE_NAME} and {authority_file.FILE_NAME} from {settings.keys_dir} on each of them.")


@click.command("rewrap")
@click.option("--to", "to", metavar="KEY", help="Let this key open the keys too: as ICHIDAI_SEALING_KEY names it.")
@click.option("--alone", is_flag=True, help="Let ICHIDAI_SEALING_KEY alone open them from now on.")
@words_option
def rewrap(to: str | None, reason: str, *, alone: bool) -> None:
    """Replace the key-encrypting key: first `--to` the new one, then, once every host has it, `--alone`."""
    if (to is None) == (not alone):
        fail("Give either --to KEY or --alone.")
    with opened() as (settings, store):
        folder = _sealed(settings, store)
        if to is not None:
            key = read_key_encrypting_key(to, settings.registration.aws_region)
            folder.wrap_also(key)
            said, facts = f"{key.name} opens the keys too.", {"added": key.name}
        else:
            dropped = ", ".join(folder.wrap_alone())
            said, facts = f"No longer opened by: {dropped or 'no other'}.", {"dropped": dropped}
        line = operator_by(settings, reason).line(AuditKind.KEYS_REWRAPPED, time_of(store), **facts)
        write_known(store, line, RetryBudget())
    out.print(said)


@click.command("new-sealing-key")
def new_sealing_key() -> None:
    """Print a new key for ICHIDAI_SEALING_KEY, or for a file that it names. Keep it apart from the store's backups."""
    click.echo(new_key_text())


def _sealed(settings: Settings, store: Store) -> SealedFolder:
    folder = key_folder(settings, store)
    if not isinstance(folder, SealedFolder):
        fail("Set ICHIDAI_SEALING_KEY: `ichidai keys new-sealing-key` prints a new one.")
    return folder
