"""The routes of devices."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from common.errors import Code
from common.web.endpoints import Answer, Endpoint, Handler, RequestData
from common.web.guards import Guard
from common.web.request_body import Body
from common.wire.joined import DeviceRegisteredAnswer, joined_answer
from device_manager.device_service import (
    DeviceDependencies,
    force_logout,
    list_devices,
    register_device_for_user,
    rename_device,
)
from device_manager.renewal import renew_certificate
from device_manager.revocation import Reauthentication, revoke_certificate, unbind_device
from device_manager.schemas import (
    AuthoritiesQuery,
    DeviceRegisterBody,
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
    Code.ACCOUNT_DISABLED,
    Code.ACCOUNT_CLOSED,
    Code.PASSWORD_RESET_REQUIRED,
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
    Code.PASSKEY_INVALID,
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


def endpoints(dependencies: DeviceDependencies) -> Sequence[Endpoint]:
    """Return the routes of this package."""

    def register(request: RequestData) -> DeviceRegisteredAnswer:
        """Register another device by QR code and log it in under the limit."""
        return joined_answer(register_device_for_user(dependencies, device_form(request)), request.language)

    def list_own(request: RequestData) -> DevicesAnswer:
        """List the caller's devices."""
        return devices_answer(list_devices(dependencies, request.signed_in), request.signed_in)

    def unbind(request: RequestData) -> Answer:
        """Unbind a device: its session ends and its certificate is revoked."""
        body: UnbindBody = request.body
        unbind_device(dependencies, request.signed_in, body.device_id, _reauthentication(body), request.client)
        return Answer()

    def rename(request: RequestData) -> Answer:
        """Give a device another name."""
        body: RenameBody = request.body
        rename_device(dependencies, request.signed_in, body.device_id, body.device_name, request.client)
        return Answer()

    def log_others_out(request: RequestData) -> ForcedLogoutAnswer:
        """Keep the active device that logged in first and log the others out."""
        return forced_logout_answer(force_logout(dependencies, request.signed_in, request.client))

    def revoke(request: RequestData) -> Answer:
        """Revoke a device's certificate: its session ends, and it cannot log in again."""
        body: RevokeCertificateBody = request.body
        revoke_certificate(dependencies, request.signed_in, body.device_id, _reauthentication(body), request.client)
        return Answer()

    def renew(request: RequestData) -> RenewedAnswer:
        """Replace a device's certificate by a new one over the same key, which the device proves that it holds."""
        return renewed_answer(renew_certificate(dependencies, renewal_form(request)))

    def authorities(request: RequestData) -> Response:
        """Return the certificates of the authorities that issue the devices' certificates, as PEM."""
        query: AuthoritiesQuery = request.query
        pems = [
            authority.pem() for authority in dependencies.trust.authorities() if query.kind in (None, authority.kind)
        ]
        return Response("".join(pems), mimetype=_PEM)

    def revocation_list(request: RequestData) -> Response:
        """Return an authority's signed list of revoked certificates, as DER."""
        query: RevocationListQuery = request.query
        headers = {"Cache-Control": f"public, max-age={_LIST_SECONDS}"}
        return Response(dependencies.trust.list_of(query.issuer).der, headers=headers, mimetype=_CRL)

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


def _reauthentication(body: UnbindBody) -> Reauthentication:
    is_shown = body.password is not None or body.passkey is not None
    return Reauthentication(body.secret, body.factor) if is_shown else Reauthentication()
