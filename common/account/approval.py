"""Approvals: the users of the active devices are asked before another one takes their place, or joins. Pure.

An approval of a takeover belongs to one consent, whose id it has. It keeps which of the sessions
that were shown have not agreed yet.
An account's approvals lie in one item, so of an agreement, a refusal and the end of the waiting one alone is first.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.account.feed import hint_of
from common.clock import from_millis, seconds_between, to_millis, to_rfc3339
from common.storage.stored_form import More, carried, known

ANSWERED_WITHIN = timedelta(seconds=30)
"""How long the active devices have; who is silent does not hold the other up any longer."""

REFUSED_FOR = timedelta(minutes=10)
"""How long who was refused may not ask again."""

MOST_WRONG = 3
"""With so many wrong digits an approval is refused: who does not see the other screen shall not find them by trying."""

_OFFERED_FOR = timedelta(seconds=120)
_DIGITS = 4


def digits_of(secret: bytes, approval_id: str) -> str:
    """Return what the asking device shows: a MAC, stored nowhere, so that no copy of the store tells it."""
    made = hmac.digest(secret, b"ichidai-approval-v1#" + approval_id.encode(), "sha256")
    return f"{int.from_bytes(made) % 10**_DIGITS:0{_DIGITS}d}"


class ApprovalState(StrEnum):
    """What became of an approval. `UNANSWERED`: one was silent for too long, and none refused."""

    WAITING = "waiting"
    AGREED = "agreed"
    UNANSWERED = "unanswered"
    REFUSED = "refused"


class Approval(Struct, frozen=True):
    """One approval. `asker`: who is refused for a while, if it is refused; `device_name`: what its users are shown.

    `missing` and `agreed` are hints of the sessions that were shown (`feed.hint_of`); `wrong` counts digits.
    `decided_at`: when the state became what it is. `joins_under`: the credential version under which a device asks to
    join; None where one wants to take over. `more`: what a later release wrote.
    """

    approval_id: str
    asker: str
    device_name: str | None
    begun_at: datetime
    missing: tuple[str, ...]
    agreed: tuple[str, ...] = ()
    wrong: int = 0
    state: ApprovalState = ApprovalState.WAITING
    decided_at: datetime | None = None
    joins_under: int | None = None
    more: More = {}

    @property
    def ends_at(self) -> datetime:
        """When nobody waits any longer."""
        return self.begun_at + ANSWERED_WITHIN

    @property
    def kept_until(self) -> datetime:
        """When it can be forgotten: a refusal has been in force for its time, or no consent can follow any more."""
        if self.state is ApprovalState.REFUSED:
            return (self.decided_at or self.begun_at) + REFUSED_FOR
        return self.ends_at + _OFFERED_FOR

    def is_open(self, now: datetime) -> bool:
        """Say whether it can be answered."""
        return self.state is ApprovalState.WAITING and now < self.ends_at

    def was_shown_to(self, session_id: str) -> bool:
        """Say whether a session is asked, or was."""
        return hint_of(session_id) in (*self.missing, *self.agreed)

    def has_agreed(self, session_id: str) -> bool:
        """Say whether a session's user typed the digits."""
        return hint_of(session_id) in self.agreed

    def with_agreement(self, session_id: str) -> Approval:
        """Return it with the agreement of a session that was shown."""
        hint = hint_of(session_id)
        missing = tuple(each for each in self.missing if each != hint)
        return self if missing == self.missing else replace(self, missing=missing, agreed=(*self.agreed, hint))

    def with_wrong_digits(self, session_id: str, now: datetime) -> Approval:
        """Return it with other digits than the asker was shown: with too many it is refused."""
        counted = replace(self, wrong=self.wrong + 1)
        return counted.refused(session_id, now) if counted.wrong >= MOST_WRONG else counted

    def decided(self, state: ApprovalState, now: datetime) -> Approval:
        """Return it in a state that is its last."""
        return replace(self, state=state, decided_at=now)

    def refused(self, by: str, now: datetime) -> Approval:
        """Return it refused, by a session or for its digits; of the others nothing is kept for the ten minutes."""
        return replace(self.decided(ApprovalState.REFUSED, now), missing=(hint_of(by),), agreed=(), device_name=None)

    def judged(self, in_the_way: Iterable[str], now: datetime) -> Approval:
        """Return it as it stands while those sessions are in the asker's way: all have agreed, or one is late."""
        if self.state is not ApprovalState.WAITING:
            return self
        if {hint_of(session_id) for session_id in in_the_way} <= set(self.agreed):
            return self.decided(ApprovalState.AGREED, now)
        return self if now < self.ends_at else self.decided(ApprovalState.UNANSWERED, self.ends_at)

    def judged_for_joining(self, live: Iterable[str], now: datetime) -> Approval:
        """Return it as it stands while those sessions are live: no device joins unless one of them has agreed.

        A session that was shown and has ended is not waited for, and what it agreed to counts no more.
        """
        if self.state is not ApprovalState.WAITING:
            return self
        hints = {hint_of(session_id) for session_id in live}
        if not hints.isdisjoint(self.agreed) and hints.isdisjoint(self.missing):
            return self.decided(ApprovalState.AGREED, now)
        return self if now < self.ends_at else self.decided(ApprovalState.UNANSWERED, self.ends_at)


