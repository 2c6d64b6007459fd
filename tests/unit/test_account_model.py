"""Accounts: how names are compared, which passwords are refused, and how an account is kept."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.crypto.passwords import CHEAP_FOR_TESTS, PasswordHash, new_password_hash
from common.ids import new_id
from common.storage.engine_rules import is_valid_key, size_of
from common.storage.tables import NAMES, USERS
from ichidai.password_list import common_passwords
from registration.account_model import (
    MOST_OBJECTIONS,
    Account,
    FormerName,
    IdempotencyRecord,
    Objection,
    fold,
    mail_claim,
    name_claim,
    normal_password,
    password_fault,
)
from tests.unit.builders import MINUTE, T0, moments, names, uuids

COMMON = common_passwords()
HASH = PasswordHash(CHEAP_FOR_TESTS, b"salt" * 4, "0" * 64)

texts = st.text(st.characters(exclude_categories=("Cs",)))


def fault(password: str, username: str = "anna", email: str = "anna@example.test") -> str | None:
    """Return what is wrong with a password."""
    return password_fault(password, username, email, COMMON)


def test_common_passwords_are_kept_folded() -> None:
    """They are compared with a folded password, and folding thousands would lengthen every start."""
    assert {password for password in COMMON if fold(password) != password or not password} == set()


class TestNames:
    """Names and mails are unique by their folded form."""

    @pytest.mark.regression("X33")
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Anna", "anna"),
            ("ＡＮＮＡ", "anna"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("é", "e\N{COMBINING ACUTE ACCENT}"),
            ("ﬁnn", "finn"),
            ("ｱﾝﾅ", "アンナ"),
            ("①", "1"),
            ("K", "\N{KELVIN SIGN}"),
        ],
    )
    def test_look_alikes_of_one_name_are_one(self, one: str, other: str) -> None:
        """Case, width, ligatures and composition tell no two people apart."""
        assert name_claim(one) == name_claim(other)
        assert mail_claim(f"{one}@example.test") == mail_claim(f"{other}@example.test")

    @pytest.mark.parametrize(("one", "other"), [("anna", "anne"), ("anna", "annа"), ("o", "0"), ("ı", "i")])
    def test_other_names_are_others(self, one: str, other: str) -> None:
        """Letters of another script are not guessed at."""
        assert name_claim(one) != name_claim(other)

    def test_a_name_and_a_mail_of_the_same_text_do_not_meet(self) -> None:
        """Each is unique among its own kind."""
        assert name_claim("a@b") != mail_claim("a@b")

    @given(st.text(st.characters(codec="ascii")))
    def test_case_makes_no_difference(self, name: str) -> None:
        """However it is written."""
        assert fold(name.upper()) == fold(name.lower()) == fold(name)

    @given(texts)
    def test_folding_is_compatible_with_normal_forms(self, name: str) -> None:
        """Two keyboards that compose differently write the same name."""
        assert fold(unicodedata.normalize("NFD", name)) == fold(unicodedata.normalize("NFC", name))

    @given(st.text(st.characters(exclude_categories=("Cs",)), max_size=254))
    @example("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 64)
    @example("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 254)
    def test_every_name_can_be_a_key_of_the_store(self, name: str) -> None:
        """Folding makes some letters eighteen; what would be too long is hashed."""
        assert is_valid_key(NAMES.key(name_claim(name)))
        assert is_valid_key(NAMES.key(mail_claim(name)))

    def test_long_names_stay_apart(self) -> None:
        """A hash is of all of it, and no short name can look like one."""
        long = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 63
        assert name_claim(long + "a") != name_claim(long + "b")
        assert name_claim(long + "a") == name_claim(long + "A")
        hashed = name_claim(long)
        assert name_claim(hashed.removeprefix("name")) != hashed


class TestPasswords:
    """What a new password may be."""

    @pytest.mark.parametrize(
        ("password", "expected"),
        [
            pytest.param("", "short", id="empty"),
            pytest.param("a", "short", id="one byte"),
            pytest.param("seven 7", "short", id="seven"),
            pytest.param("eight  8", None, id="eight"),
            pytest.param("\N{GRINNING FACE}" * 8, None, id="eight beyond the basic plane"),
            pytest.param("パスワード長く", "short", id="seven wide ones"),
            pytest.param("x" * 1024, None, id="the longest"),
            pytest.param("x" * 1025, "long", id="one more"),
            pytest.param("x" * 4096, "long", id="4 KB"),
            pytest.param("nul\0 inside it", None, id="a NUL inside"),
            pytest.param("   spaces   ", None, id="spaces around"),
        ],
    )
    def test_it_has_8_to_1024_characters_of_any_kind(self, password: str, expected: str | None) -> None:
        """Counted in characters, not bytes."""
        assert fault(password) == expected

    def test_its_length_is_that_of_the_composed_form(self) -> None:
        """Eight keystrokes that make four letters are four."""
        assert fault("e\N{COMBINING ACUTE ACCENT}" * 4) == "short"
        assert fault("e\N{COMBINING ACUTE ACCENT}" * 1024) is None

    def test_three_thousand_common_ones_are_refused(self) -> None:
        """All that are shipped, and they are long enough to matter."""
        assert len(COMMON) == 3000
        assert {fault(password) for password in COMMON} == {"common"}

    @pytest.mark.parametrize("password", ["PASSWORD", "Password", "ｐａｓｓｗｏｒｄ", "12345678"])
    def test_a_common_one_in_disguise_is_as_common(self, password: str) -> None:
        """Case and width hide nothing."""
        assert fault(password) == "common"

    @pytest.mark.parametrize(
        "password", ["Anna Karenina", "ANNA KARENINA", "karenina@example.test", "Karenina@EXAMPLE.test"]
    )
    def test_ones_own_name_and_mail_are_refused(self, password: str) -> None:
        """However they are written."""
        assert fault(password, "anna karenina", "karenina@example.test") == "personal"

    def test_a_longer_text_with_the_name_in_it_will_do(self) -> None:
        """Only the name itself is refused."""
        assert fault("anna karenina rides", "anna karenina") is None

    def test_two_keyboards_write_the_same_password(self) -> None:
        """Composed or not, it is hashed in NFC."""
        kept = new_password_hash(normal_password("caf\N{LATIN SMALL LETTER E WITH ACUTE} noir"), CHEAP_FOR_TESTS)
        assert kept.matches(normal_password("cafe\N{COMBINING ACUTE ACCENT} noir"))

    @given(texts)
    def test_normalizing_changes_neither_case_nor_width(self, password: str) -> None:
        """Only composition: nothing of a password's strength is folded away."""
        assert normal_password(password) == unicodedata.normalize("NFC", password)
        assert normal_password("Ａa") == "Ａa"


