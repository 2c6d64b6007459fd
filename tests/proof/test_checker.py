"""The checker finds each wrong run wrong, by the rule that it breaks, and a right one right. Runs are made by hand."""

from __future__ import annotations

import cProfile
import itertools
import pstats
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from common.account.history import ClientInfo, Event, EventKind, HistoryRecord, OperatorAct, Reason
from tests.proof.checker import check
from tests.proof.recording import Call, Operation, Run
from tests.proof.timeline import Violation

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
O = Operation  # noqa: E741 - as short as a hand-made run wants it


@dataclass
class Tale:
    """A run being told. Calls follow one another, a second each, unless `at` and `until` say otherwise."""

    limit: int = 1
    mode: str = "ask"
    calls: list[Call] = field(default_factory=list)
    history: list[HistoryRecord] = field(default_factory=list)

    def call(
        self,
        operation: Operation,
        status: int | None = 200,
        asked: dict[str, Any] | None = None,
        told: dict[str, Any] | None = None,
        *,
        at: float | None = None,
        until: float | None = None,
    ) -> Tale:
        """Add a call."""
        number = len(self.calls) + 1
        start = float(2 * number) if at is None else at
        end = None if status is None else (start + 1 if until is None else until)
        self.calls.append(Call(number, "w1", operation, "anna", start, end, status, asked or {}, told or {}))
        return self

    def change(self, *events: Event, number: int | None = None) -> Tale:
        """Add a change to the history."""
        self.history.append(HistoryRecord(number or len(self.history) + 1, events, ClientInfo()))
        return self

    def broken(self) -> dict[str, str]:
        """Return the rules that the run breaks, each with one of its sentences."""
        run = Run(self.limit, self.mode, tuple(self.calls), {"anna": tuple(self.history)})
        return {violation.rule: violation.sentence for violation in check(run)}


def added(device: str) -> Event:
    """Tell of a device that joined."""
    return Event(EventKind.DEVICE_ADDED, AT, device)


def removed(device: str) -> Event:
    """Tell of a device that was unbound."""
    return Event(EventKind.DEVICE_REMOVED, AT, device)


def login(session: str, device: str) -> Event:
    """Tell of a login."""
    return Event(EventKind.LOGIN, AT, device, session)


def ended(session: str, device: str, reason: Reason) -> Event:
    """Tell of an ending."""
    return Event(EventKind.SESSION_ENDED, AT, device, session, reason)


def consent(*sessions: str, subject: str = "pc", name: str = "c1") -> dict[str, Any]:
    """Return what a takeover token says."""
    return {"consent_id": name, "session_ids": list(sessions), "subject": subject, "epoch": 0, "expires_at": 0}


def begun(limit: int = 1, mode: str = "ask") -> Tale:
    """Register anna with her phone and her pc, by calls 1 and 2 and changes 1 and 2; the phone showed code `qr`."""
    tale = Tale(limit, mode).call(O.REGISTER, told={"device_id": "phone", "pairing": "qr"})
    tale.change(Event(EventKind.REGISTERED, AT), added("phone"))
    tale.call(O.PAIR, asked={"pairing": "qr"}, told={"device_id": "pc", "pairing": "qr2"})
    return tale.change(added("pc"))


def phone_in(limit: int = 1, mode: str = "ask") -> Tale:
    """Log the phone in too: session p, call 3, change 3."""
    tale = begun(limit, mode).call(O.LOGIN, asked={"device_id": "phone"}, told=grant("p", "phone"))
    return tale.change(login("p", "phone"))


def asked_pc() -> Tale:
    """Ask the pc too: call 4, consent c1 for p."""
    shown = {"code": "device-active", "consent": consent("p")}
    return phone_in().call(O.LOGIN, 409, {"device_id": "pc"}, shown)


def grant(session: str, device: str, **more: Any) -> dict[str, Any]:
    """Return what a granting answer tells."""
    return {"session_id": session, "device_id": device, "generation": 0, **more}


def taken_over() -> Tale:
    """Let the pc take over: session q, call 5, change 4."""
    asked = {"device_id": "pc", "consent": consent("p")}
    tale = asked_pc().call(O.TAKEOVER, asked=asked, told=grant("q", "pc", evicted=["p"]))
    return tale.change(ended("p", "phone", Reason.TAKEN_OVER), login("q", "pc"))


