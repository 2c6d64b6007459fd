"""The routes by which operators look: at accounts, at all there is about one, and at the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from msgspec import UNSET

from common.account.audit import AuditEvent
from common.account.book import AccountState
from common.clock import from_iso8601, to_rfc3339
from common.errors import Code, Refusal
from common.ids import is_id
from common.request_context import note_user
from common.web.endpoints import Answer, Endpoint, RequestData
from common.web.guards import Guard
from common.web.request_body import Query
from ichidai.account_list import Wanted
from ichidai.admin.keys import Role
from ichidai.admin.schemas import (
    AccountAnswer,
    AccountQuery,
    AccountsAnswer,
    AccountSummary,
    AuditAnswer,
    AuditLine,
    AuditQuery,
    DeviceFacts,
    EventFacts,
    HistoryAnswer,
    HistoryQuery,
    KeyAnswer,
    ListAnswer,
    ListQuery,
    SessionFacts,
    WhoQuery,
    facts_of,
)
from ichidai.administration import AccountView, Administration

_FOUND = (Code.MISSING_FIELDS, Code.NOT_FOUND)


def reading_endpoints(administration: Administration) -> Sequence[Endpoint]:
    """Return the routes that change nothing; every role may use them."""
    return (*_looking(administration), *_paging(administration))


def view_of(administration: Administration, user_uuid: str) -> AccountView:
    """Return the account that a request names. Raises Refusal(NOT_FOUND), StoreUnavailable."""
    view = administration.view(user_uuid)
    if view is None:
        raise Refusal(Code.NOT_FOUND)
    note_user(user_uuid)
    return view


def _looking(administration: Administration) -> Sequence[Endpoint]:
    def key(request: RequestData) -> KeyAnswer:
        """Tell which key is shown, and what it is good for."""
        operator = request.admitted
        return KeyAnswer(name=operator.name, role=operator.role, expires_at=operator.expires_at)

    def find(request: RequestData) -> AccountsAnswer:
        """Find the account that has this name, mail address or uuid."""
        found = administration.find(request.query.who)
        return AccountsAnswer(
            accounts=[facts_of(AccountSummary, administration.summary(view)) for view in found],
        )

    def show(request: RequestData) -> AccountAnswer:
        """Show an account with its devices, its live sessions and its newest history."""
        facts = administration.details(view_of(administration, request.query.uuid))
        return AccountAnswer(
            account=facts_of(AccountSummary, facts),
            closed_until=facts["closed_until"],
            second_factor=facts["second_factor"],
            devices=[facts_of(DeviceFacts, each) for each in facts["devices"]],
            sessions=[facts_of(SessionFacts, each) for each in facts["sessions"]],
            history=[facts_of(EventFacts, each) for each in facts["history"]],
            next_before=facts.get("next_before", UNSET),
        )

    def history(request: RequestData) -> HistoryAnswer:
        """Tell a page of an account's history, newest first."""
        query: HistoryQuery = request.query
        facts = administration.history(view_of(administration, query.uuid), query.before, query.limit)
        return HistoryAnswer(
            history=[facts_of(EventFacts, each) for each in facts["history"]],
            next_before=facts.get("next_before", UNSET),
        )

    return (
        _read("/admin/key", key, KeyAnswer),
        _read("/admin/accounts", find, AccountsAnswer, WhoQuery, _FOUND),
        _read("/admin/account", show, AccountAnswer, AccountQuery, _FOUND),
        _read("/admin/history", history, HistoryAnswer, HistoryQuery, _FOUND),
    )


def _paging(administration: Administration) -> Sequence[Endpoint]:
    def accounts(request: RequestData) -> ListAnswer:
        """List accounts page by page, in no order."""
        query: ListQuery = request.query
        if query.after is not None and not is_id(query.after):
            raise _wrong("after", "it is no place that a page told")
        since = None if query.inactive_days is None else administration.now() - timedelta(days=query.inactive_days)
        wanted = Wanted(None if query.state is None else AccountState(query.state), since)
        page = administration.accounts(wanted, query.after, query.limit)
        return ListAnswer(
            accounts=[facts_of(AccountSummary, administration.summary(view)) for view in page.views],
            next_after=UNSET if page.after is None else page.after,
        )

    def audit(request: RequestData) -> AuditAnswer:
        """Tell the audit log page by page, newest first."""
        query: AuditQuery = request.query
        try:
            since = None if query.since is None else from_iso8601(query.since)
        except ValueError:
            raise _wrong("since", "it is no date or time in ISO 8601") from None
        try:
            page = administration.audit_page(since, query.uuid, query.before, query.limit)
        except ValueError:
            raise _wrong("before", "it is no place that a page told") from None
        names = administration.usernames(event.user_uuid for event in page.events)
        return AuditAnswer(
            lines=[_line(event, names) for event in page.events],
            next_before=UNSET if page.before is None else page.before,
        )

    return (
        _read("/admin/list", accounts, ListAnswer, ListQuery),
        _read("/admin/audit", audit, AuditAnswer, AuditQuery),
    )


def _line(event: AuditEvent, names: Mapping[str, str]) -> AuditLine:
    return AuditLine(
        at=to_rfc3339(event.at),
        kind=str(event.kind),
        actor=event.actor,
        user_uuid=event.user_uuid,
        username=names.get(event.user_uuid or ""),
        reason=event.reason,
        facts=event.facts,
    )


def _read(
    rule: str,
    handler: Callable[[RequestData], Answer],
    answer: type[Answer],
    query: type[Query] | None = None,
    codes: Sequence[Code] = (),
) -> Endpoint:
    return Endpoint("GET", rule, handler, Guard.OPERATOR, answer=answer, query=query, codes=codes, role=str(Role.READ))


def _wrong(field: str, problem: str) -> Refusal:
    return Refusal(Code.INVALID_REQUEST, problem=f"{field}: {problem}", field=field)
