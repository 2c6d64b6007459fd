"""`ichidai admin-keys …`: the keys by which operators use the admin app."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import click
import orjson

from common.account.audit import AuditKind
from common.clock import to_rfc3339
from common.errors import Refusal
from ichidai.admin.keys import NAME, AdminKey, AdminKeys, NameTaken, Role
from ichidai.administration import Administration
from ichidai.cli.administering import enumerating, operator_of
from ichidai.cli.operating import error, fail, out
from ichidai.cli.options import enum_option
from ichidai.cli.reasons import age, words_option


@click.group("admin-keys")
def app() -> None:
    """Make, list and revoke the keys of the admin app (`ichidai serve admin`)."""


def _lifetime(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    lifetime = None if value is None else age(value)
    if value is not None and not lifetime:
        raise click.BadParameter("give 90d, 12h or 30m")
    return lifetime


@app.command("create")
@click.argument("name", required=False)
@enum_option("--role", kind=Role, help="read: find and show; support: also end sessions and unbind; owner: all.")
@click.option("--expires", callback=_lifetime, help="After how long: 90d, 12h; by default never.")
@words_option
def create(name: str | None, role: Role | None, expires: timedelta | None, reason: str) -> None:
    """Make a key and print it once; the store keeps a hash of it. NAME stands in the audit log for who shows it."""
    if role is None:
        raise click.UsageError("Missing option '--role'.")
    name = name or f"{role}-{secrets.token_hex(3)}"
    with _keys(makes=True) as (administration, keys):
        operator = operator_of(administration, reason)
        try:
            key, text = keys.create(
                name,
                role,
                expires,
                operator.actor,
                lambda now: operator.line(AuditKind.ADMIN_KEY_CREATED, now, key=name, role=str(role)),
            )
        except ValueError:
            fail(f"{name!r} cannot be a key's name: it must match {NAME}")
        except NameTaken:
            error.print(f"There is a key {name}: revoke it first, or choose another name.")
            raise click.exceptions.Exit(1) from None
    error.print(f"{key.name}: {key.role}, {_until(key)}. It is shown this once.", style="default")
    click.echo(text)


@app.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_keys(*, as_json: bool) -> None:
    """List the keys, oldest first."""
    with _keys() as (administration, keys):
        now, known = administration.now(), keys.all()
    for key in known:
        state = "revoked" if key.revoked_at else "good" if key.is_good(now) else "expired"
        if as_json:
            times = {
                "created_at": to_rfc3339(key.created_at),
                "expires_at": key.expires_at and to_rfc3339(key.expires_at),
            }
            click.echo(orjson.dumps({"name": key.name, "role": str(key.role), "state": state, **times}).decode())
        else:
            out.print(f"{key.name:<24} {key.role:<8} {state:<8} {_until(key)}, made by {key.created_by}")


@app.command("revoke")
@click.argument("name")
@words_option
def revoke(name: str, reason: str) -> None:
    """Refuse a key from its next call on."""
    with _keys() as (administration, keys):
        operator = operator_of(administration, reason)
        try:
            keys.revoke(name, lambda now: operator.line(AuditKind.ADMIN_KEY_REVOKED, now, key=name))
        except KeyError:
            error.print(f"There is no key {name}: `ichidai admin-keys list` lists them.")
            raise click.exceptions.Exit(3) from None
    out.print(f"{name} is revoked.")


@contextmanager
def _keys(*, makes: bool = False) -> Iterator[tuple[Administration, AdminKeys]]:
    with enumerating(makes=makes) as (administration, store):
        try:
            yield administration, AdminKeys(store, administration.now)
        except Refusal as busy:
            fail(f"Nothing was changed: {busy.reason}.")


def _until(key: AdminKey) -> str:
    return "never expires" if key.expires_at is None else f"until {to_rfc3339(key.expires_at)}"
