"""Recorded runs: what clients asked and were told, when, and what the history says happened. No token is kept.

A run is one file of JSON lines. The first tells the settings, every other is a call or an entry of a history:

    {"is": "run", "limit": 1, "mode": "ask"}
    {"is": "call", "number": 7, "client": "worker 3", "operation": "login", "user": "<uuid>", "start": 12.31,
     "end": 12.35, "status": 200, "asked": {…}, "told": {…}}
    {"is": "entry", "user": "<uuid>", "change_no": 4, "events": [{"kind": "login", …}], "ip": "", "user_agent": ""}

`start` and `end` are seconds of one monotonic clock that all clients share (on one host `time.monotonic`); `end` and
`status` are null when no answer came. `asked` and `told` hold these names, each only where it applies:

| name         | in asked                                            | in told                                    |
|--------------|-----------------------------------------------------|--------------------------------------------|
| session_id   | the session of the access or refresh token          | the session that was granted or verified   |
| device_id    | the device that calls                               | the device of that session, or the new one |
| generation   | of the refresh token                                | of the refresh token that was granted      |
| consent      | what the takeover token says (`Consent`)            | the same of the 409's takeover token       |
| target       | the session to revoke, the device acted on,         |                                            |
|              | the number of the change that is objected to        |                                            |
| force        | true                                                |                                            |
| pairing      | SHA-256 (hex) of the pairing token                  | the same of the token that was issued      |
| password_no  | which password of the user's, counted from 0        | the new one's number (password change)     |
| code, reason |                                                     | of the problem document                    |
| evicted      |                                                     | the session ids that a login ended         |
| act          | of an operator, and how many of its kind changed    |                                            |
|              | the account before ("disable 0")                    |                                            |
| changed      |                                                     | whether the act changed the account        |
| kept         |                                                     | the session id that a force_logout kept    |
| logged_out   |                                                     | the session ids that it ended              |
| ended        |                                                     | those that signing out everywhere ended    |
| recovery_code | the recovery code                                  |                                            |
| link         | what the token of a mailed link says (`link_of`)    |                                            |
| keep         | whether a reset keeps the other devices             |                                            |
| factor       | what came as second factor: passkey, otp,           |                                            |
|              | recovery_code                                       |                                            |
| new_password_no | the number of the password that is to be set     |                                            |
| email        | the address that shall be the account's             |                                            |
| username     | the name that shall be the account's                |                                            |
| approval     | the approval that is asked for, answered or used    | that which was begun                       |
| answer       | how an approval is answered: agree, refuse or wrong |                                            |
| late         | whether the time for an answer was over             |                                            |
| state, shown |                                                     | of an approval, and whose sessions it ends |
| digits       |                                                     | that the asking device shows               |
| fingerprint  | of the certificate that the device shows            | of the one that it was given               |

`Recorder` fills them in from the bodies as they go over the wire.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.account.history import ClientInfo, Event, EventKind, HistoryRecord, Reason
from common.account.outbox import read_records
from common.clock import from_millis, to_millis
from common.storage.port import Store

_PAGE = 100
_FACTORS = ("passkey", "otp", "recovery_code")


class Operation(StrEnum):
    """What a call asked for. `LOGIN` is also `/session/create` and, with `force`, `/login/force`."""

    REGISTER = "register"
    LOGIN = "login"
    TAKEOVER = "takeover"
    VERIFY = "verify"
    REFRESH = "refresh"
    LOGOUT = "logout"
    REVOKE = "revoke"
    LIST = "list"
    UNBIND = "unbind"
    REVOKE_CERTIFICATE = "revoke-certificate"
    RENAME = "rename"
    RENEW = "renew"
    FORCE_LOGOUT = "force-logout"
    PAIR = "pair"
    DEVICE_REGISTER = "device-register"
    REQUEST_PAIRING_TOKEN = "request-pairing-token"
    PASSWORD_CHANGE = "password-change"
    CLOSE = "close"
    REOPEN = "reopen"
    RECOVERY_CODES = "recovery-codes"
    RECOVER = "recover"
    FORGOT = "forgot"
    RESET = "reset"
    OBJECT = "objection"
    OBJECT_BY_LINK = "objection-by-link"
    OBJECT_BY_DEVICE = "objection-by-device"
    OTP_ON = "otp-on"
    OTP_OFF = "otp-off"
    END_ALL = "end-all"
    USERNAME = "username"
    EMAIL = "email"
    EMAIL_CONFIRM = "email-confirm"
    PASSKEY_ADD = "passkey-add"
    PASSKEY_REMOVE = "passkey-remove"
    APPROVAL = "approval"
    APPROVAL_ANSWER = "approval-answer"
    JOIN = "join"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Call:
    """One call. See the table above for `asked` and `told`; `number` is the call's name in sentences."""

    number: int
    client: str
    operation: Operation
    user: str
    start: float
    end: float | None
    status: int | None
    asked: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What was recorded: `limit` (0: none) and `mode` in force throughout, the calls, and each user's history.

    The calls may stand in any order; a history is ordered by change number, first change first.
    """

    limit: int
    mode: str
    calls: tuple[Call, ...]
    histories: Mapping[str, tuple[HistoryRecord, ...]]


# --------------------------------------------------------------------------------------------- from and to JSON lines


def run_lines(run: Run) -> Iterator[str]:
    """Write a run as JSON lines."""
    yield _line({"is": "run", "limit": run.limit, "mode": run.mode})
    for call in run.calls:
        yield call_line(call)
    for user, entries in run.histories.items():
        for entry in entries:
            yield entry_line(user, entry)


def call_line(call: Call) -> str:
    """Write a call as a line: a client may append it to a file of its own as soon as the call is over."""
    fields = {name: getattr(call, name) for name in Call.__slots__}
    return _line({"is": "call", **fields, "operation": str(call.operation)})


def entry_line(user: str, entry: HistoryRecord) -> str:
    """Write a history entry as a line."""
    origin = {"ip": entry.client.ip, "user_agent": entry.client.user_agent}
    events = [_event_fields(event) for event in entry.events]
    return _line({"is": "entry", "user": user, "change_no": entry.change_no, "events": events, **origin})


def read_run(lines: Iterable[str]) -> Run:
    """Read the lines of one or several files, in any order. ValueError unless the settings stand in them."""
    settings: dict[str, Any] = {}
    calls: list[Call] = []
    histories: dict[str, list[HistoryRecord]] = {}
    for line in lines:
        fields = json.loads(line)
        match fields.pop("is"):
            case "run":
                settings = fields
            case "call":
                calls.append(Call(**{**fields, "operation": Operation(fields["operation"])}))
            case "entry":
                histories.setdefault(fields["user"], []).append(_entry(fields))
            case other:
                raise ValueError(f"a line of an unknown kind: {other}")
    if not settings:
        raise ValueError("no line tells the settings of the run")
    ordered = {user: tuple(sorted(entries, key=lambda e: e.change_no)) for user, entries in histories.items()}
    return Run(settings["limit"], settings["mode"], tuple(calls), ordered)


def write_run(path: Path, run: Run) -> None:
    """Write a run into a file."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in run_lines(run))


