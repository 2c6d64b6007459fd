"""The judge of recorded runs: every way in which the answers and the history break the invariants of `proof.md`.

The history, keyed by change number, is the order of what happened. A run is right when the numbers have no gaps, a call
that was over before another began has the smaller one, and every answer fits a state that its call may have seen. The
time it takes is linear in the calls, but for sorting them, and for the states that one question may have seen.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from common.account.history import EventKind, HistoryRecord, Reason
from tests.proof.case import Case, case_of, listed, name
from tests.proof.factor_rules import OF_FACTORS
from tests.proof.objection_rules import OF_OBJECTIONS, was_objected_to
from tests.proof.recording import Call, Operation, Run
from tests.proof.timeline import (
    GRANTING,
    JOINING,
    OBJECTING,
    SIGNED_IN,
    TIMELY,
    Placed,
    Story,
    Violation,
    end_of,
    was_lost,
)

CONSENT_SECONDS, PAIRING_SECONDS, GRACE_SECONDS, LINK_SECONDS = 120, 600, 10, 900

_RULE_OF_ENDING = {
    Reason.LOGGED_OUT: "I10",
    Reason.REVOKED: "I10",
    Reason.DEVICE_UNBOUND: "I12",
    Reason.PASSWORD_CHANGED: "I14",
    Reason.REFRESH_REUSED: "I9",
}
"""Which invariant forbids the use of a session that ended so; for every other reason it is I2."""


_VOIDING = ("set-password", "disable")
"""What an operator does that makes void what was given out before."""


_RENEWING = (
    Operation.PASSWORD_CHANGE,
    Operation.RECOVER,
    Operation.RESET,
    *OBJECTING,
)
"""What makes void every password of before."""

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


def check(run: Run) -> list[Violation]:
    """Return all that a run breaks, user by user. The run must hold every call that was made to its users."""
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in run.calls:
        calls[call.user].append(call)
    found = []
    for user in dict.fromkeys([*run.histories, *calls]):
        found += check_user(run.limit, run.mode, calls[user], run.histories.get(user, ()))
    return found


def check_user(limit: int, mode: str, calls: Sequence[Call], entries: Sequence[HistoryRecord]) -> list[Violation]:
    """Return all that the calls and the history of one user break."""
    case = case_of(limit, mode, calls, entries)
    return [*case.story.faults, *(violation for rule in _RULES for violation in rule(case))]


# ------------------------------------------------------------------------------------------------- changes and calls


def every_change_was_asked_for(case: Case) -> Iterator[Violation]:
    """I4, I5: what no call answered with success, or never answered, can have done was not to happen."""
    for number in range(1, case.story.last + 1):
        events = case.story.events[number]
        if not case.makers[number] and not all(event.reason in TIMELY for event in events):
            told = ", ".join(f"{event.kind} {event.session_id or event.device_id}" for event in events)
            yield Violation("I4", f"no call can have made change {number} ({told})")


def nobody_acts_after_the_end(case: Case) -> Iterator[Violation]:
    """I2, I10, I12: what a signed-in caller changes it changes while its session lives, not only when it asked."""
    for number in range(1, case.story.last + 1):
        callers = [call for call in case.makers[number] if call.operation in SIGNED_IN]
        if {event.kind for event in case.story.events[number]} == {EventKind.DEVICE_REMOVED} and all(
            call.operation is Operation.OBJECT for call in callers
        ):  # the rest of what an objection did before: the device had lost its right by then
            continue
        if not callers or len(callers) < len(case.makers[number]):
            continue
        sessions = {str(call.asked.get("session_id")) for call in callers}
        if not any(case.story.lived(session, number - 1, number - 1) for session in sessions):
            rule = _RULE_OF_ENDING.get(next((case.story.why[s] for s in sessions if s in case.story.why), None), "I2")
            told = " or ".join(name(call) for call in callers)
            yield Violation(rule, f"{told} made change {number} after its session had ended")


def every_success_is_recorded(case: Case) -> Iterator[Violation]:
    """I27: what was answered as done is in the history."""
    doing = (*GRANTING, *JOINING, Operation.UNBIND, Operation.REVOKE_CERTIFICATE, Operation.CLOSE)
    acts = (item for item in case.where(Operation.OPERATE) if item.call.told.get("changed"))
    endings = (item for item in case.where(Operation.END_ALL) if item.call.told.get("ended"))
    for item in (*case.where(*doing), *acts, *endings):
        if item.call.status == 200 and item.own is None and not _was_revoked_before(case, item.call):
            yield Violation("I27", f"{name(item.call)} succeeded and no change of the history tells of it")


def _was_revoked_before(case: Case, call: Call) -> bool:
    """Say whether a call revokes a certificate that is revoked: it is answered as done, and there is nothing to do."""
    return call.operation is Operation.REVOKE_CERTIFICATE and call.asked.get("target") in case.story.revoked_at


def the_order_is_that_of_the_calls(case: Case) -> Iterator[Violation]:
    """I27: a call that was over before another began has the smaller change number."""
    for item in case.placed:
        if item.own is not None and item.own <= item.first and not _is_repetition(case, item.call):
            yield Violation(
                "I27", f"{name(item.call)} made change {item.own}, but began when change {item.first} had happened"
            )


def _is_repetition(case: Case, call: Call) -> bool:
    """Say whether a takeover told of no session that it ended, and the same consent was sent by another call too."""
    consent = call.asked.get("consent", {}).get("consent_id")
    makers = case.makers[case.story.born.get(call.told.get("session_id", ""), 0)]
    others = [
        each for each in makers if each is not call and each.asked.get("consent", {}).get("consent_id") == consent
    ]
    return call.operation is Operation.TAKEOVER and bool(others) and not call.told.get("evicted")


def renames_are_recorded_once(case: Case) -> Iterator[Violation]:
    """I27: as many events as calls that succeeded, and not more than those that may have."""
    events: dict[str | None, int] = defaultdict(int)
    for happened in case.story.events:
        for event in happened:
            events[event.device_id] += event.kind is EventKind.DEVICE_RENAMED
    done: dict[str | None, int] = defaultdict(int)
    lost: dict[str | None, int] = defaultdict(int)
    for item in case.where(Operation.RENAME):
        done[item.call.asked.get("target")] += item.call.status == 200
        lost[item.call.asked.get("target")] += was_lost(item.call)
    for device in {*events, *done}:
        if not done[device] <= events[device] <= done[device] + lost[device]:
            told = f"{events[device]} times, and {done[device]} calls did it and {lost[device]} may have"
            yield Violation("I27", f"the history has device {device} renamed {told}")


_OWNERS: Sequence[tuple[Operation, frozenset[EventKind]]] = (
    (Operation.RECOVER, frozenset({EventKind.RECOVERY_CODE_USED})),
    (Operation.RECOVERY_CODES, frozenset({EventKind.RECOVERY_CODES_RENEWED})),
    (Operation.USERNAME, frozenset({EventKind.USERNAME_CHANGED})),
    (Operation.PASSKEY_ADD, frozenset({EventKind.PASSKEY_ADDED})),
    (Operation.PASSKEY_REMOVE, frozenset({EventKind.PASSKEY_REMOVED})),
    (Operation.OTP_ON, frozenset({EventKind.OTP_ENABLED})),
    (Operation.OTP_OFF, frozenset({EventKind.OTP_DISABLED})),
)


def owners_changes_are_recorded_once(case: Case) -> Iterator[Violation]:
    """I27: each change that an owner makes of the account stands in the history as often as it was made.

    An address may be confirmed again and an objection made again: then nothing changes, or it is refused.
    """
    for operation, kinds in _OWNERS:
        yield from _counted(case, (operation,), kinds, repeatable=False)
    mails = frozenset({EventKind.EMAIL_CHANGED, EventKind.EMAIL_CONFIRMED})
    yield from _counted(case, (Operation.EMAIL_CONFIRM,), mails, repeatable=True)
    yield from _counted(case, OBJECTING, frozenset({EventKind.OBJECTED}), repeatable=False)


def _counted(
    case: Case, operations: Sequence[Operation], kinds: frozenset[EventKind], *, repeatable: bool
) -> Iterator[Violation]:
    calls = [item.call for item in case.where(*operations)]
    happened = sum(event.kind in kinds for events in case.story.events for event in events)
    done, lost = sum(call.status == 200 for call in calls), sum(was_lost(call) for call in calls)
    least = min(done, 1) if repeatable else done
    if calls and not least <= happened <= done + lost:
        told = f"{happened} times, and {done} calls did it and {lost} may have"
        yield Violation("I27", f"the history tells of {operations[0]} {told}")


# ----------------------------------------------------------------------------------------------------------- sessions


def never_too_many_at_once(case: Case) -> Iterator[Violation]:
    """I1: sessions live for certain from the end of the granting call to the start of what may have ended them."""
    moments: list[tuple[float, int, Call]] = []
    for item in case.where(*GRANTING):
        if item.call.status != 200:
            continue
        granted, ended = end_of(item.call), _may_have_ended_at(case, item.call.told.get("session_id", ""))
        if granted < ended:
            moments += [(granted, 1, item.call), (ended, -1, item.call)]
    live: dict[str, Call] = {}  # by session: a takeover that was repeated grants the same one
    for _, step, call in sorted(moments, key=lambda moment: (moment[0], moment[1])):
        if step < 0:
            live.pop(call.told["session_id"], None)
            continue
        live[call.told["session_id"]] = call
        if case.limit and len(live) > case.limit:
            granting = ", ".join(name(other) for other in live.values())
            yield Violation("I1", f"sessions of {granting} lived at one time, and the limit is {case.limit}")


def _may_have_ended_at(case: Case, session: str) -> float:
    died = case.story.died.get(session)
    return math.inf if died is None else min((call.start for call in case.makers[died]), default=0.0)


def the_dead_are_refused(case: Case) -> Iterator[Violation]:
    """I2, I10, I12, I14: no request with a token of a session that had ended succeeds."""
    story = case.story
    for item in case.where(*SIGNED_IN, Operation.REFRESH):
        session = item.call.asked.get("session_id", "")
        if item.call.status != 200 or session not in story.born:
            continue
        first, last = (item.first, item.last) if item.own is None else (item.own - 1, item.own - 1)
        if not story.lived(session, first, last):
            ended = f"ended by change {story.died.get(session)} ({story.why.get(session)})"
            rule = _RULE_OF_ENDING.get(story.why.get(session, Reason.ENDED), "I2")
            window = f"it saw changes {first} to {last}"
            yield Violation(rule, f"{name(item.call)} succeeded with session {session}, {ended}; {window}")


def the_living_are_not_refused(case: Case) -> Iterator[Violation]:
    """I5: a session that is refused as ended had ended, and for the reason given."""
    story = case.story
    for item in case.placed:
        session, reason = item.call.asked.get("session_id", ""), item.call.told.get("reason")
        if item.call.told.get("code") != "session-ended" or reason in TIMELY:
            continue
        died = story.died.get(session)
        if died is None or died > item.last:
            lives = f"session {session} lived until change {died} and it saw none after {item.last}"
            yield Violation("I5", f"{name(item.call)} was refused as ended ({reason}), but {lives}")
        elif reason not in (str(story.why[session]), str(Reason.ENDED)):
            yield Violation("I5", f"{name(item.call)} was told {reason}, and change {died} says {story.why[session]}")


def a_logout_ends_its_own(case: Case) -> Iterator[Violation]:
    """I10: after its 200 the session has ended."""
    for item in case.where(Operation.LOGOUT):
        session = item.call.asked.get("session_id", "")
        died = case.story.died.get(session)
        if item.call.status == 200 and session in case.story.born and (died is None or died > item.last):
            yield Violation("I10", f"{name(item.call)} succeeded and session {session} lived on after it")


def an_old_password_is_dead(case: Case) -> Iterator[Violation]:
    """I14: after a change's 200 no session of an older password is used, and nobody logs in with it."""
    changes = [(end_of(item.call), item.call) for item in case.where(*_RENEWING) if item.call.status == 200]
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