def use(tale: Tale, session: str, status: int = 200, reason: str | None = None, **more: Any) -> Tale:
    """Verify a session."""
    told = {"session_id": session} if status == 200 else {"code": "session-ended", "reason": reason}
    return tale.call(O.VERIFY, status, {"session_id": session}, told, **more)


def objected_to_login() -> Tale:
    """Log the pc in beside the phone, change 4, and object to that in the phone's session: call 5, change 5."""
    tale = phone_in(2).call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc")).change(login("q", "pc"))
    tale.call(O.OBJECT, asked={"session_id": "p", "device_id": "phone", "target": "4", "new_password_no": 1})
    return tale.change(ended("q", "pc", Reason.REVOKED), Event(EventKind.OBJECTED, AT))


def reset_after(tale: Tale) -> Tale:
    """Set a new password in the phone's session once something was taken back."""
    tale.call(
        O.PASSWORD_CHANGE, asked={"session_id": "p", "device_id": "phone", "password_no": 0, "new_password_no": 1}
    )
    return tale.change(Event(EventKind.PASSWORD_CHANGED, AT, "phone"))


def objected_by(operation: Operation, *events: Event, signer: str = "phone", status: int | None = 200) -> Tale:
    """Log the pc in and object to that by a link or a signature, in a change of some events.

    `signer`: the phone, or a tv that joined after the pc.
    """
    tale = phone_in(2)
    if signer == "tv":
        tale.call(O.PAIR, told={"device_id": "tv"}).change(added("tv"))
    tale.call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc")).change(login("q", "pc"))
    signing = {"device_id": signer} if operation is O.OBJECT_BY_DEVICE else {}
    tale.call(operation, status, {"target": str(len(tale.history)), "new_password_no": 1, **signing})
    return tale.change(*events, Event(EventKind.OBJECTED, AT)) if events else tale


BOTH_OUT = ended("p", "phone", Reason.REVOKED), ended("q", "pc", Reason.REVOKED)
"""What an objection by a link or a signature ends."""


def spent_objection(tale: Tale, target: str = "4") -> Tale:
    """Be refused the link of a notice as used."""
    return tale.call(O.OBJECT_BY_LINK, 410, {"target": target}, {"code": "link-spent"})


def factor_on(tale: Tale) -> Tale:
    """Switch a second factor on in the phone's session: one change."""
    tale.call(O.OTP_ON, asked={"session_id": "p", "device_id": "phone", "factor": "otp"})
    return tale.change(Event(EventKind.OTP_ENABLED, AT, "phone"))


def phone_again(tale: Tale, status: int = 200, **asked: Any) -> Tale:
    """Log the phone in again as r; where it is let in that ends p."""
    told = grant("r", "phone") if status == 200 else {"code": "otp-required"}
    tale.call(O.LOGIN, status, {"device_id": "phone", **asked}, told)
    return tale.change(ended("p", "phone", Reason.REPLACED), login("r", "phone")) if status == 200 else tale


def factor_off(tale: Tale) -> Tale:
    """Switch the factor off again."""
    tale.call(O.OTP_OFF, asked={"session_id": "p", "device_id": "phone", "factor": "otp"})
    return tale.change(Event(EventKind.OTP_DISABLED, AT, "phone"))


def objected_by_phone_to_a_factor() -> Tale:
    """Switch a factor on, change 4, and take that back by a signature: call 5, change 5."""
    tale = factor_on(phone_in())
    tale.call(O.OBJECT_BY_DEVICE, asked={"target": "4", "new_password_no": 1, "device_id": "phone"})
    off = Event(EventKind.OTP_DISABLED, AT)
    return tale.change(ended("p", "phone", Reason.REVOKED), Event(EventKind.OBJECTED, AT), off)


def operated(tale: Tale, act: OperatorAct, *events: Event, made: bool = True) -> Tale:
    """Let an operator act; `made`: the history has it."""
    tale.call(O.OPERATE, asked={"act": f"{act} 0"}, told={"changed": True, "ended": len(events)})
    return tale.change(*(structs.replace(event, act=act) for event in events)) if made else tale


def disabled() -> Tale:
    """Disable the account: session p ends, call 4, change 4."""
    shut = Event(EventKind.ACCOUNT_DISABLED, AT)
    return operated(phone_in(), OperatorAct.DISABLE, ended("p", "phone", Reason.REVOKED), shut)


