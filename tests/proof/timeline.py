"""An account's history as a line of states, and between which of them every recorded call must have been judged.

State k is the account after change number k; state 0 is nothing. A change is dated by what the calls tell of it: it had
not happened before the call that made it began, nor when a call that still saw the old state began; it had happened
when the call that made it was answered, or any call that saw the new state. So each call has a first state it may have
seen (all that had happened when it began) and a last one (nothing that had not happened when it ended).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from common.account.book import Book
from common.account.history import Event, EventKind, HistoryRecord, Reason
from tests.proof.recording import Call, Operation

GRANTING = frozenset({Operation.LOGIN, Operation.TAKEOVER, Operation.DEVICE_REGISTER, Operation.JOIN})
SIGNED_IN = frozenset(
    {
        Operation.VERIFY,
        Operation.LIST,
        Operation.REVOKE,
        Operation.UNBIND,
        Operation.REVOKE_CERTIFICATE,
        Operation.RENAME,
        Operation.FORCE_LOGOUT,
        Operation.CLOSE,
        Operation.RECOVERY_CODES,
        Operation.OBJECT,
        Operation.END_ALL,
        Operation.USERNAME,
        Operation.EMAIL,
        Operation.PASSKEY_ADD,
        Operation.PASSKEY_REMOVE,
        Operation.APPROVAL_ANSWER,
        Operation.OTP_ON,
        Operation.OTP_OFF,
    }
)
TIMELY = frozenset({Reason.EXPIRED, Reason.OVER_LIMIT})
"""Reasons that hold before the book is changed for them."""

JOINING = frozenset({Operation.PAIR, Operation.REGISTER, Operation.RECOVER, Operation.RESET})
"""What binds a device, and gives it a pairing token of its own."""

_NAMED = {
    Operation.LOGOUT: ("end", "session_id"),
    Operation.REVOKE: ("end", "target"),
    Operation.UNBIND: ("unbind", "target"),
    Operation.REVOKE_CERTIFICATE: ("revoke-certificate", "target"),
    Operation.RENAME: ("rename", "target"),
    Operation.RENEW: ("renew", "device_id"),
    Operation.PASSWORD_CHANGE: ("password", "user"),
    Operation.CLOSE: ("close", "device_id"),
    Operation.REOPEN: ("reopen", "user"),
    Operation.RECOVERY_CODES: ("codes", "device_id"),
    Operation.RECOVER: ("recover", "user"),
    Operation.RESET: ("reset", "user"),
    Operation.OBJECT: ("object", "user"),
    Operation.OBJECT_BY_LINK: ("object", "user"),
    Operation.OBJECT_BY_DEVICE: ("object", "user"),
    Operation.USERNAME: ("username", "device_id"),
    Operation.EMAIL_CONFIRM: ("email", "user"),
    Operation.PASSKEY_ADD: ("passkey", "device_id"),
    Operation.PASSKEY_REMOVE: ("no passkey", "device_id"),
    Operation.OTP_ON: ("otp", "device_id"),
    Operation.OTP_OFF: ("no otp", "device_id"),
}

_DOING = {
    EventKind.DEVICE_REMOVED: "unbind",
    EventKind.CERTIFICATE_REVOKED: "revoke-certificate",
    EventKind.DEVICE_RENAMED: "rename",
    EventKind.CERTIFICATE_RENEWED: "renew",
    EventKind.ACCOUNT_CLOSED: "close",
    EventKind.ACCOUNT_REOPENED: "reopen",
    EventKind.RECOVERY_CODES_RENEWED: "codes",
    EventKind.USERNAME_CHANGED: "username",
    EventKind.EMAIL_CHANGED: "email",
    EventKind.EMAIL_CONFIRMED: "email",
    EventKind.PASSKEY_ADDED: "passkey",
    EventKind.PASSKEY_REMOVED: "no passkey",
    EventKind.OTP_ENABLED: "otp",
    EventKind.OTP_DISABLED: "no otp",
}

OBJECTING = (Operation.OBJECT, Operation.OBJECT_BY_LINK, Operation.OBJECT_BY_DEVICE)
"""That was not me: in a session, by the link of a notice, by a device's signature."""