# ------------------------------------------------------------------------------------------------ the limit's question


def a_login_ends_whom_it_may(case: Case) -> Iterator[Violation]:
    """I1, I3: a login ends nobody else's session, a takeover all of those shown, force all, mode evict the earliest."""
    for item in case.where(*GRANTING):
        if item.call.status == 200 and item.own is not None:
            yield from _endings_are_right(case, item.call, item.own)


def _endings_are_right(case: Case, call: Call, number: int) -> Iterator[Violation]:
    story, device = case.story, case.story.device_of[call.told["session_id"]]
    others = [session for session in story.live[number - 1] if story.device_of[session] != device]
    endings = story.endings(number)
    living = [session for session in others if endings.get(session) not in TIMELY]
    expected = _whom(case, call, living)
    ended = [session for session in living if session in endings]
    consent = call.asked.get("consent")
    unshown = set(living) - set(consent["session_ids"]) if consent and case.mode != "reject" else ()
    if unshown:
        yield Violation("I3", f"{name(call)}, change {number}, ended {', '.join(sorted(unshown))}: never shown")
    elif ended != expected:
        told = f"ended {listed(ended)}, where {listed(living)} lived and {listed(expected)} had to go"
        yield Violation("I3", f"{name(call)}, change {number}, {told}")
    if _is_repetition(case, call):
        return
    if set(call.told.get("evicted", ended)) != set(ended):
        yield Violation("I3", f"{name(call)} told of {listed(call.told['evicted'])} and ended {listed(ended)}")


