"""A new generation of the store by an operator's command: all that was given out before is void, everywhere."""

from __future__ import annotations

from datetime import timedelta

import click

from common.account.audit import AuditEvent, AuditKind, audit_put
from common.clock import to_rfc3339
from common.ids import new_id
from common.keys import rotation
from common.keys.generation import seen
from common.keys.generation_store import raise_generation
from common.keys.key_registry import REGISTRY, RegisteredKey
from common.keys.keyring import KeyPurpose, KeyRingError
from common.keys.registry_item import version_of
from common.keys.witness import WitnessFile
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Store
from ichidai.cli.administering import actor
from ichidai.cli.keys import PUBLISHED_SECONDS
from ichidai.cli.operating import error, opened, out, time_of
from ichidai.cli.reasons import reason_option
from ichidai.key_place import key_folder
from ichidai.settings import Settings

_RENEWED = (KeyPurpose.ACCESS, KeyPurpose.REFRESH, KeyPurpose.SHORT_LIVED)


@click.command("everybody-out")
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask back.")
def app(reason: str, *, yes: bool) -> None:
    """End every session of every account, and void all that was given out, within five seconds and on every host.

    Tokens, questions at the limit, challenges, pairing codes, links by mail and recovery codes: nothing of before is
    good. Passwords and devices stay; all users log in anew.
    """
    if not yes:
        click.confirm("End every session of every account, and void all recovery codes?", abort=True, err=True)
    with opened() as (settings, store):
        begin_generation(settings, store, reason)


def begin_generation(settings: Settings, store: Store, reason: str) -> None:
    """Raise the store's generation, write it down, let this host's witness have seen it, and make new keys.

    Raises StoreUnavailable: nothing was changed, or it may be run again.
    """
    now, who = time_of(store), actor()
    raised = raise_generation(store, who=who, why=reason, now=now)
    facts = {"generation": str(raised.number)}
    line = AuditEvent(AuditKind.EVERYBODY_OUT, now, who, new_id(), None, reason, facts)
    write_known(store, audit_put(line, settings.audit_kept), RetryBudget())
    if settings.witness_file.parent.is_dir():
        WitnessFile(settings.witness_file).write(seen(raised, version_of(store.get(REGISTRY))))
    out.print("Nothing that was given out before is good any more, on every host within five seconds.")
    try:
        keys = [_new_key(settings, store, purpose) for purpose in _RENEWED]
    except KeyRingError as fault:
        error.print(f"New keys were not made: {fault}")
        return
    out.print(f"New keys sign from {to_rfc3339(max(key.signs_from for key in keys))} on.")
    if not settings.sealing_key:
        out.print(f"Several hosts: copy keyring.json from {settings.keys_dir} to each of them before then.")


def _new_key(settings: Settings, store: Store, purpose: KeyPurpose) -> RegisteredKey:
    algorithm, after = settings.session.token_algorithm, timedelta(seconds=PUBLISHED_SECONDS)
    return rotation.rotate(key_folder(settings, store), store, purpose, algorithm, time_of(store), after)
