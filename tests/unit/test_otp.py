"""One-time codes: the vectors of RFC 6238, the drift, how codes are typed, and how they are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.crypto.otp import (
    FactorKeys,
    UnreadableSecret,
    code_at,
    is_recovery_code,
    matching_step,
    new_recovery_codes,
    new_secret,
    normal_code,
    provisioning_uri,
    read_secret,
    secret_text,
    step_at,
)
from tests.support.authenticator import scanned

pytestmark = pytest.mark.requirement("R72")

SECRET = b"12345678901234567890"
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
"""RFC 6238, appendix B, SHA-1: seconds since 1970, and eight digits, of which an app shows the last six."""

NOW = datetime(2036, 11, 21, 9, 0, 14, tzinfo=UTC)
STEP = step_at(NOW)


@pytest.mark.parametrize(("seconds", "digits"), VECTORS.items())
def test_the_vectors_of_the_rfc(seconds: int, digits: str) -> None:
    """Ours, and those of the app that the other tests use."""
    now = datetime.fromtimestamp(seconds, UTC)
    assert code_at(SECRET, step_at(now)) == digits[-6:]
    assert scanned(provisioning_uri(SECRET, "anna", "Ichidai")).code(now) == digits[-6:]


@pytest.mark.parametrize("apart", range(-3, 4))
def test_one_step_of_drift_is_borne(apart: int) -> None:
    """And no more."""
    found = matching_step(SECRET, code_at(SECRET, STEP + apart), NOW, -1)
    assert found == (STEP + apart if abs(apart) <= 1 else None)


@pytest.mark.parametrize("apart", range(-1, 2))
def test_only_a_later_step_counts(apart: int) -> None:
    """One that was taken, and those before it, are over, however little time has passed."""
    found = matching_step(SECRET, code_at(SECRET, STEP + apart), NOW, STEP)
    assert found == (STEP + 1 if apart == 1 else None)


@pytest.mark.parametrize("code", ["", "0", "00000", "0000000", "-1", "é" * 6, "\0" * 6, "١٢٣٤٥٦"])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    """Whatever its form."""
    assert matching_step(SECRET, normal_code(code), NOW, -1) is None


@pytest.mark.parametrize("typed", ["123456", " 123 456 ", "１２３４５６", "123-456", "123\u00a0456"])
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    """With a space in the middle, or as a Japanese keyboard writes it."""
    assert normal_code(typed) == "123456"


def test_recovery_codes_are_many_and_long() -> None:
    """Ten, of 60 bits each, in letters that are not taken for one another."""
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(is_recovery_code(normal_code(code)) for code in codes)
    letters = {letter for _ in range(200) for code in new_recovery_codes() for letter in code} - {"-"}
    assert letters == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert 32**12 == 2**60


@pytest.mark.parametrize("typed", ["abcd-0123-xyzk", "ABCD O123 XYZK", "abcdoi23xyzk", "ＡＢＣＤ－０１２３－ＸＹＺＫ"])
def test_a_recovery_code_is_read_as_people_type_it(typed: str) -> None:
    """An O for a zero, an I or L for a one."""
    keys = FactorKeys(b"k" * 32)
    assert keys.hashes_of([typed], "anna") == keys.hashes_of(["ABCD-0123-XYZK"], "anna")


def test_a_mark_is_one_users_under_one_key() -> None:
    """So the row of another account is of no use, and a copied store is none either."""
    mark = FactorKeys(b"k" * 32).hashes_of(["ABCD-0123-XYZK"], "anna")
    assert mark != FactorKeys(b"k" * 32).hashes_of(["ABCD-0123-XYZK"], "berta")
    assert mark != FactorKeys(b"l" * 32).hashes_of(["ABCD-0123-XYZK"], "anna")


def test_a_secret_opens_for_its_user_alone() -> None:
    """Not for another one, not under other keys, not altered, not for what was never sealed."""
    keys, secret = FactorKeys(b"k" * 32), new_secret()
    sealed = keys.encrypt(secret, "anna")
    assert keys.decrypt(sealed, "anna") == secret
    assert secret_text(secret) not in sealed
    assert keys.encrypt(secret, "anna") != sealed
    flipped = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    for opener, box, user in [
        (keys, sealed, "berta"),
        (FactorKeys(b"l" * 32), sealed, "anna"),
        (keys, flipped, "anna"),
        (keys, "", "anna"),
        (keys, "é", "anna"),
    ]:
        with pytest.raises(UnreadableSecret):
            opener.decrypt(box, user)


def test_an_app_reads_the_address() -> None:
    """Names of any script, with colons and spaces in them."""
    secret = new_secret()
    app = scanned(provisioning_uri(secret, "花 子:x@y", "My Shop"))
    assert (app.secret, app.label, app.issuer) == (secret, "My Shop:花 子:x@y", "My Shop")
    assert "+" not in provisioning_uri(secret, "花 子", "My Shop")
    assert read_secret(secret_text(secret)) == secret
    assert app.code(NOW + timedelta(seconds=30)) == code_at(secret, STEP + 1)
