"""What the admin app reads and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from common.account.operator import MOST_WORDS, clean_reason
from common.errors import Code, Refusal
from common.web.endpoints import Answer
from common.web.fields import Opaque
from common.web.formats import Timestamp, Url
from common.web.request_body import Body, Query
from ichidai.account_list import MOST_DAYS

_ACT: Mapping[str, object] = {"uuid": "7d0f6b52-3f0a-4d9e-9a43-0b7f1b1f8a11", "reason": "ticket 4711"}

Limit = Annotated[int, Meta(ge=1, le=100)]

Lifetime = Annotated[int, Meta(ge=60, le=7_776_000, description="In seconds.")]

S = TypeVar("S", bound=Struct)


class WhoQuery(Query, frozen=True, kw_only=True):
    """Whom to find: a name, a mail address or a uuid."""

    who: Opaque


class ListQuery(Query, frozen=True, kw_only=True):
    """Which accounts to list, up to `limit`: those in a state, those that nobody has used for so many days, or all.

    `after`: `next_after` of the page before.
    """

    state: Literal["active", "disabled", "closed"] | None = None
    inactive_days: Annotated[int, Meta(ge=1, le=MOST_DAYS)] | None = None
    after: Opaque | None = None
    limit: Limit = 50


class HistoryQuery(Query, frozen=True, kw_only=True):
    """Which account's history, and which page of it: up to `limit` changes, with numbers below `before`."""

    uuid: Opaque
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Limit = 50


class AuditQuery(Query, frozen=True, kw_only=True):
    """Which lines of the audit log, up to `limit`: since a date or a time (ISO 8601), and about one account, or all.

    `before`: `next_before` of the page before.
    """

    since: Opaque | None = None
    uuid: Opaque | None = None
    before: Opaque | None = None
    limit: Limit = 50


class AccountQuery(Query, frozen=True, kw_only=True):
    """Which account to show."""

    uuid: Opaque


class ReasonBody(Body, frozen=True, kw_only=True):
    """Why, in up to 500 characters, for the audit log."""

    reason: Opaque

    @property
    def clean_reason(self) -> str:
        """The reason as the audit log has it. Raises Refusal(INVALID_REQUEST)."""
        reason = clean_reason(self.reason)
        if reason is None:
            raise Refusal(Code.INVALID_REQUEST, problem=f"reason: give 1 to {MOST_WORDS} characters", field="reason")
        return reason


class ActBody(ReasonBody, frozen=True, kw_only=True):
    """Which account to act on."""

    example: ClassVar[Mapping[str, object] | None] = _ACT

    uuid: Opaque


class UnbindBody(ActBody, frozen=True, kw_only=True):
    """Which device of an account to unbind."""

    device_id: Opaque


class PasswordBody(ActBody, frozen=True, kw_only=True):
    """Which account's password to set; without `password` one is made."""

    password: Opaque | None = None


class CreateBody(ReasonBody, frozen=True, kw_only=True):
    """Which account to make; without `password` one is made."""

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "email": "alice@example.com",
        "reason": "ticket 4711",
    }

    username: Opaque
    email: Opaque
    password: Opaque | None = None
    expires_in: Lifetime = 604_800


class InviteBody(ReasonBody, frozen=True, kw_only=True):
    """How long an invitation is to be good."""

    example: ClassVar[Mapping[str, object] | None] = {"reason": "a new colleague"}

    expires_in: Lifetime = 604_800


class KeyAnswer(Answer, frozen=True, kw_only=True):
    """The key that was shown: its name, its role, and when it expires (null: never)."""

    name: str
    role: str
    expires_at: Timestamp | None


class AccountSummary(Struct, frozen=True, kw_only=True):
    """An account as a list tells of it."""

    uuid: str
    username: str
    email: str
    state: str
    created_at: Timestamp


class DeviceFacts(Struct, frozen=True, kw_only=True):
    """A device of an account; `bound`: it may be used."""

    device_id: str
    device_name: str
    role: str
    registered_at: Timestamp
    fingerprint: str
    not_after: Timestamp
    bound: bool
    revoked_at: Timestamp | None


class SessionFacts(Struct, frozen=True, kw_only=True):
    """A live session."""

    session_id: str
    device_id: str
    device_name: str | None
    login_at: Timestamp
    last_seen_at: Timestamp
    ends_at: Timestamp


class EventFacts(Struct, frozen=True, kw_only=True):
    """An entry of the history; `act`: what an operator did, `by`: the device that brought it about."""

    change_no: int
    at: Timestamp
    kind: str
    device_id: str | None
    device_name: str | None
    ip: str
    user_agent: str
    session_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    by: str | UnsetType = UNSET
    act: str | UnsetType = UNSET


class AccountsAnswer(Answer, frozen=True, kw_only=True):
    """The accounts that were found: none, one, or the one with this name and the one with this mail address."""

    accounts: Sequence[AccountSummary]


class ListAnswer(AccountsAnswer, frozen=True, kw_only=True):
    """Accounts in no order. `next_after` asks for the next page: one may be short, or empty, though others follow."""

    next_after: str | UnsetType = UNSET


class HistoryAnswer(Answer, frozen=True, kw_only=True):
    """A page of an account's history, newest first; `next_before` asks for the next one."""

    history: Sequence[EventFacts]
    next_before: int | UnsetType = UNSET


class AuditLine(Struct, frozen=True, kw_only=True):
    """A line of the audit log: who did what, when and why. `user_uuid`: about which account, where it is about one.

    `username`: as it is called now, where it is still there. `facts`: what else the line tells, such as a device's id.
    """

    at: Timestamp
    kind: str
    actor: str
    user_uuid: str | None
    username: str | None
    reason: str
    facts: Mapping[str, str]


class AuditAnswer(Answer, frozen=True, kw_only=True):
    """Lines of the audit log, newest first.

    `next_before` asks for the next page: one may be short, or empty, though others follow.
    """

    lines: Sequence[AuditLine]
    next_before: str | UnsetType = UNSET


class AccountAnswer(HistoryAnswer, frozen=True, kw_only=True):
    """An account with its devices, its live sessions and the first page of its history.

    `closed_until`: it is closed, can be reopened until then, and is erased after it.
    """

    account: AccountSummary
    closed_until: Timestamp | None
    second_factor: bool
    devices: Sequence[DeviceFacts]
    sessions: Sequence[SessionFacts]


class ActAnswer(Answer, frozen=True, kw_only=True):
    """What an act did: `changed` is false where the account was so already; `ended`: how many sessions it ended."""

    changed: bool
    ended: int


class PasswordAnswer(ActAnswer, frozen=True, kw_only=True):
    """The same, with the password where one was made; it is told once."""

    password: Annotated[str, Meta(description="To hand over; every session has ended.")] | UnsetType = UNSET


class InvitedAnswer(Answer, frozen=True, kw_only=True):
    """A link that lets one registration pass; it is told once."""

    link: Url
    expires_at: Timestamp


class CreatedAnswer(Answer, frozen=True, kw_only=True):
    """An account that was made, and the link by which its first device joins, with the password."""

    uuid: str
    username: str
    link: Url
    expires_at: Timestamp
    password: Annotated[str, Meta(description="The one that was made, to hand over.")] | UnsetType = UNSET


class ExportAnswer(Answer, frozen=True, kw_only=True):
    """All that is kept about an account, secrets excepted."""

    export: Mapping[str, Any]


def facts_of(kind: type[S], facts: Mapping[str, Any]) -> S:
    """Return facts as a schema has them."""
    return kind(**{name: facts[name] for name in kind.__struct_fields__ if name in facts})
