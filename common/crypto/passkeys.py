"""Passkeys (WebAuthn Level 3): values of the two ceremonies, and their verification by the library. No state.

What belongs to an account, such as which passkeys it has and that a challenge is used once, is the caller's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from common.crypto.jws import from_base64url, to_base64url

if TYPE_CHECKING:
    from webauthn.helpers.structs import CredentialDeviceType


class InvalidPasskey(Exception):
    """What a client sent is no passkey's answer to our question. The text is for the log."""


class PasskeyAttestation(Struct, frozen=True):
    """A new passkey, as `navigator.credentials.create()` answered: a RegistrationResponseJSON, texts in base64url."""

    credential_id: str
    client_data: str
    attestation_object: str


class PasskeyAssertion(Struct, frozen=True):
    """A passkey's signature, as `navigator.credentials.get()` answered: an AuthenticationResponseJSON.

    Texts in base64url; `user_handle` None: the authenticator kept none.
    """

    credential_id: str
    client_data: str
    authenticator_data: str
    signature: str
    user_handle: str | None = None

    @property
    def user_id(self) -> str:
        """The user that the authenticator names. Raises InvalidPasskey for none, or what is no text."""
        return _text(self.user_handle or "")

    @property
    def challenge(self) -> str:
        """The challenge that was signed, which is a text of ours. Raises InvalidPasskey."""
        return signed_challenge(self.client_data)


class RelyingParty(Struct, frozen=True):
    """For whom passkeys are made: a domain, and the origins of the pages that may ask for them."""

    rp_id: str
    origins: tuple[str, ...]


class VerifiedPasskey(Struct, frozen=True):
    """What a verified ceremony says of a passkey.

    `backup_eligible`: it may be copied to other devices; `backed_up`: it is. `public_key`: COSE, in base64url; empty
    after an assertion.
    """

    sign_count: int
    backup_eligible: bool
    backed_up: bool
    public_key: str = ""


def signed_challenge(client_data: str) -> str:
    """Return the challenge that client data (base64url of its JSON) names. Raises InvalidPasskey."""
    try:
        fields = json.loads(from_base64url(client_data))
        challenge = fields["challenge"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidPasskey("its client data") from None
    if fields.get("crossOrigin") is True:
        raise InvalidPasskey("asked for in a frame of another site")
    if not isinstance(challenge, str):
        raise InvalidPasskey("its challenge")
    return _text(challenge)


def verify_attestation(party: RelyingParty, attestation: PasskeyAttestation, challenge: str) -> VerifiedPasskey:
    """Verify a new passkey (section 7.1). Raises InvalidPasskey.

    No attestation is demanded: an authenticator of any make signs in for its owner.
    """
    from webauthn import verify_registration_response  # noqa: PLC0415 - it takes half a second, and few use it

    sent = {
        "id": attestation.credential_id,
        "rawId": attestation.credential_id,
        "type": "public-key",
        "response": {"clientDataJSON": attestation.client_data, "attestationObject": attestation.attestation_object},
    }
    try:
        found = verify_registration_response(
            credential=sent,
            expected_challenge=challenge.encode(),
            expected_rp_id=party.rp_id,
            expected_origin=list(party.origins),
        )
    except Exception as error:  # noqa: BLE001 - whatever parsers of CBOR, COSE and certificates meet in what is sent
        raise InvalidPasskey(str(error)) from None
    if to_base64url(found.credential_id) != attestation.credential_id:
        raise InvalidPasskey("another credential's id")
    return VerifiedPasskey(
        found.sign_count,
        _is_eligible(found.credential_device_type),
        found.credential_backed_up,
        to_base64url(found.credential_public_key),
    )


def verify_assertion(
    party: RelyingParty,
    assertion: PasskeyAssertion,
    challenge: str,
    *,
    public_key: str,
    sign_count: int,
    user_verified: bool,
) -> VerifiedPasskey:
    """Verify a passkey's signature (section 7.2); `user_verified`: the authenticator must have verified the user.

    `public_key` and `sign_count` are those of the passkey: a counter must have risen. Raises InvalidPasskey.
    """
    from webauthn import verify_authentication_response  # noqa: PLC0415 - as above

    sent: dict[str, Any] = {
        "id": assertion.credential_id,
        "rawId": assertion.credential_id,
        "type": "public-key",
        "response": {
            "clientDataJSON": assertion.client_data,
            "authenticatorData": assertion.authenticator_data,
            "signature": assertion.signature,
        },
    }
    try:
        found = verify_authentication_response(
            credential=sent,
            expected_challenge=challenge.encode(),
            expected_rp_id=party.rp_id,
            expected_origin=list(party.origins),
            credential_public_key=from_base64url(public_key),
            credential_current_sign_count=sign_count,
            require_user_verification=user_verified,
        )
    except Exception as error:  # noqa: BLE001 - as above
        raise InvalidPasskey(str(error)) from None
    return VerifiedPasskey(found.new_sign_count, _is_eligible(found.credential_device_type), found.credential_backed_up)


def creation_options(
    party: RelyingParty, name: str, user_id: str, username: str, challenge: str, present: Sequence[str], seconds: int
) -> dict[str, Any]:
    """Return PublicKeyCredentialCreationOptionsJSON. `name`: the suite's own; `present`: ids of the user's passkeys."""
    return {
        "rp": {"id": party.rp_id, "name": name},
        "user": {"id": to_base64url(user_id.encode()), "name": username, "displayName": username},
        "challenge": to_base64url(challenge.encode()),
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in _ALGORITHMS],
        "timeout": seconds * 1000,
        "excludeCredentials": [{"type": "public-key", "id": each} for each in present],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "preferred",
        },
        "attestation": "none",
    }


def request_options(party: RelyingParty, challenge: str, seconds: int) -> dict[str, Any]:
    """Return PublicKeyCredentialRequestOptionsJSON: the same for everyone, so that they tell nothing of an account."""
    return {
        "challenge": to_base64url(challenge.encode()),
        "timeout": seconds * 1000,
        "rpId": party.rp_id,
        "allowCredentials": [],
        "userVerification": "preferred",
    }


_ALGORITHMS = (-8, -7, -257)
"""Ed25519, ECDSA on P-256, RSA (PKCS #1 v1.5 with SHA-256: Windows Hello), as COSE numbers them."""


def _is_eligible(kind: CredentialDeviceType) -> bool:
    return kind.value == "multi_device"


def _text(base64url: str) -> str:
    try:
        text = from_base64url(base64url).decode("ascii")
    except ValueError:
        raise InvalidPasskey("no text of ours") from None
    if not text:
        raise InvalidPasskey("no text of ours")
    return text