def _whom(case: Case, call: Call, others: Sequence[str]) -> list[str]:
    """Return whose sessions a candidate has to end."""
    limit = case.limit
    if case.mode != "reject" and "consent" in call.asked:
        return list(others)
    if not limit or len(others) < limit:
        return []
    if case.mode == "evict" and not call.asked.get("force"):
        return list(others[: len(others) - limit + 1])
    return list(others) if call.asked.get("force") else []


def a_question_is_truthful(case: Case) -> Iterator[Violation]:
    """I6: at some moment exactly the sessions shown were those of other devices, and in the way."""
    for item in case.placed:
        call = item.call
        shown = (call.told.get("consent") or {}).get("session_ids")
        if call.told.get("code") == "device-active" and shown is not None and not _was_true(case, item, set(shown)):
            window = f"in no state from {item.first} to {item.last} were they the others' live ones and in the way"
            yield Violation("I6", f"{name(call)} was shown {listed(sorted(shown))}: {window}")


def _was_true(case: Case, item: Placed, shown: set[str]) -> bool:
    story, device = case.story, item.call.asked.get("device_id")
    agreed = set((item.call.asked.get("consent") or {}).get("session_ids", ()))
    is_anew = "consent" in item.call.asked or item.call.operation is Operation.APPROVAL
    in_the_way = bool(shown - agreed) if is_anew else len(shown) >= case.limit > 0
    states = story.live[item.first : item.last + 1]
    return in_the_way and any({s for s in live if story.device_of[s] != device} == shown for live in states)


