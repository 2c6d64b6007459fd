"""`ichidai tables …`: making and checking the tables of a DynamoDB store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console

from common.config import SettingsError
from common.storage.opening import StoreUrlError, open_tables
from common.storage.port import StoreUnavailable
from ichidai.settings import read_settings

if TYPE_CHECKING:
    from common.storage.dynamodb_tables import DynamoTables

_out = Console(soft_wrap=True, highlight=False, markup=False)
_error = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")


@click.group("tables")
def app() -> None:
    """Make or check the tables of a DynamoDB store."""


@app.command("create")
def create() -> None:
    """Make what is missing, with expiry and point-in-time recovery; what is there stays. May be run again."""
    try:
        for line in _tables().create():
            _out.print(line)
    except StoreUnavailable as error:
        _fail(str(error))


@app.command("check")
def check() -> None:
    """Say what is wrong with the tables; exit status 1 if anything is."""
    try:
        faults = _tables().check()
    except StoreUnavailable as error:
        _fail(str(error))
    for fault in faults:
        _error.print(fault)
    if faults:
        raise click.exceptions.Exit(1)
    _out.print("All tables are as they should be.")


def _tables() -> DynamoTables:
    """Return the tables of the store that the environment names, or end with a sentence."""
    try:
        settings = read_settings(os.environ)
        tables = open_tables(settings.store_url, settings.registration.aws_region or None)
    except (SettingsError, StoreUrlError, StoreUnavailable) as error:
        _fail(str(error))
    if tables is None:
        _out.print("The store is SQLite, which makes its own tables at the first start.")
        raise click.exceptions.Exit(0)
    return tables


def _fail(text: str) -> NoReturn:
    _error.print(text)
    raise click.exceptions.Exit(2)
