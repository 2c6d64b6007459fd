"""What commands for operators share: the store that the environment names, what they say, and how they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NoReturn

import click
from rich.console import Console

from common.config import SettingsError
from common.keys.key_registry import REGISTRY
from common.keys.keyring import KeyRingError
from common.keys.store_move import check_writable
from common.keys.store_schema import check_schema
from common.storage.enumeration import EnumerableStore
from common.storage.opening import StoreUrlError, canonical_url, is_there, open_for_maintenance
from common.storage.port import Store, StoreUnavailable
from common.storage.store_clock import measure_clock
from common.storage.write_guard import RereadingGuard, guard_writes
from ichidai.settings import Settings, read_settings, read_test_overrides

out = Console(soft_wrap=True, highlight=False, markup=False)
error = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")

_NO_STORE = (
    "There is no store {}: set ICHIDAI_DATA_DIR (or ICHIDAI_STORE_URL) as the servers have it, or start a server, "
    "which makes its store."
)


@contextmanager
def opened(*, makes: bool = False) -> Iterator[tuple[Settings, EnumerableStore]]:
    """Open the store that the environment names; what goes wrong then ends the command with a sentence.

    `makes`: where there is none it is made, as a server does; else that is what went wrong.
    """
    settings, store = open_by_environment(makes=makes)
    try:
        check_schema(store.get(REGISTRY))
        guard_writes(store, RereadingGuard(store, REGISTRY, check_writable).check)
        yield settings, store
    except (KeyRingError, StoreUnavailable, OSError) as fault:
        fail(str(fault))
    finally:
        store.close()


def time_of(store: Store) -> datetime:
    """Return the store's time, which counts on all hosts. Raises StoreUnavailable."""
    clock = read_test_overrides(os.environ).clock
    measure_clock(clock, store)
    return clock()


def settings_by_environment() -> Settings:
    """Return the settings, or end the command with a sentence."""
    try:
        return read_settings(os.environ)
    except SettingsError as fault:
        fail(str(fault))


def open_by_environment(*, makes: bool = False) -> tuple[Settings, EnumerableStore]:
    """Return the settings and the store that they name, whatever its schema is, or end the command with a sentence.

    A command in a wrong folder finds no store there, and leaves none; `makes`: it makes one.
    """
    try:
        settings = read_settings(os.environ)
        clock = read_test_overrides(os.environ).clock
        if not makes and not is_there(settings.store_url):
            fail(_NO_STORE.format(canonical_url(settings.store_url)))
        store = open_for_maintenance(settings.store_url, clock, settings.registration.aws_region or None)
        measure_clock(clock, store)
    except (SettingsError, StoreUrlError, StoreUnavailable, OSError) as fault:
        fail(str(fault))
    return settings, store


def fail(text: str) -> NoReturn:
    """End the command with a sentence on stderr and status 2."""
    error.print(text)
    raise click.exceptions.Exit(2)
