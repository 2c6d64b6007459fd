"""How many mails an account gets: five links an hour, and twenty notices; and how many one source may ask for."""

from __future__ import annotations

from datetime import timedelta

from common.clock import Clock
from common.errors import Code, Refusal
from common.rate_limit import Quota
from common.storage.port import Store
from common.stored_bucket import StoredBuckets, seconds_until
from registration.login_rate_limiter import source_of

OF_LINKS = Quota(5, timedelta(minutes=12))
OF_NOTICES = Quota(20, timedelta(minutes=3))
OF_SOURCE = Quota(20, timedelta(minutes=1))


class MailLimit:
    """Counts mails that are asked for. Every method raises StoreUnavailable, Refusal(BUSY)."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._buckets = StoredBuckets(store, clock, "the counters of mails")

    def check_source(self, ip: str) -> None:
        """Count a call that may lead to a mail, to any address. Raises Refusal(TOO_MANY_ATTEMPTS)."""
        exhausted = self._buckets.spend(f"mail-source#{source_of(ip)}", OF_SOURCE)
        if exhausted is not None:
            raise Refusal(Code.TOO_MANY_ATTEMPTS, reason="mails of a source", retry_after=seconds_until(exhausted))

    def is_free(self, user_uuid: str, quota: Quota) -> bool:
        """Count a mail to an account, of those that a quota is for; say whether it may be sent."""
        bucket = "notice" if quota is OF_NOTICES else "mail"
        return self._buckets.spend(f"{bucket}#{user_uuid}", quota) is None
