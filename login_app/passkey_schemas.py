"""What the routes of logins by passkeys read and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from common.account.admission import DeviceProof, LoginResult
from common.account.joined_device import JoinedDevice
from common.proof.statements import Proof
from common.web.endpoints import Answer, RequestData
from common.web.fields import DeviceName, Opaque, Text, Username
from common.web.formats import Base64, Sha256Hex, Timestamp, Uuid
from common.web.messages import Language
from common.web.request_body import Body
from common.wire.device_certificate import DeviceBody
from common.wire.enrolment import (
    CertificateAnswer,
    EnrolProofBody,
    NewDeviceBody,
    PrivateKeysAnswer,
    PublicKeysBody,
)
from common.wire.joined import joined_fields
from common.wire.passkey import AssertionBody
from login_app.login import LoginForm
from login_app.passkey_login import PasskeyLoginForm
from login_app.schemas import LoginAnswer, login_answer, named_user


class PasskeyProofBody(Body, frozen=True, kw_only=True):
    """A signature of the device's key: over a challenge, or, without `challenge_id`, over an enrolment's statement."""

    challenge_id: Opaque | None = None
    signature: Opaque


class PasskeyLoginBody(DeviceBody, frozen=True, kw_only=True):
    """A login by a passkey alone, or by the password with a passkey in the place of a code.

    A browser without a certificate becomes a device, with keys of its own or without; in `proof` the passkey's id, or
    the takeover token, stands where a registration's statement has the username.
    """

    conditions: ClassVar[Mapping[str, object]] = {
        **DeviceBody.conditions,
        "if": {"not": {"required": ["passkey"]}},
        "then": {"required": ["takeover_token"]},
    }

    passkey: AssertionBody | None = None
    username: Username | None = None
    email: Text | None = None
    password: Opaque | None = None
    device_token: Opaque | None = None
    force: bool = False
    device_name: DeviceName | None = None
    csr: Opaque | None = None
    public_keys: PublicKeysBody | None = None
    proof: PasskeyProofBody | None = None
    takeover_token: Opaque | None = None


class PasskeyRequestAnswer(Answer, frozen=True, kw_only=True):
    """What `navigator.credentials.get()` takes: PublicKeyCredentialRequestOptionsJSON. The same for every user."""

    options: Mapping[str, Any]


class PasskeyLoginAnswer(LoginAnswer, frozen=True, kw_only=True):
    """A login by a passkey; where the browser became a device by it, also what a registration answers of one."""

    uuid: Uuid
    registered_at: Timestamp | UnsetType = UNSET
    client_cert: Base64 | UnsetType = UNSET
    client_cert_fp: Sha256Hex | UnsetType = UNSET
    certificate: CertificateAnswer | UnsetType = UNSET
    private_keys: PrivateKeysAnswer | UnsetType = UNSET


def passkey_login_form(request: RequestData, proof: DeviceProof) -> PasskeyLoginForm:
    """Return a login as the use case takes it. `proof`: what devices must show.

    Raises Refusal: MISSING_FIELDS, INVALID_REQUEST, CSR_INVALID, KEY_INVALID.
    """
    body: PasskeyLoginBody = request.body
    fingerprint = body.fingerprint(DeviceProof.NONE, request.tls_certificate)
    brings_keys = body.csr is not None or body.public_keys is not None
    joins = fingerprint is None and (proof is not DeviceProof.NONE or brings_keys or body.takeover_token is not None)
    shown = body.proof
    login = LoginForm(
        **({"name": "", "by_email": False, "password": ""} if body.passkey is None else named_user(body)),
        fingerprint=fingerprint,
        device_token=body.device_token,
        device_name=body.device_name or request.device_name,
        force=body.force,
        client=request.client,
        proof=Proof(shown.challenge_id, shown.signature) if shown and shown.challenge_id and not joins else None,
        tls_certificate=request.tls_certificate,
        passkey=None if body.passkey is None else body.passkey.assertion(),
    )
    return PasskeyLoginForm(login, joins, _own_keys(body).keys_named(_stated(body)), body.takeover_token)


def passkey_login_answer(result: LoginResult | JoinedDevice, language: Language) -> PasskeyLoginAnswer:
    """Return the answer to a login."""
    if isinstance(result, LoginResult):
        told = login_answer(result, language)
        fields: dict[str, Any] = {name: getattr(told, name) for name in told.__struct_fields__}
        return PasskeyLoginAnswer(**fields, uuid=result.tokens.user_uuid)
    return PasskeyLoginAnswer(**joined_fields(result, language))


def _own_keys(body: PasskeyLoginBody) -> NewDeviceBody:
    """Return the part of a body that tells of a new device."""
    signature = None if body.proof is None else EnrolProofBody(signature=body.proof.signature)
    return NewDeviceBody(device_name=body.device_name, csr=body.csr, public_keys=body.public_keys, proof=signature)


def _stated(body: PasskeyLoginBody) -> str:
    """Return what the statement of an enrolment has in the place of the username."""
    return body.passkey.id if body.passkey is not None else body.takeover_token or ""
