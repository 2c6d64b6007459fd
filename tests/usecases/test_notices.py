"""Each kind of notice and mail: sent once, to the right address, in its own words, with its link or without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest

from registration.mail_texts import TOLD
from tests.support.mail_server import link_in, text_of
from tests.usecases.in_process_suite import (
    MINUTE,
    PASSWORD,
    Device,
    InProcessSuite,
    Login,
    Person,
    account,
    as_login,
    code_of,
)
from tests.usecases.post import Post
from tests.usecases.test_address import ask, changed, objected
from tests.usecases.test_calls_and_factors import made_passkey
from tests.usecases.test_recovery import codes_of, recovered
from tests.usecases.test_second_factor import enrolled

ADDED = "A device was added."
TAKEN_OVER = "Another device took the place of yours."
PASSWORD_CHANGED = "The password was changed."
FACTOR_OFF = "Two-step login was turned off."
PASSKEY_REMOVED = "A passkey was removed."
CODE_USED = "A recovery code was used."
BY_OBJECTION = "“That was not me” was said of what was done before, and took it back."
CLOSED = "The account was closed. For some days it can be reopened: log in, and you are asked."


@dataclass(frozen=True)
class Scene:
    """Anna, whose address is confirmed, logged in on her phone; nothing waits to be sent."""

    post: Post
    anna: Person
    phone: Login

    @property
    def suite(self) -> InProcessSuite:
        """Return the suite."""
        return self.post.suite

    def posts(self, path: str, session: Login | None = None, **body: Any) -> None:
        """Do something in a session, the phone's at first, which must succeed."""
        answer = self.suite.post(path, {"password": PASSWORD, **body}, (session or self.phone).access)
        assert answer.status_code == 200, answer.get_data(as_text=True)

    def told_by(self, act: Callable[[], object]) -> list[EmailMessage]:
        """Return the mails that something leads to."""
        self.post.settle()
        self.suite.clock.move(MINUTE)
        before = len(self.post.mailbox.mails)
        act()
        self.post.settle()
        return self.post.mailbox.mails[before:]


@pytest.fixture
def scene(post: Post) -> Scene:
    """Return the scene."""
    anna = post.confirmed()
    return Scene(post, anna, post.suite.log_in(anna))


Act = Callable[[], object]


def _takeover(scene: Scene) -> Act:
    laptop = scene.suite.pair(scene.anna)
    return lambda: scene.suite.take_over(scene.suite.login(scene.anna, laptop), laptop)


def _force(scene: Scene) -> Act:
    laptop = scene.suite.pair(scene.anna)
    return lambda: scene.suite.log_in(scene.anna, laptop, force=True)


def _reuse(scene: Scene) -> Act:
    later = as_login(scene.suite.refresh(scene.phone.refresh))
    as_login(scene.suite.refresh(later.refresh))
    return lambda: scene.suite.refresh(scene.phone.refresh)


def _new_place(scene: Scene) -> Act:
    body = {"username": "anna", "password": PASSWORD, "client_cert_fp": scene.anna.first.fingerprint}
    return lambda: scene.suite.client.post("/login", json=body, environ_overrides={"REMOTE_ADDR": "203.0.113.9"})


def _factor_off(scene: Scene) -> Act:
    careful = enrolled(scene.suite, scene.anna)
    return lambda: scene.posts("/registration/otp/remove", careful.session, otp=careful.app.code(scene.suite.clock()))


def _code_used(scene: Scene) -> Act:
    careful = enrolled(scene.suite, scene.anna)
    return lambda: as_login(careful.log_in(otp=careful.recovery_codes[0]))


def _passkey_removed(scene: Scene) -> Act:
    made_passkey(scene.suite, scene.anna, scene.phone)
    (made,) = scene.suite.get("/registration/passkeys", scene.phone.access).get_json()["passkeys"]
    path = f"/registration/passkeys/{made['id']}"
    headers = {"Authorization": f"Bearer {scene.phone.access}"}
    return lambda: scene.suite.client.delete(path, json={"password": PASSWORD}, headers=headers)


def _reopened(scene: Scene) -> Act:
    scene.posts("/registration/close")
    return lambda: scene.suite.post("/registration/reopen", {"username": "anna", "password": PASSWORD})


def _recovered(scene: Scene) -> Act:
    codes = codes_of(scene.suite, scene.phone, scene.anna)
    enrolled(scene.suite, scene.anna)
    return lambda: recovered(scene.suite, scene.anna, codes[0])


