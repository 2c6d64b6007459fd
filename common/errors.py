"""The kinds of refusal the suite knows.

Inside, a rule raises a `Refusal` with a code; only `common.web` knows statuses and texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    """Every error code of the wire contract. A code is for ever: it may be added, never renamed."""

    INVALID_REQUEST = "invalid-request"
    MISSING_FIELDS = "missing-fields"
    NOT_SUPPORTED = "not-supported"
    WEAK_PASSWORD = "weak-password"  # noqa: S105 - an error code, not a password
    QR_INVALID = "qr-invalid"
    CSR_INVALID = "csr-invalid"
    KEY_INVALID = "key-invalid"
    TAKEOVER_INVALID = "takeover-invalid"

    BAD_CREDENTIALS = "bad-credentials"
    OTP_REQUIRED = "otp-required"
    OTP_INVALID = "otp-invalid"
    RECOVERY_CODE_INVALID = "recovery-code-invalid"
    PASSKEY_INVALID = "passkey-invalid"
    CERTIFICATE_MISMATCH = "certificate-mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_REVOKED = "certificate-revoked"
    PROOF_REQUIRED = "proof-required"
    PROOF_INVALID = "proof-invalid"
    CHALLENGE_SPENT = "challenge-spent"
    TOKEN_MISSING = "token-missing"  # noqa: S105 - an error code
    INVALID_TOKEN = "invalid-token"  # noqa: S105 - an error code
    TOKEN_EXPIRED = "token-expired"  # noqa: S105 - an error code
    INVALID_DPOP_PROOF = "invalid-dpop-proof"
    USE_DPOP_NONCE = "use-dpop-nonce"
    SESSION_ENDED = "session-ended"
    ADMIN_KEY_INVALID = "admin-key-invalid"

    DEVICE_UNKNOWN = "device-unknown"
    PAIRING_TOKEN_FOREIGN = "pairing-token-foreign"  # noqa: S105 - an error code
    DEVICE_MISMATCH = "device-mismatch"
    FORCE_DISABLED = "force-disabled"
    APPROVAL_REFUSED = "approval-refused"
    DIGITS_WRONG = "digits-wrong"
    REAUTHENTICATE = "reauthenticate"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_CLOSED = "account-closed"
    PASSWORD_RESET_REQUIRED = "password-reset-required"  # noqa: S105 - an error code, not a password
    REGISTRATION_CLOSED = "registration-closed"
    WORK_REQUIRED = "work-required"
    ROLE_TOO_LOW = "role-too-low"
    FOREIGN_REQUEST = "foreign-request"

    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"

    USERNAME_TAKEN = "username-taken"
    EMAIL_TAKEN = "email-taken"
    KEY_IN_USE = "key-in-use"
    TOO_MANY_DEVICES = "too-many-devices"
    TOO_MANY_PASSKEYS = "too-many-passkeys"
    LAST_DEVICE = "last-device"
    DEVICE_ACTIVE = "device-active"
    OTP_ACTIVE = "otp-active"
    OTP_INACTIVE = "otp-inactive"

    PAIRING_TOKEN_SPENT = "pairing-token-spent"  # noqa: S105 - an error code
    TAKEOVER_SPENT = "takeover-spent"
    APPROVAL_SPENT = "approval-spent"
    ENROLMENT_SPENT = "enrolment-spent"
    LINK_SPENT = "link-spent"
    INVITATION_SPENT = "invitation-spent"

    REQUEST_TIMEOUT = "request-timeout"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    SERVED_ELSEWHERE = "served-elsewhere"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    TOO_MANY_STREAMS = "too-many-streams"
    TOO_MANY_REGISTRATIONS = "too-many-registrations"
    HEAD_TOO_LARGE = "head-too-large"
    STORE_UNAVAILABLE = "store-unavailable"
    BUSY = "busy"
    INTERNAL_ERROR = "internal-error"


class Refusal(Exception):
    """A request is refused and nothing was changed.

    `code` names the kind for the client, `facts` are what the answer may show (JSON values), `reason` is for the log
    alone and must never hold a secret.
    """

    def __init__(self, code: Code, *, reason: str = "", **extensions: object) -> None:
        super().__init__(f"{code}: {reason}" if reason else str(code))
        self.code = code
        self.reason = reason
        self.extensions: Mapping[str, object] = extensions