def a_consent_works_once(case: Case) -> Iterator[Violation]:
    """I7: for the device that asked, within 120 seconds, while nobody else was admitted; else it is refused as spent.

    And it is not refused so while all that holds.
    """
    asked_at = {item.call.told["consent"]["consent_id"]: item for item in case.placed if "consent" in item.call.told}
    admissions = sorted(case.story.born.values())
    used: dict[str, Call] = {}
    for item in case.placed:
        call, consent = item.call, item.call.asked.get("consent")
        if consent is None:
            continue
        question = asked_at.get(consent["consent_id"])
        if call.status == 200:
            yield from _use(call, consent, used, None if question is None else question.call)
            yield from _used_after_another(item, question, admissions)
        elif call.told.get("code") == "takeover-spent" and question is not None:
            late = end_of(call) - question.call.start > CONSENT_SECONDS
            moved = bisect_right(admissions, item.last) > bisect_right(admissions, question.first)
            if not (late or moved or _has_rival(call, _voidings(case))):
                yield Violation("I7", f"{name(call)} was told that its consent is spent, and nobody was admitted since")


def _used_after_another(item: Placed, question: Placed | None, admissions: Sequence[int]) -> Iterator[Violation]:
    """Yield where somebody was admitted after a question could last have been asked, and before its consent was used.

    A call that was granted, but whose change the history does not tell, is another rule's.
    """
    if question is None or item.own is None:
        return
    if bisect_left(admissions, item.own) > bisect_right(admissions, question.last):
        told = f"{name(item.call)} used a consent"
        yield Violation("I7", f"{told}, and somebody was admitted between {name(question.call)} and it")


