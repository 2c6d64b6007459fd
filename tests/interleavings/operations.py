"""What a client may ask of the use cases, each as an act of a person. Devices go by letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from common.account.admission import IssuedTokens, LoginResult
from common.account.devices import NewDevice, TlsClientCertificate
from common.errors import Refusal
from common.proof.dpop_service import RequestCredentials
from common.proof.statements import Proof, Purpose
from device_manager import device_service, renewal, revocation
from device_manager.revocation import Reauthentication
from login_app import challenge, login, takeover
from registration import closing, registration
from registration.forms import PairingForm, Registration, SecondDevice
from registration.password_change import PasswordChangeForm
from registration.password_change import change_password as change_password_of
from session_manager import session_service
from tests.interleavings.person import Person
from tests.interleavings.process import HERE, USERNAME, keys_of_all
from tests.proof.recording import Operation, consent_of, pairing_of

Act = Callable[[Person], Any]


def register(letter: str) -> Act:
    """Register the account with its first device."""

    def act(person: Person) -> Any:
        form = Registration(USERNAME, "anna@b.test", "a long enough phrase", letter, HERE)
        registered = person.ask(
            Operation.REGISTER, lambda: registration.register_user(person.use_cases.registration, form)
        )
        learn_device(person, letter, registered.device)
        person.facts.codes[letter] = registered.pairing.qr_code
        return registered

    return act


def log_in(letter: str, *, force: bool = False, later: int = 0) -> Act:
    """Log a device in; by the password as it is `later` many epochs from now."""

    def act(person: Person) -> Any:
        device_id, fingerprint = person.facts.devices[letter]
        password_no = int(person.password) + later
        form = login.LoginForm(USERNAME, False, str(password_no), fingerprint, None, letter, force, HERE)  # noqa: FBT003
        form = replace(form, tls_certificate=_held(person, letter))
        asked = {"device_id": device_id, "password_no": password_no, **({"force": True} if force else {})}
        asked["fingerprint"] = fingerprint
        return learn(
            person, letter, person.ask(Operation.LOGIN, lambda: login.log_in(person.use_cases.logins, form), **asked)
        )

    return act


def be_challenged(letter: str, purpose: Purpose = Purpose.LOGIN, name: str = "") -> Act:
    """Let a device ask for a challenge and sign it, to be sent later; it is kept under `name`, if it has one."""

    def act(person: Person) -> None:
        device_id, fingerprint = person.facts.devices[letter]
        form = login.LoginForm(USERNAME, False, person.password, fingerprint, None, "", False, HERE)  # noqa: FBT003
        asked = challenge.ask_challenge(person.use_cases.logins, form, purpose)
        signed = keys_of_all().proof(asked.to_json(), str(purpose), person.user, device_id)
        person.facts.proofs[name or letter] = Proof(signed["challenge_id"], signed["signature"])

    return act


def renew(letter: str, name: str = "", *, telling: bool = True) -> Act:
    """Renew a device's certificate: by TLS where it shows it there, else by the challenge that it signed.

    `telling`: it says which certificate it has, so that a repetition is given what the first one made.
    """

    def act(person: Person) -> Any:
        device_id, fingerprint = person.facts.devices[letter]
        tls_certificate = _held(person, letter)
        proof = None if tls_certificate else person.facts.proofs[name or letter]
        shown = fingerprint if telling or tls_certificate else None
        form = renewal.RenewalForm(proof, tls_certificate, shown, HERE)
        asked = {"device_id": device_id, "fingerprint": shown}
        asked |= {"challenge": proof.challenge_id} if proof else {}
        result = person.ask(Operation.RENEW, lambda: renewal.renew_certificate(person.use_cases.devices, form), **asked)
        if isinstance(result, renewal.Renewed):
            person.facts.devices[letter] = (device_id, result.certificate.fingerprint)
            person.facts.certificates[device_id].append(result.certificate.fingerprint)
        return result

    return act


def answer(letter: str) -> Act:
    """Log a device in by the challenge that it signed."""

    def act(person: Person) -> Any:
        proof = person.facts.proofs[letter]
        asked = {"device_id": person.facts.devices[letter][0], "password_no": 0, "challenge": proof.challenge_id}

        def send() -> Any:
            return challenge.answer_challenge(person.use_cases.logins, proof, HERE)

        return learn(person, letter, person.ask(Operation.LOGIN, send, **asked))

    return act


def take_over(letter: str) -> Act:
    """Send the consent that a device was given."""

    def act(person: Person) -> Any:
        device_id, fingerprint = person.facts.devices[letter]
        token = person.facts.consents[letter]
        form = takeover.TakeoverForm(token, fingerprint, HERE, tls_certificate=_held(person, letter))
        asked = {"device_id": device_id, "consent": consent_of(token), "password_no": int(person.password)}
        asked["fingerprint"] = fingerprint
        return learn(
            person,
            letter,
            person.ask(Operation.TAKEOVER, lambda: takeover.take_over(person.use_cases.logins, form), **asked),
        )

    return act


def join(letter: str, by: str, *, force: bool = False, consenting: bool = False) -> Act:
    """Register a device by another's QR code and log it in."""

    def act(person: Person) -> Any:
        code = person.facts.codes[by]
        token = person.facts.consents.get(letter) if consenting else None
        form = device_service.DeviceForm(code, USERNAME, person.password, letter, force, token, HERE)
        asked = {"pairing": pairing_of(code), **({"force": True} if force else {})}
        asked |= {} if token is None else {"consent": consent_of(token)}
        result = person.ask(
            Operation.DEVICE_REGISTER,
            lambda: device_service.register_device_for_user(person.use_cases.devices, form),
            **asked,
        )
        if not isinstance(result, Refusal):
            learn_device(person, letter, result.device)
        return learn(person, letter, result)

    return act


