"""Opening a store for an operator's acts, and who the operator is."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from common.account.heartbeat import HeartbeatWriter
from common.account.laying_down import LayingDown
from common.account.operator import Operator
from common.account.policy import Policies
from common.account.policy_store import open_policy
from common.background import BackgroundThread
from common.clock import Clock
from common.crypto.passwords import CHEAP_FOR_TESTS, OWASP_MINIMUM
from common.ids import new_id
from common.keys.generation_store import GenerationProvider, read_generation
from common.storage.enumeration import EnumerableStore
from common.storage.port import Store
from common.storage.store_clock import measure_clock
from common.storage.tables import USERS
from ichidai.administration import AccountView, Administration, Kept
from ichidai.cli.operating import opened
from ichidai.settings import Settings, read_test_overrides
from ichidai.topology import console_address
from ichidai.wiring.laying import laying_down
from registration.account_model import Account
from registration.email_sender import notifier_for
from registration.mail_queue import MailQueue


@contextmanager
def administering(*, makes: bool = False) -> Iterator[Administration]:
    """Open the store that the environment names for an operator's acts; notices are sent before this ends.

    `makes`: where there is none it is made.
    """
    with enumerating(makes=makes) as (administration, _):
        yield administration


@contextmanager
def enumerating(*, makes: bool = False) -> Iterator[tuple[Administration, EnumerableStore]]:
    """Do so, and give the store too, whose tables can be gone through."""
    with opened(makes=makes) as (settings, store):
        cost = CHEAP_FOR_TESTS if read_test_overrides(os.environ).cheap_hash else OWASP_MINIMUM
        notifier = notifier_for(settings.registration.sns_topic_arn, settings.registration.aws_region)
        try:
            with changing(settings, store) as (clock, policies, laying):
                console = console_address(settings.addresses)
                kept = Kept(settings.audit_kept, settings.registration.closed_kept)
                yield Administration(store, clock, policies, kept, cost, notifier, console, laying), store
        finally:
            notifier.close()


@contextmanager
def changing(settings: Settings, store: Store) -> Iterator[tuple[Clock, Policies, LayingDown]]:
    """Give what a command changes accounts by: the store's time, the policy in force, and who lays changes down.

    A command that changes an account has a heartbeat from then on to its end.
    """
    clock = read_test_overrides(os.environ).clock
    measure_clock(clock, store)
    policies = open_policy(store, settings.policy, GenerationProvider(store, read_generation(store)))
    mails = MailQueue(store, clock, settings.registration.mail)
    background = BackgroundThread()  # it is never started: what is handed in is done at once
    heartbeat = HeartbeatWriter(store, clock, background)
    with heartbeat.closing():
        yield clock, policies, laying_down(settings, store, clock, background, mails, heartbeat.start)
    policies.flush()


def operator_by(settings: Settings, reason: str) -> Operator:
    """Return who runs this command, where nothing of an account is done."""
    return Operator(actor(), reason, new_id(), settings.audit_kept)


def every_account(administration: Administration, store: EnumerableStore) -> Iterator[AccountView]:
    """Give all accounts, in no order. Raises StoreUnavailable."""
    uuids = (Account.from_item(item).uuid for page in store.pages(USERS) for item in page)
    yield from (view for view in map(administration.view, uuids) if view is not None)


def operator_of(administration: Administration, reason: str) -> Operator:
    """Return who runs this command on which machine, with the words of the act at hand."""
    return administration.operator(actor(), reason)


def actor() -> str:
    """Return who runs this command on which machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user: which exception depends on version and system
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