def _use(call: Call, consent: dict[str, str], used: dict[str, Call], question: Call | None) -> Iterator[Violation]:
    consent_id = consent["consent_id"]
    if consent_id in used and used[consent_id].told.get("session_id") != call.told.get("session_id"):
        yield Violation("I7", f"{name(used[consent_id])} and {name(call)} both used consent {consent_id}")
    used[consent_id] = call
    requester = call.asked.get("pairing" if call.operation is Operation.DEVICE_REGISTER else "device_id")
    if requester is not None and requester != consent["subject"]:
        yield Violation("I7", f"{name(call)} by {requester} used a consent of {consent['subject']}")
    if question is not None and call.start - end_of(question) > CONSENT_SECONDS:
        yield Violation("I7", f"{name(call)} used a consent that {name(question)} was given too long ago")


def a_repeated_takeover_is_harmless(case: Case) -> Iterator[Violation]:
    """I39: it gives the session that the consent opened, while that lives and was never refreshed."""
    story = case.story
    refreshed: dict[str, float] = {}
    for item in case.where(Operation.REFRESH):
        if item.call.status == 200:
            session = item.call.asked.get("session_id", "")
            refreshed[session] = min(refreshed.get(session, math.inf), end_of(item.call))
    for item in case.where(Operation.TAKEOVER):
        call, session = item.call, item.call.told.get("session_id", "")
        if call.status != 200 or session not in story.born or not _is_repetition(case, call):
            continue
        if not story.lived(session, max(item.first, story.born[session]), item.last):
            yield Violation("I39", f"{name(call)} was given session {session} again, which had ended")
        if refreshed.get(session, math.inf) < call.start:
            yield Violation("I39", f"{name(call)} was given session {session} again, which was refreshed before")
        if call.asked.get("device_id") not in (None, story.device_of[session]):
            yield Violation("I39", f"{name(call)} was given session {session} of another device")


def _voidings(case: Case) -> list[Call]:
    calls = [item.call for item in case.where(*_RENEWING, Operation.CLOSE, Operation.OTP_ON)]
    calls += [item.call for item in case.where(Operation.OPERATE) if item.call.asked["act"].startswith(_VOIDING)]
    return [call for call in calls if call.status == 200 or was_lost(call)]


def what_is_voided_is_void(case: Case) -> Iterator[Violation]:
    """I14: no question, code or approval is good after a password was set, a factor switched on, or an account shut."""
    given: dict[str, Placed] = {}
    for item in case.placed:
        given |= {item.call.told["consent"]["consent_id"]: item} if "consent" in item.call.told else {}
        given |= {item.call.told["pairing"]: item} if "pairing" in item.call.told else {}
        if "approval" in item.call.told:  # the first tells when it was begun
            given.setdefault(item.call.told["approval"], item)
    closings = {number for number in range(1, case.story.last + 1) if _voids(case.story, number)}
    voided = sorted(closings | {number for act, number in case.story.acted.items() if act.startswith(_VOIDING)})
    for item in case.where(Operation.TAKEOVER, Operation.PAIR, Operation.DEVICE_REGISTER, Operation.JOIN):
        consent = (item.call.asked.get("consent") or {}).get("consent_id", "")
        named = [item.call.asked.get(what, "") for what in ("pairing", "approval")]
        for source in map(given.get, (consent, *named)):
            if source is None or item.own is None or item.call.status != 200 or _is_repetition(case, item.call):
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


