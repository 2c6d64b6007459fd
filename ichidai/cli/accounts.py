"""`ichidai accounts …`: what an operator does for somebody who cannot do it any more."""

from __future__ import annotations

import os
from typing import NoReturn

import click
from rich.console import Console

from common.bookkeeping import Bookkeeper, NoSuchUser
from common.clock import system_clock
from common.config import SettingsError
from common.errors import Refusal
from common.storage.opening import StoreUrlError, open_store
from common.storage.port import Store, StoreUnavailable
from ichidai.settings import read_settings
from registration.account_db import AccountDb
from registration.account_model import name_claim
from registration.second_factor import reset

_out = Console(soft_wrap=True, highlight=False, markup=False)
_error = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")


@click.group("accounts")
def app() -> None:
    """Help somebody who cannot get in."""


@app.command("reset-otp")
@click.argument("username")
def reset_otp(username: str) -> None:
    """Switch a second factor off, for somebody who lost it and the recovery codes. Make sure first who it is."""
    try:
        settings = read_settings(os.environ)
        store = open_store(settings.store_url, system_clock, settings.registration.aws_region or None)
    except (SettingsError, StoreUrlError, StoreUnavailable, OSError) as error:
        _fail(str(error))
    try:
        _reset(store, username)
    except StoreUnavailable as error:
        _fail(str(error))
    finally:
        store.close()


def _reset(store: Store, username: str) -> None:
    owner = AccountDb(store).owner_of(name_claim(username))
    if owner is None:
        _fail(f"There is no account {username}.")
    try:
        reset(Bookkeeper(store, system_clock), owner)
    except (NoSuchUser, Refusal):
        _fail(f"{username} has no second factor.")
    _out.print(f"{username} needs the password alone now; the history tells so.")


def _fail(text: str) -> NoReturn:
    _error.print(text)
    raise click.exceptions.Exit(2)
