"""Makes a server another release, before it imports anything: Python itself imports this where its folder is named.

`ICHIDAI_TEST_RELEASE` says which. `later` has members and a table that this one does not know, and writes down what it
has stored; `forgetful` drops what it does not know: it is planted, to see that a storm finds it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from common.storage import stored_form, tables
from common.storage.port import Table

MOODS = Table("MoodsTable", "user_uuid")


def forgetful() -> None:
    """Be a release that builds each item from the members that it knows."""
    stored_form.carried = lambda item, known: {}  # noqa: ARG005 - as the function is called


def later(told: Path) -> None:
    """Be a later release, which tells a file of each item that it has stored."""
    tables.ALL = (*tables.ALL, MOODS)
    from common.account.book import Book  # noqa: PLC0415 - after the tables
    from common.storage.sqlite.store import SqliteStore  # noqa: PLC0415
    from device_manager.device_model import Device, DeviceKeys  # noqa: PLC0415
    from registration.account_model import Account  # noqa: PLC0415
    from tests.releases.later import with_members  # noqa: PLC0415

    def richer(codec: Any) -> None:
        plain = codec.to_item
        codec.to_item = lambda value: with_members(plain(value))

    for codec in (Book, Device, DeviceKeys, Account):
        richer(codec)
    _telling(SqliteStore, told)


def _telling(engine: Any, told: Path) -> None:
    """Let an engine tell what it has stored, and put an item into the new table with each book."""
    put = engine.put
    log = told.open("a", encoding="utf-8", buffering=1)

    def told_put(self: Any, table: Table, item: Any, when: Any = None) -> None:
        put(self, table, item, when)
        if "later" in item:
            key = table.key_of(item)
            log.write(json.dumps([table.name, [key.partition, key.sort], item]) + "\n")
        if table.name == "SessionsTable":
            put(self, MOODS, {"user_uuid": item["user_uuid"], "mood": "fine"})

    engine.put = told_put


if os.environ.get("ICHIDAI_TEST_RELEASE") == "later":
    later(Path(os.environ["ICHIDAI_TEST_RELEASE_TELLS"]))
if os.environ.get("ICHIDAI_TEST_RELEASE") == "forgetful":
    forgetful()