def _has_rival(call: Call, tried: Iterable[Call]) -> bool:
    return any(other.number != call.number and other.start < end_of(call) for other in tried)


def a_forced_logout_keeps_the_first(case: Case) -> Iterator[Violation]:
    """I16: after its 200 exactly the earliest login remains."""
    story = case.story
    for item in case.where(Operation.FORCE_LOGOUT):
        call, kept = item.call, item.call.told.get("kept", "")
        if call.status != 200:
            continue
        numbers = range(item.first, item.last + 1) if item.own is None else [item.own]
        if not any(story.live[number] == (kept,) for number in numbers):
            yield Violation(
                "I16", f"{name(call)} kept {kept}, but it alone lived after none of changes {listed(numbers)}"
            )
        elif item.own is not None:
            before = story.live[item.own - 1]
            ended = [session for session in before if story.endings(item.own).get(session) not in (None, *TIMELY)]
            if before[0] != kept or set(ended) != set(call.told.get("logged_out", ())):
                told = (
                    f"ended {listed(ended)} of {listed(before)} and told of {listed(call.told.get('logged_out', ()))}"
                )
                yield Violation("I16", f"{name(call)}, change {item.own}, kept {kept}, {told}")


# ---------------------------------------------------------------------------------------------------- refresh, pairing


def one_refresh_chain(case: Case) -> Iterator[Violation]:
    """I9: each use gives the next generation, an old one is refused, and nobody's token is called old that is not."""
    by_session: dict[str, list[Call]] = defaultdict(list)
    for item in case.where(Operation.REFRESH):
        by_session[item.call.asked.get("session_id", "")].append(item.call)
    for session, calls in by_session.items():
        yield from _successors(session, calls)
        yield from _old_ones(calls)
        yield from _false_alarms(calls)


def _successors(session: str, calls: Sequence[Call]) -> Iterator[Violation]:
    for call in calls:
        asked, told = call.asked, call.told
        if call.status == 200 and (told.get("session_id"), told.get("generation")) != (
            session,
            asked["generation"] + 1,
        ):
            got = f"generation {told.get('generation')} of session {told.get('session_id')}"
            yield Violation("I9", f"{name(call)} gave {got} for generation {asked['generation']} of {session}")


def _old_ones(calls: Sequence[Call]) -> Iterator[Violation]:
    """Go through the uses in time: `first_end[g]` is when generation g had been given out for certain."""
    done = sorted((call for call in calls if call.status == 200), key=end_of)
    first_end: dict[int, tuple[float, Call]] = {}
    newest, place_in_done = 0, 0
    for call in sorted(done, key=lambda call: call.start):
        while end_of(done[place_in_done]) < call.start:
            over = done[place_in_done]
            newest = max(newest, over.told.get("generation", 0))
            first_end.setdefault(over.told.get("generation", 0), (end_of(over), over))
            place_in_done += 1
        generation = call.asked["generation"]
        late = newest == generation + 1 and call.start - first_end[newest][0] > GRACE_SECONDS
        if newest > generation + 1 or late:
            yield Violation("I9", f"{name(call)} used generation {generation} after {name(first_end[newest][1])}")


def _false_alarms(calls: Sequence[Call]) -> Iterator[Violation]:
    """One of the calls that were told of a reuse, or never heard, must have been one; the others only heard of it."""
    alarms = [call for call in calls if call.status == 401 and call.told.get("reason") == Reason.REFRESH_REUSED]
    uses = [call for call in calls if call.status == 200 or was_lost(call)]
    thefts = [*alarms, *(call for call in calls if was_lost(call))]
    if alarms and not any(_was_reuse(theft, use) for theft in thefts for use in uses):
        first = min(alarms, key=lambda call: call.start)
        generation = first.asked["generation"]
        yield Violation("I9", f"{name(first)} used generation {generation} and was taken for a thief; nobody else had")


