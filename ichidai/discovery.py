"""What a client finds at `/.well-known/ichidai.json`: the policy, and where everything is (after RFC 8414)."""

from __future__ import annotations

from common.account.policy import Policy
from common.proof import dpop
from ichidai.settings import Settings
from ichidai.topology import Addresses, App


def discovery(settings: Settings, policy: Policy, where: Addresses) -> dict[str, object]:
    """Return the document, under the policy in force."""
    events = where.events and {"events_endpoint": where.events + "/session/events"}
    return {
        "issuer": where.issuer,
        "concurrency_mode": str(policy.mode),
        "takeover_approval": "ask" if policy.asks_active else "off",
        "join_by_approval": settings.registration.join_by_approval,
        "max_concurrent_devices": policy.rules.limit,
        "registration": str(settings.registration.registration),
        "device_proof": str(policy.device_proof),
        "tls_client_certificate_bound_access_tokens": settings.session.certificate_bound,
        "dpop_signing_alg_values_supported": [str(algorithm) for algorithm in dpop.ALGORITHMS],
        "registration_endpoint": where.url(App.REGISTRATION, "/registration/"),
        "pairing_endpoint": where.url(App.REGISTRATION, "/registration/request_pairing_token"),
        "login_endpoint": where.url(App.LOGIN, "/login"),
        "takeover_endpoint": where.url(App.LOGIN, "/login/takeover"),
        "challenge_endpoint": where.url(App.LOGIN, "/login/challenge"),
        "challenge_verify_endpoint": where.url(App.LOGIN, "/login/verify"),
        "verify_endpoint": where.url(App.SESSION, "/session/verify"),
        "refresh_endpoint": where.url(App.SESSION, "/session/refresh"),
        "logout_endpoint": where.url(App.SESSION, "/session/logout"),
        "renewal_endpoint": where.url(App.DEVICE, "/device/renew"),
        "device_endpoint": where.url(App.DEVICE, "/device/register"),
        **(events or {}),
        "jwks_uri": where.url(App.SESSION, "/.well-known/jwks.json"),
    }
