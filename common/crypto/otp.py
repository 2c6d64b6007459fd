"""One-time codes: TOTP (RFC 6238) as authenticator apps make them, recovery codes, and how both are kept.

Six digits, SHA-1, steps of 30 seconds: what every authenticator app can do. A secret is kept sealed (AES-256-GCM), a
recovery code as its MAC; each is bound to its user, so that the row of one account is of no use in another's.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from common.clock import to_millis

STEP_SECONDS = 30
DIGITS = 6
DRIFT = 1
"""By how many steps a phone's clock may be ahead or behind (RFC 6238, section 5.2: one is enough for the way)."""

RECOVERY_CODES = 10
_SECRET_BYTES = 20  # RFC 4226, section 4: 160 bits
_RECOVERY_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32: no letter that looks like a digit
_RECOVERY_LETTERS = 12  # 60 bits
_GROUP = 4
_LOOKS_LIKE = str.maketrans("OIL", "011")
_NONCE_BYTES = 12


class UnreadableSecret(Exception):
    """A sealed secret does not open: of another user, of other keys, or altered."""


def new_secret() -> bytes:
    """Make the secret that an account and an authenticator app share."""
    return secrets.token_bytes(_SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """Return a secret in base32, as it is typed into an app."""
    return base64.b32encode(secret).decode()


def read_secret(text: str) -> bytes:
    """Read what `secret_text` wrote."""
    return base64.b32decode(text)


def provisioning_uri(secret: bytes, username: str, issuer: str) -> str:
    """Return the `otpauth://` address that an app reads out of a QR code."""
    return _totp(secret).get_provisioning_uri(username, issuer).replace("+", "%20")  # a space, to every app


def step_at(now: datetime) -> int:
    """Return the number of the time step (T of RFC 6238) that `now` lies in."""
    return to_millis(now) // (STEP_SECONDS * 1000)


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a time step."""
    return _totp(secret).generate(step * STEP_SECONDS).decode()


def matching_step(secret: bytes, code: str, now: datetime, after: int) -> int | None:
    """Return the step whose code this is, within the drift and later than `after`; None if there is none.

    All candidates are compared, each in constant time.
    """
    middle = step_at(now)
    steps = range(middle - DRIFT, middle + DRIFT + 1)
    found = [step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())]
    return next((step for step in found if step > after), None)


def normal_code(text: str) -> str:
    """Return a code as it is compared: NFKC (full-width digits are digits), capitals, without spaces and hyphens."""
    normal = unicodedata.normalize("NFKC", text).upper()
    return "".join(letter for letter in normal if not letter.isspace() and letter not in "-\u2010\u2011\u2212")


def is_recovery_code(code: str) -> bool:
    """Say whether a normal code has a recovery code's form; any other is judged as one of an app."""
    return len(code) == _RECOVERY_LETTERS


def new_recovery_codes() -> tuple[str, ...]:
    """Make recovery codes of 60 bits each, in groups of four."""
    return tuple(_grouped(_random_letters()) for _ in range(RECOVERY_CODES))


class FactorKeys:
    """Seals secrets and marks recovery codes, under keys that are derived from one of the key ring's (RFC 5869)."""

    def __init__(self, key: bytes) -> None:
        self._box = AESGCM(_derived(key, b"ichidai-otp-secret-v1"))
        self._mac = _derived(key, b"ichidai-otp-recovery-v1")

    def encrypt(self, secret: bytes, user_uuid: str) -> str:
        """Return base64 of nonce ‖ AES-256-GCM of a user's secret."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._box.encrypt(nonce, secret, user_uuid.encode())).decode()

    def decrypt(self, sealed: str, user_uuid: str) -> bytes:
        """Return a user's secret. Raises UnreadableSecret."""
        try:
            box = base64.b64decode(sealed, validate=True)
            return self._box.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], user_uuid.encode())
        except (ValueError, InvalidTag) as error:
            raise UnreadableSecret from error

    def hashes_of(self, codes: Iterable[str], user_uuid: str) -> tuple[str, ...]:
        """Return what is kept of recovery codes: a MAC (hex) of each that is good for this user alone."""
        return tuple(self._hash(code, user_uuid) for code in codes)

    def _hash(self, code: str, user_uuid: str) -> str:
        normal = normal_code(code).translate(_LOOKS_LIKE)
        return hmac.digest(self._mac, f"{user_uuid}\n{normal}".encode(), "sha256").hex()


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, hashes.SHA1(), STEP_SECONDS)  # noqa: S303 - what apps do; HMAC-SHA-1 is not broken


def _random_letters() -> str:
    return "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LETTERS))


def _grouped(letters: str) -> str:
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def _derived(key: bytes, info: bytes) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(key)