def load_run(*paths: Path) -> Run:
    """Read a run from one or several files."""
    return read_run(line for path in paths for line in path.read_text(encoding="utf-8").splitlines())


def whole_history(store: Store, user: str) -> tuple[HistoryRecord, ...]:
    """Read a user's whole history from the store, first change first."""
    entries: list[HistoryRecord] = []
    before = None
    while page := read_records(store, user, before=before, limit=_PAGE):
        entries += page
        before = entries[-1].change_no
    return tuple(reversed(entries))


# ------------------------------------------------------------------------------------------------------ from the wire


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes the records of one client: numbered from `first` in steps of `step`, so that clients do not collide."""

    client: str
    first: int = 0
    step: int = 1

    def call(
        self,
        place: int,
        operation: Operation,
        *,
        start: float,
        end: float | None,
        status: int | None,
        user: str = "",
        device_id: str | None = None,
        password_no: int | None = None,
        sent: Mapping[str, Any] | None = None,
        new_password_no: int | None = None,
        bearer: str | None = None,
        answer: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Call:
        """Return the record of the client's call number `place`, from the JSON bodies as they were sent and answered.

        `user` may be left out where the answer or a token names it; `device_id` is the calling device's, as the client
        knows it; `facts`: what else was asked.
        """
        asked, told = {**asked_of(sent or {}, bearer), **(facts or {})}, told_of(answer or {})
        asked |= {} if device_id is None else {"device_id": device_id}
        asked |= {} if password_no is None else {"password_no": password_no}
        asked |= {} if new_password_no is None else {"new_password_no": new_password_no}
        user = user or asked.pop("user", "") or told.get("user", "")
        asked.pop("user", None)
        told.pop("user", None)
        number = self.first + place * self.step
        return Call(number, self.client, operation, user, start, end, status, asked, told)


def asked_of(sent: Mapping[str, Any], bearer: str | None) -> dict[str, Any]:
    """Return what a request asked, and under `user` whom its tokens name. Forged tokens say nothing."""
    asked: dict[str, Any] = {"force": True} if sent.get("force") is True else {}
    if bearer is not None:
        asked |= access_token_facts(bearer)
    if "refresh_token" in sent:
        asked |= refresh_token_facts(sent["refresh_token"])
    if "takeover_token" in sent:
        consent = consent_of(sent["takeover_token"])
        asked |= {} if consent is None else {"consent": consent, "user": consent["user"]}
    if "qr_code" in sent:
        asked |= _present("pairing", pairing_of(sent["qr_code"]))
    if "token" in sent:
        link = link_of(sent["token"])
        asked |= {} if link is None else {"link": link, "email": link["email"], "user": link["user"]}
        asked |= {"target": str(link["epoch"])} if link is not None and link["kind"] == "notice" else {}
    asked |= _present("approval", approval_of(sent))
    asked |= _present("keep", sent.get("keep_devices"))
    asked |= _present("email", sent.get("email"))
    target = sent.get("session_id") or sent.get("device_id")
    asked |= {"target": str(sent["change_no"])} if "change_no" in sent else {}
    asked |= _present("factor", next((each for each in _FACTORS if each in sent), None))
    return asked | _present("target", target)


def told_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer told, and under `user` whom it names."""
    told = {name: answer[name] for name in ("code", "reason", "session_id", "device_id") if answer.get(name)}
    told |= _present("user", answer.get("user_uuid") or answer.get("uuid"))
    if "refresh_token" in answer:
        told |= _present("generation", refresh_token_facts(answer["refresh_token"]).get("generation"))
    offered = answer.get("takeover", answer.get("approval"))
    if isinstance(offered, Mapping):
        consent = consent_of(offered.get("token", ""))
        told |= _present("consent", consent)
        told |= {"shown": consent["session_ids"]} if consent is not None and "code" not in answer else {}
    told |= _present("approval", answer.get("approval_id")) | _present("digits", answer.get("digits"))
    if "qr_code" in answer:
        told |= _present("pairing", pairing_of(answer["qr_code"]))
    for name in ("evicted", "logged_out", "ended"):
        if isinstance(answer.get(name), list):
            told[name] = [session["session_id"] for session in answer[name]]
    if isinstance(answer.get("kept"), Mapping):
        told["kept"] = answer["kept"]["session_id"]
    return told


