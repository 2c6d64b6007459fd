"""`ichidai tables …`: making and checking the tables of a DynamoDB store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from common.config import SettingsError
from common.storage.opening import StoreUrlError, open_tables
from common.storage.port import StoreUnavailable
from ichidai.cli.operating import error, fail, out
from ichidai.settings import read_settings

if TYPE_CHECKING:
    from common.storage.dynamodb.admin import DynamoTables


@click.group("tables")
def app() -> None:
    """Make or check the tables of a DynamoDB store."""


@app.command("create")
def create() -> None:
    """Make what is missing, with expiry and point-in-time recovery; what is there stays. May be run again.

    With ?expiry=sweep in the store's URL TTL is not switched on: a timer runs `ichidai sweep`.
    """
    try:
        for line in tables_by_environment().create():
            out.print(line)
    except StoreUnavailable as fault:
        fail(str(fault))


@app.command("check")
def check() -> None:
    """Say what is wrong with the tables; exit status 1 if anything is.

    With ?expiry=sweep in the store's URL they need no TTL.
    """
    try:
        faults = tables_by_environment().check()
    except StoreUnavailable as fault:
        fail(str(fault))
    for line in faults:
        error.print(line)
    if faults:
        raise click.exceptions.Exit(1)
    out.print("All tables are as they should be.")


def tables_by_environment() -> DynamoTables:
    """Return the tables of the store that the environment names, or end with a sentence."""
    try:
        settings = read_settings(os.environ)
        tables = open_tables(settings.store_url, settings.registration.aws_region or None)
    except (SettingsError, StoreUrlError, StoreUnavailable) as fault:
        fail(str(fault))
    if tables is None:
        out.print("The store is SQLite, which makes its own tables at the first start.")
        raise click.exceptions.Exit(0)
    return tables
