"""Pairing tokens: what a QR code says, and every way in which one is refused."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.account.book import Book
from common.account.devices import PairingTicket
from common.account.liveness import SessionRules
from common.clock import to_millis, to_rfc3339
from common.errors import Code, Refusal
from common.storage.port import Absent
from common.storage.tables import PAIRING_TOKENS
from registration.pairing_token import IssuedPairing, issue, read, redeem
from tests.unit.builders import DAY, HOUR, MILLISECOND, MINUTE, SECOND, T0, a_device, a_session

ANNA, BERT = "2f5c1f0e-8a42-4d3b-9d0a-0c6d2f9f4a11", "b2a1c7de-5c53-4d0e-8a41-9b3f0e7d6c22"
PHONE = a_device("phone")
RULES = SessionRules(1, DAY)
BOOK = Book(ANNA).bound(PHONE)
LOGGED_IN = BOOK.opened(a_session("s", 1, device="phone"))


def code_of(shown: Any) -> str:
    """Return a QR code's text that says something of our own choice."""
    return base64.urlsafe_b64encode(orjson.dumps(shown)).rstrip(b"=").decode()


def shown_by(qr_code: str) -> dict[str, str]:
    """Return what a QR code's text says."""
    shown: dict[str, str] = orjson.loads(base64.urlsafe_b64decode(qr_code + "=" * (-len(qr_code) % 4)))
    return shown


def redeemed(
    pairing: IssuedPairing,
    book: Book,
    *,
    now: datetime = T0 + MINUTE,
    item: Any = ...,
    ticket: PairingTicket | None = None,
) -> Any:
    """Redeem a token as a joining device does, with what the test would have otherwise."""
    lying_there = pairing.row.item if item is ... else item
    return redeem(ticket or read(pairing.qr_code, ANNA), lying_there, book, RULES, now)


def refusal_of(pairing: IssuedPairing, book: Book, **otherwise: Any) -> Code:
    """Return how a token is refused."""
    with pytest.raises(Refusal) as refused:
        redeemed(pairing, book, **otherwise)
    return refused.value.code


