"""Devices that are added without a password, for callers that are trusted as an operator is. No route leads here."""

from __future__ import annotations

from common.account.admission import AuthenticatedUser
from common.account.history import ClientInfo
from common.errors import Code, Refusal
from registration import pairing_token
from registration.dependencies import RegistrationDependencies
from registration.forms import Registered, SecondDevice
from registration.registration import join


def register_device_for_user(
    dependencies: RegistrationDependencies, user_uuid: str, qr_code: str, device_name: str, client: ClientInfo
) -> Registered:
    """Bind another device of a user by a valid code of that user.

    Raises Refusal: NOT_FOUND, QR_INVALID, PAIRING_TOKEN_FOREIGN, PAIRING_TOKEN_SPENT, TOO_MANY_DEVICES, BUSY;
    StoreUnavailable. None of these uses the code up.
    """
    owner = _owner(dependencies, user_uuid)
    ticket = pairing_token.read(qr_code, user_uuid)
    return join(dependencies, owner, SecondDevice(qr_code, owner.username, "", device_name, client), ticket)


def add_device(
    dependencies: RegistrationDependencies, user_uuid: str, device_name: str, client: ClientInfo
) -> Registered:
    """Bind another device of a user, with keys made here. Raises Refusal: NOT_FOUND, TOO_MANY_DEVICES, BUSY."""
    owner = _owner(dependencies, user_uuid)
    return join(dependencies, owner, SecondDevice("", owner.username, "", device_name, client), None)


def _owner(dependencies: RegistrationDependencies, user_uuid: str) -> AuthenticatedUser:
    """Return a user as one whose password was right. Raises Refusal(NOT_FOUND) where the account may not be used."""
    account, book = dependencies.accounts.find(user_uuid), dependencies.transactions.get_book(user_uuid)
    if account is None or book is None or not book.is_current(account.credential_version):
        raise Refusal(Code.NOT_FOUND, reason="no such account, or one that is not in use")
    return AuthenticatedUser(user_uuid, account.username, account.credential_version, dependencies.clock())
