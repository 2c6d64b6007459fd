"""What login reads and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from common.admission import DeviceProof
from common.crypto.certificates import fingerprint_of, read_certificate
from common.errors import Code, Refusal
from common.web.bodies import Body, Fingerprint, Opaque, Trimmed, Username
from common.web.endpoints import Call
from common.web.grants import WelcomeAnswer, welcome_fields
from common.web.messages import LOGGED_IN, Language
from login_app.login import LoggedIn, LoginForm, TakeoverForm


class DeviceBody(Body):
    """What shows which device calls: the certificate, or its fingerprint."""

    client_cert_fp: Fingerprint | None = None
    client_cert: Opaque | None = None

    def fingerprint(self, proof: DeviceProof) -> str | None:
        """Return the fingerprint; None only where no device proof is asked. A certificate is never overruled by one.

        Raises Refusal: MISSING_FIELDS, INVALID_REQUEST.
        """
        if self.client_cert is None:
            if self.client_cert_fp is None and proof is not DeviceProof.NONE:
                raise Refusal(Code.MISSING_FIELDS, names="client_cert_fp", fields=["client_cert_fp"])
            return self.client_cert_fp
        try:
            computed = fingerprint_of(read_certificate(self.client_cert))
        except ValueError:
            raise Refusal(Code.INVALID_REQUEST, problem="client_cert is no certificate", field="client_cert") from None
        if self.client_cert_fp not in (None, computed):
            problem = "client_cert_fp is not the fingerprint of client_cert"
            raise Refusal(Code.INVALID_REQUEST, problem=problem, field="client_cert_fp")
        return computed


class LoginBody(DeviceBody):
    """A login: `username` or `email`, the password, and what shows the device."""

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "password": "a long enough phrase",
        "client_cert_fp": "0" * 64,
    }

    username: Username | None = None
    email: Trimmed | None = None
    password: Opaque
    device_token: Opaque | None = None
    force: bool = False


class TakeoverBody(DeviceBody):
    """A consent, sent by the device that asked."""

    takeover_token: Opaque


class LoginAnswer(WelcomeAnswer):
    """A login that succeeded. `device_token` makes a device without a certificate the same one next time."""

    message: str
    device_token: str | None = None


def login_form(call: Call, proof: DeviceProof, *, force: bool) -> LoginForm:
    """Return a login as the use case takes it. Raises Refusal(MISSING_FIELDS), Refusal(INVALID_REQUEST)."""
    body: LoginBody = call.body
    name = body.username or body.email
    if name is None:
        raise Refusal(Code.MISSING_FIELDS, names="username", fields=["username"])
    return LoginForm(
        name=name,
        by_email=body.username is None,
        password=body.password,
        fingerprint=body.fingerprint(proof),
        device_token=body.device_token,
        device_name=call.device_name,
        force=force or body.force,
        origin=call.origin,
    )


def takeover_form(call: Call, proof: DeviceProof) -> TakeoverForm:
    """Return a consent as the use case takes it. Raises Refusal(MISSING_FIELDS), Refusal(INVALID_REQUEST)."""
    body: TakeoverBody = call.body
    return TakeoverForm(body.takeover_token, body.fingerprint(proof), call.origin)


def login_answer(logged_in: LoggedIn, language: Language) -> LoginAnswer:
    """Return the answer to a login."""
    return LoginAnswer(
        **welcome_fields(logged_in.welcome),
        message=LOGGED_IN.in_language(language, {}),
        device_token=logged_in.device_token,
    )
