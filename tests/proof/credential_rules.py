"""Rules of the checker: what a new password, a reset or the end of an account makes void is void."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from common.account.history import EventKind
from tests.proof.case import RENEWING, VOIDING, Case, is_repetition, listed, name
from tests.proof.recording import Operation
from tests.proof.timeline import GRANTING, SIGNED_IN, Placed, Story, Violation, end_of

LINK_SECONDS = 900

_NEW_VERSION = frozenset(
    {
        EventKind.PASSWORD_CHANGED,
        EventKind.OBJECTED,
        EventKind.ACCOUNT_CLOSED,
        EventKind.ACCOUNT_DISABLED,
        EventKind.OTP_ENABLED,
    }
)
"""What raises the version of the credentials, which the link for a new password names."""


def an_old_password_is_dead(case: Case) -> Iterator[Violation]:
    """I14: after a change's 200 no session of an older password is used, and nobody logs in with it."""
    changes = [(end_of(item.call), item.call) for item in case.where(*RENEWING) if item.call.status == 200]
    if not changes:
        return
    password_of = {
        item.call.told["session_id"]: item.call.asked["password_no"]
        for item in case.where(*GRANTING)
        if item.call.status == 200 and "password_no" in item.call.asked
    }
    password_of |= {
        change.told["session_id"]: change.asked["new_password_no"]
        for _, change in changes
        if "session_id" in change.told and "new_password_no" in change.asked
    }
    password_of |= {  # an objection in a session leaves that one
        change.asked["session_id"]: change.asked["new_password_no"]
        for _, change in changes
        if change.operation is Operation.OBJECT and "new_password_no" in change.asked
    }
    for item in case.where(*GRANTING, *SIGNED_IN, Operation.REFRESH):
        call = item.call
        session = call.told.get("session_id") if call.operation in GRANTING else call.asked.get("session_id")
        number = password_of.get(session)
        for ended, change in changes:
            newer = change.told.get("password_no", change.asked.get("new_password_no", 0))
            if call.status == 200 and number is not None and number < newer and ended < call.start:
                yield Violation("I14", f"{name(call)} succeeded with password {number} after {name(change)}")


def a_reset_is_whole(case: Case) -> Iterator[Violation]:
    """I14: no session outlives a new password by a link, and a browser joins by one only with a new password."""
    for number in case.story.resets:
        if case.story.live[number]:
            told = listed(case.story.live[number])
            yield Violation("I14", f"change {number} set a password by a link, and the sessions {told} live on")
    for item in case.where(Operation.RESET):
        if item.call.status == 200 and item.own is not None and item.own not in case.story.resets:
            yield Violation("I14", f"{name(item.call)}, change {item.own}, let a browser in and set no password")


def a_link_sets_one_password(case: Case) -> Iterator[Violation]:
    """I14: of the credentials in force, and of no others; and it is not refused as spent while they are in force."""
    versions = list(accumulate(any(event.kind in _NEW_VERSION for event in events) for events in case.story.events))
    begun = min((item.call.start for item in case.placed), default=0.0)
    for item in case.where(Operation.RESET):
        call, version = item.call, (item.call.asked.get("link") or {}).get("epoch")
        if version is None:
            continue
        if call.status == 200 and item.own is not None and versions[item.own - 1] != version:
            told = f"a link of version {version} of the credentials, and {versions[item.own - 1]} was in force"
            yield Violation("I14", f"{name(call)}, change {item.own}, used {told}")
        is_good = end_of(call) - begun <= LINK_SECONDS and not any(case.story.shut[item.first : item.last + 1])
        if call.told.get("code") == "link-spent" and is_good and {*versions[item.first : item.last + 1]} == {version}:
            yield Violation("I14", f"{name(call)} was told that its link is spent, and no password was set since")


def what_is_voided_is_void(case: Case) -> Iterator[Violation]:
    """I14: no question, code or approval is good after a password was set, a factor switched on, or an account shut."""
    given: dict[str, Placed] = {}
    for item in case.placed:
        given |= {item.call.told["consent"]["consent_id"]: item} if "consent" in item.call.told else {}
        given |= {item.call.told["pairing"]: item} if "pairing" in item.call.told else {}
        if "approval" in item.call.told:  # the first tells when it was begun
            given.setdefault(item.call.told["approval"], item)
    closings = {number for number in range(1, case.story.last + 1) if _voids(case.story, number)}
    voided = sorted(closings | {number for act, number in case.story.acted.items() if act.startswith(VOIDING)})
    for item in case.where(Operation.TAKEOVER, Operation.PAIR, Operation.DEVICE_REGISTER, Operation.JOIN):
        consent = (item.call.asked.get("consent") or {}).get("consent_id", "")
        named = [item.call.asked.get(what, "") for what in ("pairing", "approval")]
        for source in map(given.get, (consent, *named)):
            if source is None or item.own is None or item.call.status != 200 or is_repetition(case, item.call):
                continue
            between = [number for number in voided if source.last < number < item.own]
            if between:
                told = f"what {name(source.call)} gave was void since change {between[0]}"
                yield Violation("I14", f"{name(item.call)}, change {item.own}: {told}")


def _voids(story: Story, number: int) -> bool:
    is_closed = story.closed[number] and not story.closed[number - 1]
    return is_closed or any(event.kind in _NEW_VERSION for event in story.events[number])


def a_shut_account_is_shut(case: Case) -> Iterator[Violation]:
    """I14: nobody gets in, and nothing is allowed, while an account is disabled or closed."""
    for item in case.where(*GRANTING, *SIGNED_IN, Operation.REFRESH):
        seen = range(item.first, item.last + 1) if item.own is None else [item.own - 1]
        for state, shut in (("disabled", case.story.shut), ("closed", case.story.closed)):
            if item.call.status == 200 and all(shut[number] for number in seen):
                yield Violation("I14", f"{name(item.call)} succeeded, and the account was {state} all the while")


OF_CREDENTIALS: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    an_old_password_is_dead,
    a_reset_is_whole,
    a_link_sets_one_password,
    what_is_voided_is_void,
    a_shut_account_is_shut,
)