def access_token_facts(token: str) -> dict[str, Any]:
    """Return the session, device and user that an access token names."""
    claims = _json(token.split(".")[1] if token.count(".") == 2 else "")
    if not isinstance(claims, Mapping):
        return {}
    return {"session_id": claims.get("sid"), "device_id": claims.get("device_id"), "user": claims.get("sub")}


def refresh_token_facts(token: str) -> dict[str, Any]:
    """Return the session, generation and user that a refresh token names."""
    match _json(token.rpartition(".")[0]):
        case [str(user), str(session_id), int(generation), _]:
            return {"session_id": session_id, "generation": generation, "user": user}
    return {}


def consent_of(token: str) -> dict[str, Any] | None:
    """Return what a takeover token says: user, subject, consent_id, session_ids, epoch, expires_at (ms since 1970)."""
    match _json(token.rpartition(".")[0]):
        case [
            str(user),
            _,
            str(subject),
            _,
            _,
            list(shown),
            str(consent_id),
            int(expires_at),
            int(credential_version),
            *_,
        ]:
            facts = {"user": user, "subject": subject, "consent_id": consent_id, "session_ids": shown}
            return {**facts, "epoch": credential_version, "expires_at": expires_at}
    return None


def approval_of(sent: Mapping[str, Any]) -> str | None:
    """Return the approval that a request asks for, answers or uses: the consent of its token, or what is to join."""
    if "approval_token" in sent:
        return (consent_of(sent["approval_token"]) or {}).get("consent_id")
    match _json(sent.get("join_token", "").rpartition(".")[0]):
        case [str(approval), *_]:
            return approval
    named: str | None = sent.get("approval_id")
    return named


def link_of(token: str) -> dict[str, Any] | None:
    """Return what the token of a mailed link says: its SHA-256 (`id`), kind, user, email, epoch."""
    match _json(token.rpartition(".")[0]):
        case [str(kind), str(user), str(email), str(_), int(number), int(_)]:
            named = hashlib.sha256(token.encode()).hexdigest()
            return {"id": named, "kind": kind, "user": user, "email": email, "epoch": number}
    return None


def pairing_of(qr_code: str) -> str | None:
    """Return the SHA-256 of the pairing token in a QR code's text."""
    shown = _json(qr_code)
    token = shown.get("token") if isinstance(shown, Mapping) else None
    return hashlib.sha256(token.encode()).hexdigest() if isinstance(token, str) else None


def _json(part: str) -> Any:
    """Read base64url of JSON, as our tokens hold it (the serializer compresses long ones behind a dot)."""
    try:
        raw = base64.urlsafe_b64decode(part.lstrip(".") + "=" * (-len(part.lstrip(".")) % 4))
        return json.loads(_inflated(raw) if part.startswith(".") else raw)
    except ValueError:
        return None


def _inflated(raw: bytes) -> bytes:
    try:
        return zlib.decompress(raw)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def _present(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _line(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _event_fields(event: Event) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in Event.__slots__ if getattr(event, name) is not None}
    return {**fields, "at": to_millis(event.at)}


def _entry(fields: Mapping[str, Any]) -> HistoryRecord:
    events = tuple(_event(event) for event in fields["events"])
    return HistoryRecord(fields["change_no"], events, ClientInfo(fields["ip"], fields["user_agent"]))


def _event(fields: Mapping[str, Any]) -> Event:
    reason = Reason(fields["reason"]) if "reason" in fields else None
    return Event(**{**fields, "kind": EventKind(fields["kind"]), "at": from_millis(fields["at"]), "reason": reason})