def pair(letter: str, by: str) -> Act:
    """Bind a device by another's QR code."""

    def act(person: Person) -> Any:
        code = person.facts.codes[by]
        form = SecondDevice(code, USERNAME, person.password, letter, HERE)
        result = person.ask(
            Operation.PAIR,
            lambda: registration.register_second_device_via_qr(person.use_cases.registration, form),
            pairing=pairing_of(code),
        )
        if not isinstance(result, Refusal):
            learn_device(person, letter, result.device)
        return result

    return act


def show_code(letter: str) -> Act:
    """Let a device issue a pairing token."""

    def act(person: Person) -> Any:
        device_id, fingerprint = person.facts.devices[letter]
        form = PairingForm(USERNAME, person.password, fingerprint, HERE)
        result = person.ask(
            Operation.REQUEST_PAIRING_TOKEN,
            lambda: registration.request_pairing_token(person.use_cases.registration, form),
            device_id=device_id,
        )
        if not isinstance(result, Refusal):
            person.facts.codes[letter] = result[1].qr_code
        return result

    return act


def refresh(letter: str) -> Act:
    """Use a device's refresh token."""

    def act(person: Person) -> Any:
        grant = person.facts.grants[letter]
        return learn(
            person,
            letter,
            person.ask(
                Operation.REFRESH,
                lambda: session_service.refresh(
                    person.use_cases.refreshing, grant.refresh_token, HERE, person.shown(letter)
                ),
                session_id=grant.session.session_id,
                generation=grant.session.generation,
            ),
        )

    return act


def log_out(letter: str) -> Act:
    """Log a device out."""

    def act(person: Person) -> Any:
        token = person.facts.grants[letter].access_token
        return person.ask(
            Operation.LOGOUT,
            lambda: session_service.logout(
                person.use_cases.sessions, RequestCredentials(token, certificate=person.shown(letter)), HERE
            ),
            **own(person, letter),
        )

    return act


def verify(letter: str) -> Act:
    """Ask whether a device's session is good."""

    def act(person: Person) -> Any:
        call, shown = person.signed_in(letter, lambda caller: caller, touching=False), person.shown(letter)
        told = {} if shown is None else {"fingerprint": shown}
        return person.ask(Operation.VERIFY, call, **own(person, letter), **told)

    return act


def let_others_go_first(person: Person) -> None:
    """Be between two calls, where others may come first; the store is asked for nothing of theirs."""
    person.use_cases.keeper.get_book("nobody")


def touch(letter: str) -> Act:
    """The same by a client whose clock is two minutes ahead, so that the activity is written down."""

    def act(person: Person) -> Any:
        return person.ask(Operation.VERIFY, person.signed_in(letter, lambda caller: caller), **own(person, letter))

    return act


def remember(letter: str, name: str) -> Act:
    """Keep a device's tokens and certificate as they are now under another name."""

    def act(person: Person) -> None:
        person.facts.grants[name] = person.facts.grants[letter]
        person.facts.devices[name] = person.facts.devices[letter]

    return act


def remember_code(letter: str, name: str) -> Act:
    """Keep a device's QR code under another name."""

    def act(person: Person) -> None:
        person.facts.codes[name] = person.facts.codes[letter]

    return act