class TestIssue:
    """A device shows a token."""

    @pytest.mark.requirement("R47", "R60", "R62")
    def test_the_code_holds_the_user_and_the_token_and_no_password(self) -> None:
        """Nothing else, and the token is worth at least 128 bits."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        assert shown_by(pairing.qr_code) == {"uuid": ANNA, "token": pairing.token}
        assert len(base64.urlsafe_b64decode(pairing.token + "=")) * 8 >= 128
        assert issue(BOOK, PHONE, RULES, T0).token != pairing.token

    @pytest.mark.requirement("R48", "R52", "D12")
    def test_at_registration_it_names_the_certificate_too(self) -> None:
        """Fingerprint and validity."""
        shown = shown_by(issue(BOOK, PHONE, RULES, T0, name_certificate=True).qr_code)
        assert shown["fingerprint"] == PHONE.fingerprint
        assert shown["not_after"] == to_rfc3339(PHONE.not_after)

    def test_only_its_hash_is_stored(self) -> None:
        """A copied database opens nothing."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        assert pairing.token not in repr(pairing.row)
        assert pairing.row.when == Absent()

    @pytest.mark.requirement("R60", "R76")
    @pytest.mark.regression("X37")
    def test_it_expires_after_ten_minutes(self) -> None:
        """And the store may then purge it."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        assert pairing.expires_at == T0 + 10 * MINUTE
        assert pairing.row.item["expires_at"] == to_millis(T0 + 10 * MINUTE)
        assert PAIRING_TOKENS.expires


class TestRead:
    """A QR code's text becomes a ticket."""

    @pytest.mark.requirement("D10", "D11")
    @pytest.mark.parametrize(
        "rewrite", [str, lambda code: f" {code}==\n", lambda code: code.translate({45: "+", 95: "/"})]
    )
    def test_either_alphabet_and_any_padding_will_do(self, rewrite: Any) -> None:
        """A scanner may have changed it so."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        assert read(rewrite(pairing.qr_code), ANNA).key == pairing.row.key

    def test_the_certificate_it_names_is_kept_for_the_check(self) -> None:
        """A code without one has none to check."""
        assert read(issue(BOOK, PHONE, RULES, T0).qr_code, ANNA).fingerprint is None
        ticket = read(issue(BOOK, PHONE, RULES, T0, name_certificate=True).qr_code, ANNA)
        assert (ticket.fingerprint, ticket.not_after) == (PHONE.fingerprint, PHONE.not_after)

    def test_a_code_of_another_user_is_foreign(self) -> None:
        """Whoever brings it."""
        with pytest.raises(Refusal) as refused:
            read(issue(BOOK, PHONE, RULES, T0).qr_code, BERT)
        assert refused.value.code is Code.PAIRING_TOKEN_FOREIGN

    @pytest.mark.regression("X02")
    @pytest.mark.parametrize(
        "qr_code",
        [
            pytest.param("dummy_qr_code", id="junk"),
            pytest.param("\N{SNOWMAN}", id="no ASCII"),
            pytest.param("A" * 5000, id="too long"),
            pytest.param(code_of("text"), id="no object"),
            pytest.param(code_of([]), id="a list"),
            pytest.param(code_of({}), id="empty"),
            pytest.param(code_of({"uuid": ANNA}), id="no token"),
            pytest.param(code_of({"uuid": ANNA, "token": ""}), id="an empty token"),
            pytest.param(code_of({"uuid": ANNA, "token": 5}), id="a number for a token"),
            pytest.param(code_of({"token": "t"}), id="no user"),
            pytest.param(code_of({"uuid": "anna", "token": "t"}), id="a user that is no uuid"),
            pytest.param(code_of({"uuid": ANNA.upper(), "token": "t"}), id="another spelling of the user"),
            pytest.param(code_of({"uuid": ANNA, "token": "t", "fingerprint": 5}), id="a number for a fingerprint"),
            pytest.param(code_of({"uuid": ANNA, "token": "t", "fingerprint": "f"}), id="no validity"),
            pytest.param(
                code_of({"uuid": ANNA, "token": "t", "not_after": "2027-01-01T00:00:00Z"}), id="no fingerprint"
            ),
            pytest.param(
                code_of({"uuid": ANNA, "token": "t", "fingerprint": "f", "not_after": "soon"}), id="no such time"
            ),
            pytest.param(
                code_of({"uuid": ANNA, "token": "t", "fingerprint": "f", "not_after": "2027-01-01"}), id="no time zone"
            ),
            pytest.param(
                code_of({"uuid": ANNA, "token": "t", "fingerprint": "f", "not_after": 5}), id="a number for a time"
            ),
        ],
    )
    def test_what_is_no_code_of_ours_is_invalid(self, qr_code: str) -> None:
        """It is looked at, all of it."""
        with pytest.raises(Refusal) as refused:
            read(qr_code, ANNA)
        assert refused.value.code is Code.QR_INVALID

    @given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
    @example(code_of({"uuid": BERT, "token": "t"}))
    def test_junk_is_refused_and_never_breaks_anything(self, junk: str) -> None:
        """No other exception comes out of a stranger's text."""
        with pytest.raises(Refusal) as refused:
            read(junk, ANNA)
        assert refused.value.code in (Code.QR_INVALID, Code.PAIRING_TOKEN_FOREIGN)

    _values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text()
        | st.just(ANNA)
        | st.just(PHONE.fingerprint),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
    _fields = st.sampled_from(["uuid", "token", "fingerprint", "not_after", "more"])

    @given(st.dictionaries(_fields, _values) | _values)
    @example({"uuid": ANNA, "token": "t", "fingerprint": "f", "not_after": "0001-01-01T00:00:00+23:59"})
    def test_any_json_is_refused_or_a_ticket_that_no_token_lies_under(self, shown: Any) -> None:
        """Whatever stands in the fields."""
        with pytest.raises(Refusal) as refused:
            redeem(read(code_of(shown), ANNA), None, BOOK, RULES, T0)
        assert refused.value.code in (Code.QR_INVALID, Code.PAIRING_TOKEN_FOREIGN, Code.PAIRING_TOKEN_SPENT)