def _recovered_with_passkey(scene: Scene) -> Act:
    codes = codes_of(scene.suite, scene.phone, scene.anna)
    made_passkey(scene.suite, scene.anna, scene.phone)
    return lambda: recovered(scene.suite, scene.anna, codes[0])


def _reset_with_passkey(scene: Scene) -> Act:
    made_passkey(scene.suite, scene.anna, scene.phone)
    token = scene.post.asked(scene.anna)
    return lambda: scene.post.chosen(scene.anna, token)


NOTICES: dict[str, tuple[Callable[[Scene], Act], tuple[str, ...]]] = {
    "device-added": (lambda scene: lambda: scene.suite.pair(scene.anna), (ADDED,)),
    "taken-over": (_takeover, (TAKEN_OVER,)),
    "taken over by force": (_force, (TAKEN_OVER,)),
    "refresh-reused": (_reuse, ("An old copy of a login was used, and the login was ended.",)),
    "new-place": (_new_place, ("There was a login from a new place.",)),
    "password-changed": (
        lambda scene: lambda: scene.posts("/registration/password", new_password="a phrase of now"),
        (PASSWORD_CHANGED,),
    ),
    "username-changed": (
        lambda scene: lambda: scene.posts("/registration/username", username="annika"),
        ("The username was changed.",),
    ),
    "otp-enabled": (lambda scene: lambda: enrolled(scene.suite, scene.anna), ("Two-step login was turned on.",)),
    "otp-disabled": (_factor_off, (FACTOR_OFF,)),
    "passkey-added": (
        lambda scene: lambda: made_passkey(scene.suite, scene.anna, scene.phone),
        ("A passkey was added.",),
    ),
    "passkey-removed": (_passkey_removed, (PASSKEY_REMOVED,)),
    "recovery-codes-renewed": (
        lambda scene: lambda: codes_of(scene.suite, scene.phone, scene.anna),
        ("New recovery codes were made.",),
    ),
    "recovery-code-used": (_code_used, (CODE_USED,)),
    "account-closed": (lambda scene: lambda: scene.posts("/registration/close"), (CLOSED,)),
    "account-reopened": (_reopened, ("The account was reopened.",)),
    "recovered, a factor is off": (_recovered, (CODE_USED, FACTOR_OFF, PASSWORD_CHANGED, ADDED)),
    "recovered, a passkey is off": (_recovered_with_passkey, (CODE_USED, PASSKEY_REMOVED, PASSWORD_CHANGED, ADDED)),
    "reset, a passkey is off": (_reset_with_passkey, (PASSWORD_CHANGED, PASSKEY_REMOVED, ADDED)),
}
"""What is done, and what its notice says of it."""

BY_OPERATORS = {"signed-out", "device-removed", "account-disabled", "account-enabled", "by-operator"}
"""Told in `test_operator_notices.py`."""

OTHERWISE = {"email-changed", "by-objection"}
"""Told by tests of their own."""


def said(mail: EmailMessage) -> tuple[str, ...]:
    """Return what a notice tells of."""
    _, what, *_ = text_of(mail).replace("\r\n", "\n").split("\n\n")
    return tuple(what.split("\n"))


def test_no_kind_is_left_out() -> None:
    """What a notice can say is said in a test."""
    assert {name for name in NOTICES if "-" in name} | BY_OPERATORS | OTHERWISE == TOLD.keys()


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notice_of_each_kind(scene: Scene, kind: str) -> None:
    """One, to the account's address, in these words alone, with a link that takes it back."""
    prepare, words = NOTICES[kind]
    (notice,) = scene.told_by(prepare(scene))
    assert notice["To"] == "anna@example.test"
    assert notice["Subject"] == "Ichidai: Something was changed in your account"
    assert said(notice) == words
    assert objected(scene.post, link_in(notice, "object")).status_code == 200


def test_an_address_that_is_changed(scene: Scene) -> None:
    """The link goes to the new address, and then the notice to the one before."""
    link, notice = scene.told_by(lambda: changed(scene.post, scene.phone, "new@example.test"))
    assert (link["To"], link["Subject"]) == ("new@example.test", "Ichidai: Confirm your new mail address")
    assert "this shall be the mail address of your account" in text_of(link)
    assert (notice["To"], said(notice)) == ("anna@example.test", ("The mail address was changed.",))
    assert objected(scene.post, link_in(notice, "object")).status_code == 200


