"""What a device is given when it is let in or refreshes: values that cross between login, sessions and devices."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from common.book import Session
from common.draft import Draft


class Grant(Struct, frozen=True):
    """A live session with its tokens. `expires_in`: whole seconds until the access token expires."""

    user_uuid: str
    session: Session
    access_token: str
    refresh_token: str
    expires_in: int


class Caller(Struct, frozen=True):
    """Who calls with a good access token: the user, the session as the book has it, and the token's own end."""

    user_uuid: str
    username: str
    session: Session
    expires_at: datetime


class Admitted(Struct, frozen=True):
    """A newcomer is in: the draft that says so, its new session, and the sessions of other devices that it ended."""

    draft: Draft
    session: Session
    evicted: tuple[Session, ...]


class Welcome(Struct, frozen=True):
    """What a device is told once its login is durable: its tokens, and whom it ended, each with its device's name."""

    grant: Grant
    evicted: tuple[tuple[Session, str | None], ...]
