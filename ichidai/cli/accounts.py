"""`ichidai accounts …`: what an operator sees and does. The acts themselves are `ichidai.administration`.

Exit status: 0 done, 1 refused or declined, 2 it could not look, 3 nobody matches.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, NoReturn

import click
import orjson

from common.account.book import AccountState
from common.account.history import OperatorAct
from common.account.transactions import NoSuchUser
from common.errors import Code, Refusal
from ichidai.account_list import MOST_DAYS, Wanted
from ichidai.administration import AccountPage, AccountView, Administration
from ichidai.cli.account_output import print_details, print_summaries
from ichidai.cli.administering import administering, operator_of
from ichidai.cli.asking import ask_unseen
from ichidai.cli.new_accounts import create, invite
from ichidai.cli.operating import error, out, settings_by_environment
from ichidai.cli.reasons import reason_option

NOBODY = 3
"""The exit status where nobody matches."""

_AT_ONCE = 500
"""How many accounts are listed at a time."""

_REFUSALS = {
    Code.OTP_INACTIVE: "has no second factor",
    Code.NOT_FOUND: "has no such device",
    Code.LAST_DEVICE: "has no other device that could log in: disable the account, or end its sessions, instead",
    Code.WEAK_PASSWORD: "cannot have that password: it is under 8 or over 1,024 characters, a common one, or the name",
    Code.BUSY: "is being changed by others: try again",
}

Command = Callable[..., None]


@click.group("accounts")
def app() -> None:
    """Find accounts, see all there is about one, and act on it. WHO is a name, a mail address or a uuid."""


app.add_command(create)
app.add_command(invite)


def _json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)


def _act(command: Command) -> Command:
    """Give a command what every act takes: whom, why, and in which form it answers."""
    return click.argument("who")(reason_option(_json(command)))


def _destroys(question: str) -> Callable[[Command], Command]:
    """Let a command ask back, unless `--yes` is given, once it is known that there is such an account."""

    def asking(command: Command) -> Command:
        @wraps(command)
        def asked(who: str, *, yes: bool, **options: Any) -> None:
            if not yes:
                with administering() as administration:
                    _one(administration, who)
                click.confirm(question.format(who=who), abort=True, err=True)
            command(who=who, **options)

        return click.option("--yes", is_flag=True, help="Do not ask back.")(asked)

    return asking


@app.command("find")
@click.argument("who")
@_json
def find(who: str, *, as_json: bool) -> None:
    """Say which account has this name, mail address or uuid."""
    with administering() as administration:
        print_summaries([administration.summary(view) for view in _found(administration, who)], as_json=as_json)


@app.command("list")
@click.option("--state", type=click.Choice([str(state) for state in AccountState]), help="Only accounts in this state.")
@click.option("--inactive-days", type=click.IntRange(1, MOST_DAYS), help="Only accounts unused for so many days.")
@_json
def list_accounts(state: str | None, inactive_days: int | None, *, as_json: bool) -> None:
    """List all accounts, page by page, in no order. With --json one a line."""
    with administering() as administration:
        since = None if inactive_days is None else administration.now() - timedelta(days=inactive_days)
        wanted = Wanted(None if state is None else AccountState(state), since)
        for page in _pages(administration, wanted):
            print_summaries([administration.summary(view) for view in page.views], as_json=as_json)


def _pages(administration: Administration, wanted: Wanted) -> Iterator[AccountPage]:
    after: str | None = None
    while True:
        page = administration.accounts(wanted, after, _AT_ONCE)
        yield page
        if page.after is None:
            return
        after = page.after


@app.command("show")
@click.argument("who")
@_json
def show(who: str, *, as_json: bool) -> None:
    """Show an account with its devices, its live sessions and what happened to it lately."""
    with administering() as administration:
        print_details(administration.details(_one(administration, who)), as_json=as_json)


@app.command("disable")
@_act
@_destroys("Disable {who} and end all its sessions?")
def disable(who: str, reason: str, *, as_json: bool) -> None:
    """Disable an account: every session ends, and nobody gets in until it is enabled."""
    with _acting(who) as (administration, view):
        done = administration.disable(view, operator_of(administration, reason))
        said = f"{who} is disabled; sessions ended: {done.ended}." if done.changed else f"{who} was disabled already."
        _tell(said, OperatorAct.DISABLE, view, as_json=as_json, changed=done.changed, ended=done.ended)


@app.command("enable")
@_act
def enable(who: str, reason: str, *, as_json: bool) -> None:
    """Let a disabled account be used again. What ended stays ended."""
    with _acting(who) as (administration, view):
        done = administration.enable(view, operator_of(administration, reason))
        said = f"{who} may log in again." if done.changed else f"{who} was not disabled."
        _tell(said, OperatorAct.ENABLE, view, as_json=as_json, changed=done.changed)


@app.command("close")
@_act
@_destroys("Close {who}, and erase it when its days are over?")
def close(who: str, reason: str, *, as_json: bool) -> None:
    """Close an account for its user: every session ends, and after ICHIDAI_CLOSE_DAYS all that is kept of it goes.

    Until then its user can reopen it.
    """
    with _acting(who) as (administration, view):
        done = administration.close(view, operator_of(administration, reason))
        said = f"{who} is closed; sessions ended: {done.ended}." if done.changed else f"{who} was closed already."
        _tell(said, OperatorAct.CLOSE, view, as_json=as_json, changed=done.changed, ended=done.ended)


@app.command("end-sessions")
@_act
@_destroys("End all sessions of {who}?")
def end_sessions(who: str, reason: str, *, as_json: bool) -> None:
    """Sign an account out everywhere."""
    with _acting(who) as (administration, view):
        done = administration.end_sessions(view, operator_of(administration, reason))
        said = f"Sessions of {who} ended: {done.ended}."
        _tell(said, OperatorAct.END_SESSIONS, view, as_json=as_json, changed=done.changed, ended=done.ended)


@app.command("unbind")
@_act
@click.argument("device_id")
@_destroys("Unbind a device of {who}, end its session and revoke its certificate?")
def unbind(who: str, device_id: str, reason: str, *, as_json: bool) -> None:
    """Unbind a device: its session ends and its certificate is revoked."""
    with _acting(who) as (administration, view):
        administration.unbind(view, device_id, operator_of(administration, reason))
        _tell(f"The device is unbound from {who}.", OperatorAct.UNBIND, view, as_json=as_json, device_id=device_id)


@app.command("set-password")
@_act
@click.option("--generate", is_flag=True, help="Make a random password and print it, instead of asking for one.")
@_destroys("Set the password of {who} and end all its sessions?")
def set_password(who: str, reason: str, *, generate: bool, as_json: bool) -> None:
    """Set an account's password: it is asked for, or made. Every session ends."""
    with _acting(who) as (administration, view):
        password = secrets.token_urlsafe(15) if generate else ask_unseen("New password")
        done = administration.set_password(view, password, operator_of(administration, reason))
        shown = {"password": password} if generate else {}
        said = f"{who} has a new password{': ' + password if generate else ''}. Sessions ended: {done.ended}."
        _tell(said, OperatorAct.SET_PASSWORD, view, as_json=as_json, ended=done.ended, **shown)