def test_links_and_what_is_told_of_a_taken_address(scene: Scene) -> None:
    """Each goes to the address that it is about, in its own words; what is told has no link."""
    scene.post.confirmed("bert")
    (confirm,) = scene.told_by(lambda: scene.suite.register("carl"))
    (reset,) = scene.told_by(lambda: scene.post.forgot(username="anna"))
    (taken,) = scene.told_by(lambda: ask(scene.post, scene.phone, "bert@example.test"))
    assert [(mail["To"], mail["Subject"]) for mail in (confirm, reset, taken)] == [
        ("carl@example.test", "Ichidai: Confirm your mail address"),
        ("anna@example.test", "Ichidai: Choose a new password"),
        ("bert@example.test", "Ichidai: Your mail address belongs to your account already"),
    ]
    assert "please confirm that this mail address is yours" in text_of(confirm)
    assert all(link_in(confirm, kind) for kind in ("confirm", "object"))
    assert "a new password was asked for" in text_of(reset)
    assert link_in(reset, "reset")
    assert "Hello bert," in text_of(taken)
    assert "#" not in text_of(taken)


# --- A factor that goes with something else -----------------------------------------------------------------------


def told_last(suite: InProcessSuite, person: Person, device: Device) -> list[str]:
    """Return the kinds of events of the newest change that its owner is told of, before a login that is to see them."""
    events = suite.get("/session/history", suite.log_in(person, device).access).get_json()["events"]
    before = [event for event in events if event["kind"] not in ("login", "device-removed")]
    return [event["kind"] for event in before if event["change_no"] == before[0]["change_no"]]


def test_a_factor_that_an_objection_takes_off(scene: Scene) -> None:
    """The history says that it and the passkey are off, and a notice without a link, that an objection did it."""
    (added,) = scene.told_by(lambda: scene.suite.pair(scene.anna))
    made_passkey(scene.suite, scene.anna, scene.phone)
    enrolled(scene.suite, scene.anna)
    answers: list[Any] = []
    (notice,) = scene.told_by(lambda: answers.append(objected(scene.post, link_in(added, "object")).get_json()))
    assert notice["To"] == "anna@example.test"
    assert said(notice) == (FACTOR_OFF, PASSKEY_REMOVED, BY_OBJECTION)
    assert "#" not in text_of(notice)
    assert [event.kind for event in scene.suite.history(scene.anna)[-2].events][-3:] == [
        "objected",
        "otp-disabled",
        "passkey-removed",
    ]
    scene.post.chosen(scene.anna, answers[0]["reset_token"])  # no code is asked for


def test_an_objection_that_takes_no_factor_off_is_told_by_the_history_alone(scene: Scene) -> None:
    """One that is older stays on."""
    careful = enrolled(scene.suite, scene.anna)

    def rename() -> None:
        code = careful.app.code(scene.suite.clock())
        scene.posts("/registration/username", careful.session, username="annika", otp=code)

    (renamed,) = scene.told_by(rename)
    assert scene.told_by(lambda: objected(scene.post, link_in(renamed, "object"))) == []
    kinds = {event.kind for record in scene.suite.history(scene.anna) for event in record.events}
    assert "objected" in kinds
    assert "otp-disabled" not in kinds
    body = {"username": "anna", "password": PASSWORD, "client_cert_fp": scene.anna.first.fingerprint}
    body["otp"] = careful.app.code(scene.suite.clock())
    assert code_of(scene.suite.post("/login", body)) == (403, "password-reset-required")


def test_a_recovery_that_took_the_factor_off_is_taken_back(scene: Scene) -> None:
    """A thief with an older code: the history tells the owner; the link of the notice ends it, and unbinds the thief's.

    The factor itself does not come back, as after it was switched off in a session.
    """
    codes = codes_of(scene.suite, scene.phone, scene.anna)
    enrolled(scene.suite, scene.anna)
    thief: list[tuple[Person, Device]] = []
    (notice,) = scene.told_by(lambda: thief.append(recovered(scene.suite, scene.anna, codes[0])))
    assert told_last(scene.suite, *thief[0]) == [
        "device-added", "password-changed", "otp-disabled", "recovery-code-used", "session-ended",
    ]  # fmt: skip
    answer = objected(scene.post, link_in(notice, "object"))
    assert code_of(scene.suite.login(*thief[0]))[0] in (401, 403)
    anna, phone = scene.post.chosen(scene.anna, answer.get_json()["reset_token"], keep_devices=True)
    assert thief[0][1].device_id not in scene.suite.book(anna).devices
    told = account(scene.suite, scene.suite.log_in(anna, phone))
    assert told["otp"] is False