def revoke(letter: str, of: str) -> Act:
    """End a session from another."""

    def act(person: Person) -> Any:
        target = person.facts.grants[of].session.session_id
        call = person.signed_in(letter, lambda c: session_service.revoke(person.use_cases.sessions, c, target, HERE))
        return person.ask(Operation.REVOKE, call, target=target, **own(person, letter))

    return act


def unbind(letter: str, other: str) -> Act:
    """Unbind a device."""

    def act(person: Person) -> Any:
        target = person.facts.devices[other][0]
        call = person.signed_in(
            letter, lambda c: revocation.unbind_device(person.use_cases.devices, c, target, Reauthentication(), HERE)
        )
        return person.ask(Operation.UNBIND, call, target=target, **own(person, letter))

    return act


def revoke_certificate(letter: str, other: str) -> Act:
    """Revoke a device's certificate."""

    def act(person: Person) -> Any:
        target = person.facts.devices[other][0]
        call = person.signed_in(
            letter,
            lambda c: revocation.revoke_certificate(person.use_cases.devices, c, target, Reauthentication(), HERE),
        )
        return person.ask(Operation.REVOKE_CERTIFICATE, call, target=target, **own(person, letter))

    return act


def rename(letter: str, other: str) -> Act:
    """Give a device another name."""

    def act(person: Person) -> Any:
        target = person.facts.devices[other][0]
        call = person.signed_in(
            letter, lambda c: device_service.rename_device(person.use_cases.devices, c, target, "another", HERE)
        )
        return person.ask(Operation.RENAME, call, target=target, **own(person, letter))

    return act


def keep_first(letter: str) -> Act:
    """Log all out but the first."""

    def act(person: Person) -> Any:
        call = person.signed_in(letter, lambda c: device_service.force_logout(person.use_cases.devices, c, HERE))
        return person.ask(Operation.FORCE_LOGOUT, call, **own(person, letter))

    return act


def change_password(letter: str) -> Act:
    """Change the password in a device's session."""

    def act(person: Person) -> Any:
        number = int(person.password) + 1
        form = PasswordChangeForm(person.password, f"a long enough phrase, number {number}", None, HERE)
        change = person.signed_in(letter, lambda caller: change_password_of(person.use_cases.passwords, caller, form))
        asked = {**own(person, letter), "new_password_no": number}
        return learn(person, letter, person.ask(Operation.PASSWORD_CHANGE, change, **asked))

    return act


def close(letter: str) -> Act:
    """Close the account in a device's session."""

    def act(person: Person) -> Any:
        form = closing.ClosingForm(person.password, None, HERE)
        call = person.signed_in(letter, lambda caller: closing.close(person.use_cases.closing, caller, form))
        return person.ask(Operation.CLOSE, call, **own(person, letter))

    return act


def reopen(*, later: int = 1) -> Act:
    """Reopen the account, by the password as it is in the epoch that its closing begins."""

    def act(person: Person) -> Any:
        form = closing.ReopeningForm(USERNAME, str(int(person.password) + later), None, HERE)
        return person.ask(Operation.REOPEN, lambda: closing.reopen(person.use_cases.closing, form))

    return act


def own(person: Person, letter: str) -> dict[str, str]:
    """Return the session and the device of a letter, as a record of a call names them."""
    session = person.facts.grants[letter].session
    return {"session_id": session.session_id, "device_id": session.device_id}


def _held(person: Person, letter: str) -> TlsClientCertificate | None:
    """Return the certificate whose key TLS has proven, where devices show theirs."""
    shown = person.shown(letter)
    return None if shown is None else TlsClientCertificate(shown, person.user, person.facts.devices[letter][0])


def learn_device(person: Person, letter: str, device: NewDevice) -> None:
    """Keep a device that joined."""
    person.facts.devices[letter] = (device.bound.device_id, device.bound.fingerprint)
    person.facts.certificates[device.bound.device_id] = [device.bound.fingerprint]


def learn(person: Person, letter: str, result: Any) -> Any:
    """Keep the tokens, or the consent, that a call gave."""
    match result:
        case LoginResult(tokens=grant) | device_service.RegisteredDevice(login_result=LoginResult(tokens=grant)):
            pass
        case IssuedTokens():
            grant = result
        case Refusal():
            takeover = result.extensions.get("takeover")
            if isinstance(takeover, dict):
                person.facts.consents[letter] = str(takeover["token"])
            asks = result.extensions.get("approval")
            if isinstance(asks, dict):
                person.facts.notes[f"approval of {letter}"] = str(asks["token"])
            return result
        case _:
            return result
    person.facts.grants[letter] = grant
    person.facts.every_grant.append(grant)
    return result
