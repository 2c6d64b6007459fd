"""`ichidai keys …`: showing, rotating and retiring the keys that sign tokens, while servers run."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from common.account.audit import AuditKind
from common.clock import to_rfc3339
from common.crypto.jws import Algorithm
from common.keys import rotation
from common.keys.keyring import KeyPurpose
from common.storage.port import Put
from ichidai.cli.administering import operator_by
from ichidai.cli.operating import opened, out, time_of
from ichidai.cli.options import enum_option
from ichidai.cli.reasons import words_option
from ichidai.cli.sealing import new_sealing_key, rewrap, seal
from ichidai.key_place import key_folder

PUBLISHED_SECONDS = 600
"""How long a new key is published before it signs: twice as long as others may keep our key set (`max-age`)."""

_LINE = "{:<23} {:<9} {:<10} {:<25} {:<13} {}"


@click.group("keys")
def app() -> None:
    """Show, rotate or retire the keys that sign tokens; seal all keys in the store."""


for command in (seal, rewrap, new_sealing_key):
    app.add_command(command)


@app.command("show")
def show() -> None:
    """List the keys: what each is for, what it does now, and whether it is on this host."""
    with opened() as (settings, store):
        now = time_of(store)
        shown = rotation.show(key_folder(settings, store), store, now)
    out.print(_LINE.format("kid", "for", "algorithm", "signs from", "on this host", "state"))
    for key in shown:
        listed = key.listed
        algorithm = listed.verifying.algorithm if listed.verifying else "HS256"
        here = "yes" if key.is_here else "no"
        signs_from = to_rfc3339(listed.signs_from)
        out.print(_LINE.format(listed.kid, listed.purpose, algorithm, signs_from, here, _state(key, now)))


@app.command("rotate")
@enum_option("--for", "purpose", kind=KeyPurpose, default=KeyPurpose.ACCESS, help="Which tokens the new key is for.")
@enum_option("--algorithm", kind=Algorithm, help="Of a key for access tokens; by default ICHIDAI_TOKEN_ALGORITHM.")
@click.option("--after", type=click.IntRange(5), default=PUBLISHED_SECONDS, help="Seconds until it signs.")
@words_option
def rotate(purpose: KeyPurpose, algorithm: Algorithm | None, after: int, reason: str) -> None:
    """Make a new key and publish it at once; it signs later, and the old keys are accepted until they are retired."""
    with opened() as (settings, store):
        chosen = algorithm or settings.session.token_algorithm
        now, operator = time_of(store), operator_by(settings, reason)

        def line(kid: str) -> Put:
            return operator.line(AuditKind.KEY_ROTATED, now, key=kid, purpose=str(purpose))

        folder = key_folder(settings, store)
        key = rotation.rotate(folder, store, purpose, chosen, now, timedelta(seconds=after), line)
    out.print(f"{key.kid} is published for {key.purpose} tokens and signs from {to_rfc3339(key.signs_from)} on.")
    if not settings.sealing_key:
        out.print(f"Several hosts: copy keyring.json from {settings.keys_dir} to each of them before then.")


@app.command("retire", context_settings={"ignore_unknown_options": True})  # a name may begin with a dash
@click.argument("kid")
@words_option
def retire(kid: str, reason: str) -> None:
    """Refuse everything that a key signed, everywhere and within five seconds. There is no way back.

    KID is its name; `ichidai keys show` lists them.
    """
    with opened() as (settings, store):
        now = time_of(store)
        line = operator_by(settings, reason).line(AuditKind.KEY_RETIRED, now, key=kid)
        rotation.retire(key_folder(settings, store), store, kid, now, line)
    out.print(f"{kid} is retired: every host refuses it within five seconds.")


def _state(key: rotation.KeyStatus, now: datetime) -> str:
    if key.listed.retired_at is not None:
        return f"retired {to_rfc3339(key.listed.retired_at)}"
    if key.signs:
        return "signs"
    return "verifies" if key.listed.signs_from <= now else "published"
