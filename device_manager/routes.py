"""The routes of devices."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from common.errors import Code
from common.web.bodies import Body
from common.web.endpoints import Answer, Call, Endpoint, Handler
from common.web.guards import Guard
from device_manager.device_service import (
    Desk,
    force_logout,
    list_devices,
    register_device_for_user,
    rename_device,
)
from device_manager.renewal import renew_certificate
from device_manager.revocation import Again, revoke_certificate, unbind_device
from device_manager.schemas import (
    AuthoritiesQuery,
    DeviceRegisterBody,
    DeviceRegisteredAnswer,
    DevicesAnswer,
    ForcedLogoutAnswer,
    RenameBody,
    RenewBody,
    RenewedAnswer,
    RevocationListQuery,
    RevokeCertificateBody,
    UnbindBody,
    device_form,
    devices_answer,
    forced_logout_answer,
    registered_answer,
    renewal_form,
    renewed_answer,
)

_PEM = "application/x-pem-file"
_CRL = "application/pkix-crl"
_LIST_SECONDS = 60
"""How long a cache between us and a client may hold a list: the longest that a revocation may go unseen there."""

_REGISTER_CODES = (
    Code.MISSING_FIELDS,
    Code.CSR_INVALID,
    Code.KEY_INVALID,
    Code.PROOF_REQUIRED,
    Code.PROOF_INVALID,
    Code.KEY_IN_USE,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
    Code.QR_INVALID,
    Code.PAIRING_TOKEN_FOREIGN,
    Code.PAIRING_TOKEN_SPENT,
    Code.TAKEOVER_INVALID,
    Code.TAKEOVER_SPENT,
    Code.DEVICE_MISMATCH,
    Code.FORCE_DISABLED,
    Code.TOO_MANY_DEVICES,
    Code.DEVICE_ACTIVE,
    Code.BUSY,
)
_UNBIND_CODES = (
    Code.MISSING_FIELDS,
    Code.REAUTHENTICATE,
    Code.NOT_FOUND,
    Code.LAST_DEVICE,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
    Code.TOO_MANY_ATTEMPTS,
    Code.BUSY,
)
_RENEW_CODES = (
    Code.PROOF_REQUIRED,
    Code.PROOF_INVALID,
    Code.CHALLENGE_SPENT,
    Code.CERTIFICATE_MISMATCH,
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_REVOKED,
    Code.TOO_MANY_ATTEMPTS,
    Code.BUSY,
)


def endpoints(desk: Desk) -> Sequence[Endpoint]:
    """Return the routes of this room."""

    def register(call: Call) -> DeviceRegisteredAnswer:
        """Register another device by QR code and log it in under the limit."""
        return registered_answer(register_device_for_user(desk, device_form(call)), call.language)

    def list_own(call: Call) -> DevicesAnswer:
        """List the caller's devices."""
        return devices_answer(list_devices(desk, call.signed_in), call.signed_in)

    def unbind(call: Call) -> Answer:
        """Unbind a device: its session ends and its certificate is revoked."""
        body: UnbindBody = call.body
        unbind_device(desk, call.signed_in, body.device_id, Again(body.password, body.otp), call.origin)
        return Answer()

    def rename(call: Call) -> Answer:
        """Give a device another name."""
        body: RenameBody = call.body
        rename_device(desk, call.signed_in, body.device_id, body.device_name, call.origin)
        return Answer()

    def log_others_out(call: Call) -> ForcedLogoutAnswer:
        """Keep the active device that logged in first and log the others out."""
        return forced_logout_answer(force_logout(desk, call.signed_in, call.origin))

    def revoke(call: Call) -> Answer:
        """Revoke a device's certificate: its session ends, and it cannot log in again."""
        body: RevokeCertificateBody = call.body
        revoke_certificate(desk, call.signed_in, body.device_id, Again(body.password, body.otp), call.origin)
        return Answer()

    def renew(call: Call) -> RenewedAnswer:
        """Put a new certificate in the place of a device's; whoever holds its key proves it."""
        return renewed_answer(renew_certificate(desk, renewal_form(call)))

    def authorities(call: Call) -> Response:
        """Return the certificates of the authorities that issue the devices' certificates, as PEM."""
        query: AuthoritiesQuery = call.query
        pems = [authority.pem() for authority in desk.trust.authorities() if query.kind in (None, authority.kind)]
        return Response("".join(pems), mimetype=_PEM)

    def revocation_list(call: Call) -> Response:
        """Return an authority's signed list of revoked certificates, as DER."""
        query: RevocationListQuery = call.query
        headers = {"Cache-Control": f"public, max-age={_LIST_SECONDS}"}
        return Response(desk.trust.list_of(query.issuer).der, headers=headers, mimetype=_CRL)

    def device_post(rule: str, handler: Handler, body: type[Body], codes: Sequence[Code]) -> Endpoint:
        return Endpoint("POST", rule, handler, Guard.SIGNED_IN, body=body, activity=True, codes=codes)

    return (
        Endpoint(
            "POST",
            "/device/register",
            register,
            Guard.OPEN,
            answer=DeviceRegisteredAnswer,
            body=DeviceRegisterBody,
            forms=True,
            codes=_REGISTER_CODES,
        ),
        Endpoint("GET", "/device/list", list_own, Guard.SIGNED_IN, answer=DevicesAnswer),
        device_post("/device/unbind", unbind, UnbindBody, _UNBIND_CODES),
        device_post("/device/revoke_certificate", revoke, RevokeCertificateBody, _UNBIND_CODES),
        device_post("/device/rename", rename, RenameBody, (Code.MISSING_FIELDS, Code.NOT_FOUND, Code.BUSY)),
        Endpoint(
            "POST",
            "/device/force_logout",
            log_others_out,
            Guard.SIGNED_IN,
            answer=ForcedLogoutAnswer,
            activity=True,
            codes=(Code.BUSY,),
        ),
        Endpoint("POST", "/device/renew", renew, Guard.OPEN, answer=RenewedAnswer, body=RenewBody, codes=_RENEW_CODES),
        Endpoint("GET", "/device/ca", authorities, Guard.OPEN, answer=None, query=AuthoritiesQuery, media=_PEM),
        Endpoint(
            "GET",
            "/device/crl",
            revocation_list,
            Guard.OPEN,
            answer=None,
            query=RevocationListQuery,
            media=_CRL,
            codes=(Code.NOT_FOUND,),
        ),
    )
