"""A mail on its way: what is stored of it until it is sent, and when it is tried again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, sortable, to_millis
from common.storage.port import Absent, Equals, Item, Key, Put
from common.storage.stored_form import More, carried
from common.storage.tables import MAILS

QUEUE = "outgoing"
KEPT = timedelta(hours=24)
"""How long a mail is tried."""

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)


class MailKind(StrEnum):
    """What a mail, or a link in one, is about."""

    CONFIRM = "confirm"
    RESET = "reset"
    CHANGE = "change"
    TAKEN = "taken"
    NOTICE = "notice"
    ACTED = "acted"
    DISOWN = "disown"


class QueuedMail(Struct, frozen=True):
    """A mail that waits. `mail_id` makes its Message-ID, the same at every try; `due` is when it is tried next.

    `link` is empty where it has none; `aside` is a second one; `facts`: what a notice tells of. The link of a notice
    takes the change `change_no` of `user_uuid` back; it is made when it is sent: what lets it wait may have no keys.
    """

    mail_id: str
    kind: MailKind
    to: str
    username: str
    language: str
    link: str
    due: datetime
    until: datetime
    attempts: int = 0
    aside: str = ""
    facts: Mapping[str, str] = {}
    user_uuid: str = ""
    change_no: int = 0
    more: More = {}

    @property
    def key(self) -> Key:
        """Where it lies: in the order in which mails were added."""
        return MAILS.key(QUEUE, f"{sortable(to_millis(self.until))}#{self.mail_id}")

    def put(self) -> Put:
        """Return the write of a mail that was not there."""
        return Put(MAILS, self.to_item(), Absent())

    def taken(self, now: datetime) -> tuple[QueuedMail, Put]:
        """Return it as one worker takes it for the next try, and the write: it fails if a second worker was quicker.

        Taking and pausing are one: it is due again after the pause, unless it was sent and removed before.
        """
        pause = min(_FIRST_PAUSE * 2**self.attempts, _LONGEST_PAUSE)
        later = replace(self, due=now + pause, attempts=self.attempts + 1)
        return later, Put(MAILS, later.to_item(), Equals("attempts", self.attempts))

    def to_item(self) -> Item:
        """Write it as an item of MailsTable."""
        return {
            **self.more,
            "queue": QUEUE,
            "id": self.key.sort,
            "mail_id": self.mail_id,
            "kind": str(self.kind),
            "to": self.to,
            "username": self.username,
            "language": self.language,
            "link": self.link,
            **({"aside": self.aside} if self.aside else {}),
            **({"facts": dict(self.facts)} if self.facts else {}),
            **({"user_uuid": self.user_uuid, "change_no": self.change_no} if self.user_uuid else {}),
            "due": to_millis(self.due),
            "attempts": self.attempts,
            "expires_at": to_millis(self.until),
        }

    @staticmethod
    def from_item(item: Any) -> QueuedMail | None:
        """Read what `to_item` wrote; None for a kind of mail that only a later release can send: it is left to that."""
        if item["kind"] not in set(MailKind):
            return None
        return QueuedMail(
            mail_id=item["mail_id"],
            kind=MailKind(item["kind"]),
            to=item["to"],
            username=item["username"],
            language=item["language"],
            link=item["link"],
            due=from_millis(item["due"]),
            until=from_millis(item["expires_at"]),
            attempts=item["attempts"],
            aside=item.get("aside", ""),
            facts=item.get("facts", {}),
            user_uuid=item.get("user_uuid", ""),
            change_no=item.get("change_no", 0),
            more=carried(item, _KNOWN),
        )


_KNOWN = frozenset(
    (
        *("queue", "id", "mail_id", "kind", "to", "username", "language", "link", "due", "attempts"),
        *("expires_at", "aside", "facts", "user_uuid", "change_no"),
    )
)
