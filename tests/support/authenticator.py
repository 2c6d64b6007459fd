"""An authenticator app, written after RFC 4226 and RFC 6238 and nothing of ours: it reads an `otpauth://` address."""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What an app keeps: a secret, and how it lists the account."""

    secret: bytes
    label: str
    issuer: str

    def code(self, now: datetime, steps: int = 0) -> str:
        """Return the six digits of `now`, or of so many steps of 30 seconds later."""
        counter = int(now.timestamp()) // 30 + steps
        digest = hmac.digest(self.secret, counter.to_bytes(8, "big"), "sha1")
        offset = digest[-1] & 0x0F
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"


def early_in_a_step() -> datetime:
    """Return the time, after a wait until much of a step of 30 seconds is left: the code of the step before is good."""
    while int(time.time()) % 30 >= 18:
        time.sleep(0.2)
    return datetime.now(UTC)


def scanned(uri: str) -> Authenticator:
    """Read the address; it must ask for what every app can do."""
    parts, fields = urlsplit(uri), {name: values[0] for name, values in parse_qs(urlsplit(uri).query).items()}
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    asked = (fields.get("algorithm", "SHA1"), fields.get("digits", "6"), fields.get("period", "30"))
    assert asked == ("SHA1", "6", "30")
    return Authenticator(base64.b32decode(fields["secret"]), unquote(parts.path.lstrip("/")), fields["issuer"])
