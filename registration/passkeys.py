"""Challenges of passkeys (WebAuthn Level 3), and the judgement of what comes back for them.

A challenge is a signed text that says for what it is and until when, so nothing is stored for it; that it was used is
marked with the change that it leads to. One for signing in names no account, so a client that asks for it learns
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from common.account.marks import Mark, check_quota, mark_of
from common.clock import Clock, from_millis, to_millis
from common.crypto.passkeys import (
    InvalidPasskey,
    PasskeyAssertion,
    PasskeyAttestation,
    RelyingParty,
    VerifiedPasskey,
    creation_options,
    request_options,
    signed_challenge,
    verify_assertion,
    verify_attestation,
)
from common.crypto.tokens import ForgedToken, SignedTokens
from common.errors import Code, Refusal
from common.ids import new_id, new_secret
from registration.factor_model import Factor
from registration.passkey_model import Passkey

LIFETIME = timedelta(minutes=5)
"""How long a challenge is good: a page may offer passkeys while its user still looks for the password."""

MOST_USED = 32
"""How often an account's passkeys may be used within the time of one challenge."""

_SECONDS = int(LIFETIME.total_seconds())


class AskedFor(Struct, frozen=True):
    """A challenge of ours that was signed in time: its text, and the mark that it is used."""

    text: str
    mark: Mark


class PasskeyChallenges(Struct, frozen=True):
    """Makes challenges and judges answers.

    `party` None: this suite's pages lie at an address for which browsers make no passkeys. `name`: what authenticators
    call the suite. `requests` and `creations` sign the challenges of the two ceremonies.
    """

    party: RelyingParty | None
    name: str
    requests: SignedTokens
    creations: SignedTokens
    clock: Clock

    def request(self) -> Mapping[str, Any]:
        """Return what a browser needs to sign in by a passkey, for WebAuthn. Raises Refusal(NOT_SUPPORTED)."""
        text = self.requests.sign([new_secret(16), to_millis(self.clock() + LIFETIME)])
        return request_options(self._party(), text, _SECONDS)

    def creation(
        self, user_uuid: str, username: str, credential_version: int, present: Sequence[Passkey]
    ) -> Mapping[str, Any]:
        """Return what a browser needs to make a passkey. Raises Refusal(NOT_SUPPORTED)."""
        until = to_millis(self.clock() + LIFETIME)
        text = self.creations.sign([user_uuid, credential_version, new_secret(16), until])
        ids = [each.credential_id for each in present]
        return creation_options(self._party(), self.name, user_uuid, username, text, ids, _SECONDS)

    def created(self, user_uuid: str, attestation: PasskeyAttestation, name: str) -> tuple[Passkey, int, AskedFor]:
        """Return a new passkey, the credential version under which it was begun, and its challenge.

        Raises Refusal: PASSKEY_INVALID, NOT_SUPPORTED.
        """
        try:
            text = signed_challenge(attestation.client_data)
            owner, credential_version, _, until = self.creations.verify(text)
            asked = self._in_time(text, until)
            if owner != user_uuid:
                raise InvalidPasskey("begun by another user")
            verified = verify_attestation(self._party(), attestation, text)
        except (InvalidPasskey, ForgedToken) as error:
            raise Refusal(Code.PASSKEY_INVALID, reason=str(error)) from None
        passkey = Passkey(
            passkey_id=new_id(),
            credential_id=attestation.credential_id,
            public_key=verified.public_key,
            name=name,
            since=self.clock(),
            sign_count=verified.sign_count,
            backup_eligible=verified.backup_eligible,
            backed_up=verified.backed_up,
        )
        return passkey, credential_version, asked

    def asked_for(self, assertion: PasskeyAssertion) -> AskedFor:
        """Return the challenge that was signed; no store is asked. Raises Refusal: PASSKEY_INVALID, NOT_SUPPORTED."""
        self._party()
        try:
            text = assertion.challenge
            _, until = self.requests.verify(text)
            return self._in_time(text, until)
        except (InvalidPasskey, ForgedToken) as error:
            raise Refusal(Code.PASSKEY_INVALID, reason=str(error)) from None

    def used(self, factor: Factor, assertion: PasskeyAssertion, asked: AskedFor, *, alone: bool) -> Factor:
        """Return what is kept of a factor once one of its passkeys was used.

        `alone`: no password came with it, so the authenticator must have verified its user.
        Raises Refusal: PASSKEY_INVALID, TOO_MANY_ATTEMPTS.
        """
        passkey, now = factor.passkey_of(assertion.credential_id), self.clock()
        if passkey is None:
            raise Refusal(Code.PASSKEY_INVALID, reason="none of this account's")
        if asked.mark.name in factor.used:
            raise Refusal(Code.PASSKEY_INVALID, reason="its challenge was used before")
        try:
            verified = self._verified(factor, passkey, assertion, asked, alone=alone)
        except InvalidPasskey as error:
            raise Refusal(Code.PASSKEY_INVALID, reason=str(error)) from None
        check_quota(factor.used, asked.mark, MOST_USED, now)
        return factor.after_passkey(passkey.after(verified, now), asked.mark, now)

    def _verified(
        self, factor: Factor, passkey: Passkey, assertion: PasskeyAssertion, asked: AskedFor, *, alone: bool
    ) -> VerifiedPasskey:
        if (alone or assertion.user_handle is not None) and assertion.user_id != factor.user_uuid:
            raise InvalidPasskey("another user's")
        verified = verify_assertion(
            self._party(),
            assertion,
            asked.text,
            public_key=passkey.public_key,
            sign_count=passkey.sign_count,
            user_verified=alone,
        )
        if verified.backup_eligible != passkey.backup_eligible:
            raise InvalidPasskey("it changed whether it can be backed up")
        return verified

    def _in_time(self, text: str, until_millis: int) -> AskedFor:
        until: datetime = from_millis(until_millis)
        if until <= self.clock():
            raise InvalidPasskey("expired")
        return AskedFor(text, mark_of("k", text, until))

    def _party(self) -> RelyingParty:
        if self.party is None:
            raise Refusal(
                Code.NOT_SUPPORTED,
                names="passkeys",
                reason="no passkeys are made for the address of this suite's pages",
            )
        return self.party
