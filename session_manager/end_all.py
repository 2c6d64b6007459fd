"""Signing out everywhere: a user ends every other session of the account, and the own one too if asked.

The password is asked for, because a stolen access token must not be enough to put the owner out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from msgspec import Struct

from common.account.admission import AuthenticatedUser, Caller, FactorCode, Password, check_current
from common.account.book import Session
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Reason
from common.account.liveness import require_live
from common.storage.port import StoreUnavailable
from session_manager.session_service import SessionDependencies


class Reauthenticate(Protocol):
    """What signing out everywhere needs of registration: the one credential check, for a known account."""

    def __call__(self, user_uuid: str, password: Password, client: ClientInfo, otp: FactorCode) -> AuthenticatedUser:
        """Check the password and the code. Raises Refusal."""


class EndAllDependencies(Struct, frozen=True):
    """What the use case works with."""

    sessions: SessionDependencies
    reauthenticate: Reauthenticate


class EndAllForm(Struct, frozen=True):
    """The password, a code where the account has a second factor, and whether this session ends too."""

    password: Password
    otp: FactorCode
    this_session: bool
    client: ClientInfo


def end_all(dependencies: EndAllDependencies, caller: Caller, form: EndAllForm) -> Sequence[tuple[Session, str | None]]:
    """End the account's sessions in one commit; return those that ended, earliest login first, with device names.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone; StoreUnavailable.
    """
    user = dependencies.reauthenticate(caller.user_uuid, form.password, form.client, form.otp)
    sessions, own_id = dependencies.sessions, caller.session.session_id

    def end(snapshot: Snapshot) -> TransactionResult[tuple[Session, ...]]:
        own = require_live(snapshot.book, own_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        by, kept = own.device_id, () if form.this_session else (own_id,)
        draft = snapshot.draft.without_expired(snapshot.rules, snapshot.now)
        ending = tuple(each for each in draft.book.in_order() if each.session_id not in kept)
        draft = draft.all_ended(Reason.REVOKED, snapshot.rules, snapshot.now, by=by, but=kept)
        return TransactionResult(ending, draft if draft.events else None)

    ended = sessions.transactions.run(caller.user_uuid, end, client=form.client)
    names: dict[str, str] = {}
    with suppress(StoreUnavailable):  # the sessions have ended: a store that fails now costs the names only
        names |= sessions.names(caller.user_uuid)
    return [(session, session.device_name or names.get(session.device_id)) for session in ended]
