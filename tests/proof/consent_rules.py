"""Rules of the checker: a question is truthful, and a consent to it works once, in time."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence

from tests.proof.case import Case, has_rival, is_repetition, listed, name, voidings
from tests.proof.recording import Call, Operation
from tests.proof.timeline import Placed, Violation, end_of

CONSENT_SECONDS = 120


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
            if not (late or moved or has_rival(call, voidings(case))):
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
        if call.status != 200 or session not in story.born or not is_repetition(case, call):
            continue
        if not story.lived(session, max(item.first, story.born[session]), item.last):
            yield Violation("I39", f"{name(call)} was given session {session} again, which had ended")
        if refreshed.get(session, math.inf) < call.start:
            yield Violation("I39", f"{name(call)} was given session {session} again, which was refreshed before")
        if call.asked.get("device_id") not in (None, story.device_of[session]):
            yield Violation("I39", f"{name(call)} was given session {session} of another device")


OF_CONSENTS: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    a_question_is_truthful,
    a_consent_works_once,
    a_repeated_takeover_is_harmless,
)