@app.command("reset-otp")
@_act
@_destroys("Switch the second factor of {who} off?")
def reset_otp(who: str, reason: str, *, as_json: bool) -> None:
    """Switch a second factor off, for a user who lost it and the recovery codes. Verify the identity first."""
    with _acting(who) as (administration, view):
        administration.reset_otp(view, operator_of(administration, reason))
        _tell(f"{who} needs the password alone now.", OperatorAct.RESET_OTP, view, as_json=as_json)


@app.command("export")
@click.argument("who")
@reason_option
def export(who: str, reason: str) -> None:
    """Print all that is kept about an account as JSON, secrets excepted. That it was read goes into the audit log."""
    with _acting(who) as (administration, view):
        _print_json(administration.export(view, operator_of(administration, reason)))


@contextmanager
def _acting(who: str) -> Iterator[tuple[Administration, AccountView]]:
    """Open the store and find the one account; a refusal ends the command with a sentence."""
    with administering() as administration:
        view = _one(administration, who)
        try:
            yield administration, view
        except NoSuchUser:
            nobody(who)
        except Refusal as refusal:
            error.print(f"Nothing was changed: {who} {_REFUSALS.get(refusal.code, f'({refusal.code})')}.")
            raise click.exceptions.Exit(1) from None


def _found(administration: Administration, who: str) -> list[AccountView]:
    found = list(administration.find(who))
    if not found:
        nobody(who)
    return found


def _one(administration: Administration, who: str) -> AccountView:
    found = _found(administration, who)
    if len(found) > 1:
        uuids = ", ".join(view.account.uuid for view in found)
        error.print(f"{who} is the name of one account and the mail address of another: give the uuid ({uuids}).")
        raise click.exceptions.Exit(1)
    return found[0]


def nobody(who: str) -> NoReturn:
    """End the command: no account matches, in the store that is named."""
    error.print(f"There is no account {who} in {settings_by_environment().store_url}.")
    raise click.exceptions.Exit(NOBODY)


def _tell(said: str, act: OperatorAct, view: AccountView, *, as_json: bool, **facts: object) -> None:
    if as_json:
        _print_json({"act": str(act), "uuid": view.account.uuid, "username": view.account.username, **facts})
    else:
        out.print(said)


def _print_json(value: object) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
