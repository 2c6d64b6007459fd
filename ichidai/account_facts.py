"""All that is kept about an account, secrets excepted, as JSON values: for operators, and for whom it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from common.account.book import Book
from common.account.history import Event, HistoryRecord, Reason, read_failures
from common.account.liveness import live_sessions
from common.account.outbox import read_records
from common.account.policy import Policies
from common.account.transactions import NoSuchUser
from common.clock import Clock, to_rfc3339
from common.errors import Code
from common.storage.port import Store
from common.storage.tables import SESSIONS
from device_manager.device_db import DeviceDb
from registration.account_db import AccountDb
from registration.account_model import Account, FormerName
from registration.factor_model import Factor
from registration.factors import factor_key

_RECENT = 20
_PAGE = 1000

Facts = dict[str, Any]
"""What is told of an account: JSON values."""

REFUSED, UNKNOWN = "login-refused", "unknown"
"""The kind of a refused try's line, and who made it."""

_BY_THEMSELVES = frozenset({Reason.EXPIRED, Reason.OVER_LIMIT, Reason.ENDED})
"""Why sessions end that nobody ends."""


class AccountFacts:
    """Reads what is kept about accounts. Every method but `summary` raises StoreUnavailable."""

    def __init__(self, store: Store, policies: Policies, clock: Clock) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock
        self._devices = DeviceDb(store)

    def summary(self, account: Account, book: Book) -> Facts:
        """Return what a list tells of an account."""
        return {
            "uuid": account.uuid,
            "username": account.username,
            "email": account.email,
            "state": str(book.standing),
            "created_at": to_rfc3339(account.created_at),
        }

    def details(self, account: Account, book: Book) -> Facts:
        """Return the account with its devices, its live sessions and its newest history."""
        names = self._devices.names(account.uuid)
        return {
            **self.summary(account, book),
            "closed_until": None if book.closed_until is None else to_rfc3339(book.closed_until),
            "second_factor": account.has_factor,
            "devices": self._device_facts(book),
            "sessions": self._session_facts(book, names),
            **self._history_facts(account.uuid, names, None, _RECENT),
        }

    def history(self, user_uuid: str, before: int | None, limit: int) -> Facts:
        """Return a page of the history: up to `limit` changes, the newest below the number `before` (None: of all).

        `next_before` is there where others may follow.
        """
        return self._history_facts(user_uuid, self._devices.names(user_uuid), before, limit)

    def everything(self, account: Account, book: Book) -> Facts:
        """Return all of it: whatever tells of the person, and nothing that opens the account."""
        user_uuid, names = account.uuid, self._devices.names(account.uuid)
        failures = read_failures(self._store, user_uuid, _PAGE, self._clock())
        details = self.details(account, book)
        details.pop("next_before", None)
        return {
            **details,
            "email_confirmed": account.email_confirmed,
            "language": account.language,
            "former_usernames": [_former_facts(each) for each in account.former_names],
            "former_emails": [_former_facts(each) for each in account.former_emails],
            **self._factor_facts(user_uuid),
            "history": [fact for record in self._whole_history(user_uuid) for fact in _record_facts(record, names)],
            "failed_logins": [{"at": to_rfc3339(each.at), **_client_facts(each)} for each in failures],
        }

    def trail(self, user_uuid: str, since: datetime) -> Iterator[Facts]:
        """Give what the history and the kept refusals tell from a moment on, as lines of the audit log, newest first.

        Refused tries come after the events.
        """
        names = self._devices.names(user_uuid)
        for record in takewhile(lambda each: each.events[-1].at >= since, self._whole_history(user_uuid)):
            for event, fact in zip(reversed(record.events), _record_facts(record, names), strict=True):
                yield {"at": "", "kind": "", "actor": _actor(event), "user_uuid": user_uuid, "reason": "", **fact}
        for failed in read_failures(self._store, user_uuid, _PAGE, self._clock()):
            if failed.at >= since:
                line = {"at": to_rfc3339(failed.at), "kind": REFUSED, "actor": UNKNOWN, "user_uuid": user_uuid}
                yield {**line, "reason": str(Code.BAD_CREDENTIALS), **_client_facts(failed)}

    def export(self, user_uuid: str) -> Facts:
        """Return all of it for the person it is about. Raises NoSuchUser."""
        account, item = AccountDb(self._store).find(user_uuid), self._store.get(SESSIONS.key(user_uuid))
        if account is None or item is None:
            raise NoSuchUser
        return {"exported_at": to_rfc3339(self._clock()), **self.everything(account, Book.from_item(item))}

    def _factor_facts(self, user_uuid: str) -> Facts:
        item = self._store.get(factor_key(user_uuid))
        factor = None if item is None else Factor.from_item(item)
        return {
            "second_factor_since": to_rfc3339(factor.since) if factor and factor.encrypted_secret else None,
            "recovery_codes_left": len(factor.recovery_code_hashes) if factor else 0,
            "passkeys": [
                {
                    "passkey_id": each.passkey_id,
                    "name": each.name,
                    "since": to_rfc3339(each.since),
                    "last_used_at": to_rfc3339(each.last_used_at) if each.last_used_at else None,
                }
                for each in (factor.passkeys if factor else ())
            ],
        }

    def _history_facts(self, user_uuid: str, names: Mapping[str, str], before: int | None, limit: int) -> Facts:
        records = read_records(self._store, user_uuid, before=before, limit=limit)
        follow = len(records) == limit and records[-1].change_no > 1
        return {
            "history": [fact for record in records for fact in _record_facts(record, names)],
            **({"next_before": records[-1].change_no} if follow else {}),
        }

    def _whole_history(self, user_uuid: str) -> Iterator[HistoryRecord]:
        before: int | None = None
        while records := read_records(self._store, user_uuid, before=before, limit=_PAGE):
            yield from records
            before = records[-1].change_no

    def _device_facts(self, book: Book) -> Sequence[Facts]:
        return [
            {
                "device_id": device.device_id,
                "device_name": device.device_name,
                "role": str(device.role),
                "registered_at": to_rfc3339(device.registered_at),
                "fingerprint": device.fingerprint,
                "not_after": to_rfc3339(device.not_after),
                "bound": device.device_id in book.devices,
                "revoked_at": None if device.revoked_at is None else to_rfc3339(device.revoked_at),
            }
            for device in self._devices.of_user(book.user_uuid)
        ]

    def _session_facts(self, book: Book, names: Mapping[str, str]) -> Sequence[Facts]:
        return [
            {
                "session_id": session.session_id,
                "device_id": session.device_id,
                "device_name": session.device_name or names.get(session.device_id),
                "login_at": to_rfc3339(session.login_at),
                "last_seen_at": to_rfc3339(session.last_seen_at),
                "ends_at": to_rfc3339(session.ends_at),
            }
            for session in live_sessions(book, self._policies.of(book).rules_for(book), self._clock())
        ]


def _actor(event: Event) -> str:
    """Return who did what an event tells: an operator, the device that is named, the suite itself, or the user."""
    if event.act is not None:
        return "operator"
    if event.by is not None:
        return f"device {event.by}"
    return "ichidai" if event.reason in _BY_THEMSELVES else "user"


def _former_facts(former: FormerName) -> Facts:
    return {"name": former.text, "left_at": to_rfc3339(former.left_at), "until": to_rfc3339(former.until)}


def _record_facts(record: HistoryRecord, names: Mapping[str, str]) -> Iterator[Facts]:
    for event in reversed(record.events):
        told = {
            "session_id": event.session_id,
            "reason": event.reason and str(event.reason),
            "by": event.by,
            "act": event.act and str(event.act),
        }
        yield {
            "change_no": record.change_no,
            "at": to_rfc3339(event.at),
            "kind": str(event.kind),
            "device_id": event.device_id,
            "device_name": event.device_name or names.get(event.device_id or ""),
            **_client_facts(record),
            **{name: text for name, text in told.items() if text},
        }


def _client_facts(told: Any) -> Facts:
    return {"ip": told.client.ip, "user_agent": told.client.user_agent}
