"""What the owner of an account does with it beside logging in, each as an act of a person. Devices go by letters."""

from __future__ import annotations

from typing import Any

from msgspec import convert

from common.account.history import EventKind
from common.errors import Refusal
from common.storage.tables import MAILS
from common.wire.passkey import AssertionBody, AttestationBody
from login_app import passkey_login
from login_app.login import LoginForm
from registration import (
    email_change,
    objection,
    passkey_enrolment,
    password_reset,
    recovery,
    recovery_codes,
    renaming,
)
from registration.mail_model import QUEUE, MailKind
from registration.mailing import MailLink, token_of
from session_manager import end_all
from tests.interleavings.operations import Act, learn, learn_device, own
from tests.interleavings.person import Person
from tests.interleavings.process import HERE, USERNAME
from tests.proof.recording import Operation, link_of, whole_history
from tests.support.passkeys import made_for


def make_codes(letter: str, name: str = "codes") -> Act:
    """Make recovery codes in a device's session; they are kept under `name`."""

    def act(person: Person) -> Any:
        form = recovery_codes.RecoveryCodesForm(person.password, None, HERE)
        call = person.signed_in(
            letter, lambda caller: recovery_codes.make_recovery_codes(person.use_cases.owner.codes, caller, form)
        )
        codes = person.ask(Operation.RECOVERY_CODES, call, **own(person, letter))
        if not isinstance(codes, Refusal):
            person.facts.notes[name] = codes
        return codes

    return act


def recover(letter: str, number: int = 0, name: str = "codes") -> Act:
    """Let an empty browser in by a recovery code: it becomes the device `letter`, with a new password."""

    def act(person: Person) -> Any:
        code = person.facts.notes[name][number]
        password_no = int(person.password)
        form = recovery.RecoveryForm(USERNAME, person.password, code, "a long enough phrase of now", letter, HERE)
        asked = {"recovery_code": code, "password_no": password_no, "new_password_no": password_no + 1}
        result = person.ask(Operation.RECOVER, lambda: recovery.recover(person.use_cases.owner.recovery, form), **asked)
        if not isinstance(result, Refusal):
            learn_device(person, letter, result.device)
            person.facts.codes[letter] = result.pairing.qr_code
        return result

    return act


def note_change(kind: EventKind, name: str) -> Act:
    """Keep the number of the last change of a kind, as a notice of it or the page of the history tells it."""

    def act(person: Person) -> None:
        history = whole_history(person.use_cases.store, person.user)
        numbers = [each.change_no for each in history if any(event.kind is kind for event in each.events)]
        owner, link = person.use_cases.owner, MailLink(MailKind.NOTICE, person.user, "", "", numbers[-1])
        person.facts.notes[name] = (numbers[-1], token_of(owner.mailing, link))

    return act


def object_to(name: str, letter: str) -> Act:
    """Object to a change in a device's session."""

    def act(person: Person) -> Any:
        change_no, _ = person.facts.notes[name]

        def taken_back(caller: Any) -> None:
            form = objection.BySession(caller, change_no, person.password, None)
            objection.object_by_session(person.use_cases.owner.objecting, form, HERE)

        call = person.signed_in(letter, taken_back)
        asked = {"target": str(change_no), "new_password_no": int(person.password) + 1}
        return person.ask(Operation.OBJECT, call, **asked, **own(person, letter))

    return act


def object_by_link(name: str) -> Act:
    """Object to a change by the link of its notice."""

    def act(person: Person) -> Any:
        change_no, token = person.facts.notes[name]
        owner = person.use_cases.owner
        return person.ask(
            Operation.OBJECT_BY_LINK,
            lambda: objection.object_by_link(owner.objecting, token, HERE),
            target=str(change_no),
            new_password_no=int(person.password) + 1,
        )

    return act


def forget_password(name: str) -> Act:
    """Keep a link for a new password, as it is mailed to who forgot it."""

    def act(person: Person) -> None:
        owner = person.use_cases.owner
        account = person.use_cases.accounts.find(person.user)
        assert account is not None
        link = MailLink(MailKind.RESET, person.user, account.email, "", account.credential_version)
        person.facts.notes[name] = token_of(owner.mailing, link)

    return act


def reset_password(letter: str, name: str, *, keep: bool = False) -> Act:
    """Choose a new password by a mailed link: the browser becomes the device `letter`."""

    def act(person: Person) -> Any:
        token, owner = person.facts.notes[name], person.use_cases.owner
        form = password_reset.ResetForm(token, "a long enough phrase of now", None, keep, letter, HERE)
        asked = {"link": link_of(token), "keep": keep, "new_password_no": int(person.password) + 1}
        result = person.ask(Operation.RESET, lambda: password_reset.reset_password(owner.reset, form), **asked)
        if not isinstance(result, Refusal):
            learn_device(person, letter, result.device)
            person.facts.codes[letter] = result.pairing.qr_code
        return result

    return act