def _was_reuse(alarm: Call, use: Call) -> bool:
    asked, used = alarm.asked["generation"], use.asked["generation"]
    late = end_of(alarm) - use.start > GRACE_SECONDS
    return use.start < end_of(alarm) and (used > asked or (used == asked and late))


def a_pairing_token_works_once(case: Case) -> Iterator[Violation]:
    """I11: one device; while its issuer is bound and the issuer's session lives; and it is not refused for nothing."""
    issued = {item.call.told["pairing"]: item for item in case.placed if "pairing" in item.call.told}
    tried: dict[str, list[Call]] = defaultdict(list)
    for item in case.where(Operation.PAIR, Operation.DEVICE_REGISTER):
        if item.call.status == 200 or was_lost(item.call):
            tried[item.call.asked.get("pairing", "")].append(item.call)
    used: dict[str, Call] = {}
    for item in case.where(Operation.PAIR, Operation.DEVICE_REGISTER):
        call, pairing = item.call, item.call.asked.get("pairing", "")
        issuer = issued.get(pairing)
        if call.status == 200:
            if pairing in used:
                yield Violation("I11", f"{name(used[pairing])} and {name(call)} both used one pairing token")
            used[pairing] = call
            yield from _issuer_stands(case.story, item, issuer)
        elif call.told.get("code") == "pairing-token-spent" and issuer is not None:
            early = end_of(call) - issuer.call.start <= PAIRING_SECONDS
            rivals = [*tried[pairing], *_voidings(case)]
            if early and not _has_rival(call, rivals) and _stood_throughout(case.story, item, issuer):
                yield Violation("I11", f"{name(call)} was told that its token is spent, and nobody had used it")


def _issuing(issuer: Placed) -> str:
    """Return the device that issued a token: a device that joins shows one of its own."""
    joined = issuer.call.operation in JOINING
    return str((issuer.call.told if joined else issuer.call.asked).get("device_id", ""))


def _sessions_then(story: Story, issuer: Placed) -> set[str | None]:
    """Return which session its device may have had when a token was issued; None: none."""
    if issuer.call.operation in JOINING:
        return {None}
    device, states = _issuing(issuer), story.live[issuer.first : issuer.last + 1]
    return {next((s for s in live if story.device_of[s] == device), None) for live in states}


def _issuer_stands(story: Story, item: Placed, issuer: Placed | None) -> Iterator[Violation]:
    if issuer is None or item.own is None:
        return
    call, before, device = item.call, item.own - 1, _issuing(issuer)
    if device not in story.bound[before]:
        yield Violation("I11", f"{name(call)}, change {item.own}, used a token of device {device}, unbound by then")
    sessions = _sessions_then(story, issuer)
    if not any(session is None or session in story.live[before] for session in sessions):
        ended = listed(sorted(str(session) for session in sessions))
        yield Violation(
            "I11", f"{name(call)}, change {item.own}, used a token issued from session {ended}, ended by then"
        )
    if call.start - end_of(issuer.call) > PAIRING_SECONDS:
        yield Violation("I11", f"{name(call)} used a token that {name(issuer.call)} issued too long ago")


def _stood_throughout(story: Story, item: Placed, issuer: Placed) -> bool:
    states = range(item.first, item.last + 1)
    bound = all(_issuing(issuer) in story.bound[number] for number in states)
    sessions = _sessions_then(story, issuer)
    return bound and all(s is None or story.lived_throughout(s, item.first, item.last) for s in sessions)


# --------------------------------------------------------------------------------------------------------- and devices


