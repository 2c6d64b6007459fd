"""How passkeys are written on the wire: the JSON forms of WebAuthn Level 3 (sections 5.1.8 to 5.1.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from msgspec import Struct, field

from common.account.admission import FactorCode, Password
from common.crypto.passkeys import PasskeyAssertion, PasskeyAttestation
from common.errors import Code, Refusal
from common.web.fields import Opaque
from common.web.request_body import Body


class AssertionResponse(Struct, frozen=True, kw_only=True):
    """What an authenticator signed: the members of an AuthenticatorAssertionResponseJSON that count here."""

    client_data: Opaque = field(name="clientDataJSON")
    authenticator_data: Opaque = field(name="authenticatorData")
    signature: Opaque
    user_handle: Opaque | None = field(name="userHandle", default=None)


class AssertionBody(Body, frozen=True, kw_only=True):
    """A passkey's answer at signing in: an AuthenticationResponseJSON."""

    id: Opaque
    type: Literal["public-key"]
    response: AssertionResponse

    def assertion(self) -> PasskeyAssertion:
        """Return it as use cases take it."""
        sent = self.response
        return PasskeyAssertion(self.id, sent.client_data, sent.authenticator_data, sent.signature, sent.user_handle)


class AttestationResponse(Struct, frozen=True, kw_only=True):
    """A new credential: the members of an AuthenticatorAttestationResponseJSON that count here."""

    client_data: Opaque = field(name="clientDataJSON")
    attestation_object: Opaque = field(name="attestationObject")


class AttestationBody(Body, frozen=True, kw_only=True):
    """A new passkey: a RegistrationResponseJSON."""

    id: Opaque
    type: Literal["public-key"]
    response: AttestationResponse

    def attestation(self) -> PasskeyAttestation:
        """Return it as use cases take it."""
        return PasskeyAttestation(self.id, self.response.client_data, self.response.attestation_object)


class ReauthenticationBody(Body, frozen=True, kw_only=True):
    """The password given once more, and a code where a second factor is on; or a passkey's answer for both.

    A passkey beside the password stands for the code.
    """

    conditions: ClassVar[Mapping[str, object]] = {
        "if": {"not": {"required": ["passkey"]}},
        "then": {"required": ["password"]},
    }

    password: Opaque | None = None
    otp: Opaque | None = None
    passkey: AssertionBody | None = None

    @property
    def secret(self) -> Password:
        """What stands for the password. Raises Refusal(MISSING_FIELDS)."""
        if self.password is not None:
            return self.password
        if self.passkey is None:
            raise Refusal(Code.MISSING_FIELDS, names="password", fields=["password"])
        return self.passkey.assertion()

    @property
    def factor(self) -> FactorCode:
        """What stands for the second factor beside the password."""
        if self.password is None or self.passkey is None:
            return self.otp
        return self.passkey.assertion()
