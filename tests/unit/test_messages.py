"""What people read: every code in both languages, with everything filled in."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import pytest

from common.account.history import Reason
from common.errors import Code
from common.web import messages
from common.web.messages import LANGUAGES, TEXTS, Text, Texts
from common.web.problems import STATUSES

FACTS = {
    Code.INVALID_REQUEST: {"problem"},
    Code.MISSING_FIELDS: {"names"},
    Code.NOT_SUPPORTED: {"names"},
    Code.TOO_MANY_DEVICES: {"max_devices"},
    Code.ACCOUNT_CLOSED: {"reopen_until"},
    Code.DIGITS_WRONG: {"tries_left"},
    Code.TOO_MANY_ATTEMPTS: {"retry_after"},
    Code.TOO_MANY_REGISTRATIONS: {"retry_after"},
}
"""The facts that whoever raises a code gives with it; a text may use no other."""

QUOTED = {
    (Code.MISSING_FIELDS, "registration"): "username, email, and password are required",
    (Code.MISSING_FIELDS, "second-device"): "2台目端末登録には username と password が必要です",
    (Code.BAD_CREDENTIALS, None): "Password does not match",
    (Code.CERTIFICATE_MISMATCH, None): "Client certificate fingerprint mismatch",
    (Code.DEVICE_ACTIVE, None): "他端末がアクティブです。切り替えますか？",
}


def all_texts(texts: Texts) -> Iterator[Text]:
    """Yield a code's title, detail and variants."""
    yield texts.title
    yield texts.detail
    yield from (texts.variants or {}).values()


def fields_of(text: str) -> set[str]:
    """Return the names of the facts in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_and_texts_in_both_languages(code: Code) -> None:
    """English holds no Japanese, and Japanese some."""
    assert 400 <= STATUSES[code] <= 503
    for text in all_texts(TEXTS[code]):
        assert text.en
        assert not re.search(r"[぀-ヿ一-鿿]", text.en)
        assert re.search(r"[぀-ヿ一-鿿]", text.ja)


@pytest.mark.parametrize("code", list(Code))
def test_texts_use_only_facts_that_are_given_and_the_same_in_both_languages(code: Code) -> None:
    """No text can fail to be written, and a title needs nothing."""
    texts = TEXTS[code]
    given: dict[str, object] = dict.fromkeys(FACTS.get(code, set()), "x")
    assert fields_of(texts.title.en) == fields_of(texts.title.ja) == set()
    for text in all_texts(texts):
        assert fields_of(text.en) == fields_of(text.ja) <= given.keys()
        for language in (None, *LANGUAGES):
            assert "{" not in text.in_language(language, given)


@pytest.mark.requirement("R26", "R28", "R30", "R50", "R51", "D42")
@pytest.mark.parametrize(("which", "expected"), QUOTED.items())
def test_without_a_language_the_contracts_texts_stand_as_quoted(which: tuple[Code, str | None], expected: str) -> None:
    """To the letter."""
    code, variant = which
    assert TEXTS[code].detail_of(variant).in_language(None, {}) == expected


@pytest.mark.requirement("B08")
def test_the_question_is_the_one_that_was_asked_for() -> None:
    """In Japanese where no language was asked for, else in that language."""
    question = (
        "このアカウントは別の場所で使用中です。こちらにログインすると、以前のセッションは自動的にログアウトされます。"
        "続けますか？"
    )
    assert messages.QUESTION.in_language(None, {}) == messages.QUESTION.in_language("ja", {}) == question
    assert messages.QUESTION.in_language("en", {}).endswith("Continue?")


def test_all_other_texts_are_english_without_a_language() -> None:
    """As the contract says."""
    quoted_in_japanese = {TEXTS[code].detail_of(variant) for code, variant in QUOTED if "端末" in QUOTED[code, variant]}
    for code in Code:
        for text in all_texts(TEXTS[code]):
            assert (text.quoted == "ja") is (text in quoted_in_japanese)


@pytest.mark.requirement("B20")
def test_every_reason_for_an_ending_has_its_own_text() -> None:
    """But the one that nobody knows any more."""
    variants = TEXTS[Code.SESSION_ENDED].variants or {}
    assert variants.keys() == {str(reason) for reason in Reason} - {"ended"}
    assert len({text.en for text in variants.values()}) == len(variants)


def test_an_unknown_variant_has_the_general_text() -> None:
    """Nothing breaks when a new one comes."""
    assert TEXTS[Code.SESSION_ENDED].detail_of("abducted") == TEXTS[Code.SESSION_ENDED].detail
    assert TEXTS[Code.SESSION_ENDED].detail_of(None) == TEXTS[Code.SESSION_ENDED].detail
