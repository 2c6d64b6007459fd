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
    unbind_device,
)
from device_manager.schemas import (
    DeviceRegisterBody,
    DeviceRegisteredAnswer,
    DevicesAnswer,
    ForcedLogoutAnswer,
    RenameBody,
    UnbindBody,
    device_form,
    devices_answer,
    forced_logout_answer,
    registered_answer,
)

_PEM = "application/x-pem-file"
_REGISTER_CODES = (
    Code.MISSING_FIELDS,
    Code.NOT_SUPPORTED,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
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
        unbind_device(desk, call.signed_in, body.device_id, body.password, call.origin)
        return Answer()

    def rename(call: Call) -> Answer:
        """Give a device another name."""
        body: RenameBody = call.body
        rename_device(desk, call.signed_in, body.device_id, body.device_name, call.origin)
        return Answer()

    def log_others_out(call: Call) -> ForcedLogoutAnswer:
        """Keep the active device that logged in first and log the others out."""
        return forced_logout_answer(force_logout(desk, call.signed_in, call.origin))

    def authority(call: Call) -> Response:
        """Return the certificate of the authority that issues the devices' certificates, as PEM."""
        return Response(desk.enrolment.authority.pem(), mimetype=_PEM)

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
        Endpoint("GET", "/device/ca", authority, Guard.OPEN, answer=None, media=_PEM),
    )
