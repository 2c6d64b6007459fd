"""What the device manager reads and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from common.account.admission import Caller, DeviceProof
from common.account.book import Session
from common.clock import to_rfc3339
from common.crypto.certificates import KeyKind
from common.web.endpoints import Answer, RequestData
from common.web.fields import DeviceName, Opaque
from common.web.formats import Base64, Sha256Hex, Timestamp, Uuid
from common.web.request_body import Body, Query
from common.wire.device_certificate import DeviceBody
from common.wire.enrolment import (
    CertificateAnswer,
    EnrolmentBody,
    certificate_fields,
)
from common.wire.passkey import ReauthenticationBody
from common.wire.proof import ProofBody, proof_of
from device_manager.device_model import Role
from device_manager.device_service import DeviceForm, ForcedLogout, ListedDevice
from device_manager.renewal import RenewalForm, Renewed


class DeviceRegisterBody(EnrolmentBody, frozen=True, kw_only=True):
    """A device that joins by QR code and is logged in at once."""

    qr_code: Opaque
    password: Opaque
    otp: Opaque | None = None
    force: bool = False
    takeover_token: Opaque | None = None


class UnbindBody(ReauthenticationBody, frozen=True, kw_only=True):
    """A device to unbind; the password, and the code of a second factor, where its last check is too old."""

    conditions: ClassVar[Mapping[str, object]] = {}

    device_id: Opaque


class RevokeCertificateBody(UnbindBody, frozen=True, kw_only=True):
    """A device whose certificate is to be revoked; password and code as in unbinding."""


class RenewBody(DeviceBody, frozen=True, kw_only=True):
    """A device that wants a new certificate: the proof of its key, unless TLS proved it."""

    proof: ProofBody | None = None


class RenewedAnswer(Answer, frozen=True, kw_only=True):
    """The device's certificate from now on."""

    device_id: Uuid
    client_cert: Base64
    client_cert_fp: Sha256Hex
    certificate: CertificateAnswer


class AuthoritiesQuery(Query, frozen=True, kw_only=True):
    """Which authorities: those of one kind of key, or all."""

    kind: Literal["ml-dsa-87", "p-256"] | None = None


class RevocationListQuery(Query, frozen=True, kw_only=True):
    """Whose list: an authority's by its key identifier in hex, or the one's that issues for a kind of key."""

    issuer: Annotated[str, Meta(max_length=64)] = str(KeyKind.POST_QUANTUM)


class RenameBody(Body, frozen=True, kw_only=True):
    """A device and its new name."""

    device_id: Opaque
    device_name: DeviceName


class DeviceAnswer(Struct, frozen=True):
    """A bound device; the times of its session only while it is active; `current` is the caller's own.

    `fingerprint` and `not_after` are its certificate's.
    """

    device_id: Uuid
    device_name: str
    role: Role
    registered_at: Timestamp
    login_at: Timestamp | None
    last_seen_at: Timestamp | None
    is_active: bool
    fingerprint: Sha256Hex
    not_after: Timestamp
    certificate_revoked: bool
    current: bool


class DevicesAnswer(Answer, frozen=True, kw_only=True):
    """The caller's devices in the order in which they were registered."""

    devices: Sequence[DeviceAnswer]


class SessionOfDevice(Struct, frozen=True):
    """A session and its device."""

    session_id: Uuid
    device_id: Uuid
    device_name: str | None
    login_at: Timestamp


class ForcedLogoutAnswer(Answer, frozen=True, kw_only=True):
    """The session that stays, and those that were ended."""

    kept: SessionOfDevice
    logged_out: Sequence[SessionOfDevice]


def device_form(request: RequestData) -> DeviceForm:
    """Return a device's registration as the use case takes it. Raises Refusal as `own_keys`."""
    body: DeviceRegisterBody = request.body
    return DeviceForm(
        qr_code=body.qr_code,
        username=body.username,
        password=body.password,
        device_name=body.device_name or request.device_name,
        force=body.force,
        takeover_token=body.takeover_token,
        client=request.client,
        keys=body.own_keys(),
        otp=body.otp,
    )


def renewal_form(request: RequestData) -> RenewalForm:
    """Return a renewal as the use case takes it. Raises Refusal(INVALID_REQUEST)."""
    body: RenewBody = request.body
    return RenewalForm(
        proof_of(body.proof),
        request.tls_certificate,
        body.fingerprint(DeviceProof.NONE, request.tls_certificate),
        request.client,
    )


def renewed_answer(renewed: Renewed) -> RenewedAnswer:
    """Return the answer to a renewal."""
    return RenewedAnswer(device_id=renewed.device_id, **certificate_fields(renewed.certificate))


def devices_answer(listed: Sequence[ListedDevice], caller: Caller) -> DevicesAnswer:
    """Return the answer to a listing."""
    return DevicesAnswer(devices=[_device(item, caller) for item in listed])


def forced_logout_answer(outcome: ForcedLogout) -> ForcedLogoutAnswer:
    """Return the answer to a forced logout."""
    return ForcedLogoutAnswer(
        kept=_session(*outcome.kept), logged_out=[_session(session, name) for session, name in outcome.logged_out]
    )


def _device(item: ListedDevice, caller: Caller) -> DeviceAnswer:
    device, session = item.device, item.session
    return DeviceAnswer(
        device_id=device.device_id,
        device_name=device.device_name,
        role=device.role if isinstance(device.role, Role) else Role.SECONDARY,
        registered_at=to_rfc3339(device.registered_at),
        login_at=None if session is None else to_rfc3339(session.login_at),
        last_seen_at=None if session is None else to_rfc3339(session.last_seen_at),
        is_active=session is not None,
        fingerprint=device.fingerprint,
        not_after=to_rfc3339(device.not_after),
        certificate_revoked=device.revoked_at is not None,
        current=device.device_id == caller.session.device_id,
    )


def _session(session: Session, name: str | None) -> SessionOfDevice:
    return SessionOfDevice(
        session_id=session.session_id,
        device_id=session.device_id,
        device_name=name,
        login_at=to_rfc3339(session.login_at),
    )