_SHUTTING_OUT = frozenset({*OBJECTING, Operation.RESET})
"""What takes the right of devices in its own commit, and unbinds each by a further one."""

Key = tuple[str, str | None]

_SHUT_OUT: Key = "shut out", None


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of `proof.md` that a run breaks, and how."""

    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.sentence}"


@dataclass(slots=True)
class Story:
    """The history of one account, told forwards: where each session and device begins and ends, and who lives when.

    `live[k]` are the sessions of state k, earliest login first; `bound[k]` its devices whose certificate is good.
    `renewed_at` is when a device's certificate was first renewed. `acted` is when an operator did something: the act,
    and how many of its kind there were before. `shut[k]`: the account is disabled; `closed[k]`: its
    owner has closed it, or an operator for him. `objected`: the changes that are objections; `resets`: those that set a
    password by a mailed link. `faults`: what the history breaks.
    """

    limit: int
    born: dict[str, int] = field(default_factory=dict)
    died: dict[str, int] = field(default_factory=dict)
    why: dict[str, Reason] = field(default_factory=dict)
    device_of: dict[str, str] = field(default_factory=dict)
    bound_at: dict[str, int] = field(default_factory=dict)
    unbound_at: dict[str, int] = field(default_factory=dict)
    revoked_at: dict[str, int] = field(default_factory=dict)
    renewed_at: dict[str, int] = field(default_factory=dict)
    acted: dict[str, int] = field(default_factory=dict)
    objected: list[int] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    shut: list[bool] = field(default_factory=lambda: [False])
    closed: list[bool] = field(default_factory=lambda: [False])
    live: list[tuple[str, ...]] = field(default_factory=lambda: [()])
    bound: list[frozenset[str]] = field(default_factory=lambda: [frozenset()])
    events: list[tuple[Event, ...]] = field(default_factory=lambda: [()])
    faults: list[Violation] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The last state."""
        return len(self.live) - 1

    def endings(self, number: int) -> dict[str, Reason]:
        """Return the sessions that a change ended, and why."""
        ended = (event for event in self.events[number] if event.kind is EventKind.SESSION_ENDED)
        return {event.session_id or "": event.reason or Reason.ENDED for event in ended}

    def lived(self, session_id: str, first: int, last: int) -> bool:
        """Say whether a session lived in any of the states from `first` to `last`."""
        born = self.born.get(session_id)
        return born is not None and max(born, first) <= min(self.died.get(session_id, self.last + 1) - 1, last)

    def lived_throughout(self, session_id: str, first: int, last: int) -> bool:
        """Say whether a session lived in all of these states."""
        born = self.born.get(session_id)
        return born is not None and born <= first and last < self.died.get(session_id, self.last + 1)

    def fault(self, rule: str, sentence: str) -> None:
        """Note what the history breaks."""
        self.faults.append(Violation(rule, sentence))


def tell(entries: Sequence[HistoryRecord], limit: int) -> Story:
    """Read a history from its beginning."""
    story = Story(limit)
    for number, entry in enumerate(entries, 1):
        if entry.change_no != number:
            story.fault("I27", f"where change {number} should stand the history has change {entry.change_no}")
        _turn_page(story, number, entry.events)
    return story


def _turn_page(story: Story, number: int, events: tuple[Event, ...]) -> None:
    live, bound = list(story.live[-1]), set(story.bound[-1])
    for event in events:
        match event.kind:
            case EventKind.LOGIN:
                _log_in(story, number, event, live, bound)
            case EventKind.SESSION_ENDED:
                _end(story, number, event, live)
            case EventKind.DEVICE_ADDED:
                story.bound_at[event.device_id or ""] = number
                bound.add(event.device_id or "")
            case EventKind.DEVICE_REMOVED:
                story.unbound_at[event.device_id or ""] = number
                bound.discard(event.device_id or "")
            case EventKind.CERTIFICATE_REVOKED:
                story.revoked_at[event.device_id or ""] = number
                bound.discard(event.device_id or "")
            case EventKind.CERTIFICATE_RENEWED:
                story.renewed_at.setdefault(event.device_id or "", number)
    _note_acts(story, number, events)
    story.events.append(events)
    story.live.append(tuple(live))
    story.bound.append(frozenset(bound))
    _check_state(story, number)


