"""Logging in by a passkey: on a known device as by the password; an empty browser becomes a device first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from common.account.admission import AuthenticatedUser, LoginResult
from common.account.devices import OwnKeys
from common.account.joined_device import JoinedDevice
from common.errors import Code, Refusal
from common.proof.dpop_service import DpopClient
from login_app.device_login import LoginDependencies
from login_app.login import LoginForm, check_password, device_hint, log_in_as


class JoinByPasskey(Protocol):
    """How an empty browser joins, from the device manager."""

    def __call__(
        self,
        user: AuthenticatedUser | None,
        *,
        device_name: str,
        force: bool,
        takeover_token: str | None,
        client: DpopClient,
        keys: OwnKeys | None,
    ) -> JoinedDevice:
        """Bind a browser and log it in under the limit; `user` None: the one who consented. Raises Refusal."""


class PasskeyLoginDependencies(Struct, frozen=True):
    """What the use cases work with. `options`: what any browser needs to sign in by a passkey."""

    logins: LoginDependencies
    join: JoinByPasskey
    options: Callable[[], Mapping[str, Any]]


class PasskeyLoginForm(Struct, frozen=True):
    """A login by a passkey. `joins`: the browser is no device yet; `keys` are those that it brings, if any.

    `takeover_token`: the consent to a question that a joining browser was asked, with which no passkey is needed.
    """

    login: LoginForm
    joins: bool
    keys: OwnKeys | None
    takeover_token: str | None


def log_in_by_passkey(dependencies: PasskeyLoginDependencies, form: PasskeyLoginForm) -> LoginResult | JoinedDevice:
    """Log in; an empty browser becomes a device of the account in the same commit.

    Raises Refusal as `log_in`, and MISSING_FIELDS, TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, TOO_MANY_DEVICES,
    KEY_IN_USE; StoreUnavailable.
    """
    login, user = form.login, None
    if login.passkey is not None:
        user = check_password(dependencies.logins, login, device_hint(dependencies.logins, login))
    elif not form.joins or form.takeover_token is None:
        raise Refusal(Code.MISSING_FIELDS, names="passkey", fields=["passkey"])
    if user is not None and not form.joins:
        return log_in_as(dependencies.logins, login, user)
    return dependencies.join(
        user,
        device_name=login.device_name,
        force=login.force,
        takeover_token=form.takeover_token,
        client=login.client,
        keys=form.keys,
    )
