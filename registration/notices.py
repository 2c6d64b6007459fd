"""Notices: what was done to an account is told to its confirmed address, with a link by which it is taken back.

A notice is put into the queue of mails while its change is laid down: before the history has it, so none is lost, and
under an id of the change, so that one that still waits is not queued twice. That needs no keys: operators' commands do
it too. What an operator does to a state, a device or all sessions is told without a link: no objection brings it back.
So is a second factor that an objection took off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from common.account.history import EventKind, HistoryRecord, OperatorAct, Reason, read_laid_down
from common.clock import Clock
from common.errors import Refusal
from common.storage.port import Store
from registration.account_db import AccountDb
from registration.login_rate_limiter import source_of
from registration.mail_limit import OF_NOTICES, MailLimit
from registration.mail_model import KEPT, MailKind, QueuedMail
from registration.mail_queue import MailQueue

_KINDS = frozenset(
    {
        EventKind.DEVICE_ADDED,
        EventKind.PASSWORD_CHANGED,
        EventKind.EMAIL_CHANGED,
        EventKind.USERNAME_CHANGED,
        EventKind.OTP_ENABLED,
        EventKind.OTP_DISABLED,
        EventKind.PASSKEY_ADDED,
        EventKind.PASSKEY_REMOVED,
        EventKind.RECOVERY_CODES_RENEWED,
        EventKind.RECOVERY_CODE_USED,
        EventKind.ACCOUNT_CLOSED,
        EventKind.ACCOUNT_REOPENED,
    }
)
_STATES = frozenset({EventKind.ACCOUNT_DISABLED, EventKind.ACCOUNT_ENABLED})
SIGNED_OUT, BY_OPERATOR, BY_OBJECTION = "signed-out", "by-operator", "by-objection"
_FINAL = frozenset((*_STATES, EventKind.DEVICE_REMOVED, SIGNED_OUT))
"""What no objection takes back."""

_REASONS: Mapping[str, str] = {
    Reason.TAKEN_OVER: "taken-over",
    Reason.FORCED_OUT: "taken-over",
    Reason.REFRESH_REUSED: "refresh-reused",
}
NEW_PLACE = "new-place"
_LOGINS_READ = 50

_log = logging.getLogger(__name__)


class Notices(Struct, frozen=True):
    """What notices are made with. `names` gives a user's devices' names by their ids."""

    store: Store
    queue: MailQueue
    limit: MailLimit
    clock: Clock
    names: Callable[[str], Mapping[str, str]]

    def tell(self, user_uuid: str, record: HistoryRecord) -> None:
        """Let a notice of a change wait to be sent, if it is one of those that are told. Raises StoreUnavailable."""
        if not self.queue.is_on or any(event.kind is EventKind.REGISTERED for event in record.events):
            return
        words = tuple(dict.fromkeys(told_in(record))) or self._new_place(user_uuid, record)
        account = AccountDb(self.store).find(user_uuid) if words else None
        to = None if account is None else account.email_at(record.events[0].at)
        if account is None or to is None or not self._is_free(user_uuid):
            return
        at, has_link = record.events[0].at, is_objectable(record)
        acted = (BY_OPERATOR,) if any(event.act for event in record.events) else ()
        acted = (BY_OBJECTION,) if _is_objection(record) else acted
        mail = QueuedMail(
            mail_id=f"{user_uuid}-{record.change_no}",
            kind=MailKind.NOTICE if has_link else MailKind.ACTED,
            to=to,
            username=account.username,
            language=account.language,
            link="",
            due=at,
            until=self.clock() + KEPT,
            facts={
                "what": " ".join((*words, *acted)),
                "at": f"{at:%Y-%m-%d %H:%M} UTC",
                "device": self._device(user_uuid, record),
                "ip": record.client.ip or "-",
            },
            user_uuid=user_uuid if has_link else "",
            change_no=record.change_no if has_link else 0,
        )
        self.queue.enqueue(mail)

    def _is_free(self, user_uuid: str) -> bool:
        try:
            return self.limit.is_free(user_uuid, OF_NOTICES)
        except Refusal as refusal:
            _log.warning("a notice to %s is not counted: %s", user_uuid, refusal)
            return True

    def _new_place(self, user_uuid: str, record: HistoryRecord) -> tuple[str, ...]:
        """Return the word for a login from where none of the last ones came from."""
        if not _has_login(record):
            return ()
        earlier = read_laid_down(self.store, user_uuid, before=record.change_no, limit=_LOGINS_READ)
        places = {source_of(each.client.ip) for each in earlier if _has_login(each)}
        return (NEW_PLACE,) if places and source_of(record.client.ip) not in places else ()

    def _device(self, user_uuid: str, record: HistoryRecord) -> str:
        """Return the name of the device that did it, or that it is about."""
        events = [event for event in record.events if not event.act or event.kind is EventKind.DEVICE_REMOVED]
        if _is_objection(record):  # a session that it ended is not the one that made it
            events = [event for event in events if event.kind is not EventKind.SESSION_ENDED]
        ids = [device for event in events for device in (event.by, event.device_id) if device is not None]
        named = next((event.device_name for event in record.events if event.device_name), None)
        return (self.names(user_uuid).get(ids[-1]) if ids else None) or named or "-"


def told_in(record: HistoryRecord) -> Iterator[str]:
    """Yield what a notice of a change says; nothing for one that needs none."""
    for event in record.events:
        if event.kind in _KINDS or event.kind in _STATES or (event.kind is EventKind.DEVICE_REMOVED and event.act):
            yield str(event.kind)
        elif event.act is OperatorAct.END_SESSIONS:
            yield SIGNED_OUT
        elif event.kind is EventKind.SESSION_ENDED and event.reason and event.reason in _REASONS:
            yield _REASONS[event.reason]


def is_objectable(record: HistoryRecord) -> bool:
    """Say whether a change can be objected to: one of those that are told, or a login."""
    if _is_objection(record) or any(event.kind is EventKind.REGISTERED for event in record.events):
        return False
    return _has_login(record) or any(word not in _FINAL for word in told_in(record))


def _is_objection(record: HistoryRecord) -> bool:
    return any(event.kind is EventKind.OBJECTED for event in record.events)


def _has_login(record: HistoryRecord) -> bool:
    return any(event.kind is EventKind.LOGIN for event in record.events)
