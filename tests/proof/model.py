"""What an account is and does, in some hundred lines: the contract as one would explain it, without store and HTTP.

Devices and sessions are numbers in the order in which they came. Every operation returns its answer: the status, the
code of a refusal, and what is told. An expired session stays in the book, dead, until something else changes the book.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

IDLE, LIFETIME, TOKEN, CONSENT, PAIRING, GRACE, TOUCH = 86_400, 259_200, 600, 120, 600, 10, 60
MOST_DEVICES = 4


class Answer(NamedTuple):
    """How an operation is answered; `told` holds devices."""

    status: int
    code: str = ""
    told: Any = ()


@dataclass(eq=False)
class Session:
    """A session in the book. Times are seconds."""

    number: int
    device: int
    checked: int
    seen: int
    ends: int
    generation: int = 0
    rotated: int | None = None
    consent: Consent | None = None


@dataclass
class Consent:
    """What a takeover token says."""

    device: int
    shown: set[int]
    checked: int
    expires: int
    admissions: int


@dataclass
class Pairing:
    """A pairing token: who showed it, from which session, until when."""

    device: int
    session: int | None
    expires: int
    used: bool = False


@dataclass
class Model:
    """One account, and the policy and the time of the suite.

    `lowest`: the lowest limit since the book's last change; None: the present one. `entered_as`: the session that the
    last device was let in with.
    """

    limit: int
    mode: str
    now: int = 0
    lowest: int | None = None
    bound: list[bool] = field(default_factory=lambda: [True])
    book: list[Session] = field(default_factory=list)
    gone: dict[int, str] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)
    pairings: list[Pairing] = field(default_factory=list)
    sessions: int = 0
    entered_as: int = 0

    def end_reason(self, number: int) -> str | None:
        """Return why a session may not be used."""
        if number in self.gone:
            return self.gone[number]
        place, session = next((p, s) for p, s in enumerate(self.book) if s.number == number)
        if min(session.ends, session.seen + IDLE + TOUCH) <= self.now:
            return "expired"
        return "over-limit" if place >= (self.limit if self.lowest is None else self.lowest) else None

    def change_policy(self, limit: int, mode: str) -> None:
        """Let another limit and mode be in force: what a lower limit refuses stays refused under a higher one."""
        self.lowest = min(limit, self.limit if self.lowest is None else self.lowest)
        self.limit, self.mode = limit, mode

    def written(self) -> None:
        """Note a change of the book: what is over the limit leaves it, and the limit counts from here."""
        over = {s.number: "over-limit" for s in self.book if self.end_reason(s.number) == "over-limit"}
        self.gone |= over
        self.book = [session for session in self.book if session.number not in over]
        self.lowest = None

    def live(self) -> list[Session]:
        """Return the live sessions, earliest first."""
        return [session for session in self.book if self.end_reason(session.number) is None]

    def change(self, ended: dict[int, str]) -> None:
        """Take sessions out of the book, and with them all that are dead."""
        dead = {session.number: self.end_reason(session.number) for session in self.book}
        self.gone |= {number: why for number, why in dead.items() if why} | ended
        self.book = [session for session in self.book if session.number not in self.gone]
        self.lowest = None

    def enter(self, device: int, checked: int, consent: Consent | str | None, *, ask: bool = True) -> Answer:
        """Let a device in, or ask. `consent`: what was agreed to, or "force"."""
        others = [session for session in self.live() if session.device != device]
        out, why = list[Session](), "evicted"
        if isinstance(consent, Consent) and self.mode != "reject":
            if {session.number for session in others} - consent.shown:
                return self.question(device, others, checked, ask=ask)
            out, why = others, "taken-over"
        elif len(others) >= self.limit:
            if self.mode == "reject" or (self.mode == "ask" and consent is None):
                return self.question(device, others, checked, ask=ask)
            out, why = (others, "forced-out") if consent else (others[: len(others) - self.limit + 1], why)
        if isinstance(consent, Consent) and consent.admissions != self.sessions:
            return Answer(410, "takeover-spent")  # also below the limit, and in every mode
        self.change({session.number: why for session in out})
        self.change({session.number: "replaced" for session in self.book if session.device == device})
        agreed = consent if isinstance(consent, Consent) else None
        self.book.append(Session(self.sessions, device, checked, self.now, self.now + LIFETIME, consent=agreed))
        self.entered_as, self.sessions = self.sessions, self.sessions + 1
        return Answer(200, told=[session.device for session in out])

    def question(self, device: int, others: list[Session], checked: int, *, ask: bool) -> Answer:
        """Show who is active; in mode reject there is nothing to agree to."""
        if ask and self.mode != "reject":
            expires = min(self.now + CONSENT, checked + 600)
            shown = {session.number for session in others}
            self.consents.append(Consent(device, shown, checked, expires, self.sessions))
        return Answer(409, "device-active", [session.device for session in others])

    def login(self, device: int, *, force: bool) -> Answer:
        """Log in with the right password."""
        if not self.bound[device]:
            return Answer(401, "certificate-revoked")
        return self.enter(device, self.now, "force" if force else None)

    def take_over(self, consent: Consent, device: int) -> Answer:
        """Consent, from a device."""
        if consent.expires <= self.now:
            return Answer(410, "takeover-spent")
        if not self.bound[device] or device != consent.device:
            return Answer(403, "device-mismatch")
        made = next((session for session in self.live() if session.consent is consent), None)
        if made is not None and made.rotated is None:
            self.entered_as = made.number
            return Answer(200, told=[])
        return self.enter(device, consent.checked, consent)

    def caller(self, number: int, issued: int, *, active: bool) -> Answer | Session:
        """Return whose access token it is, or the refusal."""
        if why := self.end_reason(number):
            return Answer(401, why)
        if issued + TOKEN <= self.now:
            return Answer(401, "token-expired")
        session = next(session for session in self.book if session.number == number)
        if active and self.now - session.seen >= TOUCH:
            session.seen = self.now
            self.written()
        return session

    def refresh(self, number: int, generation: int) -> Answer:
        """Use a refresh token."""
        if why := self.end_reason(number):
            return Answer(401, why)
        session = next(session for session in self.book if session.number == number)
        if generation == session.generation:
            session.generation, session.rotated = generation + 1, self.now
            self.written()
        elif generation != session.generation - 1 or session.rotated is None or self.now > session.rotated + GRACE:
            self.change({number: "refresh-reused"})
            return Answer(401, "refresh-reused")
        return Answer(200)

    def logout(self, number: int) -> Answer:
        """End one's own session, if it is there still."""
        self.change({} if self.end_reason(number) else {number: "logged-out"})
        return Answer(200)

    def keep_first(self, session: Session) -> Answer:
        """End all sessions but the earliest."""
        first, *others = self.live()
        self.change({other.number: "forced-out" for other in others})
        return Answer(200, told=[first.device, *(other.device for other in others)])

    def unbind(self, device: int) -> Answer:
        """Remove a device, its session with it."""
        if not self.bound[device]:
            return Answer(404, "not-found")
        if sum(self.bound) == 1:
            return Answer(409, "last-device")
        self.change({session.number: "device-unbound" for session in self.live() if session.device == device})
        self.bound[device] = False
        return Answer(200)

    def issue(self, device: int) -> Answer:
        """Show a QR code on a device."""
        if not self.bound[device]:
            return Answer(403, "device-unknown")
        own = next((session.number for session in self.live() if session.device == device), None)
        self.pairings.append(Pairing(device, own, self.now + PAIRING))
        return Answer(200)

    def redeem(self, pairing: Pairing, *, enter: bool, force: bool = False) -> Answer:
        """Join with a new device, and with `enter` log it in."""
        ended = pairing.session is not None and self.end_reason(pairing.session)
        if pairing.used or pairing.expires <= self.now or not self.bound[pairing.device] or ended:
            return Answer(410, "pairing-token-spent")
        if sum(self.bound) >= MOST_DEVICES:
            return Answer(409, "too-many-devices")
        device = len(self.bound)
        answer = self.enter(device, self.now, "force" if force else None, ask=False) if enter else Answer(200)
        if answer.status == 200:
            pairing.used = True
            self.bound.append(True)
            if not enter:
                self.written()
                self.pairings.append(Pairing(device, None, self.now + PAIRING))
        return answer
