"""What an account is, how names are compared, and which passwords are refused. Pure."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Container
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.crypto.passwords import PasswordHash
from common.errors import Code, Refusal
from common.storage.port import Item
from common.storage.stored_form import More, UnknownForm, carried

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024

FORMER_KEPT, MOST_FORMER = timedelta(days=7), 3
"""How long a replaced password helps its owner back in; the oldest stay, so that nobody pushes them out."""

MOST_OBJECTIONS = 16
"""Kept of an account one by one."""

_LONGEST_IN_CLAIM = 1000


class IdempotencyRecord(Struct, frozen=True):
    """How a registration whose answer was lost may be repeated.

    `key_hash`: SHA-256 (hex) of the client's idempotency key; until `until`, and only while the book's change number is
    still `change_no`, that is, while nothing has happened since.
    """

    key_hash: str
    until: datetime
    change_no: int
    more: More = {}

    def to_item(self) -> Item:
        """Write it as an attribute of the account's item."""
        return {**self.more, "key_hash": self.key_hash, "until": to_millis(self.until), "change_no": self.change_no}

    @staticmethod
    def from_item(item: Any) -> IdempotencyRecord:
        """Read what `to_item` wrote."""
        more = carried(item, _REPEATABLE)
        return IdempotencyRecord(item["key_hash"], from_millis(item["until"]), item["change_no"], more)


class FormerPassword(Struct, frozen=True):
    """A password that was in force, and until when it helps its owner to recover the account."""

    password: PasswordHash
    until: datetime
    more: More = {}


class FormerName(Struct, frozen=True):
    """A mail address or username of before, since when it is not the account's, and until when it may be taken back."""

    text: str
    left_at: datetime
    until: datetime
    more: More = {}

    def to_item(self) -> Item:
        """Write it as a part of the account's item."""
        return {**self.more, "text": self.text, "left_at": to_millis(self.left_at), "until": to_millis(self.until)}

    @staticmethod
    def from_item(item: Any) -> FormerName:
        """Read what `to_item` wrote."""
        more = carried(item, _FORMER_NAME)
        return FormerName(item["text"], from_millis(item["left_at"]), from_millis(item["until"]), more)


class Objection(Struct, frozen=True):
    """Changes that were taken back, by their numbers: from the one that was objected to, to the last before that.

    Kept `until` none of them can be objected to any more.
    """

    first: int
    last: int
    until: datetime


class Account(Struct, frozen=True):
    """A registered person. `credential_version` is the credential epoch that the password's hash belongs to.

    `email` is empty where its holder said that the account is another's. `email_since`: when it came in the place of
    another one. `has_factor`: the password alone proves nothing; FactorsTable has the rest. `former`: passwords of
    before; `former_emails`: confirmed addresses, `former_names`: usernames of before. `reset_required`: the password
    alone opens nothing until a new one is set. `language`: of the user, as the browser told when the address was
    confirmed. `invitation`: the claim of the one that let it register. `more`, here and in its parts: what a later
    release wrote.
    """

    uuid: str
    username: str
    email: str
    password: PasswordHash
    credential_version: int
    created_at: datetime
    idempotency: IdempotencyRecord | None = None
    has_factor: bool = False
    former: tuple[FormerPassword, ...] = ()
    email_confirmed: bool = False
    email_since: datetime | None = None
    former_emails: tuple[FormerName, ...] = ()
    former_names: tuple[FormerName, ...] = ()
    reset_required: bool = False
    objections: tuple[Objection, ...] = ()
    language: str = "en"
    invitation: str | None = None
    more: More = {}

    def with_password(self, password: PasswordHash, credential_version: int, now: datetime) -> Account:
        """Return it with a new password in force; the one of before is kept for its owner to recover the account."""
        kept = tuple(each for each in self.former if now < each.until)
        former = (*kept, FormerPassword(self.password, now + FORMER_KEPT))[:MOST_FORMER]
        return replace(
            self, password=password, credential_version=credential_version, former=former, reset_required=False
        )

    def with_email(self, email: str, now: datetime) -> Account:
        """Return it with another address, which is confirmed; one that was confirmed before is kept for some days."""
        former = tuple(each for each in self.former_emails if now < each.until and fold(each.text) != fold(email))
        if self.email_confirmed:
            former = (*former, FormerName(self.email, now, now + FORMER_KEPT))[:MOST_FORMER]
        return replace(self, email=email, email_confirmed=True, email_since=now, former_emails=former)

    def goes_by(self, claim: str, now: datetime) -> bool:
        """Say whether a name or a mail, as it is claimed, is the account's or may be taken back by it."""
        names = (self.username, *(each.text for each in self.former_names if now < each.until))
        mails = (self.email, *(each.text for each in self.former_emails if now < each.until))
        return claim in (*map(name_claim, names), *map(mail_claim, filter(None, mails)))

    def username_at(self, moment: datetime) -> str:
        """Return the name that was the account's before it was changed at or after a moment."""
        return next((each.text for each in self.former_names if each.left_at >= moment), self.username)

    def email_at(self, moment: datetime) -> str | None:
        """Return the confirmed address that was the account's before it was changed at or after a moment, if any."""
        if self.email_since is None or self.email_since < moment:
            return self.email if self.email_confirmed else None
        return next((each.text for each in self.former_emails if each.left_at >= moment), None)

    def with_objection(self, objection: Objection, now: datetime) -> Account:
        """Return it once something was taken back; of very many objections the oldest become one."""
        kept = [*(each for each in self.objections if now < each.until), objection]
        while len(kept) > MOST_OBJECTIONS:
            one, other, *kept = kept
            kept = [Objection(min(one.first, other.first), max(one.last, other.last), other.until), *kept]
        return replace(self, objections=tuple(kept))

    def has_objection_to(self, change_no: int) -> bool:
        """Say whether a change was taken back already."""
        return any(each.first <= change_no <= each.last for each in self.objections)

    def to_item(self) -> Item:
        """Write the account as an item of UsersTable."""
        idempotency = self.idempotency
        former: list[Any] = [
            {**each.more, "password": each.password.to_item(), "until": to_millis(each.until)} for each in self.former
        ]
        emails, names = ([each.to_item() for each in kept] for kept in (self.former_emails, self.former_names))
        objections: list[Any] = [[each.first, each.last, to_millis(each.until)] for each in self.objections]
        return {
            **self.more,
            **({"former": former} if former else {}),
            **({"email_confirmed": True} if self.email_confirmed else {}),
            **({"email_since": to_millis(self.email_since)} if self.email_since else {}),
            **({"former_emails": emails} if emails else {}),
            **({"former_names": names} if names else {}),
            **({"reset_required": True} if self.reset_required else {}),
            **({"objections": objections} if objections else {}),
            **({"language": self.language} if self.language != "en" else {}),
            **({"invitation": self.invitation} if self.invitation else {}),
            "uuid": self.uuid,
            "book_version": 0,  # the version of the book that it follows from
            "username": self.username,
            "email": self.email,
            "password": self.password.to_item(),
            "epoch": self.credential_version,
            "created_at": to_millis(self.created_at),
            "repeatable": None if idempotency is None else idempotency.to_item(),
            "has_factor": self.has_factor,
        }

    @staticmethod
    def from_item(item: Any) -> Account:
        """Read what `to_item` wrote. Raises UnknownForm."""
        fields = item["repeatable"]
        return Account(
            uuid=item["uuid"],
            username=item["username"],
            email=item["email"],
            password=_password(item["password"]),
            credential_version=item["epoch"],
            created_at=from_millis(item["created_at"]),
            idempotency=None if fields is None else IdempotencyRecord.from_item(fields),
            has_factor=item.get("has_factor", False),
            former=tuple(
                FormerPassword(_password(each["password"]), from_millis(each["until"]), carried(each, _FORMER))
                for each in item.get("former", ())
            ),
            email_confirmed=item.get("email_confirmed", False),
            email_since=from_millis(item["email_since"]) if "email_since" in item else None,
            former_emails=tuple(map(FormerName.from_item, item.get("former_emails", ()))),
            former_names=tuple(map(FormerName.from_item, item.get("former_names", ()))),
            reset_required=item.get("reset_required", False),
            objections=tuple(
                Objection(first, last, from_millis(until)) for first, last, until in item.get("objections", ())
            ),
            language=item.get("language", "en"),
            invitation=item.get("invitation"),
            more=carried(item, _ACCOUNT),
        )


