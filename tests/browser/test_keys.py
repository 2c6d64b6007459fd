"""A browser makes its device's key itself, and proves with it that it is that device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import Window, somebody
from tests.support.client import granted, refused
from tests.support.servers import Suite

Windows = Callable[..., Window]

STOLEN = """async () => {
  const opening = indexedDB.open("ichidai");
  const database = await new Promise((done) => (opening.onsuccess = () => done(opening.result)));
  const reading = database.transaction("devices").objectStore("devices").getAll();
  const [{ keys }] = await new Promise((done) => (reading.onsuccess = () => done(reading.result)));
  const tried = await Promise.allSettled(["pkcs8", "jwk"].map((how) => crypto.subtle.exportKey(how, keys.privateKey)));
  return [keys.privateKey.algorithm.namedCurve, keys.privateKey.usages, ...tried.map(({ status }) => status)];
}"""


def test_nobody_can_take_the_key_out(window: Window) -> None:
    """It is P-256, it signs, and neither we nor a script in the page can read it; the server never had it."""
    with window.page.expect_response(lambda reply: reply.request.method == "POST") as registered:
        window.register(somebody())
    assert "private_keys" not in registered.value.json()
    assert window.page.evaluate(STOLEN) == ["P-256", ["sign"], "rejected", "rejected"]


@pytest.mark.regression("X61", "X60")
def test_the_password_and_the_fingerprint_are_not_enough(window: Window, suite: Suite) -> None:
    """Whoever copies both from this browser is not let in elsewhere."""
    person = somebody()
    window.register(person)
    fingerprint = window.page.evaluate("localStorage.getItem('currentlyLoggedinFingerprint')")
    body = {"username": person.username, "password": person.password, "client_cert_fp": fingerprint}
    refused(suite.client.post("/login", body), 401, "proof-required")
    window.log_in(person)


def test_the_story_where_everybody_must_prove_it(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """With ICHIDAI_DEVICE_PROOF=signature: register, log in, join by a code, be asked, take over."""
    suite = pool(ICHIDAI_DEVICE_PROOF="signature")
    base = suite.servers[0].base
    person, phone, laptop = somebody(), open_window(base), open_window(base)
    phone.register(person)
    phone.log_in(person)
    laptop.join(person, phone.show_code(person))
    laptop.send_login(person)
    laptop.button("Continue").click()
    laptop.is_inside(person)
    assert granted(suite.client.verify(laptop.tokens["access_token"]))["username"] == person.username
    expect(phone.heading("You've been signed out")).to_be_visible()


def test_a_person_may_take_long_to_decide(open_window: Windows, suite: Suite) -> None:
    """The challenge that came with the question is gone meanwhile: another one is asked for, and the consent holds."""
    person, phone, laptop = somebody(), open_window(), open_window()
    laptop.join(person, phone.register(person))
    phone.log_in(person)
    with laptop.page.expect_response("**/login/verify") as asked:
        laptop.send_login(person)
    takeover = asked.value.json()["takeover"]
    proof = {"challenge_id": takeover["challenge"]["challenge_id"], "signature": "AAAA"}
    fingerprint = laptop.page.evaluate("localStorage.getItem('currentlyLoggedinFingerprint')")
    body = {"takeover_token": takeover["token"], "client_cert_fp": fingerprint, "proof": proof}
    for _ in range(5):  # wrong signatures spend it
        refused(suite.client.post("/login/takeover", body), 401, "proof-invalid")
    laptop.button("Continue").click()
    laptop.is_inside(person)
    assert laptop.calls.count("POST /login/challenge") == 2
