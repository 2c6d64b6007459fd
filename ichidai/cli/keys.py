"""`ichidai keys …`: showing, rotating and retiring the keys that sign tokens, while servers run."""

from __future__ import annotations

from datetime import timedelta

import click

from common.clock import system_clock, to_rfc3339
from common.crypto import rotation
from common.crypto.keyring import Purpose
from common.crypto.signing import Algorithm
from ichidai.cli.operating import opened, out
from ichidai.cli.words import word

PUBLISHED_SECONDS = 600
"""How long a new key is published before it signs: twice as long as others may keep our key set (`max-age`)."""

_LINE = "{:<23} {:<9} {:<10} {:<25} {:<13} {}"


@click.group("keys")
def app() -> None:
    """Show, rotate or retire the keys that sign tokens."""


@app.command("show")
def show() -> None:
    """List the keys: what each is for, what it does now, and whether it is on this host."""
    with opened() as (settings, store):
        shown = rotation.show(settings.keys_dir, store, system_clock())
    out.print(_LINE.format("kid", "for", "algorithm", "signs from", "on this host", "state"))
    for key in shown:
        listed = key.listed
        algorithm = listed.verifying.algorithm if listed.verifying else "HS256"
        here = "yes" if key.is_here else "no"
        signs_from = to_rfc3339(listed.signs_from)
        out.print(_LINE.format(listed.kid, listed.purpose, algorithm, signs_from, here, _state(key)))


@app.command("rotate")
@word("--for", "purpose", kind=Purpose, default=Purpose.ACCESS, help="Which tokens the new key is for.")
@word("--algorithm", kind=Algorithm, help="Of a key for access tokens; by default ICHIDAI_TOKEN_ALGORITHM.")
@click.option("--after", type=click.IntRange(5), default=PUBLISHED_SECONDS, help="Seconds until it signs.")
def rotate(purpose: Purpose, algorithm: Algorithm | None, after: int) -> None:
    """Make a new key and publish it at once; it signs later, and the old keys are accepted until they are retired."""
    with opened() as (settings, store):
        chosen = algorithm or settings.session.token_algorithm
        key = rotation.rotate(settings.keys_dir, store, purpose, chosen, system_clock(), timedelta(seconds=after))
    out.print(f"{key.kid} is published for {key.purpose} tokens and signs from {to_rfc3339(key.signs_from)} on.")
    out.print(f"Several hosts: copy keyring.json from {settings.keys_dir} to each of them before then.")


@app.command("retire", context_settings={"ignore_unknown_options": True})  # a name may begin with a dash
@click.argument("kid")
def retire(kid: str) -> None:
    """Refuse everything that a key signed, everywhere and within five seconds. There is no way back.

    KID is its name; `ichidai keys show` lists them.
    """
    with opened() as (settings, store):
        rotation.retire(settings.keys_dir, store, kid, system_clock())
    out.print(f"{kid} is retired: every host refuses it within five seconds.")


def _state(key: rotation.ShownKey) -> str:
    if key.listed.retired_at is not None:
        return f"retired {to_rfc3339(key.listed.retired_at)}"
    if key.signs:
        return "signs"
    return "verifies" if key.listed.signs_from <= system_clock() else "published"