def _note_acts(story: Story, number: int, events: tuple[Event, ...]) -> None:
    for act in {str(event.act) for event in events if event.act is not None}:
        story.acted[f"{act} {sum(each.rpartition(' ')[0] == act for each in story.acted)}"] = number
    kinds = {event.kind for event in events}
    if EventKind.OBJECTED in kinds:
        story.objected.append(number)
    if _is_reset(kinds):
        story.resets.append(number)
    story.shut.append(
        EventKind.ACCOUNT_DISABLED in kinds or (story.shut[-1] and EventKind.ACCOUNT_ENABLED not in kinds)
    )
    story.closed.append(
        EventKind.ACCOUNT_CLOSED in kinds or (story.closed[-1] and EventKind.ACCOUNT_REOPENED not in kinds)
    )


def _is_reset(kinds: Collection[EventKind]) -> bool:
    """Say whether a change set a password and bound a device, by no recovery code."""
    made = {EventKind.PASSWORD_CHANGED, EventKind.DEVICE_ADDED}
    return made <= {*kinds} and EventKind.RECOVERY_CODE_USED not in kinds


def _log_in(story: Story, number: int, event: Event, live: list[str], bound: set[str]) -> None:
    session, device = event.session_id or "", event.device_id or ""
    if session in story.born:
        story.fault("I27", f"session {session} begins twice, in changes {story.born[session]} and {number}")
    if device not in bound and event.device_name is None:
        story.fault("I12", f"change {number} logs in device {device}, which is not bound")
    story.born[session], story.device_of[session] = number, device
    live.append(session)


def _end(story: Story, number: int, event: Event, live: list[str]) -> None:
    session = event.session_id or ""
    if session not in live:
        story.fault("I5", f"change {number} ends session {session} ({event.reason}), which did not live")
        return
    live.remove(session)
    story.died[session], story.why[session] = number, event.reason or Reason.ENDED


def half_taken_back(book: Book, story: Story) -> set[str]:
    """Return the devices that an objection or a reset shut out and that were not unbound after it: its process died."""
    last = max((*story.objected, *story.resets), default=0)
    revoked = {device for device, bound in book.devices.items() if bound.revoked and device not in story.revoked_at}
    return {device for device in revoked if story.bound_at.get(device, 0) < last}


def _check_state(story: Story, number: int) -> None:
    live, bound = story.live[number], story.bound[number]
    if story.limit and len(live) > story.limit:
        story.fault("I1", f"after change {number} the sessions {', '.join(live)} live, {len(live)} of {story.limit}")
    for session in live:
        device = story.device_of[session]
        if device in story.unbound_at and device not in bound:
            story.fault("I12", f"after change {number} session {session} lives on device {device}, which is unbound")
    if story.closed[number] and live:
        story.fault("I14", f"after change {number} the account is closed, and the sessions {', '.join(live)} live")
    if len({story.device_of[session] for session in live}) < len(live):
        story.fault("I5", f"after change {number} a device has two sessions among {', '.join(live)}")


# ---------------------------------------------------------------------------------------------- calls and their windows


@dataclass(frozen=True, slots=True)
class Placed:
    """A call between states: it saw some state from `first` to `last`; `own` is the change that it made, if known."""

    call: Call
    first: int
    last: int
    own: int | None


def was_lost(call: Call) -> bool:
    """Say whether a call may have done what it was to do without telling."""
    return call.status is None or call.status >= 500


def end_of(call: Call) -> float:
    """Return when a call was over; one that was never answered may still be under way."""
    return math.inf if call.end is None else call.end