class Asked(Struct, frozen=True):
    """What a user of an active device is asked. `device_name` None: of a device that has none yet.

    `joins`: it wants to become a device of the account, not to take over.
    """

    approval_id: str
    device_name: str | None
    asked_at: datetime
    expires_in: int
    joins: bool = False

    def to_json(self) -> dict[str, object]:
        """Return it as it is told; the digits are the asking device's alone to show."""
        return {
            "approval_id": self.approval_id,
            "device_name": self.device_name,
            "asked_at": to_rfc3339(self.asked_at),
            "expires_in": self.expires_in,
            "joins": self.joins,
        }


class Approvals(Struct, frozen=True):
    """The approvals of an account, earliest first."""

    each: tuple[Approval, ...] = ()

    def named(self, approval_id: str) -> Approval | None:
        """Return one of them."""
        return next((each for each in self.each if each.approval_id == approval_id), None)

    def is_refused(self, asker: str) -> bool:
        """Say whether an asker was refused lately."""
        return any(each.asker == asker and each.state is ApprovalState.REFUSED for each in self.each)

    def asking(self, session_id: str, now: datetime) -> Sequence[Asked]:
        """Return what a session's user is to answer still."""
        return [
            Asked(
                each.approval_id,
                each.device_name,
                each.begun_at,
                seconds_between(now, each.ends_at),
                joins=each.joins_under is not None,
            )
            for each in self.each
            if each.is_open(now) and each.was_shown_to(session_id) and not each.has_agreed(session_id)
        ]

    def kept(self, now: datetime) -> Approvals:
        """Return them without those that can be forgotten."""
        return Approvals(tuple(each for each in self.each if now < each.kept_until))

    def changed(self, approval: Approval) -> Approvals:
        """Return them with one as it has become, or with a new one."""
        others = tuple(each for each in self.each if each.approval_id != approval.approval_id)
        return Approvals((*others, approval))

    def news_since(self, before: Approvals) -> Sequence[Approval]:
        """Return those that are not among those of before, or were in another state then."""
        known = {each.approval_id: each.state for each in before.each}
        return [each for each in self.each if known.get(each.approval_id) is not each.state]

    def to_list(self) -> list[dict[str, Any]]:
        """Write them as a member of an item."""
        return [_to_item(each) for each in self.each]

    @staticmethod
    def from_list(items: Iterable[Mapping[str, Any]]) -> Approvals:
        """Read what `to_list` wrote."""
        return Approvals(tuple(_from_item(each) for each in items))


def _to_item(approval: Approval) -> dict[str, Any]:
    joins = {} if approval.joins_under is None else {"joins": approval.joins_under}
    return {
        **approval.more,
        "id": approval.approval_id,
        "asker": approval.asker,
        "name": approval.device_name,
        "begun": to_millis(approval.begun_at),
        "missing": list(approval.missing),
        "agreed": list(approval.agreed),
        "wrong": approval.wrong,
        "state": str(approval.state),
        "decided": None if approval.decided_at is None else to_millis(approval.decided_at),
        **joins,
    }


_KNOWN = frozenset(("id", "asker", "name", "begun", "missing", "agreed", "wrong", "state", "decided", "joins"))


def _from_item(item: Mapping[str, Any]) -> Approval:
    return Approval(
        approval_id=item["id"],
        asker=item["asker"],
        device_name=item["name"],
        begun_at=from_millis(item["begun"]),
        missing=tuple(item["missing"]),
        agreed=tuple(item["agreed"]),
        wrong=item["wrong"],
        state=known(ApprovalState, item["state"]),
        decided_at=None if item["decided"] is None else from_millis(item["decided"]),
        joins_under=item.get("joins"),
        more=carried(item, _KNOWN),
    )