def refresh(tale: Tale, asked: int, told: int, **more: Any) -> Tale:
    """Refresh session p."""
    return tale.call(
        O.REFRESH, asked={"session_id": "p", "generation": asked}, told=grant("p", "phone", generation=told), **more
    )


def reused(tale: Tale, asked: int, **more: Any) -> Tale:
    """Be taken for a thief with session p."""
    said = {"code": "session-ended", "reason": "refresh-reused"}
    tale.call(O.REFRESH, 401, {"session_id": "p", "generation": asked}, said, **more)
    return tale.change(ended("p", "phone", Reason.REFRESH_REUSED))


def new_password(device: str) -> tuple[Event, Event]:
    """Tell of a password that was set by a link, with the browser that joined by it."""
    return Event(EventKind.PASSWORD_CHANGED, AT, device), added(device)


def reset(tale: Tale, *events: Event, device: str = "found", version: int = 0, **asked: Any) -> Tale:
    """Set a password by a link; `events`: what else its change did."""
    link = {"id": f"link {version}", "epoch": version}
    tale.call(O.RESET, asked={"link": link, "new_password_no": 1, **asked}, told={"device_id": device})
    return tale.change(*events, *new_password(device))


def phone_reset(**asked: Any) -> Tale:
    """Set a password while the phone is logged in: session p ends, call 4, change 4."""
    return reset(phone_in(), ended("p", "phone", Reason.PASSWORD_CHANGED), **asked)


def login_on(tale: Tale, device: str, number: int, session: str = "q") -> Tale:
    """Log a device in by a password of a number."""
    tale.call(O.LOGIN, asked={"device_id": device, "password_no": number}, told=grant(session, device))
    return tale.change(login(session, device))


def spent_link(tale: Tale, version: int) -> Tale:
    """Be refused a link as spent."""
    return tale.call(O.RESET, 410, {"link": {"id": "a", "epoch": version}}, {"code": "link-spent"})


