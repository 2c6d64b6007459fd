"""What a client finds at `/.well-known/ichidai.json`: the policy, and where everything is (after RFC 8414)."""

from __future__ import annotations

from common.crypto import dpop
from ichidai.settings import Settings
from ichidai.topology import Addresses, Part


def discovery(settings: Settings, where: Addresses) -> dict[str, object]:
    """Return the document."""
    events = where.events and {"events_endpoint": where.events + "/session/events"}
    return {
        "issuer": where.issuer,
        "concurrency_mode": str(settings.login.mode),
        "max_concurrent_devices": settings.session.rules.limit,
        "device_proof": str(settings.login.device_proof),
        "tls_client_certificate_bound_access_tokens": settings.session.certificate_bound,
        "dpop_signing_alg_values_supported": [str(algorithm) for algorithm in dpop.ALGORITHMS],
        "registration_endpoint": where.url(Part.REGISTRATION, "/registration/"),
        "pairing_endpoint": where.url(Part.REGISTRATION, "/registration/request_pairing_token"),
        "login_endpoint": where.url(Part.LOGIN, "/login"),
        "takeover_endpoint": where.url(Part.LOGIN, "/login/takeover"),
        "challenge_endpoint": where.url(Part.LOGIN, "/login/challenge"),
        "challenge_verify_endpoint": where.url(Part.LOGIN, "/login/verify"),
        "verify_endpoint": where.url(Part.SESSION, "/session/verify"),
        "refresh_endpoint": where.url(Part.SESSION, "/session/refresh"),
        "logout_endpoint": where.url(Part.SESSION, "/session/logout"),
        "renewal_endpoint": where.url(Part.DEVICE, "/device/renew"),
        "device_endpoint": where.url(Part.DEVICE, "/device/register"),
        **(events or {}),
        "jwks_uri": where.url(Part.SESSION, "/.well-known/jwks.json"),
    }
