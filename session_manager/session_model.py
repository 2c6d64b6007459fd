"""What may become of a session: made, refreshed, seen. Pure rules over a draft of the book."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from common.admission import Newcomer
from common.book import Session
from common.draft import Draft
from common.history import Event, Kind, Reason

REFRESH_GRACE = timedelta(seconds=10)
"""How long the previous refresh token still answers with the same successor: a lost answer must not end a session."""

TOUCH_EVERY = timedelta(minutes=1)
"""How often activity is written down at most."""


def opened(draft: Draft, newcomer: Newcomer, session_id: str, now: datetime, lifetime: timedelta) -> Draft:
    """Return the draft with a new session of the newcomer, recorded; the device's own earlier one is replaced by it."""
    earlier = draft.book.session_of(newcomer.device_id)
    if earlier is not None:
        draft = draft.ended(earlier, Reason.REPLACED, now, by=newcomer.device_id)
    session = Session(
        session_id=session_id,
        device_id=newcomer.device_id,
        seq=draft.book.version + 1,
        login_at=now,
        auth_time=newcomer.auth_time,
        last_seen_at=now,
        ends_at=now + lifetime,
        device_name=newcomer.device_name,
        thumbprint=newcomer.thumbprint,
        certified=newcomer.certified,
    )
    login = Event(Kind.LOGIN, now, session.device_id, session_id, device_name=session.device_name)
    return draft.with_book(draft.book.opened(session), login)


class Rotated(Struct, frozen=True):
    """The refresh token was the current one: the session has a new generation."""

    session: Session


class Repeated(Struct, frozen=True):
    """The refresh token was the one before, within the grace: its successor is the current one."""

    session: Session


class Reused(Struct, frozen=True):
    """The refresh token was used up long ago: somebody else has it."""


Rotation: TypeAlias = Rotated | Repeated | Reused


def rotate(session: Session, generation: int, now: datetime) -> Rotation:
    """Judge a refresh token of some generation of a live session (RFC 9700, section 4.14.2)."""
    if generation == session.generation:
        return Rotated(replace(session, generation=generation + 1, rotated_at=now))
    in_grace = session.rotated_at is not None and now <= session.rotated_at + REFRESH_GRACE
    if generation == session.generation - 1 and in_grace:
        return Repeated(session)
    return Reused()


def is_worth_a_touch(session: Session, idle: timedelta, now: datetime) -> bool:
    """Say whether activity at `now` should be written down: once a minute, oftener where the idle time is short."""
    return now - session.last_seen_at >= min(TOUCH_EVERY, idle / 10)