def _password(item: Any) -> PasswordHash:
    try:
        return PasswordHash.from_item(item)
    except ValueError as error:
        raise UnknownForm(f"{error}: update this release") from None


_ACCOUNT = frozenset(
    (
        *("uuid", "username", "email", "password", "epoch", "created_at", "repeatable", "has_factor", "former"),
        *("email_confirmed", "email_since", "former_emails", "former_names", "reset_required", "objections"),
        *("language", "book_version", "invitation"),
    )
)
_REPEATABLE = frozenset(("key_hash", "until", "change_no"))
_FORMER = frozenset(("password", "until"))
_FORMER_NAME = frozenset(("text", "left_at", "until"))


def fold(name: str) -> str:
    """Return the form in which names and mails are compared: NFKC(casefold(NFKC(x))) (Unicode 3.13, D147 in spirit)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def name_claim(username: str) -> str:
    """Return the key under which a username is unique."""
    return _claim("name", username)


def mail_claim(email: str) -> str:
    """Return the key under which a mail address is unique."""
    return _claim("mail", email)


def _claim(kind: str, name: str) -> str:
    """Return the folded name as a key, or its hash: folding makes some letters eighteen, and a key has 1,024 bytes."""
    folded = fold(name)
    raw = folded.encode()
    return f"{kind}#{folded}" if len(raw) <= _LONGEST_IN_CLAIM else f"{kind}-sha256#{hashlib.sha256(raw).hexdigest()}"


def normal_password(password: str) -> str:
    """Return a password as it is measured and hashed: NFC, so that two keyboards write the same one."""
    return unicodedata.normalize("NFC", password)


def password_fault(password: str, username: str, email: str, common: Container[str]) -> str | None:
    """Say what is wrong with a new password (`short`, `long`, `common`, `personal`), or None.

    `common` holds folded passwords that are tried first. After NIST SP 800-63B, section 5.1.1.2.
    """
    normal = normal_password(password)
    if len(normal) < SHORTEST_PASSWORD:
        return "short"
    if len(normal) > LONGEST_PASSWORD:
        return "long"
    if fold(normal) in common:
        return "common"
    if fold(normal) in (fold(username), fold(email)):
        return "personal"
    return None


def check_password(password: str, username: str, email: str, common: Container[str]) -> None:
    """Raise Refusal(WEAK_PASSWORD) with `fault` unless the password may be set. See `password_fault`."""
    fault = password_fault(password, username, email, common)
    if fault is not None:
        raise Refusal(Code.WEAK_PASSWORD, fault=fault)