class TestRedeem:
    """A ticket is judged by what lies in the store and in the book."""

    @pytest.mark.requirement("D13", "R64", "R74")
    @pytest.mark.parametrize("name_certificate", [True, False])
    @pytest.mark.parametrize("book", [BOOK, LOGGED_IN], ids=["logged out", "logged in"])
    def test_a_good_token_is_used_up_by_a_mark_in_the_book(self, book: Book, *, name_certificate: bool) -> None:
        """It is kept for as long as the token could be used, and a minute for clocks that are apart."""
        mark = redeemed(issue(book, PHONE, RULES, T0, name_certificate=name_certificate), book)
        assert mark.name.startswith("p")
        assert mark.until == T0 + 11 * MINUTE

    def test_an_unknown_token_is_spent(self) -> None:
        """Whether it never was or is long gone nobody can say."""
        assert refusal_of(issue(BOOK, PHONE, RULES, T0), BOOK, item=None) is Code.PAIRING_TOKEN_SPENT

    @pytest.mark.requirement("R76")
    @pytest.mark.regression("X35")
    def test_a_used_token_is_spent(self) -> None:
        """It works once: the book says so, or the row that an earlier release wrote."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        mark = redeemed(pairing, BOOK)
        assert refusal_of(pairing, replace(BOOK, marks={mark.name: mark.until})) is Code.PAIRING_TOKEN_SPENT
        assert refusal_of(pairing, BOOK, item={**pairing.row.item, "state": "used"}) is Code.PAIRING_TOKEN_SPENT

    def test_the_seventeenth_has_to_wait(self) -> None:
        """No mark is dropped before its time, and the book stays small."""
        marks: dict[str, datetime] = {}
        for number in range(16):
            mark = redeemed(issue(BOOK, PHONE, RULES, T0 + number * SECOND), replace(BOOK, marks=marks))
            marks[mark.name] = mark.until
        with pytest.raises(Refusal) as refused:
            redeemed(issue(BOOK, PHONE, RULES, T0 + 20 * SECOND), replace(BOOK, marks=marks))
        assert refused.value.code is Code.TOO_MANY_ATTEMPTS
        assert refused.value.extensions["retry_after"] == 601

    @pytest.mark.regression("X37")
    def test_at_exactly_ten_minutes_a_token_is_spent(self) -> None:
        """A millisecond earlier it is good."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        assert redeemed(pairing, BOOK, now=T0 + 10 * MINUTE - MILLISECOND)
        assert refusal_of(pairing, BOOK, now=T0 + 10 * MINUTE) is Code.PAIRING_TOKEN_SPENT

    def test_a_token_of_an_old_password_is_spent(self) -> None:
        """The epoch is that of the book at its issue."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        assert refusal_of(pairing, replace(BOOK, credential_version=1)) is Code.PAIRING_TOKEN_SPENT

    def test_a_token_whose_device_was_unbound_is_spent(self) -> None:
        """A thief's device cannot bring in another after it was thrown out."""
        assert refusal_of(issue(BOOK, PHONE, RULES, T0), BOOK.unbound("phone")) is Code.PAIRING_TOKEN_SPENT

    def test_a_token_whose_session_was_ended_is_spent(self) -> None:
        """Logged out or evicted, and also when the device has logged in again since."""
        pairing = issue(LOGGED_IN, PHONE, RULES, T0)
        assert refusal_of(pairing, BOOK) is Code.PAIRING_TOKEN_SPENT
        assert refusal_of(pairing, BOOK.opened(a_session("t", 2, device="phone"))) is Code.PAIRING_TOKEN_SPENT

    def test_a_token_whose_session_has_expired_is_spent(self) -> None:
        """Though the book still has it."""
        book = BOOK.opened(a_session("s", 1, device="phone", at=T0 - DAY + MINUTE))
        pairing = issue(book, PHONE, RULES, T0)
        assert redeemed(pairing, book, now=T0 + MINUTE - MILLISECOND)
        assert refusal_of(pairing, book, now=T0 + MINUTE) is Code.PAIRING_TOKEN_SPENT

    def test_a_token_issued_by_a_logged_out_device_is_good_while_it_stays_bound(self) -> None:
        """There was no session that could have ended."""
        assert redeemed(issue(BOOK, PHONE, RULES, T0), LOGGED_IN)

    def test_a_token_that_lies_there_for_another_user_is_foreign(self) -> None:
        """The code may have been altered to name me."""
        pairing = issue(Book(BERT).bound(PHONE), PHONE, RULES, T0)
        mine = code_of({"uuid": ANNA, "token": pairing.token})
        assert refusal_of(pairing, BOOK, ticket=read(mine, ANNA)) is Code.PAIRING_TOKEN_FOREIGN

    @pytest.mark.parametrize(
        ("fingerprint", "not_after"),
        [("0" * 64, PHONE.not_after), (PHONE.fingerprint, PHONE.not_after + HOUR), (PHONE.fingerprint, None)],
    )
    def test_a_code_that_names_another_certificate_is_invalid(self, fingerprint: str, not_after: Any) -> None:
        """Fingerprint and validity are both compared."""
        pairing = issue(BOOK, PHONE, RULES, T0)
        ticket = PairingTicket(pairing.row.key, fingerprint, not_after)
        assert refusal_of(pairing, BOOK, ticket=ticket) is Code.QR_INVALID