def an_unbound_device_is_out(case: Case) -> Iterator[Violation]:
    """I12: its certificate is refused from then on, and never before, unless it is the one before a renewed one."""
    story = case.story
    for item in case.where(Operation.LOGIN, Operation.REQUEST_PAIRING_TOKEN, Operation.TAKEOVER):
        call, device = item.call, item.call.asked.get("device_id", "")
        states = story.bound[item.first : item.last + 1]
        refused = call.told.get("code") in ("certificate-revoked", "certificate-mismatch", "device-unknown")
        is_old = story.renewed_at.get(device, item.last + 1) <= item.last or was_objected_to(case, device, item.last)
        is_old = is_old or _is_reset_out(case, device, item.last)
        if refused and not is_old and all(device in bound for bound in states):
            yield Violation("I12", f"{name(call)} was refused device {device}, which was bound all the while")
        if call.status == 200 and device in story.bound_at and not any(device in bound for bound in states):
            yield Violation(
                "I12", f"{name(call)} succeeded on device {device}, out since change {_out_since(story, device)}"
            )


def _is_reset_out(case: Case, device: str, last: int, *, surely: bool = False) -> bool:
    """Say whether by a state a reset took a device's right away: it is in no more, and unbound after it.

    Of several that may have made the change some keep the other devices: `surely` none of them does.
    """
    since = case.story.bound_at.get(device, last)
    each = [[bool(call.asked.get("keep")) for call in case.makers[n]] for n in case.story.resets if since < n <= last]
    return any(keeping and not (any(keeping) if surely else all(keeping)) for keeping in each)


def a_device_that_was_reset_is_out(case: Case) -> Iterator[Violation]:
    """I12: no login, joining or code of it after a password was set by a link that did not keep it."""
    for item in case.where(*GRANTING, Operation.REQUEST_PAIRING_TOKEN):
        device = item.call.told.get("device_id") or item.call.asked.get("device_id", "")
        seen = item.first if item.own is None else item.own - 1
        if item.call.status == 200 and _is_reset_out(case, device, seen, surely=True):
            yield Violation("I12", f"{name(item.call)} succeeded on device {device}, which a reset had put out before")


def _out_since(story: Story, device: str) -> int | None:
    return story.revoked_at.get(device, story.unbound_at.get(device))


def the_last_device_stays(case: Case) -> Iterator[Violation]:
    """A right is not taken away as the last device's only where no other device was bound with a good certificate."""
    for item in case.where(Operation.UNBIND, Operation.REVOKE_CERTIFICATE):
        states, target = case.story.bound[item.first : item.last + 1], item.call.asked.get("target")
        if item.call.told.get("code") == "last-device" and not any(bound <= {target} for bound in states):
            yield Violation(
                "I4", f"{name(item.call)} was refused as the last device's, and there were others all the while"
            )


def nothing_breaks(case: Case) -> Iterator[Violation]:
    """I8: no answer says that we are at fault."""
    for item in case.placed:
        if item.call.status is not None and item.call.status >= 500 and item.call.status != 503:
            yield Violation("I8", f"{name(item.call)} was answered {item.call.status}")


_RULES: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    every_change_was_asked_for,
    every_success_is_recorded,
    nobody_acts_after_the_end,
    the_order_is_that_of_the_calls,
    renames_are_recorded_once,
    owners_changes_are_recorded_once,
    never_too_many_at_once,
    the_dead_are_refused,
    the_living_are_not_refused,
    a_logout_ends_its_own,
    an_old_password_is_dead,
    a_reset_is_whole,
    a_link_sets_one_password,
    what_is_voided_is_void,
    a_shut_account_is_shut,
    a_login_ends_whom_it_may,
    a_question_is_truthful,
    a_consent_works_once,
    a_repeated_takeover_is_harmless,
    a_forced_logout_keeps_the_first,
    one_refresh_chain,
    a_pairing_token_works_once,
    an_unbound_device_is_out,
    a_device_that_was_reset_is_out,
    the_last_device_stays,
    nothing_breaks,
    *OF_OBJECTIONS,
    *OF_FACTORS,
)
