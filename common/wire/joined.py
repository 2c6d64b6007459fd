"""How a device that joined an account and is logged in is written on the wire."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from common.account.joined_device import JoinedDevice
from common.clock import to_rfc3339
from common.web.formats import Base64, Sha256Hex, Timestamp, Uuid
from common.web.messages import Language
from common.wire.enrolment import CertificateAnswer, PrivateKeysAnswer, new_device_fields, registered_message
from common.wire.tokens import NewSessionAnswer, new_session_fields


class DeviceRegisteredAnswer(NewSessionAnswer, frozen=True, kw_only=True):
    """A device that joined and is logged in: the members of a NewDeviceAnswer, and those of a login."""

    client_cert: Base64
    client_cert_fp: Sha256Hex
    certificate: CertificateAnswer
    private_keys: PrivateKeysAnswer | UnsetType = UNSET
    uuid: Uuid
    registered_at: Timestamp
    is_active: bool = True
    message: str


def joined_answer(registered: JoinedDevice, language: Language) -> DeviceRegisteredAnswer:
    """Return the answer to a device's registration."""
    return DeviceRegisteredAnswer(**joined_fields(registered, language))


def joined_fields(registered: JoinedDevice, language: Language) -> dict[str, Any]:
    """Return the members that tell of a device that joined and of its session."""
    return {
        **new_device_fields(registered.device),
        **new_session_fields(registered.login_result),
        "uuid": registered.login_result.tokens.user_uuid,
        "registered_at": to_rfc3339(registered.registered_at),
        "message": registered_message(registered.device, language),
    }
