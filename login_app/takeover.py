"""The takeover: a login's second half, when the person was asked and has consented."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from common.admission import LimitReached, Newcomer
from common.book import Book, BoundDevice
from common.bookkeeping import Change, NoSuchUser, Snapshot
from common.challenge import Signed, reading
from common.devices import HeldCertificate
from common.errors import Code, Refusal
from common.granting import Admitted
from common.history import Origin
from common.ids import new_id
from common.possession import reading as reading_possession
from common.possession import used_up
from common.proofs import Proof, Purpose, token_digest
from login_app.entry import check_unspent
from login_app.login import Desk, LoggedIn, NoSuchDevice, device_with, has_proven, welcome
from login_app.takeover_token import Asker


class TakeoverForm(Struct, frozen=True):
    """A person's consent, sent by the device that asked. `fingerprint` as in `LoginForm`."""

    takeover_token: str
    fingerprint: str | None
    origin: Origin
    proof: Proof | None = None
    held: HeldCertificate | None = None


def take_over(desk: Desk, form: TakeoverForm) -> LoggedIn:
    """Log in on a consent: end exactly the sessions that were shown, if nobody else is active now.

    Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, CERTIFICATE_EXPIRED, PROOF_REQUIRED,
    PROOF_INVALID, CHALLENGE_SPENT, INVALID_DPOP_PROOF, DEVICE_ACTIVE (the question anew, nobody was ended), BUSY;
    StoreUnavailable.
    """
    takeover = desk.entry.read(form.takeover_token)
    asker, consent, possession = takeover.asker, takeover.consent, form.origin.possession
    if asker.thumbprint not in (None, form.origin.thumbprint):
        raise Refusal(Code.DEVICE_MISMATCH, reason="another key")
    session_id = new_id()

    def returning(snapshot: Snapshot) -> BoundDevice | None:
        check_unspent(snapshot.book, consent, snapshot.now)
        device = None if asker.device_name else _same_device(snapshot.book, form.fingerprint, asker, snapshot.now)
        if asker.certified and not desk.entry.binds(device, form.held):
            raise Refusal(Code.DEVICE_MISMATCH, reason="without its certificate")
        return device

    def enter(snapshot: Snapshot, signed: Signed | None) -> Change[tuple[Admitted, str]]:
        device = returning(snapshot)
        spent = (*desk.challenges.spend(signed, device, snapshot, form.held), *used_up(possession, snapshot.items))
        bound_to = (form.origin.thumbprint, desk.entry.binds(device, form.held))
        shown = has_proven(signed, device, form.held)
        newcomer = Newcomer(asker.subject, asker.auth_time, asker.device_name, *bound_to, proven=shown)
        admitted = desk.entry.admit(snapshot.draft, newcomer, consent, session_id, snapshot.now)
        return Change((admitted, device.fingerprint if device else asker.subject), admitted.draft, spent)

    try:
        signed = None
        if form.proof is not None:
            desk.bookkeeper.preview(asker.user_uuid, lambda snapshot: Change(returning(snapshot)))
            digest = token_digest(form.takeover_token)
            signed = desk.challenges.check(form.proof, Purpose.TAKEOVER, user_uuid=asker.user_uuid, token_hash=digest)
        admitted, mark = desk.bookkeeper.change(
            asker.user_uuid,
            lambda snapshot: enter(snapshot, signed),
            reading=(*reading_possession(possession), *reading(signed)),
            origin=form.origin,
        )
    except NoSuchUser:
        raise Refusal(Code.TAKEOVER_SPENT, reason="no book") from None
    except LimitReached as reached:
        raise desk.entry.question(asker, reached) from None
    return welcome(desk, asker.user_uuid, asker.username, admitted, form.origin, mark)


def _same_device(book: Book, fingerprint: str | None, asker: Asker, now: datetime) -> BoundDevice:
    """Return the device that asked, if it is the one that now answers."""
    try:
        device = device_with(fingerprint or _fingerprint_of(book, asker), book, now)
    except NoSuchDevice:
        raise Refusal(Code.DEVICE_MISMATCH, reason="no bound device") from None
    if device.device_id != asker.subject:
        raise Refusal(Code.DEVICE_MISMATCH, reason="another device")
    return device


def _fingerprint_of(book: Book, asker: Asker) -> str:
    """Return the asking device's fingerprint, for a takeover that needs the token alone."""
    device = book.standing(asker.subject)
    return "" if device is None else device.fingerprint
