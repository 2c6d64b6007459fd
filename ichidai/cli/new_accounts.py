"""`ichidai accounts create` and `ichidai accounts invite`: how accounts come to be where registration is closed."""

from __future__ import annotations

import secrets
from datetime import timedelta

import click
import orjson

from common.clock import to_rfc3339
from common.errors import Refusal
from ichidai.cli.administering import administering, operator_of
from ichidai.cli.asking import ask_unseen
from ichidai.cli.operating import error, out
from ichidai.cli.reasons import age, reason_option

_WEEK = "7d"
_LONGEST = timedelta(days=90)


def _lifetime(_context: click.Context, _parameter: click.Parameter, value: str) -> timedelta:
    lifetime = age(value)
    if not lifetime or lifetime > _LONGEST:
        raise click.BadParameter(f"give 7d, 12h or 30m, up to {_LONGEST.days} days")
    return lifetime


_expires = click.option("--expires", default=_WEEK, show_default=True, callback=_lifetime, help="How long it is good.")
_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.command("create")
@click.argument("username")
@click.argument("email")
@click.option("--generate", is_flag=True, help="Make a random password and print it, instead of asking for one.")
@_expires
@reason_option
@_json
def create(username: str, email: str, expires: timedelta, reason: str, *, generate: bool, as_json: bool) -> None:
    """Make an account without a device, and print the link by which its user joins with the first one."""
    password = secrets.token_urlsafe(15) if generate else ask_unseen("Password")
    with administering(makes=True) as administration:
        try:
            made = administration.create(username, email, password, expires, operator_of(administration, reason))
        except Refusal as refusal:
            error.print(f"Nothing was made: {refusal.extensions.get('problem') or refusal.code}.")
            raise click.exceptions.Exit(1) from None
    shown = {"password": password} if generate else {}
    if as_json:
        facts = {"uuid": made.user_uuid, "username": made.username, "link": made.link}
        click.echo(orjson.dumps({**facts, "expires_at": to_rfc3339(made.expires_at), **shown}).decode())
        return
    out.print(f"{made.username} has an account{': password ' + password if generate else ''}.")
    out.print(f"With it, the first device joins by this link until {to_rfc3339(made.expires_at)}:")
    click.echo(made.link)


@click.command("invite")
@_expires
@reason_option
@_json
def invite(expires: timedelta, reason: str, *, as_json: bool) -> None:
    """Print a link that lets one registration pass, also where registration is closed."""
    with administering(makes=True) as administration:
        invited = administration.invite(expires, operator_of(administration, reason))
    if as_json:
        click.echo(orjson.dumps({"link": invited.link, "expires_at": to_rfc3339(invited.expires_at)}).decode())
    else:
        click.echo(invited.link)
