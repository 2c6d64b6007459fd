"""The suite's functions by name. Each takes the dict that its route takes and gives the dict that it answers.

What a route demands is demanded here: the password, the certificate, the limit. Two functions demand less, because they
trust their caller as an operator is trusted: `register_device_for_user` and `generate_client_certificate`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import orjson

from common.web.fields import DeviceName, Opaque
from common.web.problems import language_of
from common.web.request_body import Body, parse
from ichidai.embedded.dispatch import Client, Dispatcher, Fields
from ichidai.opening import opened
from ichidai.topology import App
from ichidai.wiring.services import Services
from registration import trusted
from registration.forms import Registered
from registration.schemas import RegistrationBody, SecondDeviceBody, registered_answer

Answer = dict[str, Any]


@contextmanager
def open_suite(environ: Mapping[str, str] | None = None) -> Iterator[EmbeddedSuite]:
    """Open the suite in this process, with the settings of a mapping, by default of the environment; close it after.

    Its methods may be called by several threads. Raises what a server's start would be refused for: SettingsError,
    KeyRingError, StoreUrlError, StoreUnavailable.
    """
    services = opened(os.environ if environ is None else environ, App.ALL)
    try:
        yield EmbeddedSuite(services, Client())
    finally:
        services.close()


class NewDeviceFields(Body, frozen=True, kw_only=True):
    """What an operator says of a device."""

    device_name: DeviceName
    qr_code: Opaque | None = None


class EmbeddedSuite:
    """The functions of the suite. Each raises Problem where its route would refuse."""

    def __init__(self, services: Services, client: Client) -> None:
        self._services = services
        self._calls = Dispatcher(services, client)

    def on_behalf_of(self, ip: str, user_agent: str = "", language: str = "") -> EmbeddedSuite:
        """Return the suite as it is called for a client; login limits count by its address.

        `language`: as an `Accept-Language` header has it.
        """
        return EmbeddedSuite(self._services, Client(ip, user_agent, language_of(language)))

    def post(self, path: str, data: Fields | None = None, access_token: str | None = None) -> Answer:
        """Call any POST route by its path. KeyError for one that there is not."""
        return self._calls.post(path, data, access_token)

    def get(self, path: str, access_token: str | None = None, **query: object) -> Answer:
        """Call any GET route that answers JSON by its path. KeyError for one that there is not."""
        return self._calls.get(path, access_token, **query)

    # Registration

    def register_user(self, registration_data: Fields, idempotency_key: str | None = None) -> Answer:
        """Register a user with a first device: `POST /registration/`."""
        return self._calls.post(
            "/registration/", registration_data, schema=RegistrationBody, idempotency_key=idempotency_key
        )

    def registration_work(self) -> Answer:
        """Return the work that a registration may have to show: `GET /registration/work`."""
        return self._calls.get("/registration/work")

    def register_second_device_via_qr(self, data: Fields) -> Answer:
        """Register another device by QR code, name and password: `POST /registration/` with `qr_code`."""
        return self._calls.post("/registration/", data, schema=SecondDeviceBody)

    def request_pairing_token(self, data: Fields) -> Answer:
        """Issue a pairing token from a registered device: `POST /registration/request_pairing_token`."""
        return self._calls.post("/registration/request_pairing_token", data)

    def register_device_for_user(self, user_uuid: str, qr_code: str, device_name: str) -> Answer:
        """Register another device of a user by a valid code of that user.

        **No password is asked for.** For callers that are trusted as an operator is: they have made sure who this is.
        Answers as a registration.
        """
        fields = {"qr_code": qr_code, "device_name": device_name}
        return self._joined(
            fields,
            lambda dependencies, name, client: trusted.register_device_for_user(
                dependencies, user_uuid, qr_code, name, client
            ),
        )

    def generate_client_certificate(self, user_uuid: str, device_name: str = "Device") -> Answer:
        """Make keys and certificate of a further device of a user, and bind it.

        **Nothing is asked for.** For callers that are trusted as an operator is. Answers as a registration: the
        private keys are in it alone.
        """
        return self._joined(
            {"device_name": device_name},
            lambda dependencies, name, client: trusted.add_device(dependencies, user_uuid, name, client),
        )

    def change_password(self, access_token: str, data: Fields) -> Answer:
        """Change the caller's password; every other session ends: `POST /registration/password`."""
        return self._calls.post("/registration/password", data, access_token)

    def account(self, access_token: str) -> Answer:
        """Tell what the caller's account is and how it is secured: `GET /registration/account`."""
        return self._calls.get("/registration/account", access_token)

    def make_recovery_codes(self, access_token: str, data: Fields) -> Answer:
        """Make recovery codes by the password: `POST /registration/recovery-codes`."""
        return self._calls.post("/registration/recovery-codes", data, access_token)

    def recover_account(self, data: Fields) -> Answer:
        """Let a user back in whose devices are lost, by a recovery code: `POST /registration/recover`."""
        return self._calls.post("/registration/recover", data)

    def list_passkeys(self, access_token: str) -> Answer:
        """List the caller's passkeys: `GET /registration/passkeys`."""
        return self._calls.get("/registration/passkeys", access_token)

    def begin_passkey(self, access_token: str, data: Fields) -> Answer:
        """Give what a browser needs to make a passkey: `POST /registration/passkeys/begin`."""
        return self._calls.post("/registration/passkeys/begin", data, access_token)

    def finish_passkey(self, access_token: str, data: Fields) -> Answer:
        """Keep the passkey that a browser made: `POST /registration/passkeys/finish`."""
        return self._calls.post("/registration/passkeys/finish", data, access_token)

    def remove_passkey(self, access_token: str, passkey_id: str, data: Fields) -> Answer:
        """Remove a passkey: `DELETE /registration/passkeys/{id}`."""
        rule = "/registration/passkeys/<passkey_id>"
        return self._calls.post(rule, data, access_token, method="DELETE", passkey_id=passkey_id)

    def export(self, access_token: str) -> Answer:
        """Give all that is kept about the caller, secrets excepted: `GET /registration/export`."""
        return self._calls.get("/registration/export", access_token)

    def rename_user(self, access_token: str, data: Fields) -> Answer:
        """Give the account another name: `POST /registration/username`."""
        return self._calls.post("/registration/username", data, access_token)

    def close_account(self, access_token: str, data: Fields) -> Answer:
        """Close the caller's account, to be erased after some days: `POST /registration/close`."""
        return self._calls.post("/registration/close", data, access_token)

    def reopen_account(self, data: Fields) -> Answer:
        """Let a closed account be used again: `POST /registration/reopen`."""
        return self._calls.post("/registration/reopen", data)

    def change_email(self, access_token: str, data: Fields) -> Answer:
        """Send the link that makes a mail address the account's: `POST /registration/email`."""
        return self._calls.post("/registration/email", data, access_token)

    def confirm_email(self, data: Fields) -> Answer:
        """Confirm a mail address by the token of a link: `POST /registration/email/confirm`."""
        return self._calls.post("/registration/email/confirm", data)

    def take_back(self, data: Fields, access_token: str | None = None) -> Answer:
        """Take back what was done to an account since a change: `POST /registration/objection`."""
        return self._calls.post("/registration/objection", data, access_token)

    # Login

    def begin_passkey_login(self) -> Answer:
        """Give what a browser needs to sign in by a passkey: `POST /login/passkey/begin`."""
        return self._calls.post("/login/passkey/begin")

    def log_in_by_passkey(self, data: Fields) -> Answer:
        """Log in by a passkey: `POST /login/passkey/finish`. DeviceActive asks whether to end the active sessions."""
        return self._calls.post("/login/passkey/finish", data)

    def log_in(self, data: Fields) -> Answer:
        """Log in on a device: `POST /login`. DeviceActive asks whether to end the active sessions."""
        return self._calls.post("/login", data)

    def force_log_in(self, data: Fields) -> Answer:
        """Log in and end the active sessions if the limit is reached: `POST /login/force`."""
        return self._calls.post("/login/force", data)

    def take_over(self, data: Fields) -> Answer:
        """Log in on a consent, ending exactly the sessions that were shown: `POST /login/takeover`."""
        return self._calls.post("/login/takeover", data)

    def join_by_approval(self, data: Fields) -> Answer:
        """Join without the password, or ask how that stands: `POST /registration/join`.

        It answers `digits` and `join_token` while the active devices' users are asked, then the device and its session.
        """
        return self._calls.post("/registration/join", data)

    def ask_approval(self, data: Fields) -> Answer:
        """Have the active devices' users asked, or ask how that stands: `POST /login/approval`.

        It answers `digits` while they are asked, then `takeover`.
        """
        return self._calls.post("/login/approval", data)

    def approvals(self, access_token: str) -> Answer:
        """List what the caller's user is asked before a takeover: `GET /login/approvals`."""
        return self._calls.get("/login/approvals", access_token)

    def answer_approval(self, access_token: str, data: Fields) -> Answer:
        """Agree to another device's takeover by the digits it shows, or refuse: `POST /login/approval/answer`."""
        return self._calls.post("/login/approval/answer", data, access_token)

    def ask_challenge(self, data: Fields) -> Answer:
        """Ask what a device must sign to prove that it is itself: `POST /login/challenge`."""
        return self._calls.post("/login/challenge", data)

    def answer_challenge(self, data: Fields) -> Answer:
        """Log in by the signature over a challenge: `POST /login/verify`."""
        return self._calls.post("/login/verify", data)

    # Sessions

    def create_session(self, data: Fields) -> Answer:
        """Log in, as `log_in` does: `POST /session/create`."""
        return self._calls.post("/session/create", data)

    def verify(self, access_token: str) -> Answer:
        """Verify an access token by its session as it is now: `GET /session/verify`. SessionEnded tells why not."""
        return self._calls.get("/session/verify", access_token)

    def refresh(self, data: Fields) -> Answer:
        """Exchange a refresh token for a new pair of tokens: `POST /session/refresh`."""
        return self._calls.post("/session/refresh", data)

    def log_out(self, access_token: str) -> Answer:
        """End the token's own session: `POST /session/logout`."""
        return self._calls.post("/session/logout", access_token=access_token)

    def list_sessions(self, access_token: str) -> Answer:
        """List the caller's live sessions: `GET /session/list`."""
        return self._calls.get("/session/list", access_token)

    def revoke_session(self, access_token: str, data: Fields) -> Answer:
        """End one of the caller's sessions: `POST /session/revoke`."""
        return self._calls.post("/session/revoke", data, access_token)

    def end_all_sessions(self, access_token: str, data: Fields) -> Answer:
        """Sign out everywhere, by the password: `POST /session/end-all`."""
        return self._calls.post("/session/end-all", data, access_token)

    def history(self, access_token: str, limit: int | None = None, before: object = None) -> Answer:
        """Tell what happened to the account, newest first: `GET /session/history`."""
        return self._calls.get("/session/history", access_token, limit=limit, before=before)

    # Devices

    def register_device(self, data: Fields) -> Answer:
        """Register another device by QR code and log it in under the limit: `POST /device/register`."""
        return self._calls.post("/device/register", data)

    def list_devices(self, access_token: str) -> Answer:
        """List the caller's devices: `GET /device/list`."""
        return self._calls.get("/device/list", access_token)

    def rename_device(self, access_token: str, data: Fields) -> Answer:
        """Give a device another name: `POST /device/rename`."""
        return self._calls.post("/device/rename", data, access_token)

    def unbind_device(self, access_token: str, data: Fields) -> Answer:
        """Take a device off the account: `POST /device/unbind`."""
        return self._calls.post("/device/unbind", data, access_token)

    def force_logout(self, access_token: str) -> Answer:
        """Keep the device that logged in first, log the others out: `POST /device/force_logout`."""
        return self._calls.post("/device/force_logout", access_token=access_token)

    def renew_certificate(self, data: Fields) -> Answer:
        """Put a new certificate in the place of a device's: `POST /device/renew`."""
        return self._calls.post("/device/renew", data)

    def revoke_certificate(self, access_token: str, data: Fields) -> Answer:
        """Revoke a device's certificate: `POST /device/revoke_certificate`."""
        return self._calls.post("/device/revoke_certificate", data, access_token)

    def authorities(self) -> str:
        """Return the certificates of the authorities that issue devices' certificates, as PEM: `GET /device/ca`."""
        return self._calls.fetch("/device/ca").decode()

    def revocation_list(self) -> bytes:
        """Return the signed list of revoked certificates, as DER: `GET /device/crl`."""
        return self._calls.fetch("/device/crl")

    # The second factor

    def otp_status(self, access_token: str) -> Answer:
        """Tell whether a code is asked for beside the password: `GET /registration/otp`."""
        return self._calls.get("/registration/otp", access_token)

    def begin_otp(self, access_token: str, data: Fields) -> Answer:
        """Make a secret for an authenticator app: `POST /registration/otp/begin`."""
        return self._calls.post("/registration/otp/begin", data, access_token)

    def confirm_otp(self, access_token: str, data: Fields) -> Answer:
        """Switch the second factor on by the app's first code: `POST /registration/otp/confirm`."""
        return self._calls.post("/registration/otp/confirm", data, access_token)

    def new_recovery_codes(self, access_token: str, data: Fields) -> Answer:
        """Replace the recovery codes, by password and code: `POST /registration/otp/recovery_codes`."""
        return self._calls.post("/registration/otp/recovery_codes", data, access_token)

    def remove_otp(self, access_token: str, data: Fields) -> Answer:
        """Switch the second factor off: `POST /registration/otp/remove`."""
        return self._calls.post("/registration/otp/remove", data, access_token)

    # The suite

    def jwks(self) -> Answer:
        """Return the public keys of the access tokens: `GET /.well-known/jwks.json`."""
        return self._calls.get("/.well-known/jwks.json")

    def about(self) -> Answer:
        """Tell how the limit is set and where servers of this suite are: `GET /.well-known/ichidai.json`."""
        return self._calls.get("/.well-known/ichidai.json")

    def _joined(self, fields: Fields, join: Callable[..., Registered]) -> Answer:
        def act() -> Answer:
            read = parse(NewDeviceFields, fields)
            registered = join(self._services.registration, read.device_name, self._calls.origin)
            language, join_url = self._calls.client.language, self._services.addresses.join_url
            answer: Answer = orjson.loads(msgspec.json.encode(registered_answer(registered, language, join_url)))
            return answer

        return self._calls.answered(act)
