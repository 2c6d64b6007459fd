"""New names: what cannot be seen is refused, what people write is not; and which names look alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.web.names import device_name_fault, unseen_fault, username_fault
from registration.look_alikes import Look, look_of, scripts_of, skeleton

CONTROLS = [
    chr(code) for code in (0x200B, 0x200E, 0x202E, 0x2066, 0xFEFF, 0x00AD, 0x3164, 0x2028, 0x061C, 0xE0001, 0xFE0F)
]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda each: f"U+{ord(each):04X}")
def test_nothing_unseen(control: str) -> None:
    """In the middle of a name, a mail or a device's name; a device's name may end an emoji so."""
    text = f"an{control}na"
    assert username_fault(text)
    assert unseen_fault(f"{text}@example.test")
    assert device_name_fault(text)


@pytest.mark.parametrize(
    "name", ["anna", "Anna-Lena 2", "山田 太郎", "ｱﾝﾅ", "Ａｎｎａ", "Ölaf", "привет", "עמית", "<b>x</b>", "👍"]
)
def test_names_as_people_write_them(name: str) -> None:
    """In any script, wide or narrow, with single spaces."""
    assert username_fault(name) is None
    assert unseen_fault(name) is None
    assert device_name_fault(name) is None


@pytest.mark.parametrize("name", ["anna  lena", "\u5c71\u7530\u3000\u592a\u90ce", "anna\u00a0lena"])
def test_spaces_that_would_be_changed(name: str) -> None:
    """Are refused, not rewritten."""
    assert username_fault(name)


@pytest.mark.parametrize("name", ["👩‍💻 phone", "☎️ desk", "🏳️‍🌈"])
def test_joined_emoji_in_device_names(name: str) -> None:
    """People use them; a username has none."""
    assert device_name_fault(name) is None
    assert username_fault(name)


def is_look_alike(new: str, old: str) -> bool:
    """Say whether `new` is refused once `old` is there."""
    look = look_of(old)
    assert look.claim == look_of(old.upper()).claim
    return look_of(new).claim == look.claim and look_of(new).is_taken(look.claim_for("uuid"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "p\u0430ypal"),  # one Cyrillic letter
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),  # all Cyrillic
        ("modem", "rn\u043edern"),  # rn for m, and a Cyrillic o
        ("omicron", "\u03bfmicron"),  # one Greek letter
        ("\u043f\u0440\u0438\u0432\u0435\u0442", "\u043fp\u0438\u0432e\u0442"),  # Latin letters in a Cyrillic name
    ],
)
def test_look_alikes_in_other_scripts(one: str, other: str) -> None:
    """Whichever was first."""
    assert is_look_alike(one, other)
    assert is_look_alike(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("modem", "modern"),
        ("user1", "userl"),
        ("\u30ed", "\u53e3"),  # kana and Han
        ("\u4e00", "\u30fc"),  # Han, and a sign of no script
        ("\u5927\u548ca", "\u5927\u548c\uff41"),
    ],
)
def test_one_set_of_scripts_is_no_look_alike(one: str, other: str) -> None:
    """What one script, or Japanese, writes side by side stays free."""
    assert not is_look_alike(one, other)
    assert not is_look_alike(other, one)


def test_marks_make_another_name() -> None:
    """An umlaut can be seen."""
    assert look_of("\u00d6laf").claim != look_of("Olaf").claim


def test_scripts() -> None:
    """Han, kana and Latin are one; what has none counts as that one."""
    assert scripts_of("anna") == scripts_of("山田タロウ") == scripts_of("42!") == "LATIN"
    assert scripts_of("\u0430nna") == "CYRILLIC LATIN"


@given(st.text(max_size=20))
def test_every_text_has_a_look(text: str) -> None:
    """A skeleton's skeleton is itself, and a claim is a key that any store holds."""
    assert skeleton(skeleton(text)) == skeleton(text)
    look = look_of(text)
    assert isinstance(look, Look)
    assert len(look.claim.encode()) <= 1024
