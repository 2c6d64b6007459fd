"""What commands for operators share: the store that the environment names, what they say, and how they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click
from rich.console import Console

from common.clock import system_clock
from common.config import SettingsError
from common.crypto.keyring import KeyRingError
from common.storage.opening import StoreUrlError, open_store
from common.storage.port import Store, StoreUnavailable
from ichidai.settings import Settings, read_settings

out = Console(soft_wrap=True, highlight=False, markup=False)
error = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")


@contextmanager
def opened() -> Iterator[tuple[Settings, Store]]:
    """Open the store that the environment names; what goes wrong then ends the command with a sentence."""
    try:
        settings = read_settings(os.environ)
        store = open_store(settings.store_url, system_clock, settings.registration.aws_region or None)
    except (SettingsError, StoreUrlError, StoreUnavailable, OSError) as fault:
        fail(str(fault))
    try:
        yield settings, store
    except (KeyRingError, StoreUnavailable, OSError) as fault:
        fail(str(fault))
    finally:
        store.close()


def fail(text: str) -> NoReturn:
    """End the command with a sentence on stderr and status 2."""
    error.print(text)
    raise click.exceptions.Exit(2)
