"""`ichidai accounts …`: what an operator does for somebody who cannot do it any more."""

from __future__ import annotations

import click

from common.bookkeeping import Bookkeeper, NoSuchUser
from common.clock import system_clock
from common.errors import Refusal
from common.storage.port import Store
from ichidai.cli.operating import fail, opened, out
from registration.account_db import AccountDb
from registration.account_model import name_claim
from registration.second_factor import reset


@click.group("accounts")
def app() -> None:
    """Help somebody who cannot get in."""


@app.command("reset-otp")
@click.argument("username")
def reset_otp(username: str) -> None:
    """Switch a second factor off, for somebody who lost it and the recovery codes. Make sure first who it is."""
    with opened() as (_, store):
        _reset(store, username)


def _reset(store: Store, username: str) -> None:
    owner = AccountDb(store).owner_of(name_claim(username))
    if owner is None:
        fail(f"There is no account {username}.")
    try:
        reset(Bookkeeper(store, system_clock), owner)
    except (NoSuchUser, Refusal):
        fail(f"{username} has no second factor.")
    out.print(f"{username} needs the password alone now; the history tells so.")