_OWN: Mapping[Operation, Callable[[Story, Call], int | None]] = {
    **dict.fromkeys(GRANTING, lambda story, call: story.born.get(call.told.get("session_id", ""))),
    Operation.PAIR: lambda story, call: story.bound_at.get(call.told.get("device_id", "")),
    Operation.REGISTER: lambda story, call: story.bound_at.get(call.told.get("device_id", "")),
    Operation.RECOVER: lambda story, call: story.bound_at.get(call.told.get("device_id", "")),
    Operation.RESET: lambda story, call: story.bound_at.get(call.told.get("device_id", "")),
    Operation.END_ALL: lambda story, call: story.died.get(next(iter(call.told.get("ended", ())), "")),
    Operation.UNBIND: lambda story, call: story.unbound_at.get(call.asked.get("target", "")),
    Operation.OPERATE: lambda story, call: story.acted.get(call.asked["act"]) if call.told.get("changed") else None,
    Operation.REVOKE: lambda story, call: story.died.get(call.asked.get("target", "")),
    Operation.CLOSE: lambda story, call: story.died.get(call.asked.get("session_id", "")),
    Operation.FORCE_LOGOUT: lambda story, call: story.died.get(next(iter(call.told.get("logged_out", ())), "")),
}


def own_change(story: Story, call: Call) -> int | None:
    """Return the change that a success claims as its own, if the history has it. Some may only repeat another's."""
    find = _OWN.get(call.operation)
    return find(story, call) if find is not None and call.status == 200 else None


def place(story: Story, calls: Sequence[Call]) -> tuple[list[Placed], list[tuple[Call, ...]]]:
    """Return every call between its states, and for every change the calls that may have made it (0: none)."""
    owns = [own_change(story, call) for call in calls]
    makers = _makers(story, calls)
    begins = [-math.inf] + [min((call.start for call in made), default=-math.inf) for made in makers[1:]]
    ends = [-math.inf] + [max((end_of(call) for call in made), default=math.inf) for made in makers[1:]]
    for call in calls:
        for number in _seen(story, call):
            ends[number] = min(ends[number], end_of(call))
        for number in _unseen(story, call):
            begins[number] = max(begins[number], call.start)
    happened = _Steps(sorted(zip(ends, range(len(ends)), strict=True)), max)
    pending = _Steps(sorted(((-begin, number) for number, begin in enumerate(begins)), key=lambda step: step[0]), min)
    placed = []
    for call, own in zip(calls, owns, strict=True):
        first, ahead = happened.before(call.start), pending.before(-end_of(call))
        placed.append(Placed(call, first or 0, story.last if ahead is None else ahead - 1, own))
    return placed, makers


class _Steps:
    """The greatest (or smallest) number among the steps that lie before a moment."""

    def __init__(self, steps: Sequence[tuple[float, int]], best: Callable[[int, int], int]) -> None:
        self._moments = [moment for moment, _ in steps]
        self._bests = list(accumulate((number for _, number in steps), best))

    def before(self, moment: float) -> int | None:
        """Return it, or None when there is no such step."""
        found = bisect_left(self._moments, moment)
        return self._bests[found - 1] if found else None


def _seen(story: Story, call: Call) -> Iterator[int]:
    """Yield changes that had happened when the call was answered."""
    asked, told = call.asked, call.told
    born = [told.get("session_id"), *(told.get("consent") or {}).get("session_ids", ())]
    if call.status == 200:
        born.append(asked.get("session_id"))
    yield from (story.born[session] for session in born if session in story.born)
    session = asked.get("session_id")
    if session in story.died and (_says_ended(call) or (call.operation is Operation.LOGOUT and call.status == 200)):
        yield story.died[session]


def _says_ended(call: Call) -> bool:
    return call.told.get("code") == "session-ended" and call.told.get("reason") not in TIMELY


def _unseen(story: Story, call: Call) -> Iterator[int]:
    """Yield changes that had not happened when the call began."""
    sessions = list((call.told.get("consent") or {}).get("session_ids", ()))
    if call.status == 200 and call.operation in SIGNED_IN | {Operation.REFRESH}:
        sessions.append(call.asked.get("session_id"))
    yield from (story.died[session] for session in sessions if session in story.died)


def _makers(story: Story, calls: Sequence[Call]) -> list[tuple[Call, ...]]:
    by_key: dict[Key, list[Call]] = defaultdict(list)
    for call in calls:
        for key in _claims(call):
            by_key[key].append(call)
        if call.operation in _SHUTTING_OUT and (call.status == 200 or was_lost(call)):
            by_key[_SHUT_OUT].append(call)
    acts = {number: act for act, number in story.acted.items()}
    causes = (
        [("act", acts[number])] if number in acts else _causes(events)
        for number, events in enumerate(story.events[1:], 1)
    )
    return [(), *(_first_found(by_key, each) for each in causes)]


