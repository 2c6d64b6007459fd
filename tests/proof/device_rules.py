"""Rules of the checker: a device joins by a pairing token that works once, and one that is unbound is out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.proof.case import Case, has_rival, listed, name, voidings
from tests.proof.objection_rules import was_objected_to
from tests.proof.recording import Call, Operation
from tests.proof.timeline import GRANTING, JOINING, Placed, Story, Violation, end_of, was_lost

PAIRING_SECONDS = 600


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
            rivals = [*tried[pairing], *voidings(case)]
            if early and not has_rival(call, rivals) and _stood_throughout(case.story, item, issuer):
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


OF_DEVICES: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    a_pairing_token_works_once,
    an_unbound_device_is_out,
    a_device_that_was_reset_is_out,
    the_last_device_stays,
)
