"""The challenge login: a device is asked for a signature, and logs in by it."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from msgspec import Struct

from common.admission import Proven
from common.book import Book, BoundDevice
from common.challenge import Asked
from common.devices import HeldCertificate
from common.errors import Code, Refusal
from common.history import Origin
from common.proofs import Proof, Purpose
from login_app.login import Arrival, Desk, LoggedIn, NoSuchDevice, arrive, device_with, look_at


class ChallengeForm(Struct, frozen=True):
    """A device that asks to be challenged. It names itself by its fingerprint, and says what it will sign for."""

    name: str
    by_email: bool
    password: str
    fingerprint: str
    purpose: Purpose
    origin: Origin
    otp: str | None = None


def ask_challenge(desk: Desk, form: ChallengeForm) -> Asked:
    """Check the password and the certificate, and give the device what it must sign.

    A certificate that has expired is fine for a renewal alone, and so is the one before the present one: its device
    never had the answer to a renewal. Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS,
    OTP_REQUIRED, OTP_INVALID, CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED, BUSY; StoreUnavailable.
    """
    proven = desk.credentials.prove(
        form.name, form.password, form.origin, by_email=form.by_email, device_mark=form.fingerprint, otp=form.otp
    )
    find = partial(device_with, form.fingerprint)
    if form.purpose is Purpose.RENEW:
        successor = desk.successor_of(proven.user_uuid, form.fingerprint)
        find = partial(_renewable, form.fingerprint, successor)
    device = look_at(desk, proven, find)
    return desk.challenges.ask(proven, device.device_id, form.purpose)


def answer_challenge(desk: Desk, proof: Proof, origin: Origin, held: HeldCertificate | None = None) -> LoggedIn:
    """Log in the device that signed a challenge for `login` or `force`: its password was checked when it asked.

    Raises Refusal: PROOF_INVALID, CHALLENGE_SPENT, BAD_CREDENTIALS (the password was changed since),
    CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED, FORCE_DISABLED, DEVICE_ACTIVE (the question), BUSY; StoreUnavailable.
    """
    signed = desk.challenges.check(proof, Purpose.LOGIN, Purpose.FORCE)
    asked = signed.challenge
    proven = Proven(asked.user_uuid, asked.username, asked.epoch, asked.auth_time)
    find = partial(_device_of, asked.device_id)
    return arrive(desk, Arrival(proven, find, signed, asked.purpose is Purpose.FORCE, origin, held=held))


def _renewable(fingerprint: str, successor: str | None, book: Book, _now: datetime) -> BoundDevice:
    """Return the bound device with this certificate, expired or not, or that had it before its present one."""
    device = book.device_with(fingerprint) or book.standing(successor or "")
    if device is None:
        raise NoSuchDevice(fingerprint)
    return device


def _device_of(device_id: str, book: Book, now: datetime) -> BoundDevice:
    device = book.devices.get(device_id)
    if device is None:
        raise Refusal(Code.CERTIFICATE_REVOKED, reason="unbound since it asked")
    return device_with(device.fingerprint, book, now)
