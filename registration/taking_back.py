"""What was done to an account since a moment, taken back: password, second factor, codes, name and mail address. Pure.

What has been replaced is kept for some days for this: see `Account.former`, `Account.former_emails`, `Factor.former`.
What is new bears the time of the event that tells of it: read a moment before, it would be older than its own event.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from registration.account_model import FORMER_KEPT, Account
from registration.factor_model import Factor


def account_before(account: Account, since: datetime) -> Account:
    """Return the account with the password, the name and the address that it had before; a new password must be set."""
    kept = tuple(each for each in account.former if each.until - FORMER_KEPT < since)
    first = next((each.password for each in account.former if each not in kept), account.password)
    names = tuple(each for each in account.former_names if each.left_at < since)
    back = replace(
        account,
        password=first,
        former=kept,
        reset_required=True,
        username=account.username_at(since),
        former_names=names,
    )
    if account.email_since is None or account.email_since < since:
        return back
    email = account.email_at(since)
    emails = tuple(each for each in account.former_emails if each.left_at < since)
    return replace(
        back,
        email=email or "",
        email_confirmed=email is not None,
        email_since=emails[-1].left_at if emails else None,
        former_emails=emails,
    )


def factor_before(factor: Factor, since: datetime, now: datetime) -> Factor | None:
    """Return the factor as it was before: without an app, codes and passkeys that came since; None: nothing is left."""
    kept = tuple(each for each in factor.former if each.until - FORMER_KEPT < since)
    passkeys = tuple(each for each in factor.passkeys if each.since < since)
    back = replace(factor, former=kept, passkeys=passkeys)
    if factor.since >= since:
        back = replace(back, encrypted_secret="")
    if (factor.codes_since or factor.since) >= since:
        earlier = [each for each in factor.former if each not in kept and now < each.until]
        first = min((each.until for each in earlier), default=None)
        codes = tuple(each.code_hash for each in earlier if each.until == first)
        back = replace(back, recovery_code_hashes=codes)
    return back if back.encrypted_secret or back.recovery_code_hashes or back.former or back.passkeys else None
