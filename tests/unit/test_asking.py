"""What commands read where no terminal is."""

from __future__ import annotations

import io

import pytest

from ichidai.cli.asking import NothingToRead, ask_line, ask_unseen


@pytest.mark.parametrize("typed", ["correct horse 42\n", "correct horse 42\r\n", "correct horse 42"])
def test_a_secret_is_a_line_of_standard_input(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, without the line's end; nothing is asked twice, and nothing warns of a terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert ask_unseen("Password", twice=True) == "correct horse 42"


def test_spaces_belong_to_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password may begin and end with them."""
    monkeypatch.setattr("sys.stdin", io.StringIO("  two spaces  \nnext\n"))
    assert ask_unseen("Password") == "  two spaces  "
    assert ask_line("Code: ") == "next"


def test_input_that_has_ended_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence and exit status 2, not an empty password."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(NothingToRead, match="has ended") as ended:
        ask_unseen("Password")
    assert ended.value.exit_code == 2