def _first_found(by_key: Mapping[Key, list[Call]], causes: Iterable[Key]) -> tuple[Call, ...]:
    return next((tuple(by_key[key]) for key in causes if key in by_key), ())


def _claims(call: Call) -> Iterator[Key]:
    """Yield by what the change can be known that this call made or may have made."""
    asked, told, lost = call.asked, call.told, was_lost(call)
    operation = call.operation
    if operation is Operation.OPERATE:
        if lost or told.get("changed"):
            yield "act", asked["act"]
    elif operation is Operation.REFRESH and (lost or told.get("reason") == Reason.REFRESH_REUSED):
        yield "reuse", asked.get("session_id")
    elif lost:
        yield from _lost_claims(operation, asked)
    elif call.status == 200 and operation in GRANTING:
        yield "login", told.get("session_id")
    elif call.status == 200 and operation in JOINING:
        yield "joining", told.get("device_id")
    elif call.status == 200:
        yield from (("force", session) for session in told.get("logged_out", ()))
        yield from (("revoked", session) for session in told.get("ended", ()))
        yield from _named_claims(operation, asked)


def _lost_claims(operation: Operation, asked: Mapping[str, Any]) -> Iterator[Key]:
    """Yield what a call without an answer may have done."""
    if operation is Operation.TAKEOVER:  # a session that a consent opens has its id, whoever is told of it later
        yield "login", asked.get("consent", {}).get("consent_id")
    if operation in GRANTING:
        yield "lost login", asked.get("device_id")
    if operation in (*JOINING, Operation.DEVICE_REGISTER, Operation.JOIN):
        yield "lost joining", None
    if operation is Operation.FORCE_LOGOUT:
        yield "lost force", None
    if operation is Operation.END_ALL:
        yield "lost end", None
    yield from _named_claims(operation, asked)


def _named_claims(operation: Operation, asked: Mapping[str, Any]) -> Iterator[Key]:
    """Yield the claim of a call that names what it acts on, answered or not."""
    if operation in _NAMED:
        verb, name = _NAMED[operation]
        yield verb, asked.get(name)
    if operation is Operation.REVOKE:  # its own session is logged out by it, another one revoked
        yield "revoked", asked.get("target")


def _causes(events: tuple[Event, ...]) -> Iterator[Key]:
    """Yield by what its maker can be known, the surest first."""
    kinds = {event.kind for event in events}
    for event in events:
        if event.kind is EventKind.LOGIN:
            yield "login", event.session_id
            yield "lost login", event.device_id
    if EventKind.OBJECTED in kinds:
        yield "object", None
        return
    if {EventKind.RECOVERY_CODE_USED, EventKind.DEVICE_ADDED} <= kinds:
        yield from (("joining", event.device_id) for event in events if event.kind is EventKind.DEVICE_ADDED)
        yield "recover", None
        return
    if _is_reset(kinds):
        yield from (("joining", event.device_id) for event in events if event.kind is EventKind.DEVICE_ADDED)
        yield "reset", None
        return
    for event in events:
        yield from _causes_of_kind(event)
    if EventKind.LOGIN not in kinds:
        yield from (key for event in events for key in _causes_of_ending(event))


def _causes_of_kind(event: Event) -> Iterator[Key]:
    if event.kind is EventKind.DEVICE_ADDED:
        yield "joining", event.device_id
        yield "lost joining", None
    elif event.kind is EventKind.PASSWORD_CHANGED:
        yield "password", None
    elif event.kind in _DOING:
        yield _DOING[event.kind], event.device_id
    if event.kind is EventKind.DEVICE_REMOVED:  # of a device whose right was taken away before
        yield _SHUT_OUT


def _causes_of_ending(event: Event) -> Iterator[Key]:
    match event.reason:
        case Reason.LOGGED_OUT:
            yield "end", event.session_id
        case Reason.REVOKED:
            yield "revoked", event.session_id
            yield "lost end", None
        case Reason.REFRESH_REUSED:
            yield "reuse", event.session_id
        case Reason.PASSWORD_CHANGED:
            yield "password", None
        case Reason.FORCED_OUT:
            yield "force", event.session_id
            yield "lost force", None
