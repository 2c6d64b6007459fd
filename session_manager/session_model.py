"""What may become of a session: made, refreshed, seen. Pure rules over a draft of the book."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import LoginCandidate
from common.account.book import Session
from common.account.draft import Draft
from common.account.history import Event, EventKind, Reason
from common.account.liveness import SessionRules

REFRESH_GRACE = timedelta(seconds=10)
"""How long the previous refresh token still answers with the same successor: a lost answer must not end a session."""


def opened(draft: Draft, candidate: LoginCandidate, session_id: str, now: datetime, lifetime: timedelta) -> Draft:
    """Return the draft with a candidate's new session, recorded; the device's own earlier one is replaced by it."""
    earlier = draft.book.session_of(candidate.device_id)
    if earlier is not None:
        draft = draft.ended(earlier, Reason.REPLACED, now, by=candidate.device_id)
    session = Session(
        session_id=session_id,
        device_id=candidate.device_id,
        seq=draft.book.version + 1,
        login_at=now,
        auth_time=candidate.user.password_checked_at,
        last_seen_at=now,
        ends_at=now + lifetime,
        device_name=candidate.device_name,
        thumbprint=candidate.thumbprint,
        certified=candidate.certified,
    )
    login = Event(EventKind.LOGIN, now, session.device_id, session_id, device_name=session.device_name)
    return draft.with_book(draft.book.opened(session), login)


class Rotated(Struct, frozen=True):
    """The refresh token was the current one: the session has a new generation."""

    session: Session


class Repeated(Struct, frozen=True):
    """The refresh token was the one before, within the grace: its successor is the current one."""

    session: Session


class Voided(Struct, frozen=True):
    """The refresh token was given before the password was changed: good for nothing, and no sign of a theft."""


class Reused(Struct, frozen=True):
    """The refresh token was used up long ago: it was copied."""


Rotation: TypeAlias = Rotated | Repeated | Reused


def rotate(session: Session, generation: int, now: datetime) -> Rotation | Voided:
    """Judge a refresh token of some generation of a live session (RFC 9700, section 4.14.2)."""
    if session.void_below and generation < session.void_below:
        return Voided()
    if generation == session.generation:
        return Rotated(replace(session, generation=generation + 1, rotated_at=now))
    in_grace = session.rotated_at is not None and now <= session.rotated_at + REFRESH_GRACE
    if generation == session.generation - 1 and in_grace:
        return Repeated(session)
    return Reused()


def is_touch_due(session: Session, rules: SessionRules, now: datetime) -> bool:
    """Say whether activity at `now` should be written down: it is later than what is written by `seen_every`."""
    return session.last_seen_at < now and touch_due_at(session, rules) <= now


def touch_due_at(session: Session, rules: SessionRules) -> datetime:
    """Return the moment before which activity is not written down: what is written is fresh enough."""
    return session.last_seen_at + rules.seen_every