RIGHT: dict[str, Callable[[], Tale]] = {
    "a takeover": taken_over,
    "the evicted is refused": lambda: use(taken_over(), "p", 401, "taken-over"),
    "the newcomer is served": lambda: use(taken_over(), "q"),
    "used while it was taken over": lambda: use(taken_over(), "p", at=9.5, until=12),
    "a logout, twice": lambda: (
        phone_in()
        .call(O.LOGOUT, asked={"session_id": "p"})
        .change(ended("p", "phone", Reason.LOGGED_OUT))
        .call(O.LOGOUT, asked={"session_id": "p"})
    ),
    "a logout of what a lost signing out had ended": lambda: (
        use(phone_in().call(O.END_ALL, None, {"session_id": "p", "device_id": "phone"}), "p", 401, "revoked")
        .change(ended("p", "phone", Reason.REVOKED))
        .call(O.LOGOUT, asked={"session_id": "p"})
    ),
    "a refresh, repeated within the grace": lambda: refresh(refresh(phone_in(), 0, 1), 0, 1),
    "a theft": lambda: reused(refresh(refresh(phone_in(), 0, 1), 1, 2), 0),
    "a lost login": lambda: begun().call(O.LOGIN, None, {"device_id": "pc"}).change(login("q", "pc")),
    "a lost login that never was": lambda: begun().call(O.LOGIN, None, {"device_id": "pc"}),
    "mode evict": lambda: (
        phone_in(mode="evict")
        .call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc", evicted=["p"]))
        .change(ended("p", "phone", Reason.EVICTED), login("q", "pc"))
    ),
    "a forced logout": lambda: (
        phone_in(2)
        .call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc"))
        .change(login("q", "pc"))
        .call(O.FORCE_LOGOUT, asked={"session_id": "q"}, told={"kept": "p", "logged_out": ["q"]})
        .change(ended("q", "pc", Reason.FORCED_OUT))
    ),
    "an unbinding": lambda: (
        phone_in()
        .call(O.UNBIND, asked={"session_id": "p", "target": "pc"})
        .change(removed("pc"))
        .call(O.LOGIN, 401, {"device_id": "pc"}, {"code": "certificate-revoked"})
    ),
    "an operator who disables and enables": lambda: use(
        operated(disabled(), OperatorAct.ENABLE, Event(EventKind.ACCOUNT_ENABLED, AT))
        .call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc"))
        .change(login("q", "pc")),
        "q",
    ),
    "a password by a link, and the others unbound": lambda: login_on(
        spent_link(phone_reset().change(removed("phone")).change(removed("pc")), 0), "found", 1
    ),
    "a lost password by a link, and one other unbound": lambda: (
        phone_in()
        .call(O.RESET, None, {"link": {"id": "a", "epoch": 0}})
        .change(ended("p", "phone", Reason.PASSWORD_CHANGED), *new_password("found"))
        .change(removed("phone"))
        .call(O.LOGIN, 401, {"device_id": "pc"}, {"code": "certificate-revoked"})
    ),
    "a password by a link that keeps the others": lambda: login_on(phone_reset(keep=True), "pc", 1),
    "an objection to a login": lambda: (
        reset_after(objected_to_login())
        .call(O.LOGIN, 401, {"device_id": "pc"}, {"code": "certificate-revoked"})
        .call(O.LOGIN, asked={"device_id": "phone", "password_no": 1}, told=grant("r", "phone"))
        .change(removed("pc"))
        .change(ended("p", "phone", Reason.REPLACED), login("r", "phone"))
    ),
    "a device that joins after an objection": lambda: (
        reset_after(objected_to_login())
        .change(removed("pc"))
        .call(O.PAIR, asked={"password_no": 1}, told={"device_id": "tv"})
        .change(added("tv"))
        .call(O.LOGIN, asked={"device_id": "tv", "password_no": 1}, told=grant("r", "tv"))
        .change(login("r", "tv"))
    ),
    "an objection by a link, said twice": lambda: spent_objection(
        objected_by(O.OBJECT_BY_LINK, *BOTH_OUT).change(removed("pc"))
    ),
    "an objection by a link whose answer was lost": lambda: spent_objection(
        objected_by(O.OBJECT_BY_LINK, *BOTH_OUT, status=None)
    ),
    "an objection by a link that was lost and never made": lambda: use(objected_by(O.OBJECT_BY_LINK, status=None), "q"),
    "an objection by a later device leaves the earlier one": lambda: login_on(
        reset(objected_by(O.OBJECT_BY_DEVICE, *BOTH_OUT, signer="tv"), version=1, keep=True), "pc", 1, "r"
    ),
    "a factor, asked for and switched off": lambda: phone_again(factor_off(phone_again(factor_on(phone_in()), 401))),
    "a factor that is taken back": lambda: login_on(
        reset(objected_by_phone_to_a_factor(), version=2, keep=True), "found", 1
    ),
    "a session that expired": lambda: use(phone_in(), "p", 401, "expired"),
}


@pytest.mark.parametrize("tale", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_run_is_right(tale: Callable[[], Tale]) -> None:
    """Nothing is found."""
    assert tale().broken() == {}


def second_login(tale: Tale, *events: Event, **told: Any) -> Tale:
    """Log the pc in as q, with what else its change did."""
    return tale.call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc", **told)).change(
        *events, login("q", "pc")
    )


def consent_used_twice() -> Tale:
    """Let the phone come back, and the same consent evict it again."""
    tale = taken_over().call(
        O.LOGIN, asked={"device_id": "phone", "force": True}, told=grant("r", "phone", evicted=["q"])
    )
    tale.change(ended("q", "pc", Reason.FORCED_OUT), login("r", "phone"))
    tale.call(O.TAKEOVER, asked={"device_id": "pc", "consent": consent("p")}, told=grant("s", "pc", evicted=["r"]))
    return tale.change(ended("r", "phone", Reason.TAKEN_OVER), login("s", "pc"))


def joined_by(code: str, tale: Tale) -> Tale:
    """Pair a tablet by a code."""
    tale.call(O.PAIR, asked={"pairing": code}, told={"device_id": "tablet", "pairing": "qr3"})
    return tale.change(added("tablet"))


def unbound_pc() -> Tale:
    """Unbind the pc."""
    return phone_in().call(O.UNBIND, asked={"session_id": "p", "target": "pc"}).change(removed("pc"))