accounts = st.builds(
    Account,
    uuid=uuids,
    username=names,
    email=names,
    password=st.just(HASH),
    credential_version=st.integers(0, 2**31),
    created_at=moments(),
    idempotency=st.none() | st.builds(IdempotencyRecord, uuids, moments(), st.integers(1, 99)),
)


@given(accounts)
def test_an_account_reads_back_as_it_was_written(account: Account) -> None:
    """Whatever its name."""
    assert Account.from_item(account.to_item()) == account


@pytest.mark.requirement("R14", "R18")
def test_the_salt_is_bytes_in_memory_and_hex_at_rest() -> None:
    """And nothing of the password is there but its hash."""
    item = Account("u", "anna", "anna@example.test", HASH, 0, T0, IdempotencyRecord("k", T0 + 10 * MINUTE, 1)).to_item()
    kept = item["password"]
    assert isinstance(kept, dict)
    assert kept["salt"] == (b"salt" * 4).hex()
    assert set(kept) == {"algorithm", "cost", "salt", "digest"}


def test_the_largest_account_fits() -> None:
    """The longest names and addresses, three of before each, and as many objections as are kept."""
    long_name, now = "\U00020bb7" * 64, datetime(2036, 11, 21, tzinfo=UTC)
    long_mail = "\U00020bb7" * 252 + "@x"
    password = new_password_hash("a long enough phrase", CHEAP_FOR_TESTS)
    account = Account(new_id(), long_name, long_mail, password, 1, now, email_confirmed=True)
    for number in range(MOST_OBJECTIONS + 5):
        account = account.with_password(password, number, now).with_email(f"{number % 10}{long_mail[1:]}", now)
        objection = Objection(2**53 - number, 2**53, now + timedelta(days=7))
        account = account.with_objection(objection, now)
    names = tuple(FormerName(long_name, now, now) for _ in range(3))
    account = replace(account, former_names=names, reset_required=True)
    assert len(account.former_emails) == len(account.former) == 3
    assert size_of(account.to_item()) < USERS.largest
    assert Account.from_item(account.to_item()) == account


def test_of_very_many_objections_the_oldest_become_one() -> None:
    """What was taken back stays so; what lies between two of them is not objected to any more."""
    now = datetime(2036, 11, 21, tzinfo=UTC)
    password = new_password_hash("a long enough phrase", CHEAP_FOR_TESTS)
    account = Account(new_id(), "anna", "anna@example.test", password, 1, now)
    for number in range(MOST_OBJECTIONS + 2):
        account = account.with_objection(Objection(number * 10, number * 10 + 2, now + timedelta(days=7)), now)
    assert len(account.objections) == MOST_OBJECTIONS
    assert all(account.has_objection_to(number * 10 + 1) for number in range(MOST_OBJECTIONS + 2))
    assert account.has_objection_to(5)
    assert not account.has_objection_to((MOST_OBJECTIONS + 1) * 10 - 5)
    assert account.with_objection(Objection(1, 2, now), now + timedelta(days=7)).objections == (Objection(1, 2, now),)