def end_every_session(letter: str, *, own_too: bool = False) -> Act:
    """Sign out everywhere else, or everywhere."""

    def act(person: Person) -> Any:
        form = end_all.EndAllForm(person.password, None, own_too, HERE)
        call = person.signed_in(letter, lambda caller: end_all.end_all(person.use_cases.owner.end_all, caller, form))
        return person.ask(Operation.END_ALL, call, **own(person, letter))

    return act


def change_username(letter: str, username: str) -> Act:
    """Take another username, in a device's session."""

    def act(person: Person) -> Any:
        form = renaming.RenamingForm(username, person.password, None, HERE)
        call = person.signed_in(letter, lambda caller: renaming.rename(person.use_cases.renaming, caller, form))
        asked = {**own(person, letter), "username": username}
        return learn(person, letter, person.ask(Operation.USERNAME, call, **asked))

    return act


def ask_for_address(letter: str, email: str) -> Act:
    """Ask for another mail address, in a device's session."""

    def act(person: Person) -> Any:
        form = email_change.EmailForm(email, person.password, None, HERE, "en")
        owner = person.use_cases.owner
        call = person.signed_in(letter, lambda caller: email_change.ask_for_address(owner.email, caller, form))
        return person.ask(Operation.EMAIL, call, email=email, **own(person, letter))

    return act


def read_mail(email: str) -> Act:
    """Keep the link that was sent to an address last."""

    def act(person: Person) -> None:
        mails: Any = person.use_cases.store.query(MAILS, QUEUE).items
        (*_, link) = [each["link"] for each in mails if each["to"] == email]
        person.facts.notes[email] = link.partition("=")[2]

    return act


def confirm_address(email: str) -> Act:
    """Follow the link that was sent to an address."""

    def act(person: Person) -> Any:
        token, owner = person.facts.notes[email], person.use_cases.owner
        return person.ask(
            Operation.EMAIL_CONFIRM,
            lambda: email_change.confirm_email(owner.email, token, HERE, "en"),
            email=email,
        )

    return act


def begin_passkey(letter: str, name: str) -> Act:
    """Make a passkey in a browser, which the account does not know yet."""

    def act(person: Person) -> None:
        owner = person.use_cases.owner
        confirmed = passkey_enrolment.ConfirmedCall(person.password, None, HERE)
        call = person.signed_in(letter, lambda caller: passkey_enrolment.begin(owner.passkeys, caller, confirmed))
        options: Any = call()
        passkey = made_for(options)
        person.facts.notes[name] = (passkey, convert(passkey.attestation(options), AttestationBody).attestation())

    return act


def finish_passkey(letter: str, name: str) -> Act:
    """Enter a passkey into the account."""

    def act(person: Person) -> Any:
        owner, (_, attestation) = person.use_cases.owner, person.facts.notes[name]
        call = person.signed_in(
            letter, lambda caller: passkey_enrolment.finish(owner.passkeys, caller, attestation, name, HERE)
        )
        result = person.ask(Operation.PASSKEY_ADD, call, challenge=f"of {name}", **own(person, letter))
        if not isinstance(result, Refusal):
            person.facts.notes[f"id of {name}"] = result.passkey_id
        return result

    return act


def remove_passkey(letter: str, name: str) -> Act:
    """Remove a passkey, by the password."""

    def act(person: Person) -> Any:
        owner, passkey_id = person.use_cases.owner, person.facts.notes[f"id of {name}"]
        confirmed = passkey_enrolment.ConfirmedCall(person.password, None, HERE)

        def removed(caller: Any) -> None:
            passkey_enrolment.remove(owner.passkeys, caller, passkey_id, confirmed)

        call = person.signed_in(letter, removed)
        return person.ask(Operation.PASSKEY_REMOVE, call, target=passkey_id, **own(person, letter))

    return act


def sign_by_passkey(name: str) -> Act:
    """Let a browser sign the challenge of a login by a passkey, to be sent later."""

    def act(person: Person) -> None:
        options: Any = person.use_cases.owner.challenges.request()
        passkey, _ = person.facts.notes[name]
        signed = convert(passkey.assertion(options), AssertionBody).assertion()
        person.facts.notes[f"signed by {name}"] = signed

    return act


def log_in_by_passkey(letter: str, name: str) -> Act:
    """Log a device in by the challenge that a passkey signed."""

    def act(person: Person) -> Any:
        device_id, fingerprint = person.facts.devices[letter]
        signed = person.facts.notes[f"signed by {name}"]
        form = LoginForm("", False, "", fingerprint, None, letter, False, HERE, passkey=signed)  # noqa: FBT003
        dependencies = passkey_login.PasskeyLoginDependencies(person.use_cases.logins, None, dict)  # type: ignore[arg-type]
        asked = passkey_login.PasskeyLoginForm(form, joins=False, keys=None, takeover_token=None)
        call = person.ask(
            Operation.LOGIN,
            lambda: passkey_login.log_in_by_passkey(dependencies, asked),
            device_id=device_id,
            challenge=signed.challenge,
            passkey=name,
        )
        return learn(person, letter, call)

    return act
