"""How changes are laid down: the same for servers and for operators' commands. It needs no keys."""

from __future__ import annotations

from collections.abc import Callable

from common.account.laying_down import LayingDown
from common.background import InBackground
from common.clock import Clock
from common.storage.port import Store
from device_manager.device_db import DeviceDb
from ichidai.settings import Settings
from registration.mail_limit import MailLimit
from registration.mail_queue import MailQueue
from registration.notices import Notices


def laying_down(
    settings: Settings,
    store: Store,
    clock: Clock,
    in_background: InBackground,
    mails: MailQueue,
    before_change: Callable[[], object] = lambda: None,
) -> LayingDown:
    """Return what lays changes down: with notices to accounts, events for machines, and the lifetimes that are set."""
    notices = Notices(store, mails, MailLimit(store, clock), clock, DeviceDb(store).names)
    receivers = settings.event_receivers.names
    return LayingDown(store, clock, in_background, notices.tell, settings.retention, receivers, before_change)
