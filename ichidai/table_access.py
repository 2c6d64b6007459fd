"""Which tables each app reads and writes: what its identity at AWS may do, and what its readiness is judged by.

`deploy/aws/ichidai.yaml` grants exactly this, and the tests hold every request of an app to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from common.account.rows import CARRIED, NUMBERED
from common.storage import tables
from common.storage.port import Table
from ichidai.topology import App


class Access(Enum):
    """What an app does with a table: DynamoDB's actions.

    To append is to write, and to read what lies at a key that one knows: where an answer was lost, what was written.
    To update is to read and to write, but not to remove. To list is to write, and to go through all items.
    """

    READ = ("GetItem", "Query")
    APPEND = ("GetItem", "PutItem")
    UPDATE = ("GetItem", "Query", "PutItem")
    WRITE = ("GetItem", "Query", "PutItem", "DeleteItem")
    LIST = ("GetItem", "Query", "PutItem", "DeleteItem", "Scan")


_LAYING_DOWN: Mapping[Table, Access] = {
    **dict.fromkeys(CARRIED, Access.APPEND),
    **dict.fromkeys(NUMBERED, Access.UPDATE),
}
"""An app that reads a book writes what it carries (decision 0047); nobody removes it."""

_EVERY_APP: Mapping[Table, Access] = {
    **_LAYING_DOWN,  # the audit log: also what a start changed of keys and policy
    tables.KEY_RING: Access.WRITE,  # keys, policy, the mark of readiness
    tables.SESSIONS: Access.WRITE,
    tables.LOGIN_HISTORY: Access.WRITE,
    tables.FEED: Access.WRITE,
    tables.MAILS: Access.APPEND,  # with the history go notices, by the account's row, the devices' names and a limit
    tables.THROTTLE: Access.WRITE,
}
_LOGINS: Mapping[Table, Access] = {
    **_EVERY_APP,
    tables.NAMES: Access.READ,
    tables.DEVICE_KEYS: Access.READ,
    tables.CHALLENGES: Access.WRITE,
}
_NEW_DEVICES: Mapping[Table, Access] = {
    **_LOGINS,
    tables.NAMES: Access.WRITE,
    tables.DEVICES: Access.WRITE,
    tables.DEVICE_KEYS: Access.WRITE,
}
_DEVICES: Mapping[Table, Access] = {
    **_NEW_DEVICES,
    tables.PAIRING_TOKENS: Access.WRITE,
    tables.REVOCATIONS: Access.WRITE,
}
_EVERYTHING: Mapping[Table, Access] = dict.fromkeys(tables.ALL, Access.WRITE)

ACCESS: Mapping[App, Mapping[Table, Access]] = {
    App.ALL: _EVERYTHING,
    App.REGISTRATION: {**_EVERYTHING, tables.AUDIT: Access.UPDATE},  # lines about an account that goes are unnamed
    App.LOGIN: _NEW_DEVICES,  # a passkey brings a browser along
    App.SESSION: _LOGINS,  # it has a login of its own, /session/create
    App.DEVICE: _DEVICES,
    App.EVENTS: {**_EVERY_APP, tables.SESSIONS: Access.READ},
    App.ADMIN: {**_EVERYTHING, tables.USERS: Access.LIST, tables.SESSIONS: Access.LIST},
}
"""Mails are sent by the apps that may remove them: the registration app, the combined one and the admin app."""


def sends_mails(app: App) -> bool:
    """Say whether an app's processes send the mails that wait."""
    return ACCESS[app][tables.MAILS] is Access.WRITE


def erases_accounts(app: App) -> bool:
    """Say whether an app's processes erase closed accounts whose days are over: where accounts are closed."""
    return app in (App.ALL, App.REGISTRATION)
