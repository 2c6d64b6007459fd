"""An empty browser whose user has a passkey: it becomes a device of the account and is logged in, in one commit.

The account's limit and its question stand behind it as behind every login. The passkey's answer works once, so the
consent alone, which only a client that showed the passkey was given, brings the browser in after the question.
"""

from __future__ import annotations

from msgspec import Struct

from common.account.admission import AuthenticatedUser, ConsentToEnd
from common.account.decision import Snapshot
from common.account.devices import OwnKeys
from common.account.marks import Mark, check_quota, mark_of
from common.errors import Code, Refusal
from common.proof.dpop_service import DpopClient
from device_manager.device_service import DeviceDependencies, Joining, Permission, RegisteredDevice, join_and_log_in
from device_manager.ports import Consents

SUBJECT = "passkey"
"""In the place of the device in the consents that are asked for here, which have a MAC of their own."""

_MOST_USED = 16
"""How many used consents an account may have before the first of them can be forgotten."""


class PasskeyJoining(Struct, frozen=True):
    """Lets browsers join. `consents`: those that are asked for here."""

    devices: DeviceDependencies
    consents: Consents

    def __call__(
        self,
        user: AuthenticatedUser | None,
        *,
        device_name: str,
        force: bool,
        takeover_token: str | None,
        client: DpopClient,
        keys: OwnKeys | None,
    ) -> RegisteredDevice:
        """Bind a browser and log it in; `user` None: the one who consented.

        Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, FORCE_DISABLED, PROOF_REQUIRED,
        PROOF_INVALID, BAD_CREDENTIALS, ACCOUNT_DISABLED, TOO_MANY_DEVICES, KEY_IN_USE, DEVICE_ACTIVE, BUSY;
        StoreUnavailable.
        """
        self.devices.enrolment.check_key_proof(keys)
        consent = None if takeover_token is None else self._consent(takeover_token, client)
        if user is None:
            if consent is None:
                raise AssertionError("neither a user nor a consent")
            user = consent.candidate.user

        def use_consent(snapshot: Snapshot) -> tuple[Mark, ...]:
            return () if consent is None else (_mark_consent(consent, snapshot),)

        joining = Joining(device_name, force, takeover_token, client, keys)
        return join_and_log_in(self.devices, user, joining, Permission(SUBJECT, self.consents, (), use_consent))

    def _consent(self, takeover_token: str, client: DpopClient) -> ConsentToEnd:
        consent = self.consents.read(takeover_token)
        if consent.candidate.thumbprint not in (None, client.thumbprint):
            raise Refusal(Code.DEVICE_MISMATCH, reason="another key")
        return consent


def _mark_consent(consent: ConsentToEnd, snapshot: Snapshot) -> Mark:
    """Return the mark that a consent was used: it names no device, so a used one shall not lead to a new question.

    Raises Refusal: TAKEOVER_SPENT, TOO_MANY_ATTEMPTS.
    """
    mark = mark_of("t", consent.consent_id, consent.expires_at)
    if mark.name in snapshot.book.marks:
        raise Refusal(Code.TAKEOVER_SPENT, reason="used before")
    check_quota(snapshot.book.marks, mark, _MOST_USED, snapshot.now)
    return mark
