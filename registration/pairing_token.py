"""Pairing tokens: the one-time secret that a registered device shows as a QR code, so that another device may join.

A token lives ten minutes, works once, is stored only as its hash, and dies with whatever it was issued under: the
device, the session, the password. Reading and judging it are separate from using it up, which the joining device's own
change does by a mark in the book.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

import orjson
from msgspec import Struct

from common.account.book import Book, BoundDevice
from common.account.devices import PairingTicket
from common.account.liveness import SessionRules, end_reason
from common.account.marks import Mark, mark_of, use
from common.clock import from_millis, to_millis, to_rfc3339
from common.errors import Code, Refusal
from common.ids import is_id, new_secret
from common.storage.port import Absent, Item, Put
from common.storage.tables import PAIRING_TOKENS

LIFETIME = timedelta(minutes=10)
MOST_USED = 16
"""How many used tokens an account may have before the first of them can be forgotten."""

_OPEN = "open"  # earlier releases wrote another state into a token that was used
_LONGEST_QR = 4096
_IN_LINK = "join="
"""What stands before the code in the fragment of a link that opens the console with it."""


class IssuedPairing(Struct, frozen=True):
    """A new token: the text of its QR code, when it expires, and the write that makes it good. Lives in memory only."""

    token: str
    qr_code: str
    expires_at: datetime
    row: Put


def issue(
    book: Book, device: BoundDevice, rules: SessionRules, now: datetime, *, name_certificate: bool = False
) -> IssuedPairing:
    """Make a token that `device` shows; with `name_certificate` its QR code names the device's certificate too.

    It is issued from the device's live session, if there is one; one that is dead and still in the book is none.
    """
    token, expires_at = new_secret(), now + LIFETIME
    session = book.session_of(device.device_id)
    if session is not None and end_reason(book, session, rules, now) is not None:
        session = None
    item: Item = {
        "token_hash": _hash(token),
        "user_uuid": book.user_uuid,
        "epoch": book.credential_version,
        "device_id": device.device_id,
        "session_id": None if session is None else session.session_id,
        "state": _OPEN,
        "expires_at": to_millis(expires_at),
        **({"generation": book.generation} if book.generation else {}),
    }
    shown = {"uuid": book.user_uuid, "token": token}
    if name_certificate:
        shown |= {"fingerprint": device.fingerprint, "not_after": to_rfc3339(device.not_after)}
    return IssuedPairing(token, _encode(shown), expires_at, Put(PAIRING_TOKENS, item, Absent()))


def issue_by_operator(book: Book, now: datetime, lifetime: timedelta) -> IssuedPairing:
    """Make a token that no device shows: an operator hands it to the user of an account that has no device yet."""
    token, expires_at = new_secret(), now + lifetime
    item: Item = {
        "token_hash": _hash(token),
        "user_uuid": book.user_uuid,
        "epoch": book.credential_version,
        "device_id": None,
        "session_id": None,
        "state": _OPEN,
        "expires_at": to_millis(expires_at),
    }
    code = _encode({"uuid": book.user_uuid, "token": token})
    return IssuedPairing(token, code, expires_at, Put(PAIRING_TOKENS, item, Absent()))


def read(qr_code: str, user_uuid: str) -> PairingTicket:
    """Read a QR code's text: the code itself, or the link that ends with it.

    Raises Refusal: QR_INVALID, or PAIRING_TOKEN_FOREIGN when it names another user.
    """
    shown = _decode(qr_code)
    uuid, token, fingerprint = shown.get("uuid"), shown.get("token"), shown.get("fingerprint")
    if not isinstance(uuid, str) or not is_id(uuid) or not isinstance(token, str) or not token:
        raise Refusal(Code.QR_INVALID, reason="no uuid or token")
    if uuid != user_uuid:
        raise Refusal(Code.PAIRING_TOKEN_FOREIGN)
    key = PAIRING_TOKENS.key(_hash(token))
    if fingerprint is None and "not_after" not in shown:
        return PairingTicket(key)
    if not isinstance(fingerprint, str):
        raise Refusal(Code.QR_INVALID, reason="fingerprint")
    return PairingTicket(key, fingerprint, _time(shown.get("not_after")))


def redeem(ticket: PairingTicket, item: Any, book: Book, rules: SessionRules, now: datetime) -> Mark:
    """Judge a token (`item`: what lies at the ticket's key) and return the mark that it is used.

    Its row stays until it expires. Raises Refusal: PAIRING_TOKEN_FOREIGN, PAIRING_TOKEN_SPENT, QR_INVALID,
    TOO_MANY_ATTEMPTS (16 in eleven minutes).
    """
    if item is None:
        raise Refusal(Code.PAIRING_TOKEN_SPENT, reason="unknown")
    if item["user_uuid"] != book.user_uuid:
        raise Refusal(Code.PAIRING_TOKEN_FOREIGN)
    if item["state"] != _OPEN or from_millis(item["expires_at"]) <= now or item["epoch"] != book.credential_version:
        raise Refusal(Code.PAIRING_TOKEN_SPENT, reason="used, expired or of an old password")
    if item.get("generation", 0) < book.generation:
        raise Refusal(Code.PAIRING_TOKEN_SPENT, reason="of before the store's generation")
    issuer = None if item["device_id"] is None else _issuer(item, book, rules, now)
    if ticket.fingerprint is not None and (issuer is None or not _names(ticket, issuer)):
        raise Refusal(Code.QR_INVALID, reason="it names another certificate")
    mark = mark_of("p", ticket.key.partition, from_millis(item["expires_at"]))
    return use(book.marks, mark, MOST_USED, now, Code.PAIRING_TOKEN_SPENT)


def _issuer(item: Any, book: Book, rules: SessionRules, now: datetime) -> BoundDevice:
    """Return the device that issued the token, if it still may and the session it had then is still live."""
    device = book.active_device(item["device_id"])
    if device is None:
        raise Refusal(Code.PAIRING_TOKEN_SPENT, reason="its device was unbound, or its certificate revoked")
    if item["session_id"] is not None:
        session = book.sessions.get(item["session_id"])
        if session is None or end_reason(book, session, rules, now) is not None:
            raise Refusal(Code.PAIRING_TOKEN_SPENT, reason="the session it was issued from has ended")
    return device


def _names(ticket: PairingTicket, issuer: BoundDevice) -> bool:
    return ticket.fingerprint == issuer.fingerprint and ticket.not_after == issuer.not_after


def _encode(shown: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(shown)).rstrip(b"=").decode()


def _decode(qr_code: str) -> dict[str, Any]:
    code = qr_code.strip().rpartition("#")[2].removeprefix(_IN_LINK)
    text = code.translate(str.maketrans("+/", "-_")).rstrip("=")
    try:
        if len(text) > _LONGEST_QR:
            raise ValueError(len(text))
        shown = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except ValueError:
        raise Refusal(Code.QR_INVALID, reason="not base64 of JSON") from None
    if not isinstance(shown, dict):
        raise Refusal(Code.QR_INVALID, reason="not an object")
    return shown


def _time(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(text)
    except (TypeError, ValueError):
        raise Refusal(Code.QR_INVALID, reason="not_after") from None
    return moment


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