WRONG: dict[str, tuple[str, Callable[[], Tale]]] = {
    "two sessions, limit one": ("I1", lambda: second_login(phone_in())),
    "two granted at once, one in no history": (
        "I1",
        lambda: phone_in().call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc")),
    ),
    "the evicted is served": ("I2", lambda: use(taken_over(), "p")),
    "the evicted refreshes": ("I2", lambda: refresh(taken_over(), 0, 1)),
    "served after it was refused": (
        "I2",
        lambda: use(
            use(
                phone_in()
                .call(O.TAKEOVER, None, {"device_id": "pc", "consent": consent("p")})
                .change(ended("p", "phone", Reason.TAKEN_OVER), login("q", "pc")),
                "p",
                401,
                "taken-over",
            ),
            "p",
        ),
    ),
    "a takeover of one who was not shown": (
        "I3",
        lambda: (
            asked_pc()
            .call(O.LOGIN, asked={"device_id": "phone"}, told=grant("r", "phone"))
            .change(ended("p", "phone", Reason.REPLACED), login("r", "phone"))
            .call(O.TAKEOVER, asked={"device_id": "pc", "consent": consent("p")}, told=grant("q", "pc", evicted=["r"]))
            .change(ended("r", "phone", Reason.TAKEN_OVER), login("q", "pc"))
        ),
    ),
    "a takeover that leaves one of the shown": (
        "I3",
        lambda: (
            phone_in(2)
            .call(O.TAKEOVER, asked={"device_id": "pc", "consent": consent("p")}, told=grant("q", "pc", evicted=[]))
            .change(login("q", "pc"))
        ),
    ),
    "a login that ends another": (
        "I3",
        lambda: second_login(phone_in(), ended("p", "phone", Reason.EVICTED), evicted=["p"]),
    ),
    "an eviction that is not told": (
        "I3",
        lambda: second_login(phone_in(mode="evict"), ended("p", "phone", Reason.EVICTED), evicted=[]),
    ),
    "a refused login that ended somebody": (
        "I4",
        lambda: asked_pc().change(ended("p", "phone", Reason.TAKEN_OVER)),
    ),
    "an ending of what did not live": ("I5", lambda: phone_in().change(ended("x", "pc", Reason.LOGGED_OUT))),
    "a living one refused": ("I5", lambda: use(phone_in(), "p", 401, "logged-out")),
    "another reason than the history's": ("I5", lambda: use(taken_over(), "p", 401, "logged-out")),
    "a question that shows the dead": (
        "I6",
        lambda: (
            phone_in()
            .call(O.LOGOUT, asked={"session_id": "p"})
            .change(ended("p", "phone", Reason.LOGGED_OUT))
            .call(O.LOGIN, 409, {"device_id": "pc"}, {"code": "device-active", "consent": consent("p")})
        ),
    ),
    "a question below the limit": (
        "I6",
        lambda: phone_in(2).call(O.LOGIN, 409, {"device_id": "pc"}, {"code": "device-active", "consent": consent("p")}),
    ),
    "a consent used twice": ("I7", consent_used_twice),
    "a consent used after another admission": (
        "I7",
        lambda: (
            asked_pc()
            .call(O.LOGIN, asked={"device_id": "phone"}, told=grant("p2", "phone"))
            .change(ended("p", "phone", Reason.REPLACED), login("p2", "phone"))
            .call(O.LOGOUT, asked={"session_id": "p2"})
            .change(ended("p2", "phone", Reason.LOGGED_OUT))
            .call(O.TAKEOVER, asked={"device_id": "pc", "consent": consent("p")}, told=grant("q", "pc", evicted=[]))
            .change(login("q", "pc"))
        ),
    ),
    "a consent of another device": (
        "I7",
        lambda: (
            asked_pc()
            .call(
                O.TAKEOVER,
                asked={"device_id": "pc", "consent": consent("p", subject="phone")},
                told=grant("q", "pc", evicted=["p"]),
            )
            .change(ended("p", "phone", Reason.TAKEN_OVER), login("q", "pc"))
        ),
    ),
    "a consent after two minutes": (
        "I7",
        lambda: (
            asked_pc()
            .call(
                O.TAKEOVER,
                asked={"device_id": "pc", "consent": consent("p")},
                told=grant("q", "pc", evicted=["p"]),
                at=140.0,
            )
            .change(ended("p", "phone", Reason.TAKEN_OVER), login("q", "pc"))
        ),
    ),
    "a fresh consent refused as spent": (
        "I7",
        lambda: asked_pc().call(
            O.TAKEOVER, 410, {"device_id": "pc", "consent": consent("p")}, {"code": "takeover-spent"}
        ),
    ),
    "an answer of 500": ("I8", lambda: phone_in().call(O.VERIFY, 500, {"session_id": "p"})),
    "a grace that mints": ("I9", lambda: refresh(refresh(phone_in(), 0, 1), 0, 2)),
    "an old generation served": ("I9", lambda: refresh(refresh(refresh(phone_in(), 0, 1), 1, 2), 0, 1)),
    "a previous one after the grace": ("I9", lambda: refresh(refresh(phone_in(), 0, 1), 0, 1, at=30.0)),
    "a false alarm": ("I9", lambda: reused(phone_in(), 0)),
    "the logged out is served": (
        "I10",
        lambda: use(
            phone_in().call(O.LOGOUT, asked={"session_id": "p"}).change(ended("p", "phone", Reason.LOGGED_OUT)), "p"
        ),
    ),
    "a logout that ended nothing": ("I10", lambda: phone_in().call(O.LOGOUT, asked={"session_id": "p"})),
    "a code used twice": ("I11", lambda: joined_by("qr", begun())),
    "a code of an unbound device": ("I11", lambda: joined_by("qr2", unbound_pc())),
    "a fresh code refused as spent": (
        "I11",
        lambda: begun().call(O.PAIR, 410, {"pairing": "qr2"}, {"code": "pairing-token-spent"}),
    ),
    "a code of an ended session": (
        "I11",
        lambda: joined_by(
            "qr9",
            phone_in()
            .call(O.REQUEST_PAIRING_TOKEN, asked={"device_id": "phone"}, told={"pairing": "qr9"})
            .call(O.LOGOUT, asked={"session_id": "p"})
            .change(ended("p", "phone", Reason.LOGGED_OUT)),
        ),
    ),
    "a login of an unbound device": (
        "I12",
        lambda: second_login(
            unbound_pc().call(O.LOGOUT, asked={"session_id": "p"}).change(ended("p", "phone", Reason.LOGGED_OUT))
        ),
    ),
    "a session left on an unbound device": (
        "I12",
        lambda: (
            second_login(phone_in(2)).call(O.UNBIND, asked={"session_id": "p", "target": "pc"}).change(removed("pc"))
        ),
    ),
    "a bound device refused": (
        "I12",
        lambda: begun().call(O.LOGIN, 401, {"device_id": "pc"}, {"code": "certificate-mismatch"}),
    ),
    "an old password's session": (
        "I14",
        lambda: use(
            begun()
            .call(O.PASSWORD_CHANGE, told={"password_no": 1}, at=6, until=7)
            .call(O.LOGIN, asked={"device_id": "pc", "password_no": 0}, told=grant("q", "pc"), at=5.5, until=9)
            .change(login("q", "pc")),
            "q",
            at=10.0,
        ),
    ),
    "an old password is good after one was set by a link": (
        "I14",
        lambda: use(login_on(phone_reset(keep=True), "pc", 0), "q"),
    ),
    "a link that works twice": (
        "I14",
        lambda: reset(phone_reset(), device="found2"),
    ),
    "a link of later credentials": ("I14", lambda: phone_reset(version=1)),
    "a fresh link refused as spent": ("I14", lambda: spent_link(phone_in(), 0)),
    "a password by a link that is in no history": (
        "I27",
        lambda: phone_in().call(O.RESET, asked={"new_password_no": 1}, told={"device_id": "found"}),
    ),
    "a link that lets a browser in and sets no password": (
        "I14",
        lambda: phone_in().call(O.RESET, told={"device_id": "found"}).change(added("found")),
    ),
    "a session that outlives a password by a link": ("I14", lambda: use(reset(phone_in()), "p")),
    "a lost password by a link that left a session": (
        "I14",
        lambda: phone_in().call(O.RESET, None, {}).change(*new_password("found")),
    ),
    "a password by a link that was refused": (
        "I4",
        lambda: spent_link(phone_in(), 1).change(ended("p", "phone", Reason.PASSWORD_CHANGED), *new_password("found")),
    ),
    "a login of a device that a password by a link put out": ("I12", lambda: login_on(phone_reset(), "pc", 1)),
    "a code of a device that a password by a link put out": (
        "I12",
        lambda: phone_reset().call(O.REQUEST_PAIRING_TOKEN, asked={"device_id": "pc"}, told={"pairing": "qr9"}),
    ),
    "a consent that outlives a password by a link": (
        "I14",
        lambda: (
            reset(asked_pc(), ended("p", "phone", Reason.PASSWORD_CHANGED), keep=True)
            .call(O.TAKEOVER, asked={"device_id": "pc", "consent": consent("p")}, told=grant("q", "pc", evicted=[]))
            .change(login("q", "pc"))
        ),
    ),
    "signed out everywhere, and nothing of it in the history": (
        "I27",
        lambda: phone_in().call(O.END_ALL, asked={"session_id": "p"}, told={"ended": ["p"]}),
    ),
    "a forced logout that keeps the last": (
        "I16",
        lambda: (
            second_login(phone_in(2))
            .call(O.FORCE_LOGOUT, asked={"session_id": "q"}, told={"kept": "q", "logged_out": ["p"]})
            .change(ended("p", "phone", Reason.FORCED_OUT))
        ),
    ),
    "a forced logout that leaves two": (
        "I16",
        lambda: second_login(phone_in(2)).call(
            O.FORCE_LOGOUT, asked={"session_id": "q"}, told={"kept": "p", "logged_out": []}
        ),
    ),
    "a gap": ("I27", lambda: begun().change(login("q", "pc"), number=4)),
    "a success in no history": ("I27", lambda: begun().call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc"))),
    "a login that is told twice": (
        "I27",
        lambda: second_login(begun()).change(ended("q", "pc", Reason.REPLACED), login("q", "pc")),
    ),
    "the later call has the smaller number": (
        "I27",
        lambda: (
            begun()
            .call(O.LOGIN, asked={"device_id": "phone"}, told=grant("p", "phone"), at=20.0)
            .change(login("p", "phone"))
            .call(O.LOGOUT, asked={"session_id": "p"}, at=22.0)
            .change(ended("p", "phone", Reason.LOGGED_OUT))
            .call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc"), at=10.0)
            .change(login("q", "pc"))
        ),
    ),
    "an operator's act that the history lacks": (
        "I27",
        lambda: operated(phone_in(), OperatorAct.END_SESSIONS, made=False),
    ),
    "an act of no operator": (
        "I4",
        lambda: phone_in().change(structs.replace(ended("p", "phone", Reason.REVOKED), act=OperatorAct.END_SESSIONS)),
    ),
    "a login to a disabled account": (
        "I14",
        lambda: disabled().call(O.LOGIN, asked={"device_id": "pc"}, told=grant("q", "pc")).change(login("q", "pc")),
    ),
    "a consent that outlives a new password": (
        "I14",
        lambda: (
            operated(asked_pc(), OperatorAct.SET_PASSWORD, Event(EventKind.PASSWORD_CHANGED, AT))
            .call(
                O.TAKEOVER,
                asked={"device_id": "pc", "consent": consent("p")},
                told=grant("q", "pc", evicted=["p"]),
            )
            .change(ended("p", "phone", Reason.TAKEN_OVER), login("q", "pc"))
        ),
    ),
    "a login of the device whose login was objected to": (
        "I12",
        lambda: (
            objected_to_login()
            .call(O.LOGIN, asked={"device_id": "pc", "password_no": 1}, told=grant("r", "pc"))
            .change(login("r", "pc"))
        ),
    ),
    "a session that outlives an objection by a link": (
        "I14",
        lambda: objected_by(O.OBJECT_BY_LINK, ended("q", "pc", Reason.REVOKED)),
    ),
    "an objection by a signature that is answered and not made": (
        "I27",
        lambda: objected_by(O.OBJECT_BY_DEVICE),
    ),
    "an objection that is made twice": (
        "I27",
        lambda: objected_by(O.OBJECT_BY_LINK, *BOTH_OUT).change(Event(EventKind.OBJECTED, AT)),
    ),
    "an objection that is refused as made, and was not": (
        "I27",
        lambda: spent_objection(objected_by(O.OBJECT_BY_LINK, *BOTH_OUT), "3"),
    ),
    "a lost objection that is refused as made, and was not": (
        "I27",
        lambda: spent_objection(objected_by(O.OBJECT_BY_LINK, status=None)),
    ),
    "a login before a new password, once something was taken back": (
        "I14",
        lambda: login_on(objected_by(O.OBJECT_BY_LINK, *BOTH_OUT), "phone", 1, "r"),
    ),
    "a login of the device that was objected to by a link": (
        "I12",
        lambda: login_on(reset(objected_by(O.OBJECT_BY_LINK, *BOTH_OUT), version=1, keep=True), "pc", 1, "r"),
    ),
    "a login of the device that was objected to by an earlier one": (
        "I12",
        lambda: login_on(reset(objected_by(O.OBJECT_BY_DEVICE, *BOTH_OUT), version=1, keep=True), "pc", 1, "r"),
    ),
    "a factor that is answered and not switched on": (
        "I27",
        lambda: phone_in().call(O.OTP_ON, asked={"session_id": "p", "device_id": "phone", "factor": "otp"}),
    ),
    "a login without the code of a factor": ("I14", lambda: phone_again(factor_on(phone_in()))),
    "a code that is asked for, and no factor is on": (
        "I14",
        lambda: phone_again(factor_off(factor_on(phone_in())), 401),
    ),
    "a code that is asked for, of a factor that was taken back": (
        "I14",
        lambda: phone_again(objected_by_phone_to_a_factor(), 401),
    ),
    "a factor switched off without a code": (
        "I14",
        lambda: (
            factor_on(phone_in())
            .call(O.OTP_OFF, asked={"session_id": "p", "device_id": "phone"}, at=20, until=21)
            .call(O.LOGIN, 401, {"device_id": "pc"}, {"code": "otp-required"}, at=20.5, until=22)
        ),
    ),
    "a consent given before a factor was switched on": (
        "I14",
        lambda: (
            factor_on(asked_pc())
            .call(O.TAKEOVER, asked={"device_id": "pc", "consent": consent("p")}, told=grant("q", "pc", evicted=["p"]))
            .change(ended("p", "phone", Reason.TAKEN_OVER), login("q", "pc"))
        ),
    ),
    "a rename that is told twice": (
        "I27",
        lambda: (
            phone_in()
            .call(O.RENAME, asked={"session_id": "p", "target": "pc"})
            .change(Event(EventKind.DEVICE_RENAMED, AT, "pc"))
            .change(Event(EventKind.DEVICE_RENAMED, AT, "pc"))
        ),
    ),
}


@pytest.mark.parametrize(("rule", "tale"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_run_is_found_wrong(rule: str, tale: Callable[[], Tale]) -> None:
    """By the rule that it breaks, in a sentence that names a call or a change."""
    broken = tale().broken()
    assert rule in broken, broken
    assert re.search(r"\b(call|change)s? ", broken[rule])


def test_users_are_judged_apart() -> None:
    """What one user's calls break is not said of another, and both are looked at."""
    right, wrong = taken_over(), second_login(phone_in())
    calls = (*right.calls, *(replace(call, user="bert", number=call.number + 100) for call in wrong.calls))
    run = Run(1, "ask", calls, {"anna": tuple(right.history), "bert": tuple(wrong.history)})
    found = check(run)
    assert {violation.rule for violation in found} == {"I1"}
    assert all(isinstance(violation, Violation) for violation in found)


def test_the_order_of_the_record_does_not_matter() -> None:
    """Calls come from many clients' files."""
    tale = taken_over()
    for order in itertools.islice(itertools.permutations(tale.calls), 0, None, 17):
        assert check(Run(1, "ask", order, {"anna": tuple(tale.history)})) == []


def test_a_long_run_takes_no_longer_for_each_call() -> None:
    """Steps are counted, not timed: as many for each call in a run ten times as long."""
    few, many = (_steps_taken(size) / size for size in (300, 3000))
    assert many < 1.5 * few


def _steps_taken(size: int) -> int:
    """Judge a run of so many logins and count the function calls that it takes."""
    tale = begun()
    for number in range(size):
        tale.call(O.LOGIN, asked={"device_id": "pc"}, told=grant(f"s{number}", "pc"))
        replaced = [ended(f"s{number - 1}", "pc", Reason.REPLACED)] if number else []
        tale.change(*replaced, login(f"s{number}", "pc"))
    profile = cProfile.Profile()
    assert profile.runcall(tale.broken) == {}
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
